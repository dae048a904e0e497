"""The standard library's sqlite3, through real connections."""

from __future__ import annotations

import asyncio
import functools
import sqlite3
import sqlite3.dbapi2
import threading
from typing import TYPE_CHECKING, Any

import pytest
from tests.sources.collect import counts, queries, recorded, strict_guard, switched_on

from manometer import _context, _guard, _rolling
from manometer.sources.sqlite import SQLiteSource

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from manometer._model import Profile

ORIGINAL = sqlite3.connect
ROWS = [(100 + n, f"customer {n}") for n in range(20)]


@pytest.fixture(autouse=True)
def tap() -> Iterator[Callable[[], None]]:
    undo = SQLiteSource().install()
    with strict_guard():
        yield undo
    undo()
    _guard.clear()


def filled(connection: sqlite3.Connection) -> sqlite3.Connection:
    connection.execute("CREATE TABLE customers (id INTEGER PRIMARY KEY, name TEXT)")
    connection.executemany("INSERT INTO customers VALUES (?, ?)", ROWS)
    connection.commit()
    return connection


@pytest.fixture
def db(tap: object, tmp_path: Path) -> Iterator[sqlite3.Connection]:
    connection = filled(sqlite3.connect(tmp_path / "shop.db"))
    yield connection
    connection.close()


# What one call says.


def test_loop_is_one_frame_fed_by_the_first_query(db: sqlite3.Connection, tmp_path: Path) -> None:
    with recorded() as profiles:
        for (key,) in db.execute("SELECT id FROM customers ORDER BY id").fetchall():
            db.execute("SELECT name FROM customers WHERE id = ?", (key,)).fetchone()

    parent, child = queries(profiles[0])
    assert (parent.calls, parent.more().rows_sum) == (1, 20)
    assert (child.calls, child.more().rows_sum, child.more().single_row_calls) == (20, 20, 20)
    assert (len(child.more().keys), child.more().flow[parent]) == (20, 20)
    site = child.callsite
    assert (site.kind, site.name, site.operation) == ("db", "SELECT customers", "read")
    assert (site.system, site.library, site.version) == ("sqlite", "sqlite3", sqlite3.sqlite_version)
    assert site.target == str(tmp_path / "shop.db")
    assert site.file == __file__


def test_iterating_feeds_queries_before_it_ends(db: sqlite3.Connection) -> None:
    with recorded() as profiles:
        for (key,) in db.execute("SELECT id FROM customers"):
            db.execute("SELECT name FROM customers WHERE id = ?", (key,)).fetchone()

    parent, child = queries(profiles[0])
    assert (parent.more().rows_sum, child.more().flow[parent]) == (20, 20)


def test_equal_reads_have_equal_results_until_a_write(db: sqlite3.Connection) -> None:
    def read() -> Any:
        return db.execute("SELECT name FROM customers WHERE id = ?", (101,)).fetchone()

    with recorded() as profiles:
        read(), read()
        db.execute("UPDATE customers SET name = ? WHERE id = ?", ("other", 101))
        read()

    select, update = queries(profiles[0])[0], queries(profiles[0])[-1]
    (use,) = select.more().keys.values()
    assert update.callsite.operation == "write"
    assert profiles[0].write_epoch == 1
    assert (use.calls, use.repeats, use.equal, use.changed) == (3, 1, 1, 1)


def test_batches_are_counted_whatever_they_come_from(db: sqlite3.Connection) -> None:
    with recorded() as profiles:
        db.executemany("INSERT INTO customers VALUES (?, ?)", [(1, "a"), (2, "b")])
        db.executemany("INSERT INTO customers VALUES (?, ?)", ((n, "c") for n in range(3, 8)))
        db.execute("SELECT name FROM customers WHERE id IN (?, ?, ?)", (1, 2, 3)).fetchall()

    assert [frame.more().batch_max for frame in queries(profiles[0])] == [2, 5, 3]
    assert db.execute("SELECT count(*) FROM customers").fetchone() == (27,)


def test_control_statements_are_no_queries(db: sqlite3.Connection) -> None:
    db.isolation_level = None

    with recorded() as profiles:
        db.execute("BEGIN")
        db.execute("PRAGMA foreign_keys").fetchall()
        db.execute("SELECT 1").fetchall()
        db.execute("COMMIT")

    assert counts(profiles[0]) == {}


def test_script_is_one_call(db: sqlite3.Connection) -> None:
    with recorded() as profiles:
        db.executescript("CREATE TABLE a (x); INSERT INTO a VALUES (1); INSERT INTO a VALUES (2);")

    assert sum(counts(profiles[0]).values()) == 1


@pytest.mark.parametrize(
    ("call", "kind"),
    [
        (lambda db: db.execute("SELECT nothing FROM nowhere"), sqlite3.OperationalError),
        (
            lambda db: db.execute("INSERT INTO customers VALUES (?, ?)", (100, "twice")),
            sqlite3.IntegrityError,
        ),
        (lambda db: db.execute("SELECT id FROM customers WHERE id = ?", ()), sqlite3.ProgrammingError),
        (lambda db: db.executemany("INSERT INTO customers VALUES (?, ?)", iter([1 / 0])), ZeroDivisionError),
        (lambda db: db.execute(), TypeError),
    ],
)
def test_errors_pass_untouched(db: sqlite3.Connection, call: Any, kind: type[Exception]) -> None:
    plain = filled(ORIGINAL(":memory:"))
    with pytest.raises(kind) as expected:
        call(plain)
    plain.close()

    with recorded() as profiles, pytest.raises(kind) as found:
        call(db)

    assert (type(found.value), str(found.value)) == (type(expected.value), str(expected.value))
    if kind.__module__ == "sqlite3":
        (frame,) = queries(profiles[0])
        assert (frame.calls, frame.errors, frame.more().outcomes) == (1, 1, {kind.__name__: 1})


# Fetching.


@pytest.mark.parametrize(
    ("fetch", "rows"),
    [
        (lambda cursor: cursor.fetchall(), 20),
        (list, 20),
        (lambda cursor: [cursor.fetchone(), cursor.fetchone()], 2),
        (lambda cursor: [cursor.fetchone(), cursor.fetchall()], 20),
        (lambda cursor: [cursor.fetchmany(), cursor.fetchmany(4), cursor.fetchmany(size=3)], 8),
        (lambda cursor: [next(cursor), next(cursor), cursor.close()], 2),
    ],
)
def test_fetching_gives_the_same_rows_and_counts_them(db: sqlite3.Connection, fetch: Any, rows: int) -> None:
    statement = "SELECT id, name FROM customers ORDER BY id"
    expected = fetch(db.execute(statement))

    with recorded() as profiles:
        found = fetch(db.execute(statement))

    (frame,) = queries(profiles[0])
    assert found == expected
    assert (frame.more().rows_calls, frame.more().rows_sum) == (1, rows)


def test_rows_are_kept_apart_when_a_cursor_is_used_again(db: sqlite3.Connection) -> None:
    with recorded() as profiles:
        cursor = db.cursor()
        for key in range(100, 105):
            cursor.execute("SELECT name FROM customers WHERE id = ?", (key,))
            cursor.fetchone()
        cursor.close()

    (frame,) = queries(profiles[0])
    assert (frame.calls, frame.more().rows_calls, frame.more().single_row_calls) == (5, 5, 5)


def test_rows_of_a_factory_are_not_touched(db: sqlite3.Connection) -> None:
    touched: list[str] = []

    class Hostile:
        def __getattribute__(self, name: str) -> Any:
            touched.append(name)
            return object.__getattribute__(self, name)

        def __iter__(self) -> Any:
            touched.append("iter")
            return iter(())

    db.row_factory = lambda cursor, row: Hostile()

    with recorded() as profiles:
        found = db.execute("SELECT id FROM customers").fetchall()

    (frame,) = queries(profiles[0])
    assert ({type(row) for row in found}, touched) == ({Hostile}, [])
    assert frame.more().rows_sum == 20
    assert not profiles[0].returned[frame].values


def test_arguments_of_unknown_types_are_not_touched(db: sqlite3.Connection) -> None:
    class Key:
        def __init__(self) -> None:
            self.asked = 0

        def __conform__(self, protocol: object) -> int:
            self.asked += 1
            return 101

    key = Key()
    with recorded() as profiles:
        found = db.execute("SELECT id FROM customers WHERE id = ?", (key,)).fetchall()

    (frame,) = queries(profiles[0])
    assert (found, key.asked) == ([(101,)], 1)
    assert (frame.more().unkeyed, frame.more().keys) == (1, {})


# The classes of the application.


def test_connection_and_cursor_are_what_they_say(db: sqlite3.Connection) -> None:
    cursor = db.cursor()

    assert isinstance(db, sqlite3.Connection)
    assert isinstance(cursor, sqlite3.Cursor)
    assert repr(db).startswith("<sqlite3.Connection object")
    assert repr(cursor).startswith("<sqlite3.Cursor object")
    assert cursor.connection is db
    assert cursor.execute("SELECT id FROM customers") is cursor
    assert iter(cursor) is cursor


def test_factories_row_and_text_factories_and_backup_work(db: sqlite3.Connection) -> None:
    class MyCursor(sqlite3.Cursor):
        def execute(self, sql: str, *args: Any) -> Any:
            return super().execute(sql.replace("people", "customers"), *args)

    class MyConnection(sqlite3.Connection):
        def cursor(self) -> Any:  # type: ignore[override]
            return super().cursor(MyCursor)

    mine = sqlite3.connect(":memory:", factory=MyConnection)
    db.backup(mine)
    mine.row_factory = sqlite3.Row
    mine.text_factory = bytes

    with recorded() as profiles, mine:
        row = mine.cursor().execute("SELECT id, name FROM people WHERE id = ?", (101,)).fetchone()
        other = db.cursor(factory=MyCursor).execute("SELECT name FROM people WHERE id = 101").fetchone()
    mine.close()

    assert isinstance(mine, MyConnection)
    assert type(mine).__name__ == "MyConnection"
    assert (type(row), row["name"], other) == (sqlite3.Row, b"customer 1", ("customer 1",))
    assert counts(profiles[0]) == {"SELECT customers": 2}
    (first, _) = queries(profiles[0])
    assert len(profiles[0].returned[first].values) == 2


def test_tapped_classes_are_made_once_and_not_kept(db: sqlite3.Connection) -> None:
    import gc
    import weakref

    class MyCursor(sqlite3.Cursor):
        pass

    first, second = db.cursor(factory=MyCursor), db.cursor(MyCursor)
    assert type(first) is type(second)
    gone = weakref.ref(MyCursor)
    del first, second, MyCursor
    gc.collect()

    assert gone() is None


def test_factory_that_is_no_plain_class_is_left_alone(db: sqlite3.Connection) -> None:
    made: list[type] = []

    class Watching(sqlite3.Connection):
        def __init_subclass__(cls) -> None:
            made.append(cls)

    connections = [
        sqlite3.connect(":memory:", factory=Watching),
        sqlite3.connect(":memory:", factory=functools.partial(Watching)),
    ]
    [connection.close() for connection in connections]

    assert [type(connection) for connection in connections] == [Watching, Watching]
    assert made == []


def test_wrong_arguments_raise_what_they_always_raised(db: sqlite3.Connection) -> None:
    for call in (lambda c: c.cursor(1, 2), lambda c: c.cursor(factory=None), lambda c: c.cursor(other=1)):
        plain = ORIGINAL(":memory:")
        with pytest.raises(TypeError) as expected:
            call(plain)
        plain.close()
        with pytest.raises(TypeError) as found:
            call(db)

        assert str(found.value) == str(expected.value)


# Where it is written.


def test_nothing_is_recorded_without_a_profile_or_below_another_tap(db: sqlite3.Connection) -> None:
    db.execute("SELECT id FROM customers").fetchall()

    with recorded() as profiles:
        branch = _context.current()
        assert branch is not None
        branch.covered = True
        db.execute("SELECT id FROM customers").fetchall()
        branch.covered = False

    assert counts(profiles[0]) == {}


def test_what_a_library_does_for_itself_is_left_out_of_the_process(tmp_path: Path) -> None:
    aiosqlite = pytest.importorskip("aiosqlite")

    async def main() -> None:
        async with aiosqlite.connect(tmp_path / "own.db") as connection:
            await connection.execute("CREATE TABLE customers (id INTEGER)")
            await (await connection.execute("SELECT id FROM customers")).fetchall()

    def script() -> None:
        connection = filled(sqlite3.connect(":memory:"))
        connection.close()

    with switched_on() as profiles:
        _rolling.install()
        try:
            asyncio.run(main())
            script()
        finally:
            _rolling.uninstall()
            _context.variable.set(None)

    assert [sorted(counts(profile)) for profile in profiles] == [["CREATE customers", "INSERT customers"]]


def test_sixteen_threads_count_exactly(tap: object) -> None:
    found: list[tuple[int, Profile]] = []

    def work(number: int) -> None:
        connection = filled(sqlite3.connect(":memory:"))
        with recorded(f"unit {number}") as profiles:
            for key in range(number + 50):
                connection.execute("SELECT name FROM customers WHERE id = ?", (key,)).fetchone()
        connection.close()
        found.append((number, profiles[0]))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(16)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]

    assert {number: counts(profile) for number, profile in found} == {
        number: {"SELECT customers": number + 50} for number in range(16)
    }
    assert all(queries(profile)[0].more().rows_calls == number + 50 for number, profile in found)


def test_threads_of_one_profile_are_added_up(tmp_path: Path) -> None:
    from contextvars import copy_context

    filled(sqlite3.connect(tmp_path / "shared.db")).close()

    def work() -> None:
        connection = sqlite3.connect(tmp_path / "shared.db")
        for key in range(50):
            connection.execute("SELECT name FROM customers WHERE id = ?", (key,)).fetchone()
        connection.close()

    with recorded() as profiles:
        threads = [threading.Thread(target=copy_context().run, args=(work,)) for _ in range(16)]
        [thread.start() for thread in threads]
        [thread.join() for thread in threads]

    assert counts(profiles[0]) == {"SELECT customers": 800}
    assert queries(profiles[0])[0].more().rows_calls == 800


# Installing.


def test_undo_restores_by_identity(tap: Callable[[], None]) -> None:
    again = SQLiteSource().install()
    assert sqlite3.connect is not ORIGINAL

    again()
    assert sqlite3.connect is not ORIGINAL

    tap()
    assert sqlite3.connect is ORIGINAL
    assert sqlite3.dbapi2.connect is ORIGINAL


def test_undo_leaves_a_later_patch_in_place_and_goes_silent(tap: Callable[[], None]) -> None:
    ours = sqlite3.connect

    def theirs(*args: Any, **kwargs: Any) -> Any:
        return ours(*args, **kwargs)

    sqlite3.connect = theirs
    try:
        tap()
        assert sqlite3.connect is theirs
        connection = sqlite3.connect(":memory:")
        assert type(connection) is sqlite3.Connection
        connection.close()
    finally:
        sqlite3.connect = ORIGINAL


def test_connection_opened_before_the_undo_still_works(
    db: sqlite3.Connection, tap: Callable[[], None]
) -> None:
    tap()

    assert db.execute("SELECT count(*) FROM customers").fetchone() == (20,)


def test_failure_inside_the_tap_never_reaches_the_application(
    db: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_guard, "strict", False)
    monkeypatch.setattr("manometer.sources.sqlite.begin_query", lambda *_, **__: 1 / 0)

    with recorded() as profiles:
        found = [db.execute("SELECT count(*) FROM customers").fetchone() for _ in range(5)]

    assert (found, counts(profiles[0])) == ([(20,)] * 5, {})
    assert _guard.counts == {"sources.sqlite3": 3}
