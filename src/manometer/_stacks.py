"""What another thread or task is doing now, as the line of the application it is in."""

from __future__ import annotations

import gc
import sys
from threading import get_ident
from types import AsyncGeneratorType, CoroutineType, GeneratorType
from typing import TYPE_CHECKING, Any, Final
from weakref import ref

from . import _limits
from ._site import is_application, place_of

if TYPE_CHECKING:
    from types import FrameType

    from ._detail import Place

Owner = tuple[int, "ref[Any] | None"]
"""A thread, and the task in it, if it was one that asked."""

_COLLECTS: Final = sys.version_info < (3, 12)
"""Whether an allocation may run the collector at once."""

_AWAITS: Final[dict[type, tuple[str, str]]] = {
    CoroutineType: ("cr_frame", "cr_await"),
    GeneratorType: ("gi_frame", "gi_yieldfrom"),
    AsyncGeneratorType: ("ag_frame", "ag_await"),
}


def me() -> Owner:
    """Return the calling thread and task. Any thread; 0.3 us."""
    return get_ident(), _task()


def _task() -> ref[Any] | None:
    asyncio = sys.modules.get("asyncio")
    if asyncio is None or asyncio._get_running_loop() is None:
        return None
    task = asyncio.current_task()
    return None if task is None else ref(task)


def may_read_others() -> bool:
    """Tell whether the stacks of other threads may be read here.

    A build without the interpreter's lock may read what is freed meanwhile (python/cpython#152355).
    """
    return bool(getattr(sys, "_is_gil_enabled", lambda: True)())


def frame_of(thread: int) -> FrameType | None:
    """Return what a thread runs now, None where that is not safe; the only walk over foreign stacks.

    Any thread; 1 us and 0.1 us a thread.
    """
    if not may_read_others():
        return None
    # The collector, run by an allocation in it, would wait for a lock that is held (python/cpython#106883);
    # CPython 3.11.9 does the same by itself.
    paused = _COLLECTS and gc.isenabled()
    if paused:
        gc.disable()
    try:
        return sys._current_frames().get(thread)
    finally:
        if paused:
            gc.enable()


def doing(owner: Owner) -> Place | None:
    """Return the innermost line of the application in which *owner* is now; None when it cannot be seen.

    Any thread but the owner's own; 5-20 us, at most `MAX_STACK_WALK` frames. A task may be suspended:
    then it is the line that awaits.
    """
    thread, task = owner
    if task is not None:
        found = _suspended(task())
        if found is not None or thread == get_ident():
            return found
    return None if thread == get_ident() else _innermost(frame_of(thread))


def _innermost(frame: FrameType | None) -> Place | None:
    for _ in range(_limits.MAX_STACK_WALK):
        if frame is None:
            return None
        if is_application(frame.f_code.co_filename):
            return place_of(frame)
        frame = frame.f_back
    return None


def _suspended(task: Any) -> Place | None:
    """Return the innermost line of the application among what a suspended task awaits."""
    found: Place | None = None
    awaited = None if task is None else getattr(task, "get_coro", lambda: None)()
    for _ in range(_limits.MAX_STACK_WALK):
        names = _AWAITS.get(type(awaited))
        if names is None:
            break
        if getattr(awaited, names[0].replace("frame", "running")):
            return None  # it runs: its thread shows where
        frame = getattr(awaited, names[0])
        if frame is not None and is_application(frame.f_code.co_filename):
            found = place_of(frame)
        awaited = getattr(awaited, names[1])
    return found
