from __future__ import annotations

import pytest
from tests.profiles import MS, Unit, rules, site

from manometer._model import PRODUCTION, Callsite

SETTINGS = site("SELECT value FROM settings WHERE name = ?", 20)
ROW = [("blue",)]


def ask(unit: Unit, times: int, *, ms: float = 5.0) -> None:
    for _ in range(times):
        unit.call(SETTINGS, "theme", rows=ROW, ms=ms)


def test_equal_results_for_equal_arguments_confirm_it() -> None:
    unit = Unit(PRODUCTION)
    ask(unit, 4)

    (finding,) = unit.judge()

    assert (finding.rule, finding.confidence, finding.severity) == ("duplicate-read", "confirmed", "warning")
    assert (finding.evidence["calls"], finding.evidence["repeats"]) == (4, 3)
    assert (finding.cost_ns, finding.saving_ns) == (15 * MS, (12 * MS, 18_750_000))


def test_results_that_were_not_seen_make_it_likely() -> None:
    unit = Unit()
    for _ in range(3):
        unit.call(SETTINGS, "theme")

    (finding,) = unit.judge()

    assert finding.confidence == "likely"


@pytest.mark.parametrize(("times", "expected"), [(1, []), (2, []), (3, ["duplicate-read"])])
def test_production_speaks_from_three_equal_calls(times: int, expected: list[str]) -> None:
    unit = Unit(PRODUCTION)
    ask(unit, times)

    assert rules(unit.judge()) == expected


def test_a_saving_too_small_is_told_without_a_warning() -> None:
    unit = Unit(PRODUCTION)
    ask(unit, 3, ms=1.0)

    (finding,) = unit.judge()

    assert finding.severity == "info"


def test_the_same_read_at_several_places_is_one_finding_that_names_them() -> None:
    unit = Unit(PRODUCTION)
    text = "SELECT value FROM settings WHERE name = ?"
    for line in (20, 50, 50, 90):
        unit.call(site(text, line), "theme", rows=ROW, ms=5.0)

    (finding,) = unit.judge()

    assert finding.callsite.line == 50
    assert finding.evidence["places"] == 3
    assert (
        finding.evidence["sites"]
        == "/app/shop/views.py:50 x2, /app/shop/views.py:20 x1, /app/shop/views.py:90 x1"
    )
    assert finding.evidence["repeats"] == 3
    assert "all the places" in finding.advice


# Innocent twins.


def test_other_arguments_at_several_places_are_none() -> None:
    unit = Unit()
    for line in (20, 50, 90):
        unit.call(site("SELECT value FROM settings WHERE name = ?", line), f"name {line}", rows=ROW)

    assert unit.judge() == ()


def test_the_same_read_in_two_databases_is_none() -> None:
    unit = Unit()
    for target in ("shard1", "shard2"):
        unit.call(site(target=target), 1, rows=ROW)

    assert unit.judge() == ()


def test_a_write_in_between_makes_it_a_new_question() -> None:
    unit = Unit()
    for _ in range(3):
        unit.call(SETTINGS, "theme", rows=ROW)
        unit.call(site("UPDATE settings SET value = ? WHERE name = ?", 21, operation="write"), "x", "theme")

    assert unit.judge() == ()


def test_a_write_between_two_places_makes_it_a_new_question() -> None:
    unit = Unit()
    unit.call(site(line=20), 1, rows=ROW)
    unit.call(site("UPDATE users SET name = ?", 21, operation="write"), "x")
    unit.call(site(line=22), 1, rows=ROW)

    assert unit.judge() == ()


def test_a_minute_in_between_makes_it_a_new_question() -> None:
    unit = Unit()
    for _ in range(3):
        unit.call(SETTINGS, "theme", rows=ROW)
        unit.work(61_000)

    assert unit.judge() == ()


def test_results_that_differ_are_none() -> None:
    unit = Unit()
    for at in range(5):
        unit.call(SETTINGS, "theme", rows=[(at,)])

    assert unit.judge() == ()


def test_polling_until_the_result_changes_is_none() -> None:
    unit = Unit()
    for state in ("running", "running", "running", "done"):
        unit.call(SETTINGS, 42, rows=[(state,)])

    assert unit.judge() == ()


def test_polling_that_changes_at_another_place_is_none() -> None:
    unit = Unit()
    unit.call(site(line=20), 1, rows=[("running",)])
    unit.call(site(line=22), 1, rows=[("done",)])

    assert unit.judge() == ()


def test_retries_are_none() -> None:
    unit = Unit()
    for _ in range(2):
        unit.call(SETTINGS, "theme", error="OperationalError")
    unit.call(SETTINGS, "theme", rows=ROW)

    assert unit.judge() == ()


@pytest.mark.parametrize(
    "template",
    [
        "SELECT NOW() FROM jobs",
        "SELECT nextval(?) FROM dual_table",
        "SELECT id FROM t ORDER BY RANDOM() LIMIT ?",
        "SELECT CURRENT_TIMESTAMP FROM t",
    ],
)
def test_statements_that_differ_by_themselves_are_none(template: str) -> None:
    unit = Unit()
    for _ in range(3):
        unit.call(site(template))

    assert unit.judge() == ()


def test_locking_reads_are_none() -> None:
    unit = Unit()
    for _ in range(3):
        unit.call(site("SELECT id FROM jobs WHERE id = ? FOR UPDATE", operation="locking"), 1)

    assert unit.judge() == ()


def test_unknown_arguments_are_none_and_that_is_said() -> None:
    unit = Unit(PRODUCTION)
    for _ in range(3):
        unit.call(SETTINGS, keyed=False)

    assert unit.judge() == ()
    assert unit.profile.not_judged["duplicate-read"] == "the arguments of some calls could not be read"


def test_expected_is_told_with_its_reason() -> None:
    unit = Unit()
    with unit.within(Callsite(name="x", kind="expected", expect=(("duplicate-read", "must be fresh"),))):
        ask(unit, 3)

    (finding,) = unit.judge()

    assert (finding.severity, finding.expected) == ("info", "must be fresh")
