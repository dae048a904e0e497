"""The rule loop-blocked: a callback that kept the event loop, and with it all other tasks, waiting."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from .._claims import Claims
from .._waits import make, site_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..._detail import Place
    from ..._finding import Finding
    from ..._model import Profile
    from ..._stall import Stall
    from ...protocols import HistoryView

RULE: Final = "loop-blocked"
_COMPUTES: Final = 0.25
"""Share of CPU time from which it computed, and did not wait."""
_LONG_NS: Final = 100_000_000
"""A single block that is shorter may be the first import of something."""


def loop_blocked(profile: Profile, _history: HistoryView, claims: Claims | None = None) -> Iterator[Finding]:
    """Yield a finding for each line that kept the loop for 50 ms and more while this unit of work was in progress.

    Whose code it was does not matter: the line is blamed, and not the unit that had to wait.
    """
    claims = claims or Claims(profile)
    by_place: dict[Place, list[Stall]] = {}
    for stall in profile.stalls:
        if stall.sort == "blocked" and stall.place is not None:
            by_place.setdefault((stall.place[0], 0, stall.place[2]), []).append(stall)
    for stalls in by_place.values():
        yield _finding(claims, stalls)


def _finding(claims: Claims, stalls: list[Stall]) -> Finding:
    total_ns = sum(stall.duration_ns for stall in stalls)
    longest = max(stalls, key=lambda stall: stall.duration_ns)
    computes = sum(stall.cpu_ns for stall in stalls) >= _COMPUTES * total_ns
    place = longest.place or ("", 0, "")
    return make(
        claims,
        claims.profile.root,
        RULE,
        callsite=site_of(place, "event loop"),
        confidence="confirmed" if len(stalls) > 1 or longest.duration_ns >= _LONG_NS else "likely",
        evidence={
            "blocks": len(stalls),
            "total_ns": total_ns,
            "longest_ns": longest.duration_ns,
            "cpu_share": round(sum(stall.cpu_ns for stall in stalls) / total_ns, 2),
        },
        cost_ns=min(total_ns, claims.whole_ns or total_ns),
        saving_ns=(total_ns // 2, total_ns),
        advice=(
            "Give the computation to a process pool, or split it with `await asyncio.sleep(0)`."
            if computes
            else "Call it in a thread (`asyncio.to_thread`), or use the asynchronous form of what it waits for."
        ),
        move="restructure",
        grave=len(stalls) > 1 or longest.duration_ns >= _LONG_NS,
    )
