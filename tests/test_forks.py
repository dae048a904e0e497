"""Private subtrees are merged wherever the branch is by then that they were made of."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from typing import TYPE_CHECKING

import pytest
from tests.sources.collect import recorded, switched_on

from manometer import measure

if TYPE_CHECKING:
    from collections.abc import Callable


@measure
def counted(times: int) -> int:
    return times


def looped(times: int) -> None:
    for number in range(times):
        counted(number)


@measure
async def outer(times: int) -> None:
    await asyncio.to_thread(looped, times)


@measure
async def threaded(times: int) -> None:
    def run() -> None:
        asyncio.run(outer(times))

    await asyncio.to_thread(run)


def calls_of(function: str, coroutine: object) -> tuple[int, list[str]]:
    """Return the calls of a function, and the functions above it."""
    with switched_on(), recorded() as profiles:
        asyncio.run(coroutine)  # type: ignore[arg-type]
    found = [frame for frame in profiles[0].root.walk() if frame.callsite.function == function]
    path = [site.function for site in found[0].path()[1:-1]] if found else []
    return sum(frame.calls for frame in found), path


def test_calls_in_a_thread_outlive_the_coroutine_that_made_them() -> None:
    assert calls_of("counted", outer(7)) == (7, ["outer"])


def test_subtree_within_a_subtree_is_merged_first() -> None:
    assert calls_of("counted", threaded(7)) == (7, ["threaded", "outer"])


def test_each_coroutine_adds_its_own() -> None:
    async def both() -> None:
        await asyncio.gather(*(outer(number) for number in range(20)))

    assert calls_of("counted", both()) == (190, ["outer"])


def in_a_thread(function: Callable[[int], None], number: int) -> None:
    thread = threading.Thread(target=contextvars.copy_context().run, args=(function, number))
    thread.start()
    thread.join()


def block(more: int) -> None:
    with measure("block"):
        if more:
            in_a_thread(block, more - 1)


@measure
def function(more: int) -> None:
    if more:
        in_a_thread(function, more - 1)


def between(more: int) -> None:
    with measure("between"):
        through(more)


@measure
def through(more: int) -> None:
    with measure("block"):
        if more:
            in_a_thread(between, more - 1)


@pytest.mark.parametrize("recursion", [block, function, between])
@pytest.mark.parametrize("depth", [1, 2, 5])
def test_recursion_through_threads_counts_every_call(recursion: Callable[[int], None], depth: int) -> None:
    with switched_on(), recorded() as profiles:
        recursion(depth)

    counted = [
        frame.calls for frame in profiles[0].root.walk() if frame.callsite.name.endswith(recursion.__name__)
    ]
    assert sum(counted) == depth + 1
