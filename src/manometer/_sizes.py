"""Which size goes with which cost: finds the pairs in finished profiles, and keeps what they say together."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Final, final

from . import _limits
from ._growth import MATERIAL_NS, Sizes
from ._model import IO_KINDS
from ._size import Grown

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ._model import Callsite, Frame, Profile
    from ._size import Clock

_OTHERS: Final = 0.2
"""Share of a unit's CPU time that may be of others, while the rest is taken for that of one callsite."""
_COMPUTING: Final = 0.25
"""Share of a duration that must be CPU time: less is waiting, and the wait is what grows."""
_RECURSED: Final = 64
"""Calls of a recursive function from which it is worth a look at its arguments."""
_RECURSED_NS: Final = 1_000_000


@final
class Growths:
    """What is known about the growth of callsites, by the sort of size and the clock; bounded.

    Background thread only. The callsite seen least recently is forgotten.

    Attributes:
        evicted: Callsites that were forgotten.
    """

    def __init__(self) -> None:
        self._known: OrderedDict[Callsite, dict[tuple[str, Clock], Sizes]] = OrderedDict()
        self._recursions: dict[Callsite, int] = {}
        self.evicted = 0

    def add(self, profile: Profile) -> None:
        """Learn from a sealed profile. Cost: 0.5 us a frame, 1 us a pair."""
        rows: dict[Callsite, tuple[int, int]] = {}
        for frame in profile.root.walk():
            if not frame.calls or frame is profile.root:
                continue
            callsite = frame.callsite
            if callsite.kind in IO_KINDS:
                detail = frame.detail
                if detail is not None and detail.rows_sum and not frame.errors:
                    count, spent_ns = rows.get(callsite, (0, 0))
                    rows[callsite] = (count + detail.rows_sum, spent_ns + frame.covered_ns)
            elif callsite.kind == "call":
                self._add_call(frame, profile)
        for callsite, (count, spent_ns) in rows.items():
            self._put_both(callsite, "rows", profile, spent_ns, count)

    def _add_call(self, frame: Frame, profile: Profile) -> None:
        callsite, detail = frame.callsite, frame.detail
        plan = callsite.plan
        if detail is not None and detail.pairs:
            for size, wall_ns, cpu_ns in detail.pairs:
                self._put(callsite, plan.size_name, "wall", wall_ns, size)
                if cpu_ns >= _COMPUTING * wall_ns:
                    self._put(callsite, plan.size_name, "cpu", cpu_ns, size)
                plan.timed = plan.timed or wall_ns >= MATERIAL_NS
            return
        if frame.children.get(callsite) is frame:
            self._look_closer(frame)
            return
        if frame.calls > 1 or frame.errors or any(child.untimed for child in frame.own_children()):
            return  # of sampled times the own time is too rough a remainder
        for by, size in _sizes_of(frame):
            self._put_both(callsite, by, profile, frame.self_ns, size)

    def _look_closer(self, frame: Frame) -> None:
        """Ask for the arguments of a recursion, in its 1st, 2nd, 4th, 8th ... unit of work: a look costs 2 us a call."""
        plan = frame.callsite.plan
        if plan is None or plan.wanted or frame.calls < _RECURSED or frame.total_ns < _RECURSED_NS:
            return
        if len(self._recursions) >= _limits.MAX_GROWTHS and frame.callsite not in self._recursions:
            self._recursions.pop(next(iter(self._recursions)))
        seen = self._recursions[frame.callsite] = self._recursions.get(frame.callsite, 0) + 1
        plan.probed = not seen & (seen - 1)

    def _put_both(self, callsite: Callsite, by: str, profile: Profile, spent_ns: int, size: int) -> None:
        self._put(callsite, by, "wall", spent_ns, size)
        cpu_ns = _cpu_of(profile, spent_ns)
        if cpu_ns:
            self._put(callsite, by, "cpu", cpu_ns, size)

    def _put(self, callsite: Callsite, by: str, clock: Clock, spent_ns: int, size: int) -> None:
        known = self._known.get(callsite)
        if known is None:
            if spent_ns < MATERIAL_NS:
                return  # small calls are worth a place once a large one was seen
            if len(self._known) >= _limits.MAX_GROWTHS:
                self._known.popitem(last=False)
                self.evicted += 1
            known = self._known[callsite] = {}
        else:
            self._known.move_to_end(callsite)
        sizes = known.get((by, clock))
        if sizes is None:
            sizes = known[by, clock] = Sizes()
        sizes.add(size, spent_ns)

    def of(self, callsite: Callsite, *, anew: bool = True) -> list[Grown]:
        """Return what is known about one callsite.

        Args:
            callsite: The callsite.
            anew: Work it out again where a quarter more was observed, which takes 10 ms; else what
                was said last.
        """
        known = list(self._known.get(callsite, {}).items())
        return [Grown(by, clock, sizes.growth() if anew else sizes.said) for (by, clock), sizes in known]

    def callsites(self) -> tuple[Callsite, ...]:
        """Return the callsites whose growth is followed, the one seen least recently first."""
        return tuple(self._known)


def _cpu_of(profile: Profile, spent_ns: int) -> int:
    """Return the CPU time of a callsite that took *spent_ns*, where it follows from that of its unit of work; else 0.

    It follows where next to nothing else happened in the unit. A busy machine stretches durations,
    and does not bend the curve of CPU times.
    """
    cpu_ns, others_ns = profile.cpu_ns, profile.duration_ns - spent_ns
    if cpu_ns < _COMPUTING * spent_ns or others_ns > _OTHERS * cpu_ns or spent_ns <= 0:
        return 0
    return cpu_ns * spent_ns // max(spent_ns, profile.duration_ns)


def _sizes_of(frame: Frame) -> Iterator[tuple[str, int]]:
    """Yield the sizes that are known of a function's only call: what it yielded, called and read."""
    detail = frame.detail
    if detail is not None and detail.rows_calls == 1:
        yield "items", detail.rows_sum
    calls = rows = 0
    for child in frame.own_children():
        calls += child.calls
        if child.callsite.kind in IO_KINDS and child.detail is not None:
            rows += child.detail.rows_sum
    if calls:
        yield "calls", calls
    if rows:
        yield "rows", rows
