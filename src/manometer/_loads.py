"""How long the same work takes at few and at many units of work at once, and which wait grows meanwhile."""

from __future__ import annotations

from collections import OrderedDict, deque
from statistics import fmean, median
from typing import TYPE_CHECKING, Final, NamedTuple, final

from . import _limits
from ._model import IO_KINDS

if TYPE_CHECKING:
    from ._model import Profile

ENOUGH: Final = 20
"""Units of work at few, and at many at once, from which they are compared."""
_TIMES: Final = 2.0
_TIMES_EACH_HALF: Final = 1.5
_MORE_AT_ONCE: Final = 2.0
_ALIKE: Final = 0.25
_MOSTLY: Final = 0.6
_EXPLAINED: Final = 0.5
_AGAIN: Final = 16
COMPUTING: Final = "the interpreter"
"""What is waited for by threads that compute."""


class Observed(NamedTuple):
    """One unit of work: how many ran at once, its times in nanoseconds, how much it did, its waits by name."""

    at_once: int
    duration_ns: int
    cpu_ns: int
    work: int
    waits: dict[str, int]


class Slower(NamedTuple):
    """Same work, longer the more there is at once.

    Attributes:
        few: Units at once, the median of the lower ones.
        many: The same of the upper ones.
        few_ns: What a unit took with few at once, the median.
        many_ns: What it took with many.
        wait: What it waited for that grew most.
        wait_ns: By how much that grew on average.
        units: Units compared.
    """

    few: int
    many: int
    few_ns: int
    many_ns: int
    wait: str
    wait_ns: int
    units: int


class _Route:
    """The latest units of work of one route, and what they said last."""

    __slots__ = ("observed", "said", "seen")

    def __init__(self) -> None:
        self.observed: deque[Observed] = deque(maxlen=_limits.MAX_LOAD_UNITS)
        self.said: Slower | None = None
        self.seen = 0


@final
class Loads:
    """Units of work of the routes seen lately; bounded. Background thread only."""

    def __init__(self) -> None:
        self._routes: OrderedDict[str, _Route] = OrderedDict()

    def add(self, profile: Profile) -> None:
        """Learn from a sealed profile; 0.3 us a frame."""
        if profile.kind == "process" or profile.outcome != "ok":
            return
        name = profile.route or profile.name
        route = self._routes.get(name)
        if route is None:
            if len(self._routes) >= _limits.MAX_LOADS:
                self._routes.popitem(last=False)
            route = self._routes[name] = _Route()
        else:
            self._routes.move_to_end(name)
        route.observed.append(observe(profile))
        route.seen += 1
        if not route.seen % _AGAIN and route.seen >= 2 * ENOUGH:
            route.said = compare(list(route.observed))

    def slower(self, name: str) -> Slower | None:
        """Say whether the same work takes longer the more there is at once; None when it does not, or is unknown."""
        route = self._routes.get(name)
        return None if route is None else route.said


def observe(profile: Profile) -> Observed:
    """Add up what one unit of work did and waited for."""
    work, waits = 0, dict[str, int]()
    for frame in profile.root.walk():
        detail = frame.detail
        if detail is not None and detail.waits is not None:
            name = detail.waits.resource.name
            waits[name] = waits.get(name, 0) + frame.covered_ns
            continue
        work += frame.calls
        if detail is not None and frame.callsite.kind in IO_KINDS:
            work += detail.rows_sum
    return Observed(profile.concurrency, profile.duration_ns, profile.cpu_ns, work, waits)


def compare(observed: list[Observed]) -> Slower | None:
    """Compare the units with few at once to those with many, where they did the same."""
    usual = median(each.work for each in observed)
    alike = [each for each in observed if abs(each.work - usual) <= _ALIKE * usual]
    if len(alike) < _MOSTLY * len(observed):
        return None  # then it is the work that differs
    levels = sorted(each.at_once for each in alike)
    low, high = levels[len(levels) // 4], levels[-1 - len(levels) // 4]
    if high < _MORE_AT_ONCE * low:
        return None
    few = [each for each in alike if each.at_once <= low]
    many = [each for each in alike if each.at_once >= high]
    if min(len(few), len(many)) < ENOUGH or not _is_slower(few, many, _TIMES):
        return None
    halves = ((few[: len(few) // 2], many[: len(many) // 2]), (few[len(few) // 2 :], many[len(many) // 2 :]))
    if not all(_is_slower(*half, _TIMES_EACH_HALF) for half in halves):
        return None
    few_ns, many_ns = _typical(few), _typical(many)
    wait, wait_ns = _grown(few, many)
    if wait_ns < _EXPLAINED * (many_ns - few_ns):
        return None  # others are slower, and that is why more are at once
    return Slower(low, high, few_ns, many_ns, wait, wait_ns, len(few) + len(many))


def _typical(units: list[Observed]) -> int:
    return int(median(each.duration_ns for each in units))


def _is_slower(few: list[Observed], many: list[Observed], times: float) -> bool:
    return _typical(many) >= times * _typical(few)


def _grown(few: list[Observed], many: list[Observed]) -> tuple[str, int]:
    """Return the wait that grew most, and by how much."""
    names = {name for each in many for name in each.waits}
    grown = {
        name: int(fmean(u.waits.get(name, 0) for u in many) - fmean(u.waits.get(name, 0) for u in few))
        for name in names
    }
    if all(each.cpu_ns >= 0 for each in many):
        grown[COMPUTING] = _waited_for_cpu(few, many)
    name = max(grown, key=lambda each: grown[each], default="")
    return name, max(0, grown.get(name, 0))


def _waited_for_cpu(few: list[Observed], many: list[Observed]) -> int:
    """Return what threads waited for each other's computing: no more than all of them computed meanwhile.

    Little is computed where a service is waited for: its being slow, for whatever reason, is not
    taken for a queue in front of the interpreter.
    """
    computed = median(each.cpu_ns for each in many)
    at_once = median(each.at_once for each in many)
    rest = _typical(many) - _typical(few)
    return min(rest, int(computed * (at_once - 1)))
