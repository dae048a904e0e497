"""The example shop: each guilty page answers exactly like its clean twin, at another price."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from sqlalchemy import event

from shop import views
from shop.app import create_app

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from flask import Flask


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Flask]:
    app = create_app(tmp_path, round_trip_ms=0)
    yield app
    app.extensions["database"].dispose()


def statements(shop: Flask, url: str) -> int:
    """Return how many statements one request sends."""
    seen = []
    event.listen(shop.extensions["database"], "before_cursor_execute", lambda *_: seen.append(1))
    assert shop.test_client().get(url).status_code == 200
    return len(seen)


@pytest.mark.parametrize("page", ["orders", "settings", "prices"])
@pytest.mark.parametrize("n", [1, 20, 100])
def test_twins_answer_the_same(shop: Flask, page: str, n: int) -> None:
    client = shop.test_client()
    twin = {"orders": "orders-eager", "settings": "settings-once", "prices": "prices-once"}[page]

    guilty, clean = client.get(f"/{page}?n={n}"), client.get(f"/{twin}?n={n}")

    assert (guilty.status_code, len(guilty.json), guilty.data) == (200, n, clean.data)


@pytest.mark.parametrize(
    ("page", "expected"),
    [("orders", 21), ("orders-eager", 1), ("settings", 21), ("settings-once", 2), ("prices", 0)],
)
def test_statements_of_a_page(shop: Flask, page: str, expected: int) -> None:
    assert statements(shop, f"/{page}?n=20") == expected


@pytest.mark.parametrize(("page", "expected"), [("prices", 20), ("prices-once", 1)])
def test_computations_of_a_page(
    shop: Flask, page: str, expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []
    monkeypatch.setattr(views, "monthly_cents", lambda *_: calls.append(1) or 0)

    shop.test_client().get(f"/{page}?n=20")

    assert len(calls) == expected


def test_round_trip_is_added_to_each_statement(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[float] = []
    monkeypatch.setattr("shop.database.time.sleep", waited.append)
    app = create_app(tmp_path, round_trip_ms=2)

    app.test_client().get("/orders?n=5")
    app.extensions["database"].dispose()

    assert waited == [0.002] * 6


def test_page_length_is_bounded(shop: Flask) -> None:
    assert len(shop.test_client().get("/prices-once?n=100000").json) == views.LONGEST_PAGE
