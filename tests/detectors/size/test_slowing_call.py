from __future__ import annotations

import random

import pytest
from tests.profiles import MS, Unit, rules, site

from manometer._calls import begin, end
from manometer._course import FIRST, Course
from manometer._history import History

PAGE = site("SELECT id FROM advisory ORDER BY id LIMIT ? OFFSET ?", 30)
REMOTE = site("GET /pages", 32, kind="http", library="requests", system="")
PLAIN = site("SELECT id FROM advisory WHERE kind = ?", 31)


def export(unit, cost_ms, calls=24, rows=500, callsite=PAGE):
    for number in range(1, calls + 1):
        many = rows(number) if callable(rows) else rows
        unit.call(callsite, 500, 500 * number, rows=many, ms=cost_ms(number))


def slowing(findings):
    return [item for item in findings if item.rule == "slowing-call"]


class TestGuilty:
    def test_pages_that_take_longer_and_longer(self):
        unit = Unit()
        export(unit, lambda number: 2 + number)
        (item,) = slowing(unit.judge())

        assert (item.question, item.confidence, item.callsite) == ("size", "likely", PAGE)
        assert (item.evidence["early_ns"], item.evidence["late_ns"]) == (6_000_000, 18_000_000)
        assert "last key" in item.advice
        assert 0 < item.saving_ns[0] <= item.saving_ns[1] <= item.cost_ns

    def test_it_is_no_n_plus_one(self):
        unit = Unit()
        export(unit, lambda number: 2 + number)

        assert rules(unit.judge()) == ["slowing-call"]

    def test_a_second_unit_of_work_confirms_it(self):
        history = History()
        for _ in range(2):
            unit = Unit()
            export(unit, lambda number: 2 + number)
            found = slowing(unit.judge(history))

        assert found[0].confidence == "confirmed"
        assert (found[0].evidence["units_slowed"], found[0].evidence["units_compared"]) == (2, 2)

    def test_any_statement_can_slow_down(self):
        unit = Unit()
        export(unit, lambda number: 0.5 * number, callsite=PLAIN, rows=3)

        assert [item.callsite for item in slowing(unit.judge(disabled={"n-plus-one"}))] == [PLAIN]

    def test_calls_that_another_finding_explains_are_one_fault(self):
        unit = Unit()
        export(unit, lambda number: 0.5 * number, callsite=PLAIN, rows=3)

        assert rules(unit.judge()) == ["n-plus-one"]


class TestInnocent:
    def test_pages_that_take_the_same_time(self):
        unit = Unit()
        export(unit, lambda number: 3)

        assert slowing(unit.judge()) == []

    @pytest.mark.parametrize("spread", [0.2, 0.5, 1.0])
    def test_noise_alone(self, spread):
        claimed = 0
        for seed in range(200):
            chance, unit = random.Random(seed), Unit()
            costs = [3 * chance.lognormvariate(0, spread) for _ in range(24 + seed)]
            export(unit, lambda number, costs=costs: costs[number - 1], calls=len(costs))
            claimed += bool(slowing(unit.judge()))

        assert claimed == 0

    def test_later_calls_that_return_more(self):
        unit = Unit()
        export(unit, lambda number: 2 + number, rows=lambda number: 20 * number)

        assert slowing(unit.judge()) == []

    def test_few_calls(self):
        unit = Unit()
        export(unit, lambda number: 2 + number, calls=23)

        assert slowing(unit.judge()) == []

    def test_one_late_stall(self):
        unit = Unit()
        export(unit, lambda number: 300 if number == 20 else 3)

        assert slowing(unit.judge()) == []

    def test_a_cold_start(self):
        unit = Unit()
        export(unit, lambda number: 50 if number < 6 else 3)

        assert slowing(unit.judge()) == []


class TestAnotherService:
    def test_calls_at_once_end_the_later_the_longer_they_took(self):
        unit = Unit()
        began_ns = unit.now_ns
        open_calls = [begin(unit.branch, REMOTE, began_ns) for _ in range(40)]
        for number, call in enumerate(open_calls, 1):
            end(call, ended_ns=began_ns + number * 10 * MS)

        assert slowing(unit.judge(disabled={"unbounded-fanout"})) == []

    def test_a_busy_one_is_no_fault_of_a_single_unit(self):
        unit = Unit()
        export(unit, lambda number: 2 + 0.2 * number, callsite=REMOTE)

        assert slowing(unit.judge(disabled={"n-plus-one", "chatty"})) == []

    def test_one_that_walks_its_list_from_the_start(self):
        unit = Unit()
        export(unit, lambda number: 2 + 3 * number, callsite=REMOTE)

        assert len(slowing(unit.judge(disabled={"n-plus-one", "chatty"}))) == 1

    def test_two_units_confirm_a_smaller_step(self):
        history = History()
        for _ in range(2):
            unit = Unit()
            export(unit, lambda number: 2 + number, callsite=REMOTE)
            found = slowing(unit.judge(history, disabled={"n-plus-one", "chatty"}))

        assert [item.confidence for item in found] == ["confirmed"]


class TestCourse:
    def test_frames_of_few_calls_have_none(self):
        unit = Unit()
        export(unit, lambda number: 1, calls=FIRST - 1)
        (frame,) = unit.close().root.own_children()

        assert frame.detail is not None
        assert frame.detail.course is None

    def test_it_is_bounded(self):
        course = Course()
        for power in range(2, 60):
            course.add(2**power, 1)

        assert len(course.least_ns) == len(course.rows) == 24
