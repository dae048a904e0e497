"""The rule wasted-eager-load: what it says, of what it is silent, and what an N+1 then advises."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.profiles import Unit, rules, site

from manometer._model import PRODUCTION

if TYPE_CHECKING:
    from manometer._finding import Finding

LOAD = "SELECT id, rack_id FROM device WHERE device.rack_id IN (?)"
FILTER = "SELECT id, rack_id FROM device WHERE (device.rack_id = ? AND device.position IS NOT NULL)"
KEYS = range(5001, 5009)


def judge(
    load: str = LOAD,
    read: str = FILTER,
    *,
    library: str = "django",
    loaded: range = KEYS,
    asked: range = KEYS,
    written_before: bool = False,
    written_within: bool = False,
    **options: object,
) -> tuple[Finding, ...]:
    unit = Unit(**options)  # type: ignore[arg-type]
    unit.call(site("SELECT id FROM rack", 38, library=library), rows=[(key,) for key in KEYS])
    unit.call(
        site(load, 38, library=library), *loaded, batch=len(loaded), rows=[(key * 10, key) for key in loaded]
    )
    writing = site("UPDATE rack SET seen = ? WHERE id = ?", 40, operation="write", library=library)
    if written_before:
        unit.call(writing, 1, 5001)
    for key in asked:
        unit.call(site(read, 41, library=library), key, rows=[(key * 10, key), (key * 10 + 1, key)])
        if written_within:
            unit.call(writing, 1, key)
    return tuple(item for item in unit.judge() if item.rule != "write-loop")


def test_a_filter_of_what_was_loaded_is_two_findings() -> None:
    found = judge()

    assert sorted(rules(found)) == ["n-plus-one", "wasted-eager-load"]
    assert {item.confidence for item in found} == {"confirmed"}


def test_the_load_is_what_was_wasted_and_the_reads_are_named() -> None:
    (finding,) = [item for item in judge() if item.rule == "wasted-eager-load"]

    assert finding.callsite.template == LOAD
    assert finding.evidence["values"] == 8
    assert finding.evidence["reads"] == 8
    assert finding.evidence["read_at"] == "/app/shop/views.py:41 x8"
    assert finding.cost_ns == 1_000_000


@pytest.mark.parametrize(
    ("library", "expected"),
    [("django", "Prefetch(..., queryset=..., to_attr=...)"), ("sqlalchemy", "and_(...)")],
)
def test_neither_finding_asks_for_the_load_that_is_there(library: str, expected: str) -> None:
    for finding in judge(library=library):
        assert expected in finding.advice
        assert "in Python" in finding.advice
        assert "prefetch_related" not in finding.advice
        assert "Add selectinload" not in finding.advice


def test_the_other_side_of_an_equation_is_the_same() -> None:
    found = judge(
        read="SELECT id, rack_id FROM device WHERE ? = device.rack_id ORDER BY id", library="sqlalchemy"
    )

    assert "wasted-eager-load" in rules(found)


def test_half_of_the_keys_is_enough() -> None:
    assert "wasted-eager-load" in rules(judge(loaded=range(5001, 5005)))


@pytest.mark.parametrize(
    "innocent",
    [
        {"read": "SELECT id FROM sensor WHERE sensor.rack_id = ?"},
        {"read": "SELECT id FROM device WHERE device.owner_id = ?"},
        {"loaded": range(7001, 7009)},
        {"loaded": range(5001, 5003)},
        {"load": "SELECT id, rack_id FROM device WHERE device.position IN (?)"},
        {"library": "psycopg"},
        {"written_before": True},
    ],
    ids=["table", "column", "keys", "few-keys", "loaded-by-another", "no-orm", "written"],
)
def test_silent_about_another(innocent: dict[str, object]) -> None:
    assert rules(judge(**innocent)) == ["n-plus-one"]  # type: ignore[arg-type]


def test_silent_where_the_rows_are_read_again_after_a_write() -> None:
    """Nobody wonders that a row is read again once it was changed; the N+1 stays one, and knows of the load."""
    (finding,) = judge(written_before=True)

    assert finding.rule == "n-plus-one"
    assert "what the prefetch" in finding.advice


def test_a_load_whose_rows_are_used_is_innocent() -> None:
    unit = Unit()
    unit.call(site("SELECT id FROM rack", 38, library="django"), rows=[(key,) for key in KEYS])
    unit.call(site(LOAD, 38, library="django"), *KEYS, batch=8, rows=[(key * 10, key) for key in KEYS])

    assert unit.judge() == ()


def test_below_five_reads_production_says_nothing() -> None:
    assert judge(asked=range(5001, 5005), policy=PRODUCTION) == ()


def test_a_load_in_chunks_is_one_finding() -> None:
    unit = Unit()
    unit.call(site("SELECT id FROM rack", 38, library="django"), rows=[(key,) for key in KEYS])
    for first in (5001, 5003, 5005, 5007):
        keys = (first, first + 1)
        unit.call(site(LOAD, 38, library="django"), *keys, batch=2, rows=[(key * 10, key) for key in keys])
        for key in keys:
            unit.call(site(FILTER, 41, library="django"), key, rows=[(key * 10, key)])

    assert sorted(rules(unit.judge())) == ["n-plus-one", "wasted-eager-load"]
