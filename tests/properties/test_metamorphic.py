"""What must hold between two profiles whatever they are: more of a fault is never less of a finding."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from hypothesis import HealthCheck, given, settings, strategies as st
from tests.profiles import Unit

from manometer._model import PRODUCTION, STRICT, Callsite, Policy

if TYPE_CHECKING:
    from manometer._finding import Finding

EXAMPLES = 560
"""Of each of the six properties, most of which compare two profiles: about 5,600 profiles in all."""

many = settings(
    max_examples=EXAMPLES, deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow]
)
CONFIDENCE = ("possible", "likely", "confirmed")
SEVERITY = ("info", "warning")
POLICIES = st.sampled_from([STRICT, PRODUCTION])


@dataclass(frozen=True)
class Loop:
    """An N+1: a read of rows, then one call for each, with the milliseconds of each."""

    number: int
    durations_ms: tuple[float, ...]
    proven: bool
    kind: str = "db"
    word: str = "users"

    @property
    def callsite(self) -> Callsite:
        return _callsite(self.kind, f"SELECT id FROM {self.word}{self.number} WHERE id = ?", self.number)

    def feed(self, unit: Unit) -> None:
        base = self.number * 100_000
        source = _callsite("db", f"SELECT id FROM {self.word}{self.number}", self.number + 500)
        rows = [(base + at,) for at in range(len(self.durations_ms))]
        unit.call(source, rows=rows if self.proven else None, ms=1)
        for at, ms in enumerate(self.durations_ms):
            unit.call(self.callsite, base + at, rows=[(base + at, base + 50_000 + at)], ms=ms)


@dataclass(frozen=True)
class Repeat:
    """A duplicate: the same read again and again."""

    number: int
    durations_ms: tuple[float, ...]
    word: str = "settings"

    @property
    def callsite(self) -> Callsite:
        return _callsite("db", f"SELECT v FROM {self.word}{self.number} WHERE n = ?", self.number)

    def feed(self, unit: Unit) -> None:
        for ms in self.durations_ms:
            unit.call(self.callsite, "name", rows=[("value",)], ms=ms)


Group = Loop | Repeat
_sites: dict[tuple[str, str, int], Callsite] = {}


def _callsite(kind: str, template: str, line: int) -> Callsite:
    found = _sites.get((kind, template, line))
    if found is None:
        found = _sites[kind, template, line] = Callsite(
            name=template, template=template, kind=kind, file="/app/views.py", line=line, operation="read",  # type: ignore[arg-type]
            function=f"{template[:20]} {line}",
        )  # fmt: skip
    return found


DURATIONS = st.lists(st.sampled_from([0.0, 0.05, 0.5, 1.0, 3.0, 20.0]), min_size=1, max_size=45).map(tuple)
LOOPS = st.builds(
    Loop,
    number=st.integers(1, 9),
    durations_ms=DURATIONS,
    proven=st.booleans(),
    kind=st.sampled_from(["db", "http", "cache"]),
)
REPEATS = st.builds(Repeat, number=st.integers(10, 19), durations_ms=DURATIONS)
GROUPS = st.lists(LOOPS | REPEATS, max_size=4, unique_by=lambda group: group.number)


def judged(groups: list[Group], policy: Policy) -> tuple[Finding, ...]:
    unit = Unit(policy)
    for group in groups:
        group.feed(unit)
    unit.work(5)
    return unit.judge()


def about(callsite: Callsite, findings: tuple[Finding, ...]) -> Finding | None:
    found = [finding for finding in findings if finding.callsite is callsite]
    assert len(found) <= 1, "one fault, one finding"
    return found[0] if found else None


def strength(finding: Finding | None) -> tuple[int, int, int, int, int]:
    if finding is None:
        return (-1, -1, -1, -1, -1)
    return (
        CONFIDENCE.index(finding.confidence),
        SEVERITY.index(finding.severity),
        finding.cost_ns,
        *finding.saving_ns,
    )


def is_at_least(more: Finding | None, less: Finding | None) -> bool:
    return all(a >= b for a, b in zip(strength(more), strength(less), strict=True))


@many
@given(loop=LOOPS, others=GROUPS, more=st.integers(1, 30), policy=POLICIES)
def test_amplifying_an_n_plus_one_only_strengthens_it(
    loop: Loop, others: list[Group], more: int, policy: Policy
) -> None:
    others = [group for group in others if group.number != loop.number]
    repeated = (loop.durations_ms * (more + 1))[: len(loop.durations_ms) + more]

    before = about(loop.callsite, judged([*others, loop], policy))
    after = about(loop.callsite, judged([*others, replace(loop, durations_ms=repeated)], policy))

    assert is_at_least(after, before)


@many
@given(loop=LOOPS, others=GROUPS, policy=POLICIES, data=st.data())
def test_removing_calls_of_the_group_never_strengthens_it(
    loop: Loop, others: list[Group], policy: Policy, data: st.DataObject
) -> None:
    """The shortest call stays: it measures the round trip, which is a fact about the network."""
    others = [group for group in others if group.number != loop.number]
    shortest = loop.durations_ms.index(min(loop.durations_ms))
    kept = data.draw(st.sets(st.integers(0, len(loop.durations_ms) - 1))) | {shortest}
    fewer = tuple(loop.durations_ms[at] for at in sorted(kept))

    before = about(loop.callsite, judged([*others, loop], policy))
    after = about(loop.callsite, judged([*others, replace(loop, durations_ms=fewer)], policy))

    assert is_at_least(before, after)


@many
@given(groups=GROUPS, policy=POLICIES, word=st.text("abcxyz_", min_size=1, max_size=12))
def test_renaming_changes_nothing(groups: list[Group], policy: Policy, word: str) -> None:
    before = judged(groups, policy)
    after = judged([replace(group, word=f"q{word}") for group in groups], policy)

    assert sorted((finding.rule, *strength(finding)) for finding in before) == sorted(
        (finding.rule, *strength(finding)) for finding in after
    )


@many
@given(groups=st.lists(LOOPS | REPEATS, max_size=6, unique_by=lambda group: group.number), policy=POLICIES)
def test_below_the_threshold_there_is_silence(groups: list[Group], policy: Policy) -> None:
    loops = policy.repeats - 1
    repeats = min(policy.repeats, 3) - 1
    few = [
        replace(group, durations_ms=group.durations_ms[: loops if isinstance(group, Loop) else repeats])
        for group in groups
    ]

    assert judged(few, policy) == ()


@many
@given(keys=st.lists(st.integers(1, 12), max_size=45), policy=POLICIES, lines=st.integers(1, 3))
def test_an_n_plus_one_and_a_duplicate_exclude_each_other_on_the_same_calls(
    keys: list[int], policy: Policy, lines: int
) -> None:
    unit = Unit(policy)
    for at, key in enumerate(keys):
        unit.call(_callsite("db", "SELECT v FROM t WHERE k = ?", at % lines), key, rows=[(key,)])

    found = unit.judge()

    calls = sum(int(finding.evidence["calls"]) for finding in found)
    assert calls <= len(keys)
    assert len({finding.callsite for finding in found}) == len(found)
    for finding in found:
        # The high bound may lie above what was measured of the calls: they make wait around them, too.
        assert 0 <= finding.saving_ns[0] <= finding.cost_ns <= unit.profile.duration_ns
        assert finding.saving_ns[0] <= finding.saving_ns[1] <= 1.25 * finding.cost_ns
        assert 0 <= finding.share <= 1


@many
@given(groups=GROUPS, policy=POLICIES, data=st.data())
def test_the_order_of_independent_groups_does_not_matter(
    groups: list[Group], policy: Policy, data: st.DataObject
) -> None:
    before = judged(groups, policy)
    after = judged(data.draw(st.permutations(groups)), policy)

    assert [(finding.id, strength(finding)) for finding in before] == [
        (finding.id, strength(finding)) for finding in after
    ]
