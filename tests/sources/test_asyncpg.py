"""asyncpg on a real PostgreSQL server."""

from __future__ import annotations

import asyncio
import inspect
from typing import TYPE_CHECKING, Any

import asyncpg
import pytest
from asyncpg import connection as connections, cursor as cursors, pool as pools, prepared_stmt
from tests.sources.collect import counts, queries, recorded, strict_guard

from manometer import _guard
from manometer.sources import _dbapi, asyncpg as module
from manometer.sources._patch import Unsupported
from manometer.sources.asyncpg import AsyncpgSource
from manometer.testing import record

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.servers import Database

ROWS = [(100 + n, f"customer {n}") for n in range(20)]
ALL = "SELECT id, name FROM customers ORDER BY id"
READ = "SELECT name FROM customers WHERE id = $1"
PATCHED = [
    *((connections.Connection, name) for name in ("fetch", "fetchrow", "fetchval", "execute", "executemany")),
    *((connections.Connection, name) for name in ("_copy_in", "_copy_out", "copy_records_to_table")),
    *((prepared_stmt.PreparedStatement, name) for name in ("fetch", "fetchrow", "fetchval", "executemany")),
    *((cursors.BaseCursor, name) for name in ("_bind", "_bind_exec", "_exec")),
    *((pools.Pool, name) for name in ("fetch", "fetchrow", "fetchval", "execute", "executemany")),
]


@pytest.fixture(autouse=True)
def tap() -> Iterator[Callable[[], None]]:
    undo = AsyncpgSource().install()
    with strict_guard():
        yield undo
    undo()
    _guard.clear()


def run(database: Database, work: Callable[[Any], Any]) -> Any:
    async def main() -> Any:
        connection = await asyncpg.connect(database.url("postgresql"))
        await connection.execute("CREATE TABLE customers (id INTEGER PRIMARY KEY, name VARCHAR(40))")
        await connection.executemany("INSERT INTO customers VALUES ($1, $2)", ROWS)
        try:
            return await work(connection)
        finally:
            await connection.close()

    return asyncio.run(main())


# What one call says.


def test_loop_is_found_with_its_line_and_the_line_that_fed_it(postgresql: Database) -> None:
    async def work(connection: Any) -> record:
        async with record() as recorded_:
            rows = await connection.fetch(ALL)
            for row in rows:
                await connection.fetchval(READ, row["id"])
        return recorded_

    recorded_ = run(postgresql, work)

    (finding,) = recorded_.findings
    site = finding.callsite
    assert (finding.rule, finding.confidence) == ("n-plus-one", "confirmed")
    assert finding.source is not None
    assert (site.file, site.line) == (__file__, finding.source.line + 2)
    assert site.function.endswith("work")
    assert (site.name, site.operation, site.system) == ("SELECT customers", "read", "postgresql")
    assert (site.library, site.version) == ("asyncpg", asyncpg.__version__)
    assert site.target == postgresql.target
    assert "= ANY(...)" in finding.advice
    parent, child = queries(recorded_.profile)
    assert (parent.more().rows_sum, child.calls, child.more().rows_sum) == (20, 20, 20)


def test_one_read_for_all_and_batches_are_innocent(postgresql: Database) -> None:
    async def work(connection: Any) -> record:
        async with record() as recorded_:
            keys = [row["id"] for row in await connection.fetch(ALL)]
            await connection.fetch("SELECT name FROM customers WHERE id = ANY($1)", keys)
            await connection.executemany(
                "INSERT INTO customers VALUES ($1, $2)", [(n, "a") for n in range(7)]
            )
            await connection.executemany("INSERT INTO customers VALUES ($1, $2)", [])
        return recorded_

    recorded_ = run(postgresql, work)

    assert recorded_.findings == ()
    assert [frame.more().batch_max for frame in queries(recorded_.profile)] == [0, 0, 7]


def test_equal_reads_are_found(postgresql: Database) -> None:
    async def work(connection: Any) -> record:
        async with record() as recorded_:
            for _ in range(3):
                await connection.fetchrow(READ, 101)
        return recorded_

    (finding,) = run(postgresql, work).findings

    assert (finding.rule, finding.confidence) == ("duplicate-read", "confirmed")


def test_writing_in_a_loop_is_found(postgresql: Database) -> None:
    async def work(connection: Any) -> record:
        async with record() as recorded_:
            for n in range(7):
                await connection.execute("INSERT INTO customers VALUES ($1, $2)", n, "a")
        return recorded_

    (finding,) = run(postgresql, work).findings

    assert (finding.rule, "COPY or executemany" in finding.advice) == ("write-loop", True)


def test_error_is_counted_and_passes_untouched(postgresql: Database) -> None:
    async def work(connection: Any) -> Any:
        with recorded() as profiles:
            with pytest.raises(asyncpg.UndefinedTableError):
                await connection.fetch("SELECT nothing FROM nowhere")
            with pytest.raises(asyncpg.DataError):
                await connection.fetch(READ, "no number")
        return profiles

    (profile,) = run(postgresql, work)

    assert [frame.more().outcomes for frame in queries(profile)] == [
        {"UndefinedTableError": 1},
        {"DataError": 1},
    ]


def test_cancelled_call_is_no_error(postgresql: Database) -> None:
    async def work(connection: Any) -> Any:
        with recorded() as profiles, pytest.raises((asyncio.TimeoutError, asyncio.CancelledError)):
            async with asyncio.timeout(0.05) if hasattr(asyncio, "timeout") else _timeout(0.05):
                await connection.fetch("SELECT pg_sleep(30) FROM customers")
        return profiles

    (profile,) = run(postgresql, work)

    (frame,) = queries(profile)
    assert (frame.calls, frame.errors, frame.more().cancelled) == (1, 0, 1)


def _timeout(seconds: float) -> Any:
    from async_timeout import timeout  # comes with asyncpg on older Pythons

    return timeout(seconds)


def test_transactions_settings_and_pings_are_no_queries(postgresql: Database) -> None:
    async def work(connection: Any) -> Any:
        with recorded() as profiles:
            async with connection.transaction():
                await connection.fetchval("SELECT 1")
                await connection.execute("SET LOCAL statement_timeout = 5000")
                async with connection.transaction():
                    await connection.fetchval("SELECT count(*) FROM customers")
        return profiles

    (profile,) = run(postgresql, work)

    assert counts(profile) == {"SELECT customers": 1}


def test_transactions_are_numbered(postgresql: Database) -> None:
    async def work(connection: Any) -> list[list[int]]:
        numbers = []
        for _ in range(2):
            with recorded() as profiles:
                async with connection.transaction():
                    await connection.fetch(ALL)
                    async with connection.transaction():
                        await connection.fetch(READ, 101)
                await connection.fetch("SELECT count(*) FROM customers")
            numbers.append([frame.more().transaction for frame in queries(profiles[0])])
        return numbers

    first, second = run(postgresql, work)

    assert first[0] == first[1] > 0
    assert second[0] == second[1] > first[0]
    assert first[2] == second[2] == 0


# Fetching.


async def _prepared(connection: Any) -> Any:
    return await (await connection.prepare(ALL)).fetch()


async def _iterated(connection: Any) -> Any:
    async with connection.transaction():
        return [row async for row in connection.cursor(ALL, prefetch=6)]


async def _prepared_cursor(connection: Any) -> Any:
    statement = await connection.prepare(ALL)
    async with connection.transaction():
        return [row async for row in statement.cursor(prefetch=6)]


async def _awaited(connection: Any) -> Any:
    async with connection.transaction():
        cursor = await connection.cursor(ALL)
        return [await cursor.fetchrow(), *await cursor.fetch(6), *await cursor.fetch(50)]


VARIANTS: dict[str, tuple[Any, int]] = {
    "fetch": (lambda connection: connection.fetch(ALL), 20),
    "fetchrow": (lambda connection: connection.fetchrow(ALL), 1),
    "fetchval": (lambda connection: connection.fetchval(ALL), 1),
    "fetchval column": (lambda connection: connection.fetchval(ALL, column=1), 1),
    "fetchrow of nothing": (lambda connection: connection.fetchrow(f"{ALL} LIMIT 0"), 0),
    "prepared": (_prepared, 20),
    "iterated": (_iterated, 20),
    "iterated prepared": (_prepared_cursor, 20),
    "awaited": (_awaited, 20),
}


@pytest.mark.parametrize("variant", VARIANTS)
def test_fetching_gives_the_same_rows_and_counts_them(
    postgresql: Database, tap: Callable[[], None], variant: str
) -> None:
    fetch, rows = VARIANTS[variant]

    async def work(connection: Any) -> Any:
        tap()
        expected = await fetch(connection)
        undo = AsyncpgSource().install()
        with recorded() as profiles:
            found = await fetch(connection)
        undo()
        return profiles, found, expected

    (profile,), found, expected = run(postgresql, work)

    (frame,) = queries(profile)
    assert (found, type(found)) == (expected, type(expected))
    assert (frame.calls, frame.more().rows_calls, frame.more().rows_sum) == (1, 1, rows)
    assert module._portals == {}


def test_cursor_left_open_is_forgotten_at_the_bound(
    postgresql: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_MAX_PORTALS", 2)

    async def work(connection: Any) -> Any:
        with recorded() as profiles:
            async with connection.transaction():
                kept = [await connection.cursor(ALL) for _ in range(4)]
                for cursor in kept:
                    await cursor.fetch(3)
        return profiles

    (profile,) = run(postgresql, work)

    assert sum(frame.calls for frame in queries(profile)) == 4
    assert len(module._portals) == 2


def test_a_stream_feeds_queries_before_it_ends(postgresql: Database) -> None:
    async def work(connection: Any) -> record:
        async with record() as recorded_, connection.transaction():
            async for row in connection.cursor(ALL, prefetch=5):
                await connection.fetchval(READ, row["id"])
        return recorded_

    recorded_ = run(postgresql, work)

    (finding,) = recorded_.findings
    assert (finding.rule, finding.confidence) == ("n-plus-one", "confirmed")


def test_prepared_statement_in_a_loop_is_found(postgresql: Database) -> None:
    async def work(connection: Any) -> record:
        async with record() as recorded_:
            statement = await connection.prepare(READ)
            for row in await connection.fetch(ALL):
                await statement.fetchval(row["id"])
            await statement.executemany([(1,), (2,)])
        return recorded_

    recorded_ = run(postgresql, work)

    (finding,) = recorded_.findings
    assert (finding.rule, finding.confidence, finding.evidence["calls"]) == ("n-plus-one", "confirmed", 20)


def test_copies_are_calls_with_a_batch(postgresql: Database) -> None:
    async def work(connection: Any) -> Any:
        async def nothing(_: bytes) -> None:
            pass

        with recorded() as profiles:
            await connection.copy_records_to_table("customers", records=[(n, "a") for n in range(7)])
            await connection.copy_from_table("customers", output=nothing)
            await connection.copy_from_query(READ, 101, output=nothing)
        return profiles

    (profile,) = run(postgresql, work)

    into, out, query = queries(profile)
    assert (into.callsite.template, into.more().batch_max) == ("COPY customers FROM STDIN ?", 7)
    assert out.callsite.name.startswith("COPY")
    assert (query.calls, query.errors) == (1, 0)


# Pools and tasks.


def test_pool_in_many_tasks_is_found_and_blamed_on_who_asked(postgresql: Database) -> None:
    async def work(_: Any) -> Any:
        async with (
            asyncpg.create_pool(postgresql.url("postgresql"), min_size=2, max_size=4) as pool,
            record() as recorded_,
        ):
            keys = [row["id"] for row in await pool.fetch(ALL)]
            line = inspect.currentframe().f_lineno + 1  # type: ignore[union-attr]
            await asyncio.gather(*(pool.fetchval(READ, key) for key in keys))
        return recorded_, line

    recorded_, line = run(postgresql, work)

    (finding,) = recorded_.findings
    assert (finding.rule, finding.confidence, finding.callsite.line) == ("n-plus-one", "confirmed", line)
    assert counts(recorded_.profile) == {"SELECT customers": 21}
    assert queries(recorded_.profile)[1].more().peak_in_flight > 1


def test_pooled_connection_in_a_loop_is_found(postgresql: Database) -> None:
    async def work(_: Any) -> Any:
        async with (
            asyncpg.create_pool(postgresql.url("postgresql"), min_size=1) as pool,
            record() as recorded_,
            pool.acquire() as connection,
        ):
            for row in await connection.fetch(ALL):
                await connection.fetchval(READ, row["id"])
        return recorded_

    recorded_ = run(postgresql, work)

    assert [finding.rule for finding in recorded_.findings] == ["n-plus-one"]
    assert counts(recorded_.profile) == {"SELECT customers": 21}


def test_coroutine_that_nobody_awaits_is_named_as_ever(postgresql: Database) -> None:
    async def work(connection: Any) -> str:
        with recorded():
            coroutine = connection.fetch(ALL)
            coroutine.close()
        return str(coroutine.__qualname__)

    assert run(postgresql, work) == "Connection.fetch"
    assert inspect.iscoroutinefunction(connections.Connection.fetch)


# Installing.


def test_undone_tap_restores_everything_and_hears_nothing(
    postgresql: Database, tap: Callable[[], None]
) -> None:
    tap()
    before = [vars(owner)[name] for owner, name in PATCHED]
    undo = AsyncpgSource().install()
    during = [vars(owner)[name] for owner, name in PATCHED]
    undo()

    async def work(connection: Any) -> Any:
        with recorded() as profiles:
            await connection.fetch(ALL)
        return profiles

    (profile,) = run(postgresql, work)

    assert all(one is not other for one, other in zip(before, during, strict=True))
    after = [vars(owner)[name] for owner, name in PATCHED]
    assert all(one is other for one, other in zip(before, after, strict=True))
    assert counts(profile) == {}


def test_older_version_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asyncpg, "__version__", "0.26.0")

    with pytest.raises(Unsupported, match=r"0\.26\.0 is not supported"):
        AsyncpgSource().install()


def test_failure_inside_the_tap_never_reaches_the_application(
    postgresql: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_guard, "strict", False)
    monkeypatch.setattr(_dbapi, "begin_query", lambda *_, **__: 1 / 0)

    async def work(connection: Any) -> Any:
        with recorded() as profiles:
            found = [await connection.fetchval(READ, 101) for _ in range(5)]
        return profiles, found

    (profile,), found = run(postgresql, work)

    assert (found, counts(profile)) == (["customer 1"] * 5, {})
    assert _guard.counts == {"sources.asyncpg": 3}
