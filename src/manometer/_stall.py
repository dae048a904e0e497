"""One moment in which an event loop stood still, and what it was that kept it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, final

if TYPE_CHECKING:
    from ._detail import Place

BLOCK_NS: Final = 50_000_000
"""A loop that stood still for less is at work."""


@final
@dataclass(frozen=True, slots=True)
class Stall:
    """A moment in which an event loop did not come round.

    Attributes:
        sort: `blocked`: its own thread was in one callback; `starved`: another thread had the interpreter.
        place: Line of the application that kept it; None when it was not seen.
        thread: Name of the thread that had the interpreter; empty unless starved, or when not seen.
        duration_ns: How long.
        cpu_ns: CPU time of the loop's own thread meanwhile.
    """

    sort: Literal["blocked", "starved"]
    place: Place | None
    thread: str
    duration_ns: int
    cpu_ns: int
