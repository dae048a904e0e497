"""Which thread of this process is on a CPU most, and what it runs."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING, Final, final

from . import _stacks

if TYPE_CHECKING:
    from ._detail import Place

_EVERY_NS: Final = 100_000_000
_TASKS: Final = "/proc/self/task"
_MAX_THREADS: Final = 128


@final
class Cpus:
    """CPU time of each thread, read from Linux a few times a second while somebody wants to know.

    Args:
        share: Share of the time for which one thread must have been on a CPU to be named.

    Attributes:
        hog: Name of the thread that was, and the line of the application it was seen in; None when there is none.
    """

    __slots__ = ("_before", "_read_ns", "_share", "hog")

    def __init__(self, share: float) -> None:
        self._share = share
        self._before: dict[int, int] = {}
        self._read_ns = 0
        self.hog: tuple[str, Place | None] | None = None

    def look(self, now_ns: int, leave_out: set[int]) -> None:
        """Read them if it is time; 10 us a thread. The watching thread."""
        elapsed_ns = now_ns - self._read_ns
        if elapsed_ns < _EVERY_NS:
            return
        threads = [
            each
            for each in threading.enumerate()
            if each.native_id is not None
            and each.ident not in leave_out
            and not each.name.startswith("manometer")
        ][:_MAX_THREADS]
        used = {each.native_id: _cpu_ns(each.native_id) for each in threads if each.native_id is not None}
        spent = {
            each: used[each.native_id] - self._before[each.native_id]
            for each in threads
            if each.native_id in self._before and each.native_id is not None
        }
        self._before, first = used, not self._read_ns
        self._read_ns = now_ns
        if first or not spent:
            return
        most = max(spent, key=lambda each: spent[each])
        if spent[most] >= self._share * elapsed_ns:
            self.hog = (most.name, _place_of(most) or (self.hog[1] if self.hog is not None else None))


def _cpu_ns(native_id: int) -> int:
    return _schedstat(native_id, 0)


def queued_ns(native_id: int) -> int:
    """Return for how long a thread of this process could run and had no CPU, since it began; 0 where nobody tells.

    Any thread; 15 us.
    """
    return _schedstat(native_id, 1)


def _schedstat(native_id: int, field: int) -> int:
    try:
        with open(os.path.join(_TASKS, str(native_id), "schedstat"), "rb") as file:
            return int(file.read(64).split()[field])
    except (OSError, ValueError, IndexError):
        return 0


def _place_of(thread: threading.Thread) -> Place | None:
    """Return the line it is in, or where stacks cannot be read, its target function."""
    place = _stacks.doing((thread.ident or 0, None))
    if place is not None:
        return place
    code = getattr(getattr(thread, "_target", None), "__code__", None)
    if code is None:
        return None
    return code.co_filename, code.co_firstlineno, getattr(code, "co_qualname", code.co_name)
