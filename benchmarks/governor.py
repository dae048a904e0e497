"""What a hot loop pays once the governor has acted: `python -m benchmarks.governor EFFORT`.

Ten million calls of a measured function of 1.5 us in one unit of work; between slices of them, slices of the same function
unmeasured. Only slices later than five seconds after the first call count.
"""

from __future__ import annotations

import json
import sys
import time

import manometer
from manometer import _level, measure, profile

from ._harness import clock_ns
from ._subjects import core

CALLS = {"quick": 100_000, "normal": 10_000_000, "long": 20_000_000}
AFTER_S = 5.0
_SLICE = 20_000
_BARE_SLICE = 4_000


def work(count: int) -> int:
    """A function of about 1.5 us."""
    total = 0
    for number in range(count):
        total += number
    return total


def slice_ns(function: object, count: int) -> float:
    """Thread CPU time of one call, over so many."""
    call = function
    started_ns = clock_ns()
    for _ in range(count):
        call(60)  # type: ignore[operator]
    return (clock_ns() - started_ns) / count


def main() -> None:
    """Print the cost of a call with and without manometer, best slice, and the level it ended at, as JSON."""
    total = CALLS[sys.argv[1]]
    manometer.start(manometer.Config(exporters=(), heartbeat_s=0))
    measured = measure(work)
    early: list[float] = []
    late: list[float] = []
    bare: list[float] = []
    began = time.monotonic()
    with profile("loop"):
        for _ in range(total // _SLICE):
            cost = slice_ns(measured, _SLICE)
            bare.append(slice_ns(work, _BARE_SLICE))
            (late if time.monotonic() - began > AFTER_S else early).append(cost)
        level = _level.NAMES[_level.current_level()]
    found = {"core": core(), "calls": total, "level": level, "bare_ns": min(bare), "first_ns": early[0]}
    if late:
        found["late_ns"] = min(late)
    print(json.dumps(found))
    manometer.stop()


if __name__ == "__main__":
    main()
