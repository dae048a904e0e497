"""Failures inside manometer, wherever application code can run into them: found by looking, not from a list."""

from __future__ import annotations

import os
import sys
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import manometer
from manometer import _context, _cpu, _guard
from manometer._context import variable

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import CodeType, FrameType

PACKAGE = os.path.dirname(manometer.__file__) + os.sep

SHELLS = {
    "_guard.py": "the guards themselves",
    "_wrapper": "a generated wrapper; each of its slow paths is shielded",
    "_measure.py:__enter__": "calls nothing but a guard",
    "_measure.py:__exit__": "calls nothing but a guard",
    "_measure.py:__aenter__": "calls nothing but a guard",
    "_measure.py:__aexit__": "calls `__exit__`",
    "_measure.py:_into": "calls nothing but a guard",
    "_measure.py:_out": "calls nothing but a guard",
    "_measure.py:measure": "decoration: the programmer is told of a mistake",
    "_measure.py:expected": "decoration",
    "_measure.py:__init__": "stores two arguments",
    "_measure.py:<genexpr>": "`expected`, at decoration",
    "_options.py": "decoration: the programmer is told of a mistake",
    "_block.py:__enter__": "calls nothing but a guard",
    "_block.py:__exit__": "calls nothing but a guard",
    "_block.py:__aenter__": "calls nothing but a guard",
    "_block.py:__aexit__": "calls nothing but a guard",
    "_block.py:__init__": "stores three arguments",
    "_block.py:call": "the wrapper of a unit of work: enters and leaves a block",
    "_block.py:run": "the same for coroutines",
    "_block.py:current_profile": "two comparisons",
    "_context.py:__init__": "stores its arguments in slots",
    "_context.py:restore": "two comparisons",
    "_loops.py:follow": "waits for events in the host's name, and a guard around what is ours",
    "_loops.py:closing": "two comparisons, and a guard",
    "sources/event_loop.py:_set": "calls through, and a guard",
    "sources/_patch.py:tap": "calls the tap, or through",
    **{
        f"sources/sqlite.py:{name}": "the driver's own method, and a guard around what is ours"
        for name in (
            "__del__",
            "__next__",
            "_connect",
            "_finish",
            "_run",
            "close",
            "cursor",
            "execute",
            "executemany",
            "executescript",
            "fetchall",
            "fetchmany",
            "fetchone",
        )
    },
    **{
        f"sources/_rows.py:{name}": "adds numbers; what looks at rows is guarded"
        for name in ("finish", "is_timed", "many", "one")
    },
    **{
        f"sources/_request.py:{name}": "calls the application, and a guard around what is ours"
        for name in (
            "serve",
            "_starting",
            "start",
            "_step",
            "__iter__",
            "__next__",
            "__init__",
            "close",
            "__del__",
            "end",
            "first_byte",
        )
    },
    **{
        f"sources/otel/_processor.py:{name}": "a guard around what is ours"
        for name in ("__init__", "on_start", "on_end", "shutdown", "force_flush")
    },
    "sources/wsgi.py:__call__": "calls `serve`",
    "sources/wsgi.py:__init__": "decoration",
}
"""Where nothing can be injected, because no guard of ours is above it: file and function, with the reason."""  # fmt: skip


class Injected(Exception):
    """A fault that manometer could have."""


ERRORS = (Injected, MemoryError, RecursionError)


@dataclass(frozen=True)
class Point:
    """One function of manometer's that is entered on a thread of the application."""

    file: str
    function: str
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.function}"


def point_of(code: CodeType) -> Point | None:
    """Return the point of a code object; None for the application's own."""
    file = code.co_filename
    if file.startswith("<manometer"):
        return Point("_wrapper", code.co_name, 0)
    if not file.startswith(PACKAGE):
        return None
    return Point(file[len(PACKAGE) :], code.co_name, code.co_firstlineno)


def is_shell(point: Point) -> bool:
    """Tell whether *point* is the boundary itself."""
    return point.file in SHELLS or str(point) in SHELLS or point.function == "<module>"


def entered(program: Callable[[], Any]) -> Counter[Point]:
    """Run *program* and return how often each function of manometer's was entered on this thread."""
    found: Counter[Point] = Counter()

    def look(frame: FrameType, event: str, _: Any) -> None:
        if event == "call":
            point = point_of(frame.f_code)
            if point is not None:
                found[point] += 1

    sys.setprofile(look)
    try:
        program()
    finally:
        sys.setprofile(None)
    return found


@dataclass
class Injection:
    """What one injected failure led to."""

    result: Any = None
    escaped: BaseException | None = None
    injected: int = 0
    counted: int = 0
    unbalanced: str = ""


def inject(program: Callable[[], Any], point: Point, error: type[BaseException], nth: int) -> Injection:
    """Run *program* while the *nth* entry of *point* raises *error*, and say what came of it."""
    found = Injection()
    before = _guard.total()
    seen = 0

    def trace(frame: FrameType, event: str, _: Any) -> None:
        nonlocal seen
        if event == "call" and point_of(frame.f_code) == point:
            seen += 1
            if seen == nth:
                found.injected += 1
                raise error("injected")  # which also ends the tracing

    sys.settrace(trace)
    try:
        found.result = program()
    except BaseException as escaped:
        found.escaped = escaped.with_traceback(None)
    finally:
        sys.settrace(None)
    found.counted = _guard.total() - before
    left = variable.get()
    if left is False or (left is not None and left.profile.kind != "process"):
        found.unbalanced = f"a current branch {left}"
        variable.set(None)
    if _context.live:
        found.unbalanced += f" {len(_context.live)} profiles in flight"
        _context.live.clear()
        _cpu.after_fork()
    return found
