from __future__ import annotations

import collections

import pytest
from tests.profiles import Unit, function, site

from manometer import _limits, measure
from manometer._growth import MATERIAL_NS
from manometer._history import History
from manometer._plan import Plan
from manometer._sizes import Growths
from manometer.testing import FakeClock, record

ROWS = site("SELECT id FROM orders", 12)


class Lazy(list):
    def __len__(self):
        raise AssertionError("the length of a lazy object was asked for")


def pairs_of(target, *calls):
    clock = FakeClock()
    with clock, record() as recorded:
        for arguments in calls:
            target(clock, *arguments)
    (frame,) = recorded.profile.root.own_children()
    return frame.detail.pairs if frame.detail is not None else None


@pytest.mark.parametrize(
    ("value", "size"),
    [
        ([1, 2, 3], 3),
        ({"a": 1}, 1),
        ("abcd", 4),
        (range(9), 9),
        (17, 17),
        (collections.deque([1, 2]), 2),
        (collections.defaultdict(int, a=1), 1),
        (collections.Counter("aab"), 2),
    ],
)
def test_each_call_with_a_size_gives_a_pair(value, size):
    @measure(size="items")
    def target(clock, items):
        clock.advance(ms=2)

    assert pairs_of(target, (value,)) == [(size, 2_000_000, -1)]


@pytest.mark.parametrize("value", [-1, None, 1.5, True, object(), Lazy([1]), iter([1])])
def test_what_has_no_plain_size_gives_none_and_is_never_asked(value):
    @measure(size="items")
    def target(clock, items):
        clock.advance(ms=2)

    assert pairs_of(target, (value,)) is None


def test_a_call_that_failed_gives_none():
    @measure(size="items")
    def target(clock, items):
        raise ValueError

    with record() as recorded, pytest.raises(ValueError):
        target(None, [1])
    (frame,) = recorded.profile.root.own_children()

    assert frame.detail.pairs is None


def test_the_pairs_of_a_frame_are_bounded_and_the_latest_stay():
    @measure(size="items")
    def target(clock, items):
        clock.advance(ms=1)

    found = pairs_of(target, *[(number,) for number in range(200)])

    assert len(found) == _limits.MAX_PAIRS_PER_FRAME
    assert {size for size, _, _ in found} == set(range(200 - _limits.MAX_PAIRS_PER_FRAME, 200))


def test_cpu_time_is_taken_once_calls_proved_long():
    @measure(size="n")
    def busy(n):
        return sum(range(n))

    history = History()
    with record(history=history):
        busy(200_000)
    with record(history=history) as recorded:
        busy(200_000)
    (frame,) = recorded.profile.root.own_children()
    ((_, wall_ns, cpu_ns),) = frame.detail.pairs

    assert 0 < cpu_ns <= wall_ns + 20_000_000


def learn(growths, build):
    unit = Unit()
    build(unit)
    profile = unit.close()
    growths.add(profile)
    return profile


def test_rows_of_a_statement_are_the_size_of_its_time():
    growths = Growths()
    learn(growths, lambda unit: [unit.call(ROWS, rows=rows, ms=2) for rows in (3, 4)])
    (grown,) = growths.of(ROWS)

    assert (grown.by, grown.clock, grown.growth.why) == ("rows", "wall", "only 1 size")


def test_a_function_called_twice_in_a_unit_of_work_says_nothing_by_itself():
    growths, called = Growths(), function("twice")

    def build(unit):
        for _ in range(2):
            with unit.within(called):
                unit.call(ROWS, rows=5)
                unit.work(5)

    learn(growths, build)

    assert growths.of(called) == []


def test_small_costs_take_no_place():
    growths = Growths()
    learn(growths, lambda unit: unit.call(ROWS, rows=3, ms=MATERIAL_NS / 2e6))

    assert growths.callsites() == ()


def test_callsites_are_bounded(monkeypatch):
    monkeypatch.setattr("manometer._limits.MAX_GROWTHS", 3)
    growths = Growths()
    for line in range(5):
        learn(growths, lambda unit, line=line: unit.call(site("SELECT a FROM b", 700 + line), rows=3))

    assert (len(growths.callsites()), growths.evicted) == (3, 2)


def test_a_recursion_is_looked_at_in_its_1st_2nd_4th_and_8th_unit_of_work():
    growths = Growths()
    plan = Plan(("n",), None, None, False, lambda call, args: None)
    visit = function("visit_some", plan=plan)
    asked = []

    def build(unit):
        with unit.within(visit):
            for _ in range(100):
                with unit.within(visit):
                    unit.work(0.1)

    for _ in range(9):
        learn(growths, build)
        asked.append(plan.probed)
        plan.probed = False

    assert asked == [True, True, False, True, False, False, False, True, False]
