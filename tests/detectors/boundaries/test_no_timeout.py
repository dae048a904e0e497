from __future__ import annotations

import pytest
from tests.profiles import Unit, rules, site

from manometer._boundary import boundary_of
from manometer._model import PRODUCTION

ME = site("GET /me", kind="http", library="requests", system="http", function="verify")
CACHED = site("GET user:{id}", kind="cache", library="redis", system="redis")


def edge(unit, callsite):
    return boundary_of(unit.branch.frame.children[callsite].more())


def unit_with(callsite, policy=PRODUCTION, *, without=1, limit_ns=0, ms=1.0):
    unit = Unit(policy)
    unit.call(callsite, 1, ms=ms)
    edge(unit, callsite).without_timeout = without
    edge(unit, callsite).timeout_ns = limit_ns
    return unit


def test_a_request_that_may_wait_for_ever_is_said_although_it_was_fast():
    (finding,) = unit_with(ME).judge()

    assert (finding.rule, finding.severity, finding.confidence) == ("no-timeout", "warning", "confirmed")
    assert (finding.question, finding.move) == ("boundaries", "bound")
    assert finding.evidence["calls_without_timeout"] == 1
    assert "timeout=" in finding.advice


def test_a_request_with_a_limit_is_silent():
    assert unit_with(ME, without=0, limit_ns=10**9).judge() == ()


def test_calls_whose_limit_is_unknown_are_silent():
    unit = Unit()
    unit.call(ME, 1)

    assert unit.judge() == ()


def test_the_same_calls_may_be_repeated_as_well():
    unit = Unit()
    for number in range(9):
        unit.call(ME, number)
    edge(unit, ME).without_timeout = 9

    assert sorted(rules(unit.judge())) == ["n-plus-one", "no-timeout"]


@pytest.mark.parametrize(("ms", "severity"), [(1.0, "info"), (1500.0, "warning")])
def test_a_cache_without_a_limit_is_a_warning_once_it_was_slow(ms, severity):
    (finding,) = unit_with(CACHED, ms=ms).judge()

    assert (finding.rule, finding.severity) == ("no-timeout", severity)
    assert "socket_timeout" in finding.advice
