"""The rule superlinear: a cost that grows faster than its input."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ..._model import IO_KINDS
from .. import _advice
from .._claims import OTHER, Claims
from .._places import Place, places, say
from .._recursion import walk_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ..._finding import Confidence, Finding
    from ..._model import Frame, Profile
    from ..._size import Grown
    from ...protocols import HistoryView
    from .._recursion import Walk

RULE: Final = "superlinear"
CONFIRMED_CPU: Final = 16
"""How far apart sizes must be for CPU time to confirm: a busy machine does not bend it."""
CONFIRMED_WALL: Final = 64
_GRAVE: Final = 10
"""A saving this many times the one worth a warning, at ten times the size, is worth one today."""


def superlinear(profile: Profile, history: HistoryView, claims: Claims | None = None) -> Iterator[Finding]:
    """Yield a finding for each callsite whose cost grows faster than its size, over many calls or by exact counts.

    Where one such function contains another one that takes most of its time, only the inner one is
    named. Recursion is judged within one unit of work: calls against distinct arguments.
    """
    claims = claims or Claims(profile)
    named: set[Frame] = set()
    for place in reversed(places(profile)):
        if place.callsite.name == OTHER or _is_named_below(place, named):
            continue
        walk = walk_of(place.frames) if place.callsite.kind == "call" else None
        if walk is not None:
            named.update(place.frames)
            yield _say_walk(claims, place, walk)
            continue
        grown = _steepest(history.growth(place.callsite))
        if grown is not None:
            named.update(place.frames)
            yield _say_grown(claims, place, grown)


def _is_named_below(place: Place, named: set[Frame]) -> bool:
    """Whether most of the time of *place* is spent in callsites that are named already."""
    below = sum(
        frame.covered_ns
        for outer in place.frames
        for frame in outer.walk()
        if frame is not outer and frame in named and frame.parent not in named
    )
    return bool(below) and below * 2 >= place.covered_ns


def _steepest(found: Iterable[Grown]) -> Grown | None:
    """Return the claim that rests on most: CPU time before durations, then sizes far apart, then a narrow interval.

    Where CPU time says over the same sizes that nothing grows, durations only show a busier machine.
    """
    known = list(found)
    cleared = {
        each.by: _apart(each)
        for each in known
        if each.clock == "cpu" and each.growth.order in ("flat", "power") and not each.growth.superlinear
    }
    claimed = [
        each for each in known if each.growth.superlinear and _apart(each) > 2 * cleared.get(each.by, 0.0)
    ]
    if not claimed:
        return None
    return max(
        claimed, key=lambda each: (each.clock == "cpu", _apart(each), each.growth.low - each.growth.high)
    )


def _apart(grown: Grown) -> float:
    return grown.growth.largest / max(1.0, grown.growth.smallest)


def _confidence(grown: Grown) -> Confidence:
    needed = CONFIRMED_CPU if grown.clock == "cpu" else CONFIRMED_WALL
    return "confirmed" if _apart(grown) >= needed or grown.growth.order == "exponential" else "likely"


_NEARLY_ALL: Final = 0.8


def _say_grown(claims: Claims, place: Place, grown: Grown) -> Finding:
    growth = grown.growth
    low_ns, high_ns = growth.forecast(10)
    smallest = max(1.0, growth.smallest)
    linear_ns = growth.at(smallest) * growth.largest / smallest
    excess = max(0.0, 1.0 - linear_ns / growth.at(growth.largest))
    saving_ns = int(place.covered_ns * excess)
    most_ns = (
        place.covered_ns if excess > _NEARLY_ALL else saving_ns
    )  # a fix may be quicker at the smallest size, too
    evidence: dict[str, int | float | str] = {
        "size": grown.by,
        "exponent": round(growth.exponent, 2),
        "exponent_low": round(growth.low, 2),
        "exponent_high": round(growth.high, 2),
        "size_from": round(growth.smallest),
        "size_to": round(growth.largest),
        "observations": growth.observations,
        "clock": grown.clock,
        "now_ns": int(growth.cost_ns),
        "at_10x_low_ns": int(low_ns),
        "at_10x_high_ns": int(high_ns),
        "calls": place.calls,
    }
    if growth.order == "exponential":
        for name in ("exponent", "exponent_low", "exponent_high", "at_10x_low_ns", "at_10x_high_ns"):
            del evidence[name]
        evidence["growth"] = "exponential"
        evidence["times_per_item"] = round(growth.per_item, 2)
        evidence["at_110_percent_low_ns"], evidence["at_110_percent_high_ns"] = int(low_ns), int(high_ns)
    return say(
        claims,
        place,
        RULE,
        confidence=_confidence(grown),
        cost_ns=place.covered_ns,
        saving_ns=(saving_ns // 2, most_ns),
        advice=_advise(place, grown),
        evidence=evidence,
        grave=low_ns - growth.cost_ns >= _GRAVE * claims.profile.policy.saving_ns,
    )


def _advise(place: Place, grown: Grown) -> str:
    if place.callsite.kind in IO_KINDS:
        return _advice.read_in_order(place.callsite)
    if grown.growth.order == "exponential":
        return _advice.walk_once()
    return _advice.make_linear(grown.by)


def _say_walk(claims: Claims, place: Place, walk: Walk) -> Finding:
    saving_ns = int(place.covered_ns * (1 - walk.distinct / walk.calls))
    evidence: dict[str, int | float | str] = {
        "size": "distinct arguments",
        "growth": "exponential" if walk.is_exponential else "faster than the square",
        "calls": walk.all_calls,
        "calls_compared": walk.calls,
        "distinct": walk.distinct,
        "most_repeated": walk.most,
        "equal_results": walk.equal,
    }
    return say(
        claims,
        place,
        RULE,
        confidence="confirmed" if walk.equal * 10 >= 9 * (walk.calls - walk.distinct) else "likely",
        cost_ns=place.covered_ns,
        saving_ns=(saving_ns // 2, saving_ns),
        advice=_advice.walk_once(),
        evidence=evidence,
        grave=True,
    )
