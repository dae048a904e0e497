from __future__ import annotations

import random

from tests.profiles import Unit, site

from manometer._history import History
from manometer._model import PRODUCTION
from manometer._trends import WINDOW, Trends

ALL = site("SELECT id, name FROM orders WHERE shop = ?", 50)
PAGE = site("SELECT id, name FROM orders WHERE shop = ? LIMIT ?", 51)
KEYS = site("SELECT id, name FROM orders WHERE id IN (?)", 52)


def serve(rows, callsite=ALL, policy=PRODUCTION, **call):
    history, found = History(), []
    for number in rows:
        unit = Unit(policy=policy)
        unit.call(callsite, 1, rows=number, ms=1, **call)
        found = [item for item in unit.judge(history) if item.rule == "unbounded-result"]
    return found


def rising(windows, first=200, step=120):
    return [first + step * at for at in range(windows) for _ in range(WINDOW)]


class TestGuilty:
    def test_results_that_rise_from_window_to_window(self):
        (item,) = serve(rising(8))

        assert (item.question, item.move, item.confidence) == ("size", "bound", "confirmed")
        assert (item.evidence["rows_first"], item.evidence["rows_now"]) == (200, 200 + 7 * 120)
        assert "limit" in item.advice.lower()

    def test_a_few_windows_out_of_order_among_many(self):
        rows = rising(14)
        rows[5 * WINDOW : 6 * WINDOW], rows[6 * WINDOW : 7 * WINDOW] = (
            rows[6 * WINDOW : 7 * WINDOW],
            rows[5 * WINDOW : 6 * WINDOW],
        )

        assert len(serve(rows)) == 1


class TestInnocent:
    def test_a_limit(self):
        assert serve(rising(9), PAGE) == []

    def test_a_list_of_keys_bounds_its_result(self):
        assert serve(rising(9), KEYS, batch=300) == []

    def test_results_that_stay_the_same(self):
        assert serve([500] * WINDOW * 12) == []

    def test_few_rows_are_nobodys_problem(self):
        assert serve(rising(9, first=10, step=2)) == []

    def test_results_of_a_random_size(self):
        claimed = 0
        for seed in range(40):
            chance = random.Random(seed)
            claimed += bool(serve([int(chance.lognormvariate(5, 1)) for _ in range(WINDOW * 14)]))

        assert claimed == 0

    def test_results_that_rise_and_fall_with_the_day(self):
        day = [300 + 100 * at for at in range(6)] + [300] * 2

        assert serve([rows for rows in day * 3 for _ in range(WINDOW)]) == []


def test_callsites_are_bounded(monkeypatch):
    monkeypatch.setattr("manometer._limits.MAX_TRENDS", 3)
    trends = Trends()
    for line in range(5):
        unit = Unit()
        unit.call(site("SELECT a FROM b", 900 + line), rows=3)
        trends.add(unit.close())

    assert trends.evicted == 2
