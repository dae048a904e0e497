from __future__ import annotations

from tests.profiles import Unit, n_plus_one, rules, site

from manometer._model import JOB, PRODUCTION


def talk(unit, places=40, calls=3):
    """Call *calls* times from each of many places, with other arguments each time."""
    for at in range(places):
        for number in range(calls):
            unit.call(site(f"SELECT a FROM t{at} WHERE id = ?", 100 + at), at * 1000 + number, ms=0.5)


def test_many_calls_that_nothing_else_explains_are_told_at_last():
    unit = Unit(PRODUCTION)
    talk(unit)

    (finding,) = unit.judge()
    assert (finding.rule, finding.confidence, finding.move) == ("chatty", "possible", "restructure")
    assert (finding.evidence["calls"], finding.evidence["places"]) == (120, 40)


def test_what_another_finding_explains_does_not_count():
    unit = Unit(PRODUCTION)
    n_plus_one(unit, 300)
    talk(unit, 20)

    assert rules(unit.judge()) == ["n-plus-one"]


def test_a_hundred_calls_are_not_yet_many():
    unit = Unit(PRODUCTION)
    talk(unit, 33)

    assert unit.judge() == ()


def test_a_job_may_make_ten_times_as_many():
    unit = Unit(JOB, kind="job")
    talk(unit)

    assert unit.judge() == ()


def test_a_minute_of_a_process_is_no_unit_of_work():
    unit = Unit(PRODUCTION, kind="process")
    talk(unit)

    assert unit.judge() == ()
