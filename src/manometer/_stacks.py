"""What another thread or task is doing now, as the line of the application it is in."""

from __future__ import annotations

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


def frame_of(thread: int) -> FrameType | None:
    """Return what a thread runs now; the only walk over foreign stacks. Any thread; 1 us and 0.1 us a thread."""
    return sys._current_frames().get(thread)


def doing(owner: Owner) -> Place | None:
    """Return the innermost line of the application in which *owner* is now; None when it cannot be seen.

    Any thread, called by one that is about to wait; 5-20 us, at most `MAX_STACK_WALK` frames. Of a
    task only on its own thread, where it is suspended meanwhile.
    """
    thread, task = owner
    if task is not None:
        return _suspended(task()) if thread == get_ident() else None
    if thread == get_ident():
        return None
    return _innermost(frame_of(thread))


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
        frame = getattr(awaited, names[0])
        if frame is not None and is_application(frame.f_code.co_filename):
            found = place_of(frame)
        awaited = getattr(awaited, names[1])
    return found
