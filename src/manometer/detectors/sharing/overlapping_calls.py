"""The rule overlapping-calls: two calls at once on an object that only one may use at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from .._claims import Claims
from .._places import places
from .._waits import make

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..._finding import Finding
    from ..._model import Profile
    from ...protocols import HistoryView

RULE: Final = "overlapping-calls"


def overlapping_calls(
    profile: Profile, _history: HistoryView, claims: Claims | None = None
) -> Iterator[Finding]:
    """Yield a finding for each function marked `exclusive` that was entered while somebody else was inside.

    Exact: both were inside the same object at once, in different threads or tasks. Opt-in.
    """
    if not profile.overlaps:
        return
    claims = claims or Claims(profile)
    for place in places(profile):
        mine = {other: count for (site, other), count in profile.overlaps.items() if site is place.callsite}
        if not mine:
            continue
        other = max(mine, key=lambda each: mine[each])
        yield make(
            claims,
            place.frames[0],
            RULE,
            expect=place.expect,
            confidence="confirmed",
            evidence={"overlaps": sum(mine.values()), "calls": place.calls, "inside": other.name},
            cost_ns=0,
            saving_ns=(0, 0),
            holder=other,
            advice="Let one at a time in: hold a lock around it (of asyncio for tasks), or give each caller its own object.",
            grave=True,
            move="bound",
        )
