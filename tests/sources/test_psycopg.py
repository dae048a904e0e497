"""psycopg 3, synchronous and asynchronous, on a real PostgreSQL server."""

from __future__ import annotations

import asyncio
import inspect
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import psycopg
import psycopg_pool
import pytest
from psycopg import rows, sql
from tests.sources.collect import counts, queries, recorded
from tests.sources.drivers import ALL, READ, ROWS, PlainDriver, Subject

from manometer import _context
from manometer.sources._patch import Unsupported
from manometer.sources.psycopg import PsycopgSource
from manometer.testing import record

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.servers import Database


@pytest.fixture
def database(postgresql: Database) -> Database:
    return postgresql


def connect(database: Database, **options: Any) -> Any:
    return psycopg.connect(database.url("postgresql"), **options)


def sleeping(connection: Any) -> bool:
    """Tell whether the server is at work on a statement that sleeps."""
    connection.rollback()
    found = connection.execute("SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'")
    return bool(found.fetchone()[0])


METHODS = ["execute", "executemany", "fetchone", "fetchmany", "fetchall", "close", "stream", "copy"]


@dataclass
class Customer:
    id: int
    name: str


class TestPsycopg(PlainDriver):
    subject = Subject(
        connect,
        PsycopgSource,
        "psycopg",
        "postgresql",
        psycopg.__version__,
        psycopg.errors.UndefinedTable,
        (
            *((cursor, name) for cursor in (psycopg.Cursor, psycopg.AsyncCursor) for name in METHODS),
            (psycopg.ServerCursor, "execute"),
            (psycopg.AsyncServerCursor, "fetchone"),
            (psycopg.Transaction, "__enter__"),
            (psycopg.AsyncTransaction, "__aenter__"),
            (psycopg.AsyncConnection, "execute"),
        ),
    )

    def test_connection_executes_by_itself(self, db: Any) -> None:
        with record() as recorded_:
            for key, _ in db.execute(ALL):
                db.execute(READ, (key,)).fetchone()

        (finding,) = recorded_.findings
        assert (finding.rule, finding.confidence, finding.callsite.file) == (
            "n-plus-one",
            "confirmed",
            __file__,
        )

    @pytest.mark.parametrize(
        ("factory", "key", "confidence"),
        [
            (rows.tuple_row, lambda row: row[0], "confirmed"),
            (rows.dict_row, lambda row: row["id"], "confirmed"),
            (rows.namedtuple_row, lambda row: row.id, "confirmed"),
            pytest.param(
                getattr(rows, "scalar_row", None),  # from 3.2
                lambda row: row,
                "confirmed",
                marks=pytest.mark.skipif(not hasattr(rows, "scalar_row"), reason="psycopg 3.1 has none"),
            ),
            (rows.class_row(Customer), lambda row: row.id, "likely"),
        ],
        ids=["tuple", "dict", "namedtuple", "scalar", "class"],
    )
    def test_rows_of_every_factory_are_the_same_and_counted(
        self, db: Any, factory: Any, key: Callable[[Any], int], confidence: str
    ) -> None:
        with record() as recorded_:
            found = db.cursor(row_factory=factory).execute(ALL).fetchall()
            for row in found:
                db.execute(READ, (key(row),)).fetchone()

        assert [key(row) for row in found] == [key for key, _ in ROWS]
        (finding,) = recorded_.findings
        assert (finding.rule, finding.confidence) == ("n-plus-one", confidence)
        assert queries(recorded_.profile)[0].more().rows_sum == 20

    def test_server_cursor_is_one_query_and_its_rows(self, db: Any) -> None:
        with recorded() as profiles, db.cursor("stream") as cursor:
            cursor.itersize = 6
            found = list(cursor.execute(ALL))

        (frame,) = queries(profiles[0])
        assert (found, frame.calls, frame.more().rows_sum) == (ROWS, 1, 20)

    def test_stream_is_one_query_and_its_rows(self, db: Any) -> None:
        with recorded() as profiles:
            found = list(db.cursor().stream(ALL))
            db.rollback()
            with pytest.raises(psycopg.errors.UndefinedTable):
                list(db.cursor().stream("SELECT nothing FROM nowhere"))
            db.rollback()
            nothing = list(db.cursor().stream("SELECT id FROM customers WHERE id < 0"))

        frame, broken, empty = queries(profiles[0])
        assert (found, frame.calls, frame.more().rows_sum) == (ROWS, 1, 20)
        assert (broken.calls, broken.errors) == (1, 1)
        assert (nothing, empty.calls, empty.more().rows_calls, empty.more().rows_sum) == ([], 1, 1, 0)

    def test_stream_left_early_is_counted(self, db: Any) -> None:
        with recorded() as profiles:
            stream = db.cursor().stream(ALL)
            found = [next(stream), next(stream)]
            stream.close()

        (frame,) = queries(profiles[0])
        assert (found, frame.more().rows_sum) == (ROWS[:2], 2)

    def test_copy_is_one_call_as_long_as_the_driver_works(
        self, db: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        now = iter(range(0, 10**9, 1000))
        monkeypatch.setitem(_context.HOT, "clock_", lambda: next(now))

        with recorded() as profiles:
            cursor = db.cursor()
            with cursor.copy("COPY customers (id, name) FROM STDIN") as copy:
                for n in range(7):
                    copy.write_row((n, "a"))
                for _ in range(1000):
                    next(now)
            with cursor.copy("COPY customers TO STDOUT") as copy:
                lines = list(copy)
            # Until 3.1.9 the server's answer to the failure left the block instead.
            either = (ZeroDivisionError, psycopg.errors.QueryCanceled)
            with pytest.raises(either) as left, cursor.copy("COPY customers FROM STDIN"):
                1 / 0  # noqa: B018 - the application's own error

        into, out, broken = queries(profiles[0])
        assert (into.calls, into.more().batch_max, into.total_ns) == (1, 7, 2000)
        assert (len(lines), out.calls) == (27, 1)
        assert (broken.calls, broken.more().outcomes) == (1, {left.type.__name__: 1})

    def test_pipeline_gives_the_same_rows_and_counts_them(self, db: Any) -> None:
        with recorded() as profiles, db.pipeline():
            cursors = [db.execute(READ, (key,)) for key, _ in ROWS]
            names = [cursor.fetchone()[0] for cursor in cursors]

        (frame,) = queries(profiles[0])
        assert names == [name for _, name in ROWS]
        assert (frame.calls, frame.more().rows_sum) == (20, 20)

    def test_executemany_returning_and_iterators_are_batches(self, db: Any) -> None:
        with recorded() as profiles:
            cursor = db.cursor()
            cursor.executemany(
                "INSERT INTO customers VALUES (%s, %s) RETURNING id",
                [(n, "a") for n in range(3)],
                returning=True,
            )
            found = [result.fetchone() for result in cursor.results()] if hasattr(cursor, "results") else []
            cursor.executemany("INSERT INTO customers VALUES (%s, %s)", ((n, "a") for n in range(3, 8)))

        assert found in ([(0,), (1,), (2,)], [])
        assert [frame.more().batch_max for frame in queries(profiles[0])] == [3, 5]

    def test_composed_statements_have_a_shape_without_values(self, db: Any) -> None:
        with recorded() as profiles:
            for key in (101, 101, 102):
                query = sql.SQL("SELECT {} FROM {} WHERE id = {} AND name <> {}").format(
                    sql.Identifier("name"),
                    sql.Identifier("public", "customers"),
                    sql.Literal(key),
                    sql.Placeholder(),
                )
                db.execute(query, ("x",))

        (frame,) = queries(profiles[0])
        assert frame.callsite.template == "SELECT name FROM public.customers WHERE id = ? AND name <> ?"
        assert sorted(use.calls for use in frame.more().keys.values()) == [1, 2]

    def test_part_of_an_unknown_kind_runs_no_code_of_the_application(self, db: Any) -> None:
        asked = []

        class Own(sql.Composable):
            def as_bytes(self, context: Any = None) -> bytes:
                asked.append(context)
                return b"customers"

        with recorded() as profiles:
            db.execute(sql.SQL("SELECT id FROM {}").format(Own("x")))

        (frame,) = queries(profiles[0])
        assert (frame.calls, frame.callsite.template, len(asked)) == (1, "(unreadable)", 1)

    def test_blocks_of_a_transaction_are_numbered(self, database: Database, db: Any) -> None:
        connection = connect(database, autocommit=True)
        numbers = []
        for _ in range(2):
            with recorded() as profiles, connection.transaction():
                connection.execute(ALL)
                with connection.transaction():
                    connection.execute(READ, (101,))
            numbers.append([frame.more().transaction for frame in queries(profiles[0])])
        with recorded() as profiles:
            connection.execute(ALL)
        connection.close()

        first, second = numbers
        assert first[0] == first[1] > 0
        assert second[0] == second[1] > first[0]
        assert queries(profiles[0])[0].more().transaction == 0

    def test_pooled_connections_are_seen(self, database: Database, db: Any) -> None:
        with (
            psycopg_pool.ConnectionPool(database.url("postgresql"), min_size=1, open=True) as pool,
            recorded() as profiles,
            pool.connection() as connection,
        ):
            connection.execute(ALL).fetchall()

        assert counts(profiles[0]) == {"SELECT customers": 1}

    def test_types_looked_up_by_the_driver_are_no_queries(self, db: Any) -> None:
        with recorded() as profiles:
            psycopg.types.TypeInfo.fetch(db, "text")

        assert counts(profiles[0]) == {}

    @pytest.mark.parametrize("version", ["3.0.18", "4.0.0"])
    def test_another_version_is_refused(self, version: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(psycopg, "__version__", version)

        with pytest.raises(Unsupported, match="is not supported"):
            PsycopgSource().install()

    # Asynchronous.

    def run(self, database: Database, work: Callable[[Any], Any]) -> Any:
        async def main() -> Any:
            connection = await psycopg.AsyncConnection.connect(database.url("postgresql"))
            try:
                return await work(connection)
            finally:
                await connection.close()

        return asyncio.run(main())

    def test_async_loop_is_found_with_its_line_and_the_line_that_fed_it(
        self, db: Any, database: Database
    ) -> None:
        async def work(connection: Any) -> record:
            async with record() as recorded_:
                cursor = await connection.execute(ALL)
                for key, _ in await cursor.fetchall():
                    await (await connection.execute(READ, (key,))).fetchone()
            return recorded_

        recorded_ = self.run(database, work)

        (finding,) = recorded_.findings
        assert (finding.rule, finding.confidence) == ("n-plus-one", "confirmed")
        assert finding.source is not None
        assert (finding.callsite.file, finding.callsite.line) == (__file__, finding.source.line + 2)
        assert finding.callsite.target == database.target
        parent, child = queries(recorded_.profile)
        assert (parent.more().rows_sum, child.calls, child.more().rows_sum) == (20, 20, 20)

    def test_async_read_for_all_and_executemany_are_innocent(self, db: Any, database: Database) -> None:
        async def work(connection: Any) -> record:
            async with record() as recorded_:
                cursor = await connection.execute(ALL)
                keys = [key async for key, _ in cursor]
                await connection.execute("SELECT name FROM customers WHERE id = ANY(%s)", (keys,))
                await cursor.executemany(
                    "INSERT INTO customers VALUES (%s, %s)", [(n, "a") for n in range(7)]
                )
            return recorded_

        recorded_ = self.run(database, work)

        assert recorded_.findings == ()
        assert [frame.more().batch_max for frame in queries(recorded_.profile)] == [0, 0, 7]

    @pytest.mark.parametrize("variant", ["fetchall", "fetchmany", "fetchone", "iterate", "stream", "server"])
    def test_async_fetching_counts_the_rows(self, db: Any, database: Database, variant: str) -> None:
        async def work(connection: Any) -> tuple[Any, Any]:
            with recorded() as profiles:
                cursor = connection.cursor("named") if variant == "server" else connection.cursor()
                if variant == "stream":
                    found = [row async for row in cursor.stream(ALL)]
                    return profiles, found
                await cursor.execute(ALL)
                if variant == "fetchall":
                    found = await cursor.fetchall()
                elif variant == "fetchmany":
                    found = [*await cursor.fetchmany(12), *await cursor.fetchmany(12)]
                elif variant == "fetchone":
                    found = [row for row in [await cursor.fetchone() for _ in range(21)] if row]
                else:
                    found = [row async for row in cursor]
                await cursor.close()
            return profiles, found

        (profile,), found = self.run(database, work)

        (frame,) = queries(profile)
        assert (found, frame.calls, frame.more().rows_sum) == (ROWS, 1, 20)

    def test_async_copy_and_errors_are_counted(self, db: Any, database: Database) -> None:
        async def work(connection: Any) -> Any:
            with recorded() as profiles:
                cursor = connection.cursor()
                async with cursor.copy("COPY customers FROM STDIN") as copy:
                    await copy.write_row((1, "a"))
                with pytest.raises(psycopg.errors.UndefinedTable):
                    await cursor.execute("SELECT nothing FROM nowhere")
            return profiles

        (profile,) = self.run(database, work)

        copied, broken = queries(profile)
        assert (copied.calls, copied.more().batch_max) == (1, 1)
        assert broken.more().outcomes == {"UndefinedTable": 1}

    def test_cancelled_call_is_no_error(self, db: Any, database: Database) -> None:
        async def work(connection: Any) -> Any:
            with recorded() as profiles:
                task = asyncio.ensure_future(
                    connection.execute("SELECT pg_sleep(30) FROM customers WHERE id = 101")
                )
                while not sleeping(db):  # noqa: ASYNC110 - a cancellation that comes too early is lost
                    await asyncio.sleep(0.01)
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task
            return profiles

        (profile,) = self.run(database, work)

        (frame,) = [frame for frame in queries(profile) if frame.callsite.name == "SELECT customers"]
        assert (frame.calls, frame.errors, frame.more().cancelled) == (1, 0, 1)

    def test_call_made_for_another_task_is_blamed_on_who_made_it(self, db: Any, database: Database) -> None:
        async def work(connection: Any) -> Any:
            with recorded() as profiles:
                line = inspect.currentframe().f_lineno + 1  # type: ignore[union-attr]
                await asyncio.gather(*(connection.execute(READ, (key,)) for key, _ in ROWS))
            return profiles, line

        (profile,), line = self.run(database, work)

        (frame,) = queries(profile)
        assert (frame.calls, frame.callsite.file, frame.callsite.line) == (20, __file__, line)

    def test_coroutine_that_nobody_awaits_is_named_as_ever(self, db: Any, database: Database) -> None:
        async def work(connection: Any) -> str:
            with recorded():
                coroutine = connection.cursor().execute(ALL)
                name = str(coroutine.__qualname__)
                coroutine.close()
            return name

        assert self.run(database, work) == "AsyncCursor.execute"
        assert inspect.iscoroutinefunction(psycopg.AsyncCursor.execute)
