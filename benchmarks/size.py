"""What the question of size adds to a call: a size, CPU time, the course of a tapped call; beside a call without.

Run it with `python benchmarks/size.py`; each figure is the best of several rounds, in nanoseconds of CPU a call.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from manometer import measure
from manometer._course import Course
from manometer._growth import Sizes
from manometer._model import PRODUCTION
from manometer.testing import record

if TYPE_CHECKING:
    from collections.abc import Callable

CALLS = 20_000
ITEMS = list(range(100))


@measure
def plain(items: list[int]) -> None:
    pass


@measure(size="items")
def sized(items: list[int]) -> None:
    pass


@measure(size="items", key="items")
def keyed(items: list[int]) -> None:
    pass


def bare(items: list[int]) -> None:
    pass


def best(call: Callable[[list[int]], None], rounds: int = 9) -> float:
    shortest = float("inf")
    for _ in range(rounds):
        with record(policy=PRODUCTION):
            started_ns = time.thread_time_ns()
            for _ in range(CALLS):
                call(ITEMS)
            shortest = min(shortest, time.thread_time_ns() - started_ns)
    return shortest / CALLS


def off_the_path() -> None:
    sizes = Sizes()
    started_ns = time.thread_time_ns()
    for at in range(CALLS):
        sizes.add(at % 3000, at % 3000)
    print(f"one observation, background      {(time.thread_time_ns() - started_ns) / CALLS:8.0f}")
    started_ns = time.thread_time_ns()
    sizes.growth()
    print(f"one verdict, background, us      {(time.thread_time_ns() - started_ns) / 1e3:8.0f}")
    course = Course()
    started_ns = time.thread_time_ns()
    for number in range(4, CALLS):
        course.add(number, 1000)
    print(f"course of a tapped call          {(time.thread_time_ns() - started_ns) / CALLS:8.0f}")


def main() -> None:
    floor = best(bare)
    for name, call in (("measured", plain), ("measured, size=", sized), ("measured, size= and key=", keyed)):
        print(f"{name:32s} {best(call) - floor:8.0f}")
    off_the_path()


if __name__ == "__main__":
    main()
