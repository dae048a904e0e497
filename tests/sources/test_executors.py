"""Work sent to pools of threads belongs to the unit of work that sent it, and nothing the host sees changes."""

from __future__ import annotations

import asyncio
import contextvars
import sqlite3
import threading
import traceback
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from multiprocessing.pool import ThreadPool
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, strategies as st

from manometer import _guard, measure
from manometer._context import variable
from manometer._model import PRODUCTION
from manometer.testing import install_sources, raising, record

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from manometer._model import Frame

SOURCES = ("executors", "thread-pools", "sqlite3")


@pytest.fixture(autouse=True)
def sources() -> Iterator[None]:
    with raising(), install_sources(*SOURCES):
        yield


@pytest.fixture
def database(tmp_path: Path) -> str:
    path = str(tmp_path / "shop.db")
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE item (id INTEGER PRIMARY KEY, name TEXT)")
        connection.executemany("INSERT INTO item VALUES (?, ?)", [(n, f"item {n}") for n in range(40)])
    connection.close()
    return path


def look_up(database: str, number: int) -> str:
    connection = sqlite3.connect(database)
    try:
        return str(connection.execute("SELECT name FROM item WHERE id = ?", (number,)).fetchone()[0])
    finally:
        connection.close()


def frames(recorded: record, kind: str) -> list[Frame]:
    return [frame for frame in recorded.profile.root.walk() if frame.callsite.kind == kind]


def by_executor(database: str) -> list[str]:
    with ThreadPoolExecutor(4) as pool:
        return list(pool.map(lambda number: look_up(database, number), range(40)))


def by_thread_pool(database: str) -> list[str]:
    with ThreadPool(4) as pool:
        return pool.map(lambda number: look_up(database, number), range(40))


def by_loop(database: str) -> list[str]:
    async def run() -> list[str]:
        loop = asyncio.get_running_loop()
        return await asyncio.gather(
            *(loop.run_in_executor(None, look_up, database, number) for number in range(40))
        )

    return asyncio.run(run())


def by_to_thread(database: str) -> list[str]:
    async def run() -> list[str]:
        return await asyncio.gather(*(asyncio.to_thread(look_up, database, number) for number in range(40)))

    return asyncio.run(run())


@pytest.mark.parametrize("way", [by_executor, by_thread_pool, by_loop, by_to_thread])
def test_queries_inside_a_pool_are_an_n_plus_one_of_the_unit_that_sent_them(
    way: Callable[[str], list[str]], database: str
) -> None:
    with record(policy=PRODUCTION) as recorded:
        found = way(database)

    assert found == [f"item {n}" for n in range(40)]
    (finding,) = [item for item in recorded.findings if item.rule == "n-plus-one"]
    assert (finding.evidence["calls"], finding.callsite.function) == (40, "look_up")


def test_one_query_for_all_keys_in_a_pool_is_no_finding(database: str) -> None:
    def all_names() -> list[Any]:
        connection = sqlite3.connect(database)
        rows = connection.execute("SELECT name FROM item WHERE id IN (1, 2, 3, 4, 5, 6)").fetchall()
        connection.close()
        return rows

    with record(policy=PRODUCTION) as recorded, ThreadPoolExecutor(4) as pool:
        pool.submit(all_names).result()

    assert sum(frame.calls for frame in frames(recorded, "db")) == 1
    assert recorded.findings == ()


def test_a_fixed_number_of_pieces_sent_from_lines_of_their_own_is_no_n_plus_one(database: str) -> None:
    with record(policy=PRODUCTION) as recorded, ThreadPoolExecutor(5) as pool:
        sent = [
            pool.submit(look_up, database, 1),
            pool.submit(look_up, database, 2),
            pool.submit(look_up, database, 3),
            pool.submit(look_up, database, 4),
            pool.submit(look_up, database, 5),
            pool.submit(look_up, database, 6),
        ]
        names = [each.result() for each in sent]

    assert len(set(names)) == 6
    assert sum(frame.calls for frame in frames(recorded, "db")) == 6
    assert [item.rule for item in recorded.findings] == []


def test_work_is_below_the_measured_function_that_sent_it(database: str) -> None:
    @measure("handler")
    def handler() -> None:
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(lambda number: look_up(database, number), range(8)))

    with record() as recorded:
        handler()

    paths = {tuple(site.name for site in frame.path()[1:-1]) for frame in frames(recorded, "db")}
    assert paths == {("handler",)}
    assert sum(frame.calls for frame in frames(recorded, "db")) == 8


def test_a_function_of_a_library_is_blamed_on_the_line_that_sent_it(database: str) -> None:
    connection = sqlite3.connect(database, check_same_thread=False)
    with record() as recorded, ThreadPoolExecutor(1) as pool:
        pool.submit(connection.execute, "SELECT name FROM item").result()
    connection.close()

    (frame,) = frames(recorded, "db")
    assert frame.callsite.file == __file__
    assert frame.callsite.function.endswith("blamed_on_the_line_that_sent_it")


def test_two_units_that_share_a_pool_keep_their_work_apart(database: str) -> None:
    both = threading.Barrier(2)

    def unit(pool: ThreadPoolExecutor, times: int, found: dict[int, int]) -> None:
        with record() as recorded:
            both.wait(10)
            list(pool.map(lambda number: look_up(database, number), range(times)))
        found[times] = sum(frame.calls for frame in frames(recorded, "db"))

    found: dict[int, int] = {}
    with ThreadPoolExecutor(4) as pool:
        threads = [threading.Thread(target=unit, args=(pool, times, found)) for times in (7, 23)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    assert found == {7: 7, 23: 23}


def test_the_wait_for_a_worker_is_measured_and_names_who_held_it() -> None:
    busy, go_on = threading.Event(), threading.Event()

    def hold() -> None:
        busy.set()
        go_on.wait(10)

    def other(pool: ThreadPoolExecutor) -> None:
        with record():
            pool.submit(hold).result()

    with ThreadPoolExecutor(1) as pool:
        thread = threading.Thread(target=other, args=(pool,))
        thread.start()
        assert busy.wait(10)
        with record() as recorded:
            sent = pool.submit(int, "7")
            threading.Timer(0.05, go_on.set).start()
            assert sent.result() == 7
        thread.join()

    (frame,) = frames(recorded, "wait")
    waits = frame.more().waits
    assert waits is not None
    assert (waits.resource.sort, waits.resource.limit) == ("executor", 1)
    assert frame.more().wait_ns >= 20_000_000
    (((_, _, taken_in), doing),) = waits.blamed
    assert taken_in.endswith("other")
    assert doing is not None
    assert doing[2].endswith("hold")
    assert waits.taken == 1


def test_a_unit_that_fills_a_pool_of_its_own_blames_nobody() -> None:
    def work(_: int) -> None:
        threading.Event().wait(0.005)

    with record() as recorded, ThreadPoolExecutor(2) as pool:
        list(pool.map(work, range(20)))

    (frame,) = frames(recorded, "wait")
    assert frame.more().wait_ns >= 20_000_000
    assert frame.more().waits is None
    assert [item.rule for item in recorded.findings] == []


def test_the_context_of_a_worker_stays_its_own() -> None:
    mine: contextvars.ContextVar[str] = contextvars.ContextVar("mine", default="unset")
    mine.set("of the sender")
    with ThreadPoolExecutor(1) as pool:
        with record():
            assert pool.submit(mine.get).result() == "unset"
            pool.submit(mine.set, "of the worker").result()
        assert pool.submit(mine.get).result() == "of the worker"
        assert pool.submit(variable.get).result() is None


def test_work_outside_a_unit_is_left_alone() -> None:
    with ThreadPoolExecutor(1) as pool:
        kept: list[Any] = []
        pool.submit(kept.append, pool)
        assert pool.submit(lambda: traceback.extract_stack()[-2].filename).result().endswith("thread.py")


def test_undoing_gives_the_very_same_functions_back() -> None:
    with install_sources("executors", "thread-pools"):
        pass  # installed by the fixture already: neither doubled nor undone
    patched = vars(ThreadPoolExecutor)["submit"]
    assert hasattr(patched, "__wrapped__")
    original = patched.__wrapped__
    inherited = {"apply_async", "_map_async", "imap", "imap_unordered"}
    assert inherited <= set(vars(ThreadPool))

    _undo_all()

    assert vars(ThreadPoolExecutor)["submit"] is original
    assert not inherited & set(vars(ThreadPool))


def _undo_all() -> None:
    from manometer.sources import _installed

    for each in list(_installed):
        each.undo()


# What the host sees, with and without.


class MineError(Exception):
    pass


def outcome(future: Future[Any]) -> tuple[str, Any]:
    try:
        return "result", future.result(10)
    except CancelledError:
        return "cancelled", None
    except BaseException as error:
        return type(error).__name__, error.args


def fail(text: str) -> None:
    raise MineError(text)


def keywords(*args: Any, **kwargs: Any) -> Any:
    return args, kwargs


STEPS = {
    "result": lambda pool: pool.submit(sorted, [3, 1, 2], reverse=True),
    "exception": lambda pool: pool.submit(fail, "told"),
    "no function": lambda pool: pool.submit(7),
    "keywords": lambda pool: pool.submit(keywords, 1, self=2, fn=3, function=4, pool=5),
    "interrupt": lambda pool: pool.submit(exec, "raise KeyboardInterrupt('k')"),
    "exit": lambda pool: pool.submit(exec, "raise SystemExit(3)"),
    "nested": lambda pool: pool.submit(lambda: ThreadPoolExecutor(1).submit(int, "5").result()),
}


@given(st.lists(st.sampled_from(sorted(STEPS)), max_size=8), st.integers(1, 3), st.booleans())
def test_results_and_exceptions_are_the_same_inside_a_unit_and_outside(
    names: list[str], workers: int, cancel: bool
) -> None:
    def run() -> list[tuple[str, Any]]:
        gate = threading.Event()
        with ThreadPoolExecutor(workers, initializer=int) as pool:
            held = [pool.submit(gate.wait, 10) for _ in range(workers)]
            sent = [STEPS[name](pool) for name in names]
            cancelled = [each.cancel() for each in sent[-1:]] if cancel else []
            gate.set()
            found = [outcome(each) for each in held + sent]
        return [*found, ("cancelled", cancelled)]

    outside = run()
    with record():
        inside = run()

    assert inside == outside


def test_a_pool_that_is_shut_down_or_broken_says_so() -> None:
    def broken() -> None:
        raise MineError

    def after_shutdown() -> Any:
        pool = ThreadPoolExecutor(1)
        pool.shutdown()
        return pool.submit(int)

    def after_a_failed_initializer() -> Any:
        with ThreadPoolExecutor(1, initializer=broken) as pool:
            return pool.submit(int).result(10)

    for each in (after_shutdown, after_a_failed_initializer):
        said = []
        for within in (False, True):
            with record() if within else raising(), pytest.raises(RuntimeError) as raised:
                each()
            said.append((type(raised.value), str(raised.value)))
        assert said[0] == said[1]


def test_an_exception_keeps_its_traceback_down_to_the_line_that_raised() -> None:
    with record(), ThreadPoolExecutor(1) as pool:
        error = pool.submit(fail, "told").exception()

    assert error is not None
    assert traceback.extract_tb(error.__traceback__)[-1].name == "fail"


def test_work_that_outlives_its_unit_runs_all_the_same(database: str) -> None:
    gate = threading.Event()

    def late() -> str:
        gate.wait(10)
        return look_up(database, 3)

    with ThreadPoolExecutor(1) as pool:
        with record() as recorded:
            sent = pool.submit(late)
        gate.set()
        assert sent.result(10) == "item 3"

    assert frames(recorded, "db") == []


def test_what_fails_inside_is_no_affair_of_the_hosts(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise MineError

    monkeypatch.setattr("manometer.sources._carried.make_current", broken)
    monkeypatch.setattr(_guard, "strict", False)
    with record(), ThreadPoolExecutor(1) as pool:
        found = pool.submit(look_up, database, 4).result(10)

    assert found == "item 4"
    _guard.clear()
