from __future__ import annotations

import pytest
from tests.profiles import MS, Unit, rules, site

from manometer._history import History
from manometer._model import PRODUCTION

CALL = site("connect", kind="other", library="asyncio", system="tcp", function="query")
USER = site("GET /users/{id}", kind="http", library="httpx", system="http", function="fetch")


def fan_out(calls, *, limit=0, callsite=CALL, policy=PRODUCTION):
    """Let *calls* run at once, or as many as *limit* at a time."""
    unit = Unit(policy)
    for at in range(calls):
        unit.call(callsite, at, ms=5)
    detail = unit.branch.frame.children[callsite].more()
    detail.peak_in_flight = min(calls, limit or calls)
    unit.branch.frame.children[callsite].union_ns = 5 * MS
    return unit


def test_many_at_once_with_nothing_to_hold_them_back():
    (finding,) = fan_out(80).judge()

    assert (finding.rule, finding.severity, finding.confidence) == ("unbounded-fanout", "warning", "likely")
    assert (finding.question, finding.move) == ("boundaries", "bound")
    assert finding.evidence["peak_in_flight"] == 80
    assert "Semaphore" in finding.advice


def test_over_http_it_explains_the_repetition_too():
    assert rules(fan_out(80, callsite=USER).judge()) == ["unbounded-fanout"]


@pytest.mark.parametrize("limit", [8, 24, 60])
def test_a_limit_that_holds_shows_and_is_silent(limit):
    assert "unbounded-fanout" not in rules(fan_out(200, limit=limit).judge())


def test_as_many_at_once_as_there_is_input_over_two_units():
    history = History()
    found = [fan_out(size).judge(history) for size in (8, 20)]

    assert [rules(each) for each in found] == [[], ["unbounded-fanout"]]
    assert (found[-1][0].confidence, found[-1][0].evidence["at_once_per_call"]) == ("confirmed", 1.0)


def test_a_fixed_fan_out_is_silent_however_often():
    history = History()

    assert {rules(fan_out(12).judge(history)) == [] for _ in range(30)} == {True}


def test_a_wide_fan_out_that_never_changes_is_a_fixed_number_in_the_end():
    history = History()
    found = [rules(fan_out(40).judge(history)) for _ in range(30)]

    assert (found[0], found[-1]) == (["unbounded-fanout"], [])


def test_a_limit_below_the_input_is_silent_however_the_input_varies():
    history = History()
    found = [fan_out(size, limit=10).judge(history) for size in (12, 20, 40, 80)]

    assert [rules(each) for each in found] == [[], [], [], []]


def test_one_after_the_other_is_silent():
    assert "unbounded-fanout" not in rules(fan_out(200, limit=1).judge())
