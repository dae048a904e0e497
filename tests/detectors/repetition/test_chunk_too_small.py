from __future__ import annotations

import pytest
from tests.profiles import MS, Unit, rules, site

from manometer._model import PRODUCTION

CHUNK = site("SELECT id FROM posts WHERE author_id IN (?)", 25, library="django")


def chunks(unit: Unit, calls: int, values: int, *, ms: float = 2.0) -> None:
    for at in range(calls):
        unit.call(CHUNK, *[at * values + value for value in range(values)], batch=values, ms=ms)


def test_many_short_lists_are_one() -> None:
    unit = Unit(PRODUCTION)
    chunks(unit, 36, 2)

    (finding,) = unit.judge()

    assert (finding.rule, finding.severity, finding.confidence) == ("chunk-too-small", "warning", "likely")
    assert (finding.evidence["values"], finding.evidence["values_per_call"]) == (72, 2.0)
    assert finding.saving_ns == (70 * MS, 70 * MS)
    assert "chunk_size" in finding.advice


def test_rows_that_a_query_returned_confirm_it() -> None:
    unit = Unit()
    unit.call(site("SELECT id FROM authors", 24), rows=[(7000 + at,) for at in range(20)])
    for at in range(0, 20, 2):
        unit.call(CHUNK, 7000 + at, 7001 + at, batch=2)

    (finding,) = unit.judge()

    assert finding.confidence == "confirmed"


def test_small_batches_of_writes_are_one() -> None:
    unit = Unit()
    for at in range(12):
        unit.call(site("INSERT INTO posts (id) VALUES (?)", 25, operation="write"), at, batch=3)

    assert rules(unit.judge()) == ["chunk-too-small"]


# Innocent twins.


def test_large_lists_are_none() -> None:
    unit = Unit()
    chunks(unit, 36, 50)

    assert unit.judge() == ()


@pytest.mark.parametrize(("calls", "expected"), [(9, []), (10, ["chunk-too-small"])])
def test_production_speaks_from_ten_calls(calls: int, expected: list[str]) -> None:
    unit = Unit(PRODUCTION)
    chunks(unit, calls, 2)

    assert rules(unit.judge()) == expected


def test_two_lists_are_not_chunks_even_in_strict_mode() -> None:
    unit = Unit()
    chunks(unit, 3, 2)

    assert unit.judge() == ()


def test_a_list_of_one_value_belongs_to_another_rule() -> None:
    unit = Unit()
    chunks(unit, 12, 1)

    assert rules(unit.judge()) == ["n-plus-one"]


def test_the_same_list_again_belongs_to_another_rule() -> None:
    unit = Unit()
    for _ in range(12):
        unit.call(CHUNK, 1, 2, batch=2, rows=[(1,), (2,)])

    assert rules(unit.judge()) == ["duplicate-read"]


def test_a_helper_called_from_many_places_is_none() -> None:
    unit = Unit()
    for at in range(8):
        unit.call(CHUNK, at, -at, batch=2, callers=(("/app/shop/views.py", 100 + at, "page"),))

    assert unit.judge() == ()
