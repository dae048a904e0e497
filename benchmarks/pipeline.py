"""What the background thread spends on one unit of work: history and detectors, by its number of calls."""

from __future__ import annotations

import json
import os
import sqlite3
import sys
import tracemalloc
from dataclasses import asdict
from typing import TYPE_CHECKING

import manometer
from manometer import Config, Profile, measure
from manometer._context import close_profile, open_profile, restore
from manometer._pipeline import Pipeline
from manometer.detectors import judge

from ._harness import EFFORTS, Candidate, compare
from ._subjects import core

if TYPE_CHECKING:
    from collections.abc import Callable

SIZES = (10, 1_000, 100_000)


@measure
def price(n: int) -> int:
    """A measured function with distinct arguments."""
    return n * 2


def recorded(calls: int, cursor: sqlite3.Cursor) -> Profile:
    """A finished unit of work: nine calls in ten of a function, one of a query, as in an N+1."""
    done: list[Profile] = []
    opened = open_profile(f"GET /orders/{calls}", "request", to=done.append)
    for number in range(calls):
        if number % 10:
            price(number)
        else:
            cursor.execute("SELECT id FROM items WHERE id = ?", (number,)).fetchone()
    close_profile(opened)
    restore(opened)
    return done[0]


def main() -> None:
    """Print, as JSON, nanoseconds for a unit of each size, and the memory that 2,000 units leave behind."""
    effort = EFFORTS[sys.argv[1]]
    undo = manometer.start(Config(exporters=(), heartbeat_s=0, max_overhead=1))
    cursor = sqlite3.connect(":memory:").cursor()
    cursor.execute("CREATE TABLE items (id INTEGER PRIMARY KEY)")
    profiles = {calls: recorded(calls, cursor) for calls in SIZES}
    undo()
    pipeline = Pipeline(Config(), judge, ())

    def handling(profile: Profile) -> Callable[[int], None]:
        def run(units: int) -> None:
            for _ in range(units):
                pipeline.handle(profile)

        return run

    candidates = [Candidate(str(calls), handling(profile)) for calls, profile in profiles.items()]
    costs = compare(candidates, effort)
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    for _ in range(2_000):
        pipeline.handle(profiles[1_000])
    grown = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    frames = {calls: profile.frames for calls, profile in profiles.items()}
    print(
        json.dumps(
            {
                "core": core(),
                "frames": frames,
                "costs": {name: asdict(cost) for name, cost in costs.items()},
                "reports_per_s": 1e9 / costs["1000"].min,
                "grown_bytes": grown,
            }
        ),
        flush=True,
    )
    os._exit(0)


if __name__ == "__main__":
    main()
