"""Times candidates side by side: short slices in shuffled order, several rounds, thread CPU time, minimum and median.

The minimum of many short slices is what a busy machine disturbs least; only ratios within one table are worth anything.
"""

from __future__ import annotations

import random
import statistics
import time
from dataclasses import dataclass, field
from itertools import repeat
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

clock_ns = getattr(time, "thread_time_ns", time.process_time_ns)


@dataclass(frozen=True)
class Effort:
    """How long to measure: rounds, and milliseconds of one slice."""

    rounds: int
    slice_ms: float


QUICK = Effort(rounds=2, slice_ms=0.5)
NORMAL = Effort(rounds=25, slice_ms=4.0)
EFFORTS = {"quick": QUICK, "normal": NORMAL, "long": Effort(rounds=60, slice_ms=5.0)}


@dataclass
class Candidate:
    """One thing to time.

    Args:
        name: What the table calls it.
        run: Runs so many units; a unit is `calls` calls.
        calls: Calls in one unit.
        most: Most units in a slice (a profiler that keeps every event).
        clock: The clock to use; thread CPU time when None.
    """

    name: str
    run: Callable[[int], None]
    calls: int = 1
    most: int = 1_000_000
    clock: Callable[[], int] | None = None
    units: int = 1
    samples: list[float] = field(default_factory=list)

    def once(self, units: int) -> int:
        """Nanoseconds that so many units took."""
        clock = self.clock or clock_ns
        started_ns = clock()
        self.run(units)
        return max(1, clock() - started_ns)

    def calibrate(self, slice_ns: float) -> None:
        """Choose how many units fill a slice."""
        units = 1
        while True:
            spent_ns = self.once(units)
            if spent_ns >= slice_ns / 4 or units >= self.most:
                break
            units = min(units * 4, self.most)
        self.units = max(1, min(int(units * slice_ns / spent_ns), self.most))


@dataclass(frozen=True)
class Cost:
    """Nanoseconds of one call: the best slice, and the one in the middle."""

    min: float
    median: float


def compare(candidates: Sequence[Candidate], effort: Effort) -> dict[str, Cost]:
    """Time all candidates interleaved; returns the cost of one call by name."""
    for candidate in candidates:
        candidate.calibrate(effort.slice_ms * 1e6)
    order = list(candidates)
    for _ in range(effort.rounds):
        random.shuffle(order)
        for candidate in order:
            spent_ns = candidate.once(candidate.units)
            candidate.samples.append(spent_ns / candidate.units / candidate.calls)
    return {each.name: Cost(min(each.samples), statistics.median(each.samples)) for each in candidates}


def loop(
    call: str, namespace: dict[str, Any], *, inner: int, root: Any, asynchronous: bool
) -> Callable[[int], None]:
    """A function of its own (fresh inline caches) that makes `inner` calls in each unit, inside `root()`."""
    source = f"""
{"async " if asynchronous else ""}def run_(units_):
    for _ in repeat_(None, units_):
        with root_():
            for _ in repeat_(None, {inner}):
                {call}
"""
    scope = namespace | {"repeat_": repeat, "root_": root}
    exec(source, scope)
    run = scope["run_"]
    return (lambda units: drive(run(units))) if asynchronous else run


def drive(coroutine: Any) -> Any:
    """Run a coroutine to its end without an event loop: what it yields is answered at once."""
    try:
        while True:
            coroutine.send(None)
    except StopIteration as stop:
        return stop.value
