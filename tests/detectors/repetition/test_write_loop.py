from __future__ import annotations

from typing import Any

import pytest
from tests.profiles import MS, Unit, rules, site

from manometer._model import PRODUCTION

INSERT = "INSERT INTO lines (order_id, sku) VALUES (?, ?)"


def write(unit: Unit, times: int, template: str = INSERT, *, batch: int = 0, **more: Any) -> None:
    for at in range(times):
        unit.call(site(template, 60, operation="write", **more), 1, at, batch=batch)


def test_a_write_for_each_item_is_one() -> None:
    unit = Unit(PRODUCTION)
    write(unit, 20)

    (finding,) = unit.judge()

    assert (finding.rule, finding.confidence, finding.severity) == ("write-loop", "likely", "warning")
    assert finding.saving_ns == (19 * MS, 19 * MS)


@pytest.mark.parametrize(("times", "expected"), [(9, []), (10, ["write-loop"])])
def test_production_speaks_from_ten_writes(times: int, expected: list[str]) -> None:
    unit = Unit(PRODUCTION)
    write(unit, times)

    assert rules(unit.judge()) == expected


@pytest.mark.parametrize(
    ("library", "template", "kind", "expected"),
    [
        ("django", INSERT, "db", "bulk_create"),
        ("django", "UPDATE lines SET sku = ?", "db", "bulk_update"),
        ("django", "DELETE FROM lines WHERE id = ?", "db", "delete()"),
        ("sqlalchemy", INSERT, "db", "session.execute(insert(...), [...])"),
        ("sqlalchemy", "UPDATE lines SET sku = ?", "db", "update(...)"),
        ("sqlalchemy", "DELETE FROM lines WHERE id = ?", "db", "delete(...)"),
        ("psycopg", INSERT, "db", "COPY"),
        ("sqlite3", INSERT, "db", "executemany"),
        ("redis", "SET line", "cache", "pipeline"),
        ("django", "SET line", "cache", "set_many"),
        ("httpx", "POST /lines", "http", "bulk endpoint"),
        ("pika", "publish", "queue", "one batch"),
    ],
)
def test_advice_is_in_the_words_of_the_library(library: str, template: str, kind: str, expected: str) -> None:
    unit = Unit()
    write(unit, 10, template, library=library, kind=kind)

    (finding,) = unit.judge()

    assert expected in finding.advice


# Innocent twins.


def test_executemany_is_none() -> None:
    unit = Unit()
    write(unit, 3, batch=100)

    assert unit.judge() == ()


def test_a_form_that_saves_three_objects_is_none_even_in_strict_mode() -> None:
    unit = Unit()
    write(unit, 3)

    assert unit.judge() == ()


def test_failed_writes_are_none() -> None:
    unit = Unit()
    for at in range(20):
        unit.call(site(INSERT, 60, operation="write"), at, error="IntegrityError")

    assert unit.judge() == ()


def test_different_places_are_none() -> None:
    unit = Unit()
    for at in range(20):
        unit.call(site(INSERT, 60 + at, operation="write"), at)

    assert unit.judge() == ()
