"""The benchmarks run; what they measure is judged by `make bench`, not here."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from benchmarks import _budgets
from benchmarks._harness import Candidate, Effort, compare
from benchmarks.demo import interval

ROOT = Path(__file__).parents[1]


def part(name: str, *arguments: str) -> dict:
    environment = dict(os.environ, PYTHONPATH=os.pathsep.join(sys.path))
    done = subprocess.run(
        [sys.executable, "-m", f"benchmarks.{name}", "quick", *arguments],
        cwd=ROOT, env=environment, capture_output=True, text=True, timeout=50,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_calls_are_timed_beside_the_floor_and_the_yardstick():
    found = part("calls", "sync", "blocks")

    assert set(found["tables"]["sync"]) == {"bare", "F", "Y", "manometer"}
    assert found["tables"]["sync"]["Y"]["min"] > found["tables"]["sync"]["bare"]["min"] > 0
    assert "with block" in found["tables"]["blocks"]


def test_a_peer_is_timed_beside_manometer():
    assert set(part("peers", "cProfile")["costs"]) == {"bare", "Y", "manometer", "peer"}


def test_a_query_is_timed_with_the_tap():
    assert set(part("taps", "sqlite3")["costs"]) == {"bare", "manometer", "OpenTelemetry", "bare call", "Y"}


def test_a_tap_is_compared_with_what_opentelemetry_adds():
    costs = {name: {"min": ns} for name, ns in (("bare", 10.0), ("manometer", 20.0), ("OpenTelemetry", 50.0))}
    costs |= {"bare call": {"min": 1.0}, "Y": {"min": 3.0}}

    rows = list(
        _budgets.rows({"taps": {"c": {"sqlite3": {"costs": costs}, "redis": {"missing": "no server"}}}})
    )

    assert [(row.value, row.limit, row.kept) for row in rows] == [(5.0, None, True), (0.25, 0.125, False)]


def test_a_hot_loop_is_timed_beside_the_same_function_unmeasured():
    found = part("governor")

    assert found["calls"] == 100_000
    assert found["first_ns"] > found["bare_ns"] > 0


def test_judging_is_timed_by_the_number_of_calls_and_frames_do_not_grow_with_them():
    found = part("pipeline")

    assert set(found["costs"]) == {"10", "1000", "100000"}
    # The first unit of a process may make something once, and has a frame for that.
    assert found["frames"]["10"] >= found["frames"]["1000"] == found["frames"]["100000"] > 2


def results(manometer_ns: float) -> dict:
    table = {
        "bare": {"min": 10.0},
        "Y": {"min": 110.0},
        "F": {"min": 60.0},
        "manometer": {"min": manometer_ns},
    }
    return {"calls": {"c": {"tables": {"sync": table}}}}


@pytest.mark.parametrize(("manometer_ns", "kept"), [(50.0, True), (70.0, False)])
def test_a_figure_above_its_budget_is_told(manometer_ns, kept):
    rows = {row.name: row for row in _budgets.rows(results(manometer_ns))}

    assert rows["plain call"].value == pytest.approx((manometer_ns - 10) / 100)
    assert rows["plain call"].kept is kept
    assert ("MISSED" in rows["plain call"].line()) is not kept


def test_a_peer_that_is_not_dear_enough_is_told():
    costs = {"bare": {"min": 10.0}, "Y": {"min": 20.0}, "manometer": {"min": 20.0}, "peer": {"min": 50.0}}
    (row,) = _budgets.rows(
        {"peers": {"python": {"wrapt doing nothing": {"costs": costs}, "absent": {"missing": "x"}}}}
    )

    assert (row.value, row.limit, row.kept) == (4.0, 2, True)


def test_every_budget_names_a_table_that_is_measured():
    from benchmarks._subjects import SUBJECTS
    from benchmarks._tapped import LIBRARIES
    from benchmarks.calls import OTHERS
    from benchmarks.peers import PEERS

    budgets = _budgets.load()

    assert {each["table"] for each in budgets["budget"]} <= {*SUBJECTS, *OTHERS}
    assert set(budgets["peers"]) <= set(PEERS)
    assert set(budgets["taps"]) == set(LIBRARIES)


def test_the_cost_of_a_call_is_its_share_of_the_slice():
    ticks = iter(range(0, 10_000_000, 600))
    found = compare(
        [Candidate("six", lambda units: None, calls=100, most=1, clock=lambda: next(ticks))], Effort(3, 0.001)
    )

    assert (found["six"].min, found["six"].median) == (6.0, 6.0)


def test_the_interval_holds_the_median():
    low, high = interval([1.0, 1.1, 0.9, 1.05, 0.95] * 4)

    assert low <= 1.0 <= high
