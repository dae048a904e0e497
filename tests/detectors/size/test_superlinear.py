from __future__ import annotations

import pytest
from tests.profiles import Unit, function, rules, site

from manometer import expected
from manometer._history import History
from manometer._model import PRODUCTION, STRICT
from manometer._plan import Plan, _add_pair
from manometer.detectors import judge

ORDERS = site("SELECT id FROM orders", 12)
SIZES = [round(8 * 1.5**at) for at in range(12)]


def sized(name="match"):
    """Return a function that was decorated with `measure(size="orders")`."""
    return function(name, plan=Plan(("orders",), None, "orders", False, lambda call, args: None))


@pytest.fixture
def match():
    function.cache_clear()
    return sized()


def serve(history, callsite, cost_ms, size, *, cpu=True, policy=STRICT, after=()):
    unit = Unit(policy=policy)
    ms = cost_ms(size)
    with unit.within(callsite):
        unit.work(ms)
    frame = unit.profile.root.children[callsite]
    _add_pair(frame.more(), size, int(ms * 1e6), -1)
    if cpu:
        frame.more().pairs = [(size, int(ms * 1e6), int(ms * 1e6))]
    for call in after:
        call(unit)
    profile = unit.close()
    history.add(profile)
    return [item for item in judge(profile, history) if item.rule == "superlinear"]


def grown(callsite, cost_ms, sizes=SIZES, rounds=4, **options):
    history = History()
    found = []
    for _ in range(rounds):
        for size in sizes:
            found = serve(history, callsite, cost_ms, size, **options)
    return found


def square(n):
    return 0.001 * n * n


def line(n):
    return 0.5 * n


class TestGuilty:
    def test_a_square_is_found_with_exponent_interval_range_and_forecast(self, match):
        (item,) = grown(match, square)
        facts = item.evidence

        assert (item.question, item.confidence, item.move) == ("size", "confirmed", "restructure")
        assert facts["size"] == "orders"
        assert facts["exponent_low"] <= 2.0 <= facts["exponent_high"]
        assert (facts["size_from"], facts["clock"]) == (8, "cpu")
        assert facts["at_10x_low_ns"] < 100 * facts["now_ns"] < facts["at_10x_high_ns"]
        low_ns, high_ns = item.saving_ns
        assert 0 < low_ns <= high_ns <= item.cost_ns
        assert high_ns <= 4 * low_ns

    def test_durations_alone_confirm_from_sizes_64_times_apart_only(self, match):
        (near,) = grown(match, square, SIZES[:9], cpu=False)
        (far,) = grown(match, square, cpu=False)

        assert (near.confidence, near.evidence["clock"]) == ("likely", "wall")
        assert far.confidence == "confirmed"

    def test_the_growth_of_a_query_with_its_rows_is_found_without_a_measured_function(self):
        history = History()
        for size in SIZES * 4:
            unit = Unit()
            unit.call(ORDERS, rows=size, ms=0.002 * size * size)
            found = unit.judge(history)

        (item,) = (each for each in found if each.rule == "superlinear")
        assert item.callsite is ORDERS
        assert item.evidence["size"] == "rows"

    def test_the_time_between_child_calls_is_judged_by_their_number(self):
        history, outer, inner = History(), function("collect"), function("read_part")
        for size in SIZES * 4:
            unit = Unit()
            with unit.within(outer):
                for _ in range(size):
                    with unit.within(inner):
                        pass
                unit.work(0.002 * size * size)
            found = unit.judge(history)

        (item,) = (each for each in found if each.rule == "superlinear")
        assert (item.callsite, item.evidence["size"]) == (outer, "calls")

    def test_of_nested_functions_the_inner_one_is_named(self, match):
        outer = function("report", plan=Plan(("orders",), None, "orders", False, lambda call, args: None))
        history = History()
        for size in SIZES * 4:
            unit = Unit()
            with unit.within(outer):
                with unit.within(match):
                    unit.work(square(size))
                frame = unit.profile.root.children[outer]
                frame.children[match].more().pairs = [(size, int(square(size) * 1e6), -1)]
            frame.more().pairs = [(size, int(square(size) * 1e6), -1)]
            found = unit.judge(history)

        assert [item.callsite for item in found if item.rule == "superlinear"] == [match]


class TestInnocent:
    def test_a_line_is_none(self, match):
        assert grown(match, line) == []

    def test_a_constant_is_none(self, match):
        assert grown(match, lambda _: 5.0) == []

    def test_the_first_calls_prove_nothing(self, match):
        assert grown(match, square, rounds=1) == []

    def test_sizes_that_hardly_vary_prove_nothing(self, match):
        assert grown(match, square, [40, 42, 45, 48, 52, 56, 60, 66, 72], rounds=8) == []

    def test_durations_that_a_busy_machine_bends_are_none_while_cpu_time_is_straight(self, match):
        history = History()
        for size in SIZES[:7] * 5:
            unit = Unit()
            with unit.within(match):
                unit.work(1)
            cpu_ns = int(1e6 * size**1.2)
            wall_ns = int(cpu_ns * (size / SIZES[0]) ** 0.55)
            unit.profile.root.children[match].more().pairs = [(size, wall_ns, cpu_ns)]
            found = unit.judge(history)
        claimed = {each.clock: each.growth.superlinear for each in history.growth(match)}

        assert claimed == {"wall": True, "cpu": False}
        assert "superlinear" not in rules(found)

    def test_a_reason_makes_it_information(self, match):
        history = History()
        for size in SIZES * 4:
            found = serve(history, match, square, size)
        assert found[0].severity == "warning"

        marked = expected("small shops only", "superlinear")._callsite
        unit = Unit()
        with unit.within(marked), unit.within(match):
            unit.work(5)
        (item,) = (each for each in unit.judge(history) if each.rule == "superlinear")
        assert (item.severity, item.expected) == ("info", "small shops only")

    def test_what_costs_little_of_its_unit_today_is_information_in_production(self, match):
        def long(unit):
            unit.work(60_000)

        (item,) = grown(match, lambda n: 0.02 * square(n), policy=PRODUCTION, after=(long,))

        assert item.severity == "info"


def walk(unit, callsite, arguments):
    """Call a recursive function with each argument in turn, inside its own first call."""
    with unit.within(callsite, "root", watched=True, result="r"):
        frame = unit.branch.frame
        for argument in arguments:
            unit.compute(callsite, argument, ms=0.2, result=f"sum of {argument}")
        assert frame.children[callsite] is frame


class TestRecursion:
    def test_calls_that_double_with_each_argument_are_exponential(self):
        unit, visit = Unit(), function("visit")
        walk(unit, visit, [f"m{at}" for at in range(9) for _ in range(2**at)])
        (item,) = (each for each in unit.judge() if each.rule == "superlinear")

        assert (item.confidence, item.evidence["growth"]) == ("confirmed", "exponential")
        assert (item.evidence["distinct"], item.evidence["most_repeated"]) == (10, 256)
        assert "functools.cache" in item.advice

    def test_it_stands_beside_the_repeated_call_it_is_made_of(self):
        unit, visit = Unit(), function("visit")
        walk(unit, visit, [f"m{at}" for at in range(9) for _ in range(2**at)])

        assert sorted(rules(unit.judge())) == ["repeated-call", "superlinear"]

    def test_a_tree_with_each_node_visited_once_is_none(self):
        unit = Unit()
        walk(unit, function("visit"), [f"m{at}" for at in range(200)])

        assert "superlinear" not in rules(unit.judge())

    def test_a_tree_with_one_leaf_that_occurs_everywhere_is_none(self):
        unit = Unit()
        walk(unit, function("visit"), [f"m{at}" for at in range(12)] + ["leaf"] * 600)

        assert "superlinear" not in rules(unit.judge())

    def test_the_same_counts_without_recursion_are_none(self):
        unit, visit = Unit(), function("visit")
        for at in range(9):
            for _ in range(2**at):
                unit.compute(visit, f"m{at}", ms=0.2)

        assert "superlinear" not in rules(unit.judge())
