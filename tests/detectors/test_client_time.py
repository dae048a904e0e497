"""What an object layer needs around its queries counts into the cost; what drivers and applications do does not."""

from __future__ import annotations

import pytest

from manometer._calls import add_rows, begin, end
from manometer._context import close_profile, current, open_profile, restore
from manometer._fingerprint import key_of, row_values, values_of
from manometer._history import History
from manometer._model import PRODUCTION
from manometer._site import callsite
from manometer.detectors import judge
from manometer.testing import FakeClock


def unit(library: str, gap_us: int, calls: int = 100, rest_ms: float = 0.0):
    """A unit with one read and *calls* reads of 20 us each, *gap_us* apart; its findings."""
    done = []
    with FakeClock() as clock:
        opened = open_profile("GET /orders", "request", to=done.append, policy=PRODUCTION)
        branch = current()
        place = ("shop/views.py", 30, "list_orders")
        first = begin(
            branch,
            callsite(
                "db", "SELECT orders", "SELECT id FROM orders", place, operation="read", library=library
            ),
        )
        clock.advance(ms=0.02)
        end(first, key=key_of(()))
        rows = [(n,) for n in range(100, 100 + calls)]
        add_rows(first, len(rows), row_values(rows))
        shape = "SELECT name FROM customer WHERE id = ?"
        site = callsite(
            "db", "SELECT customer", shape, ("shop/views.py", 41, "row"), operation="read", library=library
        )
        for n in range(100, 100 + calls):
            clock.advance(ns=gap_us * 1_000)
            call = begin(branch, site)
            clock.advance(ms=0.02)
            end(call, key=key_of((n,)), values=values_of((n,)))
            add_rows(call, 1)
        clock.advance(ms=rest_ms)
        close_profile(opened)
        restore(opened)
    return judge(done[0], History())


def test_the_time_of_an_object_layer_makes_a_cheap_query_material():
    (finding,) = unit("sqlalchemy", gap_us=400)

    assert finding.severity == "warning"
    assert finding.evidence["client_ns"] == 400_000
    assert finding.cost_ns == 100 * 20_000 + 99 * 400_000
    assert finding.saving_ns == (99 * 20_000 + 99 * 200_000, 99 * 20_000 + 99 * 500_000)


def test_what_the_application_does_between_two_calls_of_a_driver_is_not_theirs():
    (finding,) = unit("sqlite3", gap_us=400)

    assert finding.severity == "info"
    assert "client_ns" not in finding.evidence
    assert finding.cost_ns == 100 * 20_000


def test_no_more_of_a_gap_counts_than_an_object_layer_needs():
    (finding,) = unit("sqlalchemy", gap_us=50_000)

    assert finding.cost_ns == 100 * 20_000 + 99 * 1_000_000
    assert finding.share == pytest.approx(0.02, rel=0.1)
