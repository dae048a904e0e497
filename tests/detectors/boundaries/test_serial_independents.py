from __future__ import annotations

import pytest
from tests.profiles import Unit, rules, site

from manometer._boundary import boundary_of
from manometer._model import PRODUCTION


def get(name, **more):
    return site(f"GET /{name}", kind="http", library="httpx", system="http", function="page", **more)


PAGE = tuple(get(name) for name in ("user", "news", "weather", "offers"))


def row(unit, sites=PAGE, *, ms=80.0, awaited=True, known=True):
    for at, callsite in enumerate(sites):
        unit.call(callsite, f"q{at}", ms=ms, rows=[(f"r{at}",)] if known else None)
        boundary_of(unit.branch.frame.children[callsite].more()).awaited = awaited


def test_awaited_calls_that_need_nothing_of_one_another_could_run_at_once():
    unit = Unit(PRODUCTION)
    row(unit)

    (finding,) = unit.judge()
    assert (finding.rule, finding.confidence, finding.severity) == (
        "serial-independents",
        "likely",
        "warning",
    )
    assert (finding.evidence["calls"], finding.saving_ns[1]) == (4, 240_000_000)
    assert finding.evidence["row"] == "GET /user, GET /news, GET /weather, GET /offers"
    assert "gather" in finding.advice


@pytest.mark.parametrize("doubt", [{"awaited": False}, {"known": False}])
def test_in_threads_or_where_results_are_unknown_it_is_a_hint(doubt):
    unit = Unit(PRODUCTION)
    row(unit, **doubt)

    (finding,) = unit.judge()
    assert (finding.confidence, finding.severity) == ("possible", "info")


def test_a_call_with_a_value_of_the_one_before_has_to_wait_for_it():
    unit = Unit()
    for at, callsite in enumerate(PAGE):
        unit.call(callsite, f"step-{at}", ms=80, rows=[(f"step-{at + 1}",)])
        boundary_of(unit.branch.frame.children[callsite].more()).awaited = True

    assert unit.judge() == ()


def test_two_in_a_row_or_a_short_row_are_silent():
    two, short = Unit(), Unit()
    row(two, PAGE[:2], ms=400)
    row(short, ms=5)

    assert (two.judge(), short.judge()) == ((), ())


def test_calls_that_overlap_do_so_already():
    unit = Unit()
    began_ns = unit.now_ns
    for at, callsite in enumerate(PAGE):
        unit.call(callsite, f"q{at}", ms=80, rows=[(f"r{at}",)], started_ns=began_ns + at)
        boundary_of(unit.branch.frame.children[callsite].more()).awaited = True

    assert unit.judge() == ()


def test_a_write_in_between_keeps_the_order():
    unit = Unit()
    row(unit, PAGE[:2])
    unit.call(site("POST /orders", kind="http", operation="write", library="httpx"), "x", ms=80)
    row(unit, PAGE[2:])

    assert unit.judge() == ()


def test_work_of_its_own_between_the_calls_is_no_row():
    unit = Unit()
    for callsite in PAGE:
        row(unit, [callsite])
        unit.work(300)

    assert unit.judge() == ()


def test_queries_share_a_connection_and_are_left_out():
    unit = Unit()
    row(unit, [site(f"SELECT a FROM t{at}") for at in range(4)])

    assert rules(unit.judge()) == []
