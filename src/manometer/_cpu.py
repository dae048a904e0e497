"""The CPU time of a thread while one unit of work had it to itself."""

from __future__ import annotations

import time
from typing import Any, Final, final

from ._real import original

_thread_ident: Final = original("_thread", "get_ident")  # of the real thread, also under gevent
_in_flight: Final[dict[int, int]] = {}
"""Real thread, with the units in flight on it: CPU time is only true when there was one."""
_first: Final[dict[int, ThreadCpu]] = {}
"""Real thread, with the unit that began when there was none; units inside it are its own work."""


@final
class ThreadCpu:
    """CPU time of the current thread from now on. Application threads; 2 us, no lock."""

    __slots__ = ("_owner", "_shared", "_started_ns", "_thread")

    def __init__(self, owner: Any) -> None:
        self._thread = _thread_ident()
        self._owner = owner
        already = _in_flight.get(self._thread, 0)
        self._shared = already > 0
        self._started_ns = time.thread_time_ns()
        if not already:
            _first[self._thread] = self
        elif self._thread in _first and _first[self._thread]._owner != owner:
            _first.pop(self._thread)._shared = True  # another greenlet works while that one waits
        _in_flight[self._thread] = already + 1

    def end(self) -> int:
        """Return the time in nanoseconds, or -1 where it would not be this unit's alone."""
        thread = self._thread
        if _first.get(thread) is self:
            del _first[thread]
        left = _in_flight.get(thread, 1) - 1
        if left > 0:
            _in_flight[thread] = left
        else:
            _in_flight.pop(thread, None)
        if thread == _thread_ident() and not self._shared and left == 0:
            return time.thread_time_ns() - self._started_ns
        return -1


def after_fork() -> None:
    """Forget, in a child, what was in flight in the parent."""
    _in_flight.clear()
    _first.clear()
