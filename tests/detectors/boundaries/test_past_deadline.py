from __future__ import annotations

from tests.profiles import MS, Unit, site

from manometer._boundary import boundary_of
from manometer._model import PRODUCTION

QUOTE = site("GET /quote", kind="http", library="requests", system="http")


def test_a_limit_longer_than_what_is_left_is_said():
    unit = Unit(PRODUCTION)
    unit.profile.deadline_ns = unit.began_ns + 500 * MS
    unit.call(QUOTE, 1)
    edge = boundary_of(unit.branch.frame.children[QUOTE].more())
    edge.past_deadline, edge.timeout_ns = 1, 30_000 * MS

    (finding,) = unit.judge()
    assert (finding.rule, finding.severity) == ("past-deadline", "warning")
    assert (finding.evidence["calls_past_deadline"], finding.evidence["limit_ns"]) == (1, 30_000 * MS)


def test_work_that_goes_on_after_the_client_left_is_said_with_its_time():
    unit = Unit(PRODUCTION)
    unit.call(QUOTE, 1, ms=100)
    unit.profile.left_ns = unit.now_ns
    unit.call(QUOTE, 2, ms=400)

    (finding,) = unit.judge()
    assert (finding.rule, finding.cost_ns, finding.evidence["worked_on_ns"]) == (
        "past-deadline",
        400 * MS,
        400 * MS,
    )


def test_calls_within_the_deadline_are_silent():
    unit = Unit()
    unit.profile.deadline_ns = unit.began_ns + 5_000 * MS
    unit.call(QUOTE, 1, ms=100)

    assert unit.judge() == ()


def test_a_client_that_left_at_the_very_end_is_silent():
    unit = Unit()
    unit.call(QUOTE, 1, ms=100)
    unit.profile.left_ns = unit.now_ns

    assert unit.judge() == ()


def test_without_a_known_deadline_nothing_is_said():
    unit = Unit()
    unit.call(QUOTE, 1, ms=60_000)

    assert unit.judge() == ()
