"""The rule unbounded-result: a read without a limit whose largest result keeps rising."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from .. import _advice
from .._claims import OTHER, Claims
from .._places import places, say

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..._finding import Finding
    from ..._model import Profile
    from ...protocols import HistoryView

RULE: Final = "unbounded-result"
MANY: Final = 100
"""Rows below which nobody needs a limit."""
GRAVE: Final = 1_000
_LIMITED: Final = re.compile(r"\b(?:LIMIT|FETCH\s+(?:FIRST|NEXT)|TOP|ROWNUM)\b", re.IGNORECASE)


def unbounded_result(
    profile: Profile, history: HistoryView, claims: Claims | None = None
) -> Iterator[Finding]:
    """Yield a finding for each query whose result grows from window to window, and that has no LIMIT.

    A window is 8 units of work with the query; the largest results of 8 windows must rise one after
    the other. Not for queries that ask for a list of keys: the list bounds them.
    """
    claims = claims or Claims(profile)
    for place in places(profile):
        site = place.callsite
        if site.kind != "db" or site.operation not in ("", "read") or site.name == OTHER:
            continue
        if _LIMITED.search(site.template):
            continue
        rise = history.rising(site)
        if rise is None or rise.last < MANY:
            continue
        saved_ns = int(place.covered_ns * (1 - rise.first / rise.last))
        yield say(
            claims,
            place,
            RULE,
            confidence="confirmed",
            cost_ns=place.covered_ns,
            saving_ns=(saved_ns // 4, saved_ns),
            advice=_advice.bound_result(site),
            evidence={
                "calls": place.calls,
                "rows_first": rise.first,
                "rows_now": rise.last,
                "windows": rise.windows,
                "units_compared": rise.units,
                "total_ns": place.covered_ns,
            },
            move="bound",
            grave=rise.last >= GRAVE,
        )
