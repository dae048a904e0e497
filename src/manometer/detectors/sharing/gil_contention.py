"""The rule gil-contention: an event loop that was ready, and could not have the interpreter."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

from .._claims import Claims
from .._waits import make, site_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..._finding import Finding
    from ..._model import Profile
    from ..._stall import Stall
    from ...protocols import HistoryView

RULE: Final = "gil-contention"
_STALLS: Final = 2


def gil_contention(
    profile: Profile, _history: HistoryView, claims: Claims | None = None
) -> Iterator[Finding]:
    """Yield one finding when the loop had to wait for the interpreter twice, with the thread that had it.

    Silent while that thread is not known: a machine that is full looks the same from inside.
    """
    claims = claims or Claims(profile)
    stalls = [stall for stall in profile.stalls if stall.sort == "starved"]
    known = [stall for stall in stalls if stall.place is not None]
    if len(stalls) >= _STALLS and known:
        yield _finding(claims, stalls, known)


def _finding(claims: Claims, stalls: list[Stall], known: list[Stall]) -> Finding:
    total_ns = sum(stall.duration_ns for stall in stalls)
    place, _ = Counter(stall.place for stall in known).most_common(1)[0]
    thread = next(stall.thread for stall in known if stall.place == place)
    site = site_of(place or ("", 0, ""), "interpreter")
    return make(
        claims,
        claims.profile.root,
        RULE,
        callsite=site,
        holder=site,
        confidence="likely",
        evidence={
            "waits": len(stalls),
            "total_ns": total_ns,
            "longest_ns": max(stall.duration_ns for stall in stalls),
            "thread": thread,
        },
        cost_ns=min(total_ns, claims.whole_ns or total_ns),
        saving_ns=(total_ns // 3, total_ns),
        advice=f"Move the work of thread {thread} to a process, or let it release the interpreter more often.",
        move="restructure",
        grave=True,
    )
