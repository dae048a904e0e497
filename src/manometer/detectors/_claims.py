"""The calls of one profile as groups, with a note of which ones a finding already explains."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, final

from .._detail import MISSING_NS
from .._model import IO_KINDS
from ._alike import put_together

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from .._detail import KeyUse
    from .._model import Callsite, Frame, Profile

Expect = tuple[tuple[str, str], ...]

_OBJECT_LAYERS: Final = frozenset({"sqlalchemy", "django"})
_MAX_CLIENT_NS: Final = 1_000_000

OTHER: Final = "(other)"
"""Name of the callsites that stand for many, beyond a bound: nothing can be said about one of them."""


@final
class Group:
    """All frames of a profile with the same callsite and the same stated expectations, added up.

    Attributes:
        callsite: Theirs.
        expect: `(rule, reason)` pairs that hold for all of them, the innermost first.
        frames: The frames, in the order of the tree.
        calls: Calls that succeeded.
        errors: Calls that did not.
        covered_ns: Time during which at least one call was running, in nanoseconds.
        min_ns: The shortest call, which stands for the round trip; 0 when unknown.
        lead_ns: The least time between a call and the tapped one before it; 0 when unknown.
        max_ns: The longest call.
        keys: Argument fingerprint, with its use on each frame.
        keyed: Successful calls whose fingerprint was kept.
        keys_more: Calls whose fingerprint found no place.
        unkeyed: Calls whose arguments could not be read.
    """

    __slots__ = (
        "batch_max", "batch_sum", "calls", "callsite", "covered_ns", "errors", "expect", "frames", "keyed", "keys",
        "keys_more", "lead_ns", "max_ns", "min_ns", "peak_in_flight", "rows_calls", "rows_max", "rows_sum", "unkeyed",
    )  # fmt: skip

    def __init__(self, callsite: Callsite, expect: Expect) -> None:
        self.callsite = callsite
        self.expect = expect
        self.frames: list[Frame] = []
        self.keys: dict[int, list[KeyUse]] = {}
        self.calls = self.errors = self.covered_ns = self.min_ns = self.max_ns = self.lead_ns = 0
        self.keyed = self.keys_more = self.unkeyed = self.peak_in_flight = 0
        self.rows_sum = self.rows_max = self.rows_calls = self.batch_sum = self.batch_max = 0

    def add(self, frame: Frame) -> None:
        """Add one frame up."""
        self.frames.append(frame)
        self.covered_ns += frame.covered_ns
        detail = frame.detail
        if detail is None:
            self.calls += max(0, frame.calls - frame.errors)
            self.errors += frame.errors
            return
        failed = min(frame.calls, frame.errors + detail.cancelled)
        self.calls += frame.calls - failed
        self.errors += failed
        if detail.min_ns < MISSING_NS:
            self.min_ns = min(self.min_ns, detail.min_ns) if self.min_ns else detail.min_ns
        if detail.lead_min_ns < MISSING_NS:
            self.lead_ns = min(self.lead_ns, detail.lead_min_ns) if self.lead_ns else detail.lead_min_ns
        self.max_ns = max(self.max_ns, detail.max_ns)
        self.peak_in_flight = max(self.peak_in_flight, detail.peak_in_flight)
        self.rows_sum += detail.rows_sum
        self.rows_max = max(self.rows_max, detail.rows_max)
        self.rows_calls += detail.rows_calls
        self.batch_sum += detail.batch_sum
        self.batch_max = max(self.batch_max, detail.batch_max)
        self.unkeyed += detail.unkeyed
        self.keys_more += detail.keys_more
        for key, use in detail.keys.items():
            if use.calls:
                self.keyed += use.calls
                self.keys.setdefault(key, []).append(use)

    @property
    def distinct(self) -> int:
        """Distinct arguments among the calls whose fingerprint was kept."""
        return len(self.keys)

    @property
    def known(self) -> bool:
        """Whether the arguments of at least half of the calls are known."""
        return bool(self.keyed) and (self.keyed + self.keys_more) * 2 >= self.calls

    @property
    def batched(self) -> bool:
        """Whether a call carries more than one value: from 1.5 on average."""
        return self.batch_sum * 2 >= self.calls * 3 > 0

    def client_ns(self, calls: int) -> int:
        """Return what the object layer needs for *calls* calls outside the database, in nanoseconds.

        An ORM spends ten times as long on a query as SQLite does (measured: 17 us in the cursor, 400 us
        from row to row). What the application does between two queries is in the gap as well, so
        the smallest gap counts, and no more of it than an ORM needs on a slow machine. Drivers and
        HTTP clients do their own work inside the call: nothing is added.
        """
        if self.callsite.library not in _OBJECT_LAYERS:
            return 0
        return max(0, calls) * min(self.lead_ns, _MAX_CLIENT_NS)

    @property
    def between_ns(self) -> int:
        """Time between the first call and the last one in which none was running, in nanoseconds."""
        return sum(
            max(0, frame.detail.last_ended_ns - frame.detail.first_started_ns - frame.covered_ns)
            for frame in self.frames
            if frame.detail is not None and frame.calls > 1 and frame.detail.first_started_ns
        )

    @property
    def looped(self) -> int:
        """Calls that share their chain of callers with another one.

        A helper that twelve places call once each is no loop, though its own line ran twelve times.
        """
        looped = 0
        for frame in self.frames:
            callers = frame.detail.callers if frame.detail is not None else {}
            if not callers:
                looped += frame.calls if frame.calls > 1 else 0
                continue
            repeated = sum(count for chain, count in callers.items() if chain and count > 1)
            if repeated:  # chains that found no place are then taken for loops too
                repeated += callers.get((), 0)
            looped += repeated + max(0, frame.calls - sum(callers.values()))
        return max(0, looped - self.errors)

    def reason(self, rule: str) -> str:
        """Return why a finding of *rule* is wanted here; empty when it is not."""
        return next((reason for name, reason in self.expect if name in (rule, "*")), "")

    @property
    def heaviest(self) -> Frame:
        """The frame that cost most."""
        return max(self.frames, key=lambda frame: frame.covered_ns)


@final
class Claims:
    """Who explains which calls: detectors run from most to least precise, and one fault is one finding.

    Background thread, or the thread that closes a profile in tests; one owner.
    """

    def __init__(self, profile: Profile) -> None:
        self.profile = profile
        self._groups, self._outer = _group_up(profile)
        self._taken: set[Frame] = set()
        self._blamed: set[Frame] = set()

    @property
    def whole_ns(self) -> int:
        """What a share is a share of, in nanoseconds: the duration of the unit of work.

        A window of the process is mostly idle, so there it is the time of what was measured.
        """
        profile = self.profile
        if profile.kind != "process":
            return profile.duration_ns
        client_ns = sum(group.client_ns(group.calls - 1) for group in self._groups)
        busy_ns = sum(frame.covered_ns for frame in profile.root.own_children())
        return min(profile.duration_ns or busy_ns, busy_ns + client_ns)

    def share(self, cost_ns: int) -> float:
        """Return what share of the unit of work *cost_ns* is, at most 1."""
        whole_ns = self.whole_ns
        return min(1.0, cost_ns / whole_ns) if whole_ns > 0 else 0.0

    def groups(self, rule: str, kinds: Collection[str]) -> Iterator[Group]:
        """Yield the groups of these kinds that no finding explains yet, callers before callees.

        Whatever is left out because something is unknown is noted in `Profile.not_judged`. A call
        that crosses the boundary through another recorded call (a block around a query) is left
        out: the inner one says it better.
        """
        site_required = self.profile.policy.strict
        for group in self._groups:
            callsite = group.callsite
            if callsite.kind not in kinds or group.frames[0] in self._taken:
                continue
            if callsite.kind in IO_KINDS and any(frame in self._outer for frame in group.frames):
                continue
            if callsite.name == OTHER:
                self.skip(rule, "too many different calls to tell them apart")
            elif site_required and not callsite.file:
                self.skip(rule, "no line of the application above the call")
            else:
                yield group

    @property
    def all(self) -> tuple[Group, ...]:
        """All groups, whether a finding explains them or not."""
        return tuple(self._groups)

    def take(self, group: Group) -> None:
        """Note that a finding explains these calls."""
        self._taken.update(group.frames)

    def blame(self, group: Group) -> None:
        """Note that a fault lies in these calls, whoever makes them: a later rule shall name them, and not an outer call."""
        self._blamed.update(group.frames)

    def is_blamed(self, group: Group) -> bool:
        """Tell whether a fault is known to lie in these calls."""
        return not self._blamed.isdisjoint(group.frames)

    def explains(self, frames: Iterable[Frame]) -> bool:
        """Tell whether a finding explains the calls of any of these frames already."""
        return not self._taken.isdisjoint(frames)

    def skip(self, rule: str, reason: str) -> None:
        """Note why *rule* could not judge everything; the first reason stays."""
        self.profile.not_judged.setdefault(rule, reason)

    def explained_ns(self, group: Group) -> int:
        """Return the time below *group* that findings already explain, in nanoseconds."""
        return sum(
            below.covered_ns
            for frame in group.frames
            for below in frame.walk()
            if below is not frame and below in self._taken and below.parent not in self._taken
        )

    def inside(self, group: Group) -> bool:
        """Tell whether all calls of *group* happen inside calls that a finding explains."""
        return all(_any_above(frame, self._taken) for frame in group.frames)


def _any_above(frame: Frame, taken: set[Frame]) -> bool:
    above = frame.parent
    while above is not None:
        if above in taken:
            return True
        above = above.parent
    return False


def _group_up(profile: Profile) -> tuple[list[Group], set[Frame]]:
    """Return the groups, and the frames that have a call across the boundary below them."""
    groups: dict[tuple[Callsite, Expect], Group] = {}
    outer: set[Frame] = set()
    stack: list[tuple[Frame, Expect]] = [(profile.root, ())]
    while stack:
        frame, expect = stack.pop()
        callsite = frame.callsite
        if callsite.expect:
            expect = callsite.expect + expect
        crosses = callsite.kind in IO_KINDS
        if frame.calls and (crosses or (frame.detail is not None and frame.detail.keys)):
            group = groups.get((callsite, expect))
            if group is None:
                group = groups[callsite, expect] = Group(callsite, expect)
            group.add(frame)
        if crosses:
            above = frame.parent
            while above is not None and above not in outer:
                outer.add(above)
                above = above.parent
        stack.extend([(child, expect) for child in frame.own_children()])
    return put_together(list(groups.values())), outer
