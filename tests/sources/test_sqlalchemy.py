"""SQLAlchemy 1.4, 2.0 and 2.1 through real engines; the module is run against each of them."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.engine import Engine
from sqlalchemy.orm import Session, declarative_base, relationship, selectinload
from tests.sources.collect import counts, queries, recorded, strict_guard

from manometer import _context, _guard
from manometer.sources import _rows
from manometer.sources._patch import Unsupported
from manometer.sources.sqlalchemy import SQLAlchemySource
from manometer.sources.sqlite import SQLiteSource

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from manometer._model import Profile

Base = declarative_base()


class Customer(Base):
    __tablename__ = "customers"
    id = sa.Column(sa.Integer, primary_key=True)
    name = sa.Column(sa.String)


class Order(Base):
    __tablename__ = "orders"
    id = sa.Column(sa.Integer, primary_key=True)
    customer_id = sa.Column(sa.ForeignKey("customers.id"))
    customer = relationship(Customer)


def fill(connection: Any) -> None:
    Base.metadata.create_all(connection)
    connection.execute(
        sa.insert(Customer.__table__), [{"id": 100 + n, "name": f"customer {n}"} for n in range(20)]
    )
    connection.execute(
        sa.insert(Order.__table__), [{"id": 1000 + n, "customer_id": 100 + n} for n in range(20)]
    )


@pytest.fixture(autouse=True)
def tap() -> Iterator[Callable[[], None]]:
    undo = SQLAlchemySource().install()
    with strict_guard():
        yield undo
    undo()
    _guard.clear()


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    made = sa.create_engine(f"sqlite:///{tmp_path / 'shop.db'}", future=True)
    with made.begin() as connection:
        fill(connection)
    yield made
    made.dispose()


# What one call says.


def test_loop_over_a_relationship_is_one_frame_fed_by_the_first_query(engine: Engine, tmp_path: Path) -> None:
    with recorded() as profiles, Session(engine) as session:
        names = [order.customer.name for order in session.execute(sa.select(Order)).scalars()]

    parent, child = queries(profiles[0])
    assert len(names) == 20
    assert (parent.calls, parent.more().rows_sum) == (1, 20)
    assert (child.calls, child.more().rows_sum, child.more().single_row_calls) == (20, 20, 20)
    assert len(child.more().keys) == 20
    assert child.more().flow[parent] == 20
    site = child.callsite
    assert (site.name, site.operation, site.system) == ("SELECT customers", "read", "sqlite")
    assert site.target == str(tmp_path / "shop.db")
    assert (site.library, site.version) == ("sqlalchemy", sa.__version__)
    assert site.file == __file__
    assert site.function.startswith("test_loop_over_a_relationship")
    assert "customer 1" not in site.template
    assert parent.more().batch_max == 0


def test_eager_loading_is_two_calls_with_a_batch(engine: Engine) -> None:
    with recorded() as profiles, Session(engine) as session:
        query = sa.select(Order).options(selectinload(Order.customer))
        [order.customer.name for order in session.execute(query).scalars()]

    assert counts(profiles[0]) == {"SELECT orders": 1, "SELECT customers": 1}
    assert [frame.more().batch_max for frame in queries(profiles[0])] == [0, 20]


def test_equal_reads_have_one_key_and_equal_results(engine: Engine) -> None:
    with recorded() as profiles, engine.connect() as connection:
        for _ in range(3):
            connection.execute(sa.text("SELECT name FROM customers WHERE id = :id"), {"id": 101}).scalar()

    (frame,) = queries(profiles[0])
    (use,) = frame.more().keys.values()
    assert (use.calls, use.repeats, use.equal, use.changed) == (3, 2, 2, 0)


def test_values_written_into_the_text_tell_calls_apart(engine: Engine) -> None:
    with recorded() as profiles, engine.connect() as connection:
        for key in (101, 102, 102):
            connection.execute(sa.text(f"SELECT name FROM customers WHERE id = {key}")).scalar()

    (frame,) = queries(profiles[0])
    assert sorted(use.calls for use in frame.more().keys.values()) == [1, 2]


def test_executemany_is_one_call_with_a_batch(engine: Engine) -> None:
    with recorded() as profiles, engine.begin() as connection:
        connection.execute(sa.insert(Customer.__table__), [{"id": n, "name": "x"} for n in range(7)])

    (frame,) = queries(profiles[0])
    assert (frame.calls, frame.callsite.operation, frame.more().batch_max) == (1, "write", 7)
    assert profiles[0].write_epoch == 1


def test_flush_of_many_objects_counts_its_batches(engine: Engine) -> None:
    with recorded() as profiles, Session(engine) as session:
        session.add_all([Customer(name=f"n{n}") for n in range(5)])
        session.commit()

    batches = sum(frame.more().batch_sum or frame.calls for frame in queries(profiles[0]))
    assert batches == 5


@pytest.mark.skipif(sa.__version__.startswith("1.4."), reason="1.4 inserts row by row")
def test_insert_that_is_sent_in_parts_is_one_call(engine: Engine) -> None:
    """SQLite answers with the new keys in no order that counts, so every row goes alone."""
    with recorded() as profiles, Session(engine) as session:
        session.add_all([Customer(name=f"n{n}") for n in range(50)])
        session.flush()

    (frame,) = queries(profiles[0])
    assert (frame.calls, frame.more().batch_sum) == (1, 50)
    assert frame.callsite.file == __file__


@pytest.mark.skipif(sa.__version__.startswith("1.4."), reason="1.4 inserts row by row")
def test_error_in_a_later_part_is_counted(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(sa.text("CREATE UNIQUE INDEX once ON customers (name)"))

    with recorded() as profiles, Session(engine) as session, pytest.raises(sa.exc.IntegrityError):
        session.add_all([Customer(name=f"n{n % 3}") for n in range(5)])
        session.flush()

    (frame,) = queries(profiles[0])
    assert (frame.calls, frame.errors, frame.more().outcomes) == (1, 1, {"IntegrityError": 1})


def test_transactions_settings_and_pings_are_no_queries(engine: Engine) -> None:
    with recorded() as profiles, engine.begin() as connection:
        connection.execute(sa.text("SELECT 1"))
        connection.execute(sa.text("PRAGMA foreign_keys"))
        with connection.begin_nested():
            connection.execute(sa.text("SELECT count(*) FROM orders")).scalar()

    assert counts(profiles[0]) == {"SELECT orders": 1}


def test_transactions_are_numbered(engine: Engine) -> None:
    numbers = []
    for _ in range(2):
        with recorded() as profiles, engine.begin() as connection:
            connection.execute(sa.text("SELECT count(*) FROM orders")).scalar()
        numbers.append(queries(profiles[0])[0].more().transaction)

    assert 0 < numbers[0] < numbers[1]


def test_neither_user_nor_password_is_in_the_target() -> None:
    from manometer.sources.sqlalchemy import _describe

    engine = sa.create_engine("sqlite://", future=True)
    engine.url = sa.engine.make_url("postgresql://bob:canary@db.example:5433/shop?key=canary")

    assert (_describe(engine).system, _describe(engine).target) == ("sqlite", "shop@db.example:5433")


def test_error_is_counted_and_passes_untouched(engine: Engine) -> None:
    with recorded() as profiles, engine.connect() as connection:
        with pytest.raises(sa.exc.OperationalError) as caught:
            connection.execute(sa.text("SELECT nothing FROM nowhere"))
        connection.execute(sa.text("SELECT count(*) FROM orders")).scalar()

    broken, fine = queries(profiles[0])
    assert type(caught.value.orig).__name__ == "OperationalError"
    assert (broken.calls, broken.errors, broken.more().outcomes) == (1, 1, {"OperationalError": 1})
    assert (fine.calls, fine.errors) == (1, 0)


def test_nothing_is_recorded_without_a_profile(engine: Engine) -> None:
    with engine.connect() as connection:
        result = connection.execute(sa.text("SELECT id FROM orders"))

        assert type(result.cursor).__module__ == "sqlite3"


# Fetching.

VARIANTS: dict[str, tuple[Any, int]] = {
    "fetchall": (lambda result: result.fetchall(), 20),
    "all": (lambda result: result.all(), 20),
    "iterate": (lambda result: [row for row in result], 20),  # noqa: C416 - iterating is the subject
    "fetchone": (lambda result: [result.fetchone(), result.fetchone(), result.close()], 2),
    "fetchmany": (lambda result: [result.fetchmany(6), result.fetchmany(6), result.close()], 12),
    "partitions": (lambda result: [list(part) for part in result.partitions(7)], 20),
    "yield_per": (lambda result: list(result.yield_per(3)), 20),
    "scalar": (lambda result: result.scalar(), 1),
    "first": (lambda result: result.first(), 1),
    "scalars": (lambda result: result.scalars().all(), 20),
    "mappings": (lambda result: result.mappings().all(), 20),
    "keys": (lambda result: [list(result.keys()), result.all()], 20),
    "unique": (lambda result: result.unique().all(), 20),
    "closed early": (lambda result: [next(iter(result)), result.close()], 1),
    "freeze": (lambda result: result.freeze()().all(), 20),
}


@pytest.mark.parametrize("streamed", [False, True], ids=["plain", "streamed"])
@pytest.mark.parametrize("variant", VARIANTS)
def test_fetching_gives_the_same_rows_and_counts_them(engine: Engine, variant: str, streamed: bool) -> None:
    fetch, rows = VARIANTS[variant]
    if variant == "freeze" and sa.__version__.startswith("1."):
        pytest.skip("1.4 cannot freeze the result of a text")
    statement = sa.text("SELECT id, customer_id FROM orders ORDER BY id")
    if streamed:
        statement = statement.execution_options(stream_results=True)
    with engine.connect() as connection:
        expected = fetch(connection.execute(statement))

        with recorded() as profiles:
            found = fetch(connection.execute(statement))

    (frame,) = queries(profiles[0])
    assert found == expected
    assert [type(item) for item in found] == [type(item) for item in expected] if rows > 1 else True
    detail = frame.more()
    assert detail.rows_calls == 1
    # A buffered result reads ahead: what the driver gave is counted, not what the application took.
    assert detail.rows_sum == rows if not streamed else detail.rows_sum >= rows


def test_fetching_is_database_time(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    now = iter(range(0, 10**9, 1000))
    monkeypatch.setitem(_context.HOT, "clock_", lambda: next(now))

    with recorded() as profiles, engine.connect() as connection:
        connection.execute(sa.text("SELECT id FROM orders")).all()

    (frame,) = queries(profiles[0])
    assert frame.total_ns == 2000


def test_the_cursor_is_still_the_drivers(engine: Engine) -> None:
    import sqlite3

    with recorded(), engine.connect() as connection:
        result = connection.execute(sa.text("SELECT id AS number FROM orders"))
        cursor = result.cursor

        assert isinstance(cursor, sqlite3.Cursor)
        assert cursor.description[0][0] == "number"
        assert cursor.rowcount == -1
        cursor.arraysize = 5
        assert cursor.arraysize == 5
        assert next(iter(cursor)) == (1000,)
        assert repr(cursor).startswith("<sqlite3.Cursor")
        result.close()


def test_rows_of_a_long_result_are_all_counted(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(
            sa.insert(Order.__table__), [{"id": n, "customer_id": 101} for n in range(2000, 2500)]
        )

    with recorded() as profiles, engine.connect() as connection:
        result = connection.execute(sa.text("SELECT id FROM orders"))
        while result.fetchone() is not None:
            pass

    (frame,) = queries(profiles[0])
    read = profiles[0].returned[frame]
    assert (frame.more().rows_sum, len(read.values)) == (520, _rows.ROWS_READ)


def test_a_stream_feeds_queries_before_it_ends(engine: Engine) -> None:
    with recorded() as profiles, engine.connect() as connection, engine.connect() as other:
        for row in connection.execute(
            sa.text("SELECT customer_id FROM orders").execution_options(yield_per=5)
        ):
            other.execute(sa.text("SELECT name FROM customers WHERE id = :id"), {"id": row[0]}).scalar()

    parent, child = queries(profiles[0])
    assert child.more().flow[parent] == 20


# One call, not two.


def test_orm_and_driver_are_one_call(tmp_path: Path) -> None:
    undo = SQLiteSource().install()
    engine = sa.create_engine(f"sqlite:///{tmp_path / 'one.db'}", future=True)
    try:
        with recorded() as profiles:
            with engine.begin() as connection:
                fill(connection)
                connection.execute(sa.text("SELECT id FROM orders")).all()
                with pytest.raises(sa.exc.OperationalError):
                    connection.execute(sa.text("SELECT nothing FROM nowhere"))
            raw = engine.raw_connection()
            raw.cursor().execute("SELECT id FROM customers").fetchall()
            raw.close()
    finally:
        engine.dispose()
        undo()

    found = {(frame.callsite.library, frame.callsite.name): frame.calls for frame in queries(profiles[0])}
    assert found[("sqlalchemy", "SELECT orders")] == 1
    assert found[("sqlite3", "SELECT customers")] == 1
    assert [name for library, name in found if library == "sqlite3"] == ["SELECT customers"]


# Isolation.


def test_sixteen_threads_count_exactly(tmp_path: Path) -> None:
    engine = sa.create_engine(
        f"sqlite:///{tmp_path / 'threads.db'}", future=True, connect_args={"check_same_thread": False}
    )
    with engine.begin() as connection:
        fill(connection)
    found: list[tuple[int, Profile]] = []

    def work(number: int) -> None:
        with recorded(f"unit {number}") as profiles, engine.connect() as connection:
            for key in range(number + 5):
                connection.execute(sa.text("SELECT name FROM customers WHERE id = :id"), {"id": key}).scalar()
        found.append((number, profiles[0]))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(16)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    engine.dispose()

    assert len(found) == 16
    for number, profile in found:
        assert profile.name == f"unit {number}"
        assert counts(profile) == {"SELECT customers": number + 5}
        assert queries(profile)[0].more().rows_calls == number + 5


async def _async_engine(path: Path) -> Any:
    from sqlalchemy.ext.asyncio import create_async_engine

    engine = create_async_engine(f"sqlite+aiosqlite:///{path}")
    async with engine.begin() as connection:
        await connection.run_sync(fill)
    return engine


def test_async_loop_is_one_frame_with_its_line_and_its_source(tmp_path: Path) -> None:
    from sqlalchemy.ext.asyncio import AsyncSession

    async def main() -> list[Profile]:
        engine = await _async_engine(tmp_path / "a.db")
        with recorded() as profiles:
            async with AsyncSession(engine) as session:
                ids = (await session.execute(sa.text("SELECT customer_id FROM orders"))).scalars().all()
                for key in ids:
                    query = sa.text("SELECT name FROM customers WHERE id = :id")
                    (await session.execute(query, {"id": key})).scalar()
        await engine.dispose()
        return profiles

    (profile,) = asyncio.run(main())

    parent, child = queries(profile)
    assert (child.calls, child.more().rows_sum, child.more().flow[parent]) == (20, 20, 20)
    assert child.callsite.file == __file__
    assert "main" in child.callsite.function


def test_async_request_may_make_more_queries_than_there_are_forks(tmp_path: Path) -> None:
    async def main() -> list[Profile]:
        engine = await _async_engine(tmp_path / "a.db")
        with recorded() as profiles:
            async with engine.connect() as connection:
                for key in range(300):
                    await connection.execute(
                        sa.text("SELECT name FROM customers WHERE id = :id"), {"id": key}
                    )
        await engine.dispose()
        return profiles

    (profile,) = asyncio.run(main())

    assert (counts(profile), profile.dropped) == ({"SELECT customers": 300}, {})


def test_async_stream_is_counted(tmp_path: Path) -> None:
    async def main() -> tuple[list[Profile], list[Any]]:
        engine = await _async_engine(tmp_path / "a.db")
        with recorded() as profiles:
            async with engine.connect() as connection:
                result = await connection.stream(sa.text("SELECT id FROM orders"))
                rows = [row async for row in result]
        await engine.dispose()
        return profiles, rows

    (profile,), rows = asyncio.run(main())

    (frame,) = queries(profile)
    assert (len(rows), frame.calls, frame.more().rows_sum) == (20, 1, 20)


def _nested(session: Any, keys: range) -> None:
    """Stand for measured functions inside `run_sync`: each moves this greenlet's pointer and back."""
    for key in keys:
        branch = _context.current()
        assert branch is not None
        parent = branch.frame
        frame = parent.children.get(MEASURED) or _context.new_frame(branch, parent, MEASURED)
        branch.frame = frame
        session.execute(sa.text("SELECT name FROM customers WHERE id = :id"), {"id": key}).scalar()
        branch.frame = parent
        frame.calls += 1


MEASURED = _context.Callsite(name="load_one", function="load_one")


def test_gathered_run_sync_calls_keep_their_pointers_apart(tmp_path: Path) -> None:
    from sqlalchemy.ext.asyncio import AsyncSession

    async def one(engine: Any, number: int) -> Profile:
        with recorded(f"unit {number}") as profiles:

            async def run(keys: range) -> None:
                async with AsyncSession(engine) as session:
                    await session.run_sync(_nested, keys)

            await asyncio.gather(run(range(number)), run(range(10, 10 + number)))
        return profiles[0]

    async def main() -> list[Profile]:
        engine = await _async_engine(tmp_path / "a.db")
        try:
            return await asyncio.gather(*(one(engine, 2 + number) for number in range(6)))
        finally:
            await engine.dispose()

    for number, profile in enumerate(asyncio.run(main()), 2):
        (measured,) = [frame for frame in profile.root.walk() if frame.callsite is MEASURED]
        (frame,) = queries(profile)
        assert profile.name == f"unit {number}"
        assert (measured.calls, frame.calls, frame.parent) == (2 * number, 2 * number, measured)


# Installing.


def test_installing_twice_listens_once(engine: Engine) -> None:
    SQLAlchemySource().install()()

    with recorded() as profiles, engine.connect() as connection:
        connection.execute(sa.text("SELECT id FROM orders")).all()

    assert counts(profiles[0]) == {"SELECT orders": 1}


def test_undone_tap_hears_nothing(engine: Engine, tap: Callable[[], None]) -> None:
    from manometer.sources import sqlalchemy as module

    tap()

    with recorded() as profiles, engine.connect() as connection:
        connection.execute(sa.text("SELECT id FROM orders")).all()

    assert counts(profiles[0]) == {}
    assert not event.contains(Engine, "before_cursor_execute", module._before)
    assert not event.contains(Engine, "after_cursor_execute", module._after)
    assert not event.contains(Engine, "handle_error", module._failed)


def test_another_major_version_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sa, "__version__", "3.0.0")

    with pytest.raises(Unsupported, match=r"3\.0\.0 is not supported"):
        SQLAlchemySource().install()


def test_failure_inside_the_tap_never_reaches_the_application(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_guard, "strict", False)
    monkeypatch.setattr("manometer.sources.sqlalchemy.begin_query", lambda *_, **__: 1 / 0)

    with recorded() as profiles, engine.connect() as connection:
        rows = [connection.execute(sa.text("SELECT count(*) FROM orders")).scalar() for _ in range(5)]

    assert (rows, counts(profiles[0])) == ([20] * 5, {})
    assert _guard.counts == {"sources.sqlalchemy": 3}
    _guard.clear()
