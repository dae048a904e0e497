"""asyncio's event loops: what keeps one is named, and a loop that is only starved is not blamed."""

from __future__ import annotations

import asyncio
import selectors
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
from tests.sources.collect import strict_guard

from manometer import _context, _stacks
from manometer.sources.event_loop import EventLoopSource
from manometer.testing import record

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

BLOCK_S = 0.15
MAY_SEE = _stacks.may_read_others()


@pytest.fixture(autouse=True)
def tap() -> Iterator[Callable[[], None]]:
    undo = EventLoopSource().install()
    with strict_guard():
        yield undo
    undo()


def compute() -> None:
    end_s = time.thread_time() + BLOCK_S  # a machine that is full is no block
    while time.thread_time() < end_s:
        pass


def wait() -> None:
    time.sleep(BLOCK_S)


async def beside(function: Callable[[], None]) -> None:
    """Block the loop once while this unit waits for a timer."""
    asyncio.get_running_loop().call_later(0.01, function)
    await asyncio.sleep(0.02)
    await asyncio.sleep(0.02)


def rules(this: record) -> list[tuple[str, str]]:
    return [(finding.rule, finding.callsite.function) for finding in this.findings]


@pytest.mark.skipif(not MAY_SEE, reason="stacks cannot be read here")
@pytest.mark.parametrize("function", [compute, wait])
def test_the_line_that_blocked_is_named_with_what_helps(function: Callable[[], None]) -> None:
    async def main() -> record:
        async with record() as this:
            await beside(function)
        return this

    this = asyncio.run(main())

    assert rules(this) == [("loop-blocked", function.__name__)]
    computed = (
        this.findings[0].evidence["cpu_share"] >= 0.25
    )  # less of a computation on a machine that is full
    assert ("process pool" if computed else "asyncio.to_thread") in this.findings[0].advice
    assert function is compute or not computed
    assert this.findings[0].callsite.file == __file__
    assert this.findings[0].evidence["longest_ns"] >= BLOCK_S * 0.9e9


@pytest.mark.skipif(not MAY_SEE, reason="stacks cannot be read here")
def test_a_unit_that_ends_before_the_loop_comes_round_knows_too() -> None:
    async def blocks() -> record:
        async with record("blocks") as this:
            wait()
        return this

    async def waits() -> record:
        async with record("waits") as this:
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        return this

    async def main() -> list[record]:
        return await asyncio.gather(waits(), blocks())

    for this in asyncio.run(main()):
        assert rules(this) == [("loop-blocked", "wait")]


def test_short_callbacks_and_long_waits_are_silent() -> None:
    async def main() -> record:
        async with record() as this:
            for _ in range(20):
                await asyncio.sleep(0.005)
            await asyncio.sleep(0.1)
            await asyncio.to_thread(wait)
        return this

    assert asyncio.run(main()).profile.stalls == []


def test_an_idle_loop_costs_no_callback() -> None:
    async def main() -> int:
        loop = asyncio.get_running_loop()
        before = len(loop._ready) + len(loop._scheduled)  # type: ignore[attr-defined]
        await asyncio.sleep(0.05)
        return len(loop._ready) + len(loop._scheduled) - before  # type: ignore[attr-defined]

    assert asyncio.run(main()) == 0


def test_a_loop_that_another_thread_starves_blames_that_thread_and_no_callback() -> None:
    stop = threading.Event()

    def crunch() -> None:
        while not stop.is_set():
            sum(range(2_000_000))

    def tick() -> None:
        pass

    async def main() -> record:
        async with record() as this:
            for _ in range(40):
                await asyncio.sleep(0.01)
                tick()
        return this

    thread = threading.Thread(target=crunch, name="cruncher")
    thread.start()
    try:
        this = asyncio.run(main())
    finally:
        stop.set()
        thread.join()

    assert {rule for rule, _ in rules(this)} <= {"gil-contention"}
    assert {function.rpartition(".")[2] for _, function in rules(this)} <= {"crunch"}
    assert any(stall.sort == "starved" for stall in this.profile.stalls)


def test_what_a_loop_does_is_the_same_and_everything_is_put_back(tap: Callable[[], None]) -> None:
    from asyncio import events

    async def main() -> Any:
        selector = asyncio.get_running_loop()._selector  # type: ignore[attr-defined]
        assert "select" in vars(selector)
        await asyncio.sleep(0.001)
        return selector

    selector = asyncio.run(main())
    tap()

    assert "select" not in vars(selector)
    assert type(events._set_running_loop).__name__ == "builtin_function_or_method"
    assert not [thread for thread in threading.enumerate() if thread.name == "manometer-loops"]
    assert _context.closing is None


def test_undoing_while_a_loop_runs_leaves_it_running(tap: Callable[[], None]) -> None:
    async def main() -> str:
        await asyncio.sleep(0.001)
        tap()
        await asyncio.sleep(0.001)
        assert "select" not in vars(asyncio.get_running_loop()._selector)  # type: ignore[attr-defined]
        return "done"

    assert asyncio.run(main()) == "done"


def test_a_loop_with_another_selector_is_followed_or_left_alone() -> None:
    class Slotted(selectors.SelectSelector):
        pass

    loop = asyncio.SelectorEventLoop(Slotted())
    try:
        assert loop.run_until_complete(asyncio.sleep(0.001, "done")) == "done"
    finally:
        loop.close()


def test_an_exception_of_the_application_is_not_lost_when_the_stack_is_looked_at() -> None:
    async def main() -> None:
        try:
            wait()
            raise KeyError("theirs")
        finally:
            wait()

    with pytest.raises(KeyError, match="theirs"):
        asyncio.run(main())


def test_a_child_that_is_forked_from_a_loop_runs_one_of_its_own() -> None:
    program = """
import asyncio, os, manometer
manometer.start(manometer.Config(exporters=()))
async def main():
    await asyncio.sleep(0.001)
    return os.fork()
pid = asyncio.run(main())
asyncio.run(asyncio.sleep(0.001))
if pid == 0:
    os._exit(0)
raise SystemExit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"""
    subprocess.run([sys.executable, "-W", "ignore", "-c", program], check=True, timeout=30)
