"""Work on anyio's worker threads belongs to the task that awaits it; the wait for a token of the limiter is measured."""

from __future__ import annotations

import sqlite3
import threading
from typing import TYPE_CHECKING, Any

import pytest

from manometer._model import PRODUCTION
from manometer.testing import install_sources, raising, record

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from manometer._model import Frame

anyio = pytest.importorskip("anyio", reason="anyio is not installed")


@pytest.fixture(autouse=True)
def sources() -> Iterator[None]:
    import anyio._backends._asyncio  # noqa: F401 - what wakes the source

    with raising(), install_sources("anyio", "sqlite3") as installed:
        if installed.states["anyio"][0] != "active":
            pytest.skip(installed.states["anyio"][1])
        yield


def frames(recorded: record, kind: str) -> list[Frame]:
    return [frame for frame in recorded.profile.root.walk() if frame.callsite.kind == kind]


def test_queries_on_worker_threads_are_an_n_plus_one_of_the_unit_that_awaits_them(tmp_path: Path) -> None:
    path = str(tmp_path / "shop.db")
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE item (id INTEGER)")
        connection.executemany("INSERT INTO item VALUES (?)", [(n,) for n in range(30)])
    connection.close()

    def look_up(number: int) -> Any:
        connection = sqlite3.connect(path)
        found = connection.execute("SELECT id FROM item WHERE id = ?", (number,)).fetchone()
        connection.close()
        return found

    async def main() -> record:
        async with record(policy=PRODUCTION) as recorded:
            for number in range(30):
                assert await anyio.to_thread.run_sync(look_up, number) == (number,)
        return recorded

    (finding,) = anyio.run(main).named("n-plus-one")
    assert finding.evidence["calls"] == 30


def test_the_wait_for_a_token_names_who_held_it() -> None:
    async def main() -> record:
        limiter = anyio.CapacityLimiter(1)
        busy, go_on = threading.Event(), threading.Event()

        def hold() -> None:
            busy.set()
            go_on.wait(10)

        async def other() -> None:
            async with record():
                await anyio.to_thread.run_sync(hold, limiter=limiter)

        async with anyio.create_task_group() as group:
            group.start_soon(other)
            while not busy.is_set():
                await anyio.sleep(0.001)
            async with record() as recorded:
                threading.Timer(0.05, go_on.set).start()
                assert await anyio.to_thread.run_sync(int, "7", limiter=limiter) == 7
        return recorded

    recorded = anyio.run(main)

    (frame,) = frames(recorded, "wait")
    waits = frame.more().waits
    assert waits is not None
    assert (waits.resource.sort, waits.resource.name, waits.resource.limit) == (
        "executor", "anyio worker threads", 1,
    )  # fmt: skip
    assert frame.more().wait_ns >= 20_000_000
    assert [place[2].rpartition(".")[2] for place, _ in waits.blamed] == ["other"]


def test_cancellation_exceptions_and_keywords_are_the_hosts_own() -> None:
    class OwnError(Exception):
        pass

    def fail() -> None:
        raise OwnError

    async def run() -> list[str]:
        said = []
        try:
            await anyio.to_thread.run_sync(fail)
        except OwnError as error:
            said.append(type(error).__name__)
        try:
            await anyio.to_thread.run_sync()
        except TypeError:
            said.append("TypeError")
        gate = threading.Event()
        with anyio.move_on_after(0.02) as scope:
            await anyio.to_thread.run_sync(gate.wait, 10, abandon_on_cancel=True)
        gate.set()
        said.append(str(scope.cancelled_caught))
        return said

    async def within() -> list[str]:
        async with record():
            return await run()

    assert anyio.run(within) == anyio.run(run) == ["OwnError", "TypeError", "True"]


def test_undoing_gives_the_very_same_method_back() -> None:
    from anyio._backends._asyncio import AsyncIOBackend

    from manometer.sources import _installed

    patched = vars(AsyncIOBackend)["run_sync_in_worker_thread"]
    original = patched.__wrapped__
    for each in list(_installed):
        each.undo()

    assert vars(AsyncIOBackend)["run_sync_in_worker_thread"] is original
