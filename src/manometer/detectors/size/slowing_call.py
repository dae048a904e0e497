"""The rule slowing-call: one call after the other takes longer than the one before, within one unit of work."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ..._course import overlaps
from ..._model import IO_KINDS
from .. import _advice
from .._claims import OTHER, Claims
from .._places import places, say

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..._finding import Finding
    from ..._model import Profile
    from ...protocols import HistoryView
    from .._places import Place

RULE: Final = "slowing-call"
_SURE: Final = 2
"""Units of work that must show it, and three quarters of those that could, before it is confirmed."""


_TIMES_ALONE: Final = 3
_MORE_ALONE_NS: Final = 10_000_000


def slowing_call(profile: Profile, history: HistoryView, claims: Claims | None = None) -> Iterator[Finding]:
    """Yield a finding for each statement, request or lookup whose calls take longer and longer.

    From 24 calls of one frame: the shortest of each octave of call numbers rises by a quarter and
    more through at least three octaves and doubles in all, while a call returns no more rows. Calls that
    overlap are left out: the later one ends, the longer it took. Another service may be busy with
    others meanwhile, so that one unit of work alone must show three times the time, and 10 ms more.
    Silent about calls that another finding explains: one fault, one finding.
    """
    claims = claims or Claims(profile)
    for place in places(profile):
        is_call = place.callsite.kind in IO_KINDS and place.callsite.name != OTHER
        if is_call and not claims.explains(place.frames):
            yield from _look(claims, place, history)


def _look(claims: Claims, place: Place, history: HistoryView) -> Iterator[Finding]:
    excess_ns = late_ns = early_ns = octaves = 0
    for frame in place.frames:
        course = frame.detail.course if frame.detail is not None else None
        slowdown = course.slowdown(frame.calls) if course is not None and not overlaps(frame) else None
        if slowdown is not None:
            excess_ns += max(0, frame.covered_ns - frame.calls * slowdown.early_ns)
            if slowdown.octaves > octaves:
                early_ns, late_ns, octaves = slowdown
    if not octaves:
        return
    slowed, judged = history.slowed(place.callsite)
    confirmed = slowed >= _SURE and slowed * 4 >= judged * 3
    clear = late_ns >= _TIMES_ALONE * early_ns and late_ns - early_ns >= _MORE_ALONE_NS
    if place.callsite.kind != "db" and not confirmed and not clear:
        return
    yield say(
        claims,
        place,
        RULE,
        confidence="confirmed" if confirmed else "likely",
        cost_ns=excess_ns,
        saving_ns=(excess_ns // 2, excess_ns),
        advice=_advice.read_in_order(place.callsite),
        evidence={
            "calls": place.calls,
            "early_ns": early_ns,
            "late_ns": late_ns,
            "times_slower": round(late_ns / max(1, early_ns), 1),
            "total_ns": place.covered_ns,
            "units_slowed": slowed,
            "units_compared": judged,
        },
    )
