"""The rule row-explosion: a query whose joins multiply, so that it returns each child with each of another sort."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from .. import _advice
from .._claims import OTHER, Claims
from .._places import places, say

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..._finding import Finding
    from ..._model import Profile
    from ...protocols import HistoryView

RULE: Final = "row-explosion"
GRAVE: Final = 1_000
"""Rows from which it is a warning, whatever they take today: both sorts of children grow."""


def row_explosion(profile: Profile, _history: HistoryView, claims: Claims | None = None) -> Iterator[Finding]:
    """Yield a finding for each query that joins several collections of one parent into a product.

    Exact, from the values of the rows themselves: for each parent every value of one column came with
    every value of another one, and no column told the rows apart. From 12 rows and from one and a
    half times as many as needed.
    """
    if not profile.multiplied:
        return
    claims = claims or Claims(profile)
    for place in places(profile):
        seen, rows, needed = profile.multiplied.get(place.callsite, (0, 0, 0))
        if not rows or place.callsite.name == OTHER:
            continue
        spared = 1 - needed / rows
        saving_ns = int(place.covered_ns * spared)
        total = sum(frame.detail.rows_sum for frame in place.frames if frame.detail is not None)
        yield say(
            claims,
            place,
            RULE,
            confidence="confirmed",
            cost_ns=place.covered_ns,
            saving_ns=(saving_ns // 2, saving_ns * 3 // 2),
            advice=_advice.load_apart(place.callsite),
            evidence={
                "calls": place.calls,
                "rows": total,
                "rows_compared": rows,
                "rows_needed": needed,
                "results_compared": seen,
                "times_more": round(rows / needed, 1),
                "total_ns": place.covered_ns,
            },
            grave=total >= GRAVE,
        )
