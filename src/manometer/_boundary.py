"""What is known about calls that leave the process: their time limits, their tries, whether they were awaited."""

from __future__ import annotations

from typing import Final, Protocol, final

NO_BACK_OFF_NS: Final = 10_000_000
"""A retry that soon after the failure meets what it failed on."""
_NOT_SENT: Final = ("connect", "pool", "newconnection")
_SUMS = ("idempotent_calls", "past_deadline", "retries_inside", "without_timeout")


@final
class Boundary:
    """The part of a frame's detail that only outgoing calls and retry layers need; made on first use.

    Attributes:
        awaited: Calls were awaited: others could have run beside them.
        idempotent_calls: Calls that say themselves that repeating them does no harm.
        past_deadline: Calls that may wait longer than their unit of work has left.
        retries_inside: Tries beyond the first that the library made by itself, inside the calls.
        timeout_ns: The longest time limit of a call, in nanoseconds; 0 when none is known.
        without_timeout: Calls that may wait for ever.
    """

    __slots__ = ("awaited", "timeout_ns", *_SUMS)

    def __init__(self) -> None:
        self.awaited = False
        self.idempotent_calls = 0
        self.past_deadline = 0
        self.retries_inside = 0
        self.timeout_ns = 0
        self.without_timeout = 0

    def add(self, other: Boundary) -> None:
        """Add up what *other* counted."""
        for name in _SUMS:
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.awaited = self.awaited or other.awaited
        self.timeout_ns = max(self.timeout_ns, other.timeout_ns)


class _Detail(Protocol):
    """A frame's detail, which imports this module."""

    boundary: Boundary | None


def boundary_of(detail: _Detail) -> Boundary:
    """Return the boundary of a frame's detail, made on first use; 0.3 us."""
    found = detail.boundary
    if found is None:
        found = detail.boundary = Boundary()
    return found


def is_timeout(error: str) -> bool:
    """Tell whether an error type, or a status, leaves open what the other side did: it may have done it."""
    name = error.lower()
    return name == "504" or ("timeout" in name and not name.startswith(_NOT_SENT))
