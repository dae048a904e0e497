from __future__ import annotations

import pytest
from tests.profiles import Unit, function, rules, site

from manometer._boundary import boundary_of
from manometer._history import History
from manometer._model import PRODUCTION

STOCK = site("GET /stock/{id}", kind="http", library="requests", system="http", function="fetch")
ORDER = site("POST /orders", kind="http", operation="write", library="httpx", system="http", function="order")


def fail(unit, callsite=STOCK, times=1, *, error="503", wait_ms=50.0, key="a"):
    for _ in range(times):
        unit.call(callsite, key, error=error)
        unit.work(wait_ms)


def layer(name, inner=None):
    return function(f"{name}", library="tenacity", version="9")


def only(unit, history=None):
    (finding,) = unit.judge(history)
    assert (finding.rule, finding.question) == ("retry-amplification", "boundaries")
    return finding


def test_four_attempts_of_one_call_are_too_many():
    unit = Unit(PRODUCTION)
    fail(unit, times=3)
    unit.call(STOCK, "a")

    finding = only(unit)
    assert (finding.severity, finding.confidence) == ("warning", "confirmed")
    assert (finding.evidence["calls"], finding.evidence["logical_calls"]) == (4, 1)
    assert finding.evidence["attempts_per_call"] == 4


def test_three_attempts_with_back_off_are_good_practice():
    unit = Unit()
    fail(unit, times=2)
    unit.call(STOCK, "a")

    assert unit.judge() == ()


def test_the_same_again_without_a_failure_is_no_retry():
    unit = Unit()
    for _ in range(9):
        unit.call(STOCK, "a")

    assert rules(unit.judge()) == ["duplicate-read"]


def test_a_failure_of_each_of_many_calls_is_no_retry():
    unit = Unit()
    for number in range(9):
        fail(unit, key=number)

    assert unit.judge() == ()


def test_tries_inside_the_library_multiply_with_those_around_it():
    unit = Unit()
    outer, inner = layer("outer"), layer("inner")
    with unit.within(outer), unit.within(inner):
        fail(unit, times=9)
    frame = unit.branch.frame.children[outer]
    boundary_of(frame.more()).retries_inside = 2
    frame = frame.children[inner]
    frame.calls = 3
    boundary_of(frame.more()).retries_inside = 6
    boundary_of(frame.children[STOCK].more()).retries_inside = 18

    finding = only(unit)
    assert (finding.evidence["calls"], finding.evidence["logical_calls"]) == (27, 1)
    assert finding.evidence["layers"] == "shop.outer x3 x shop.inner x3 x urllib3 x3"


def test_loops_of_the_application_are_a_layer_with_the_functions_that_lead_there():
    unit = Unit()
    for _ in range(6):
        unit.call(STOCK, "a", error="429", callers=(("/app/sdk.py", 3, "Sdk.create"),))
        unit.work(50)

    finding = only(unit)
    assert finding.evidence["layers"] == "own code (fetch < Sdk.create) x6"
    assert finding.evidence["answers"] == "429:6"


def test_a_post_sent_again_after_a_timeout_is_said_always():
    unit = Unit(PRODUCTION)
    fail(unit, ORDER, error="ReadTimeout")
    unit.call(ORDER, "a")

    finding = only(unit)
    assert finding.evidence["sent_again_after_timeout"] == 1
    assert "idempotency key" in finding.advice


@pytest.mark.parametrize("error", ["503", "ConnectTimeout", "ConnectionError"])
def test_a_post_that_was_refused_or_never_sent_may_be_sent_again(error):
    unit = Unit()
    fail(unit, ORDER, error=error)
    unit.call(ORDER, "a")

    assert unit.judge() == ()


def test_a_post_with_an_idempotency_key_may_be_sent_again():
    unit = Unit()
    fail(unit, ORDER, error="ReadTimeout")
    unit.call(ORDER, "a")
    boundary_of(unit.branch.frame.children[ORDER].more()).idempotent_calls = 2

    assert unit.judge() == ()


def test_a_put_may_be_sent_again():
    unit = Unit()
    put = site("PUT /orders/{id}", kind="http", operation="write", library="httpx")
    fail(unit, put, error="ReadTimeout")
    unit.call(put, "a")

    assert unit.judge() == ()


def test_retries_that_do_not_wait_are_said_from_five_on():
    unit = Unit()
    for number in range(5):
        fail(unit, wait_ms=1, key=number)
        unit.call(STOCK, number)

    finding = only(unit)
    assert finding.evidence["retries_without_back_off"] == 5
    assert "Retry-After" in finding.advice


def test_a_tenth_of_many_calls_may_be_retries_and_no_more():
    history = History()
    for _ in range(30):
        unit = Unit(PRODUCTION)
        for number in range(4):
            unit.call(STOCK, number)
        fail(unit, key="b")
        unit.call(STOCK, "b")
        found = unit.judge(history)

    (finding,) = [item for item in found if item.rule == "retry-amplification"]
    assert finding.evidence["retry_share"] == 0.17


def test_a_few_retries_among_many_calls_are_within_the_budget():
    history = History()
    for number in range(60):
        unit = Unit(PRODUCTION)
        for at in range(4):
            unit.call(STOCK, at)
        if number % 20 == 0:
            fail(unit, key="b")
            unit.call(STOCK, "b")
        found = unit.judge(history)

    assert "retry-amplification" not in rules(found)


def test_what_somebody_expects_is_told_and_warns_no_more():
    unit = Unit()
    fail(unit, times=6)
    unit.profile.expected["retry-amplification"] = "the backend is known to flap"

    finding = only(unit)
    assert (finding.severity, finding.expected) == ("info", "the backend is known to flap")
