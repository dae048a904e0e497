"""The governor: what is above the budget costs detail, quickly; what is below gets it back, slowly."""

from __future__ import annotations

import gc
import logging
from typing import TYPE_CHECKING, Any

import pytest
from tests.profiles import function, site

from manometer import Config, _context, _level, _rolling, measure
from manometer._calls import begin, end
from manometer._context import close_profile, open_profile, restore
from manometer._cost import Costs, tally
from manometer._governor import HOT_CALLS_PER_S, PATIENCE_S, WARM_UP_S, Governor
from manometer._level import FULL, NAMES, OFF, PLAIN, SAMPLED, UNITS
from manometer._model import Callsite, Frame, Profile
from manometer._pipeline import Pipeline
from manometer._plan import Plan
from manometer.testing import FakeClock

if TYPE_CHECKING:
    from collections.abc import Iterator

S = 1_000_000_000
MS = 1_000_000


class Machine:
    """A scripted second: what the process burned, and what measuring took of it."""

    def __init__(self, budget: float = 0.01, started_s: float = 0.0) -> None:
        self.now_ns = 10 * S
        self.cpu_ns = 0
        self.governor = Governor(budget, lambda: self.now_ns, lambda: self.cpu_ns)
        self.now_ns += int(started_s * S)
        self.governor.tick()

    def second(self, own: float, busy: float = 1.0) -> Any:
        """One second of which the process computed *busy* and measuring took the share *own* of that."""
        self.now_ns += S
        self.cpu_ns += int(busy * S)
        self.governor.background_ns += int(own * busy * S)
        return self.governor.tick()

    def seconds(self, count: int, own: float, busy: float = 1.0) -> list[tuple[int, int]]:
        """So many of them; the changes."""
        changes = (self.second(own, busy) for _ in range(count))
        return [(change.before, change.after) for change in changes if change is not None]

    def call(self, calls: int, plan: Plan | None = None) -> Callsite:
        """Have a function called so often, in a unit that is over."""
        callsite = function(plan=plan or PLAN)
        profile = Profile(name="unit", root=Frame(function("root"), None), kind="block")
        frame = Frame(callsite, profile.root)
        profile.root.children = {callsite: frame}
        frame.calls = calls
        self.governor.cost_of(profile)
        return callsite


def make_plan() -> Plan:
    """The plan of a function whose wrapper is gone."""
    plan = Plan((), None, None, False, lambda *_: None)
    plan.rewritable = (lambda: None), None
    return plan


PLAN = make_plan()


@pytest.fixture(autouse=True)
def level() -> Iterator[None]:
    yield
    _level.set_level(FULL)


@pytest.fixture
def old() -> Machine:
    """A process that has been running for long."""
    return Machine(started_s=2 * WARM_UP_S)


def test_below_the_budget_everything_is_recorded(old: Machine) -> None:
    assert old.seconds(600, own=0.009) == []
    assert old.governor.level == FULL
    assert old.governor.changes == 0


def test_above_it_detail_falls_level_by_level_until_it_is_below(old: Machine) -> None:
    changes = old.seconds(20, own=0.03)

    assert changes == [(FULL, PLAIN), (PLAIN, SAMPLED), (SAMPLED, UNITS), (UNITS, OFF)]
    assert old.governor.changes == 4


def test_the_first_level_falls_after_five_seconds_and_the_next_ones_after_two(old: Machine) -> None:
    when = [second for second in range(1, 30) if old.second(own=0.03) is not None]

    assert when == [5, 7, 9, 11]


def test_five_times_the_budget_is_off_within_a_second(old: Machine) -> None:
    assert old.seconds(1, own=0.06) == [(FULL, OFF)]


def test_it_recovers_a_level_a_minute_once_it_is_well_below(old: Machine) -> None:
    old.seconds(1, own=0.06)
    when = []
    for second in range(1, 400):
        change = old.second(own=0.001)
        if change is not None:
            when.append((second, change.after))

    minute = int(PATIENCE_S)
    assert when == [(minute * n, level) for n, level in enumerate((UNITS, SAMPLED, PLAIN, FULL), 1)]


def test_just_below_the_budget_it_stays_where_it_is(old: Machine) -> None:
    old.seconds(5, own=0.03)
    assert old.governor.level == PLAIN
    assert old.seconds(1_000, own=0.008) == []


def test_it_does_not_flap_where_each_recovery_turns_out_too_dear(old: Machine) -> None:
    """Full detail costs 10 %, units alone 0.1 %."""
    changes = 0
    for _ in range(4 * 3_600):
        changes += old.second(own=0.1 if old.governor.level < UNITS else 0.001) is not None

    assert changes < 4 * 3_600 / 200


def test_a_process_that_does_next_to_nothing_is_left_alone(old: Machine) -> None:
    """Half of a process that computes 10 ms a second is 0.5 % of a processor."""
    assert old.seconds(600, own=0.5, busy=0.01) == []


def test_the_budget_can_be_raised_until_it_never_acts() -> None:
    machine = Machine(budget=1.0, started_s=2 * WARM_UP_S)

    assert machine.seconds(60, own=0.9) == []


def test_a_process_that_just_began_shows_what_it_does() -> None:
    machine = Machine()

    assert machine.seconds(int(WARM_UP_S) - 5, own=0.3) == []
    assert machine.seconds(10, own=0.3) == [(FULL, OFF)]


def test_a_function_called_very_often_is_timed_on_a_sample_at_once_and_fingerprints_stay() -> None:
    machine = Machine()
    machine.call(50_000)  # 2 % of a second at 400 ns
    changes = machine.seconds(1, own=0.0)

    assert changes == [(FULL, SAMPLED)]
    assert _context.HOT["plain_"] is False


def test_a_function_called_less_often_is_no_reason_at_first() -> None:
    machine = Machine()
    changes = []
    for _ in range(20):
        for n in range(10):
            machine.call(HOT_CALLS_PER_S - 100 - n, make_plan())
        changes += machine.seconds(1, own=0.0)

    assert changes == []


def test_where_sampling_is_not_enough_nothing_inside_units_is_recorded() -> None:
    machine = Machine()
    changes = []
    for _ in range(10):
        if machine.governor.level < UNITS:
            machine.call(400_000)
        changes += machine.seconds(1, own=0.0)

    assert [after for _, after in changes] == [UNITS]


def test_after_the_first_minute_functions_alone_above_the_hard_limit_are_sampled(old: Machine) -> None:
    old.call(150_000)  # 6 %, 3.75 % on a sample
    changes = old.seconds(1, own=0.0)

    assert changes == [(FULL, SAMPLED)]
    assert _context.HOT["plain_"] is True


def test_the_wrapper_of_a_hot_function_is_rewritten_and_put_back() -> None:
    @measure
    def hot() -> None: ...

    before = hot.__code__
    machine = Machine()
    unit = open_profile("unit", to=lambda profile: machine.governor.cost_of(profile) and None)
    hot()
    next(iter(unit.profile.root.own_children())).calls = 50_000
    close_profile(unit)
    restore(unit)
    machine.governor.costs = Costs()
    machine.seconds(1, own=0.0)

    assert machine.governor.level == SAMPLED
    assert hot.__code__ is not before
    machine.governor.close()
    assert hot.__code__ is before
    assert machine.governor.level == FULL


def test_a_unit_in_progress_is_counted_once() -> None:
    with FakeClock() as clock:
        machine = Machine()

        @measure
        def often() -> None: ...

        unit = open_profile("job", to=lambda _: None)
        for _ in range(5):
            for _ in range(100):
                often()
            clock.advance(ms=1_000)
            machine.seconds(1, own=0.0)
        counted_ns = machine.governor.host_ns
        restore(unit)
        close_profile(unit)
        whole_ns = machine.governor.cost_of(unit.profile)

    assert 500 * machine.governor.call_ns <= counted_ns <= whole_ns
    assert machine.governor.host_ns == whole_ns


def test_a_unit_that_is_gone_is_forgotten() -> None:
    with FakeClock() as clock:
        machine = Machine()
        unit = open_profile("job", to=lambda _: None)
        clock.advance(ms=2_000)
        machine.seconds(1, own=0.0)
        assert len(machine.governor._seen) == 1
        restore(unit)
        close_profile(unit)
        del unit
        gc.collect()
        machine.seconds(1, own=0.0)

    assert machine.governor._seen == {}


def test_a_child_counts_anew_and_keeps_level_and_calibration(old: Machine) -> None:
    old.seconds(1, own=0.2)
    old.governor.costs.call_ns = 77
    old.cpu_ns = 0  # a child's clock begins at nothing
    old.governor.after_fork()

    assert (old.governor.host_ns, old.governor.background_ns) == (0, 0)
    assert (old.governor.call_ns, old.governor.level) == (77, OFF)
    assert old.governor.share() == 0.0


def test_what_is_calibrated_is_plausible() -> None:
    costs = Costs()
    costs.calibrate()

    for name in Costs.__slots__:
        assert 0 < getattr(costs, name) < 10_000_000
    assert costs.skip_ns < costs.call_ns


def test_the_cost_of_a_unit_follows_what_is_in_it() -> None:
    costs = Costs()
    done: list[Profile] = []
    unit = open_profile("unit", to=done.append)
    branch = _context.current()
    assert branch is not None
    for n in range(10):
        end(begin(branch, site()), key=n)
    restore(unit)
    close_profile(unit)
    (profile,) = done

    assert tally(profile, costs).cost_ns == costs.unit_ns + 10 * costs.tap_ns("sqlalchemy", False)
    profile.plain = True
    assert tally(profile, costs).cost_ns < costs.unit_ns + 10 * costs.tap_ns("sqlalchemy", False)


def test_every_change_is_one_line_and_is_counted_in_the_status() -> None:
    said: list[str] = []

    class Exporter:
        def export(self, report: Any) -> None: ...

        def warning(self, text: str) -> None:
            said.append(text)

    pipeline = Pipeline(Config(heartbeat_s=0), lambda *_: (), [("said", Exporter())])
    now = [10 * S]
    cpu = [0]
    pipeline.governor = Governor(0.01, lambda: now[0], lambda: cpu[0])
    now[0] += int(2 * WARM_UP_S * S)
    for _ in range(3):
        pipeline.tick()
        now[0] += S
        cpu[0] += S
        pipeline.governor.background_ns += S // 5

    assert len(said) == 1
    assert "from full to off" in said[0]
    assert "the application is not affected" in said[0]
    status = pipeline.status()
    assert (status.level, status.level_changes) == ("off", 1)


def test_without_an_exporter_that_speaks_the_logger_does(caplog: pytest.LogCaptureFixture) -> None:
    pipeline = Pipeline(Config(heartbeat_s=0), lambda *_: (), [])
    with caplog.at_level(logging.WARNING, "manometer"):
        pipeline.say("lower")

    assert caplog.messages == ["lower"]


def test_rules_that_need_what_was_left_out_are_silent_and_say_so() -> None:
    asked: list[frozenset[str]] = []

    def judge(profile: Profile, history: Any, disabled: frozenset[str], extra: Any = ()) -> tuple[Any, ...]:
        asked.append(disabled)
        return ()

    pipeline = Pipeline(Config(heartbeat_s=0), judge, [])
    for level, rule, silent in (
        (FULL, "duplicate-read", False), (PLAIN, "duplicate-read", True), (PLAIN, "superlinear", False),
        (SAMPLED, "superlinear", False), (UNITS, "superlinear", True), (UNITS, "n-plus-one", False),
    ):  # fmt: skip
        _level.set_level(level)
        done: list[Profile] = []
        unit = open_profile("unit", to=done.append)
        restore(unit)
        close_profile(unit)
        pipeline.handle(done[0])

        assert (rule in asked[-1]) is silent, (NAMES[level], rule)
        assert bool(done[0].not_judged) is (level in (PLAIN, UNITS) or (level == SAMPLED and done[0].plain))


def test_what_was_recorded_in_part_teaches_the_history_nothing() -> None:
    pipeline = Pipeline(Config(heartbeat_s=0), lambda *_: (), [])
    for level in (FULL, UNITS, SAMPLED):
        _level.set_level(level)
        done: list[Profile] = []
        unit = open_profile("unit", to=done.append)
        restore(unit)
        close_profile(unit)
        pipeline.handle(done[0])

    assert pipeline.history.profiles("unit") == 2


assert _rolling.in_flight() == []
