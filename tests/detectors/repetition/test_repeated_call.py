from __future__ import annotations

import pytest
from tests.profiles import MS, Unit, function, rules, site

from manometer._model import PRODUCTION
from manometer._plan import NOTHING

QUOTE = function("quote")


def test_equal_results_of_equal_arguments_confirm_it() -> None:
    unit = Unit(PRODUCTION)
    for _ in range(4):
        unit.compute(QUOTE, "EUR", ms=5, result=7)

    (finding,) = unit.judge()

    assert (finding.rule, finding.confidence, finding.severity) == ("repeated-call", "confirmed", "warning")
    assert (finding.cost_ns, finding.saving_ns) == (15 * MS, (12 * MS, 18_750_000))
    assert "functools.cache" in finding.advice


def test_results_that_cannot_be_compared_make_it_likely() -> None:
    unit = Unit()
    for _ in range(4):
        unit.compute(QUOTE, "EUR", result=object())

    (finding,) = unit.judge()

    assert finding.confidence == "likely"


def test_of_two_that_call_each_other_the_outer_one_is_named() -> None:
    unit = Unit()
    for _ in range(3):
        with unit.within(QUOTE, "EUR", result=7, watched=True):
            unit.compute(function("rate"), "EUR", result=3)
            unit.work(1)

    (finding,) = unit.judge()

    assert finding.callsite is QUOTE


# Innocent twins.


def test_other_arguments_are_none() -> None:
    unit = Unit()
    for at in range(10):
        unit.compute(QUOTE, at)

    assert unit.judge() == ()


def test_other_results_are_none() -> None:
    unit = Unit()
    for at in range(10):
        unit.compute(QUOTE, "EUR", result=at)

    assert unit.judge() == ()


def test_arguments_that_were_not_looked_at_are_none() -> None:
    unit = Unit()
    for _ in range(10):
        with unit.within(QUOTE):
            unit.work(1)

    assert unit.judge() == ()


def test_calls_that_raise_are_none() -> None:
    unit = Unit()
    for _ in range(10):
        unit.compute(QUOTE, "EUR", result=NOTHING)

    assert unit.judge() == ()


def test_a_call_as_cheap_as_a_lookup_is_not_worth_keeping() -> None:
    unit = Unit()
    for _ in range(100):
        unit.compute(QUOTE, "EUR", ms=0.005)

    assert unit.judge() == ()


@pytest.mark.parametrize(("times", "expected"), [(2, []), (3, ["repeated-call"])])
def test_production_speaks_from_three_equal_calls(times: int, expected: list[str]) -> None:
    unit = Unit(PRODUCTION)
    for _ in range(times):
        unit.compute(QUOTE, "EUR")

    assert rules(unit.judge()) == expected


def test_the_query_inside_is_named_and_not_the_function_around_it() -> None:
    unit = Unit()
    for _ in range(3):
        with unit.within(QUOTE, "EUR", result=7, watched=True):
            unit.call(site("SELECT rate FROM rates WHERE name = ?", 9), "EUR", rows=[(3,)])

    assert rules(unit.judge()) == ["duplicate-read"]


def test_a_write_in_between_makes_it_a_new_question() -> None:
    unit = Unit()
    for _ in range(3):
        unit.compute(QUOTE, "EUR")
        unit.call(site("UPDATE rates SET rate = ?", 10, operation="write"), 1)

    assert unit.judge() == ()
