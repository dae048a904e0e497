"""What every driver with plain DB-API cursors is held to; each driver's test module inherits it with a server of its own."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from tests.sources.collect import counts, queries, recorded, strict_guard

from manometer import _guard
from manometer.sources import _dbapi
from manometer.testing import record

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.servers import Database

ROWS = [(100 + n, f"customer {n}") for n in range(20)]
READ = "SELECT name FROM customers WHERE id = %s"
ALL = "SELECT id, name FROM customers ORDER BY id"


def _parts(cursor: Any) -> list[Any]:
    found = []
    while part := list(cursor.fetchmany(6)):
        found.append(part)
    return found


VARIANTS: dict[str, tuple[Callable[[Any], Any], int]] = {
    "fetchall": (lambda cursor: list(cursor.fetchall()), 20),
    "iterate": (lambda cursor: [row for row in cursor], 20),  # noqa: C416 - iterating is the subject
    "fetchone": (lambda cursor: [cursor.fetchone(), cursor.fetchone(), cursor.close()], 2),
    "fetchone to the end": (lambda cursor: list(iter(cursor.fetchone, None)), 20),
    "fetchmany": (lambda cursor: [list(cursor.fetchmany(6)), list(cursor.fetchmany(6)), cursor.close()], 12),
    "fetchmany to the end": (_parts, 20),
    "arraysize": (lambda cursor: [list(cursor.fetchmany()), cursor.close()], 1),
    "mixed": (lambda cursor: [cursor.fetchone(), cursor.fetchmany(1)[0], list(cursor.fetchall())], 20),
    "closed early": (lambda cursor: [next(iter(cursor)), cursor.close()], 1),
}


@dataclass(frozen=True)
class Subject:
    """One driver: how to connect, and what manometer calls it."""

    connect: Callable[[Database], Any]
    source: Callable[[], Any]
    library: str
    system: str
    version: str
    error: type[Exception]
    patched: tuple[tuple[Any, str], ...]


def fill(connection: Any) -> None:
    cursor = connection.cursor()
    cursor.execute("CREATE TABLE customers (id INTEGER PRIMARY KEY, name VARCHAR(40))")
    cursor.executemany("INSERT INTO customers VALUES (%s, %s)", ROWS)
    connection.commit()
    cursor.close()


class PlainDriver:
    """Inherited with a fixture `database`, and the class attribute `subject`."""

    subject: Subject

    @pytest.fixture(autouse=True)
    def tap(self) -> Iterator[Callable[[], None]]:
        undo = self.subject.source().install()
        with strict_guard():
            yield undo
        undo()
        _guard.clear()

    @pytest.fixture
    def db(self, tap: object, database: Database) -> Iterator[Any]:
        connection = self.subject.connect(database)
        fill(connection)
        yield connection
        connection.close()

    # What one call says.

    def test_loop_is_found_with_its_line_and_the_line_that_fed_it(self, db: Any, database: Database) -> None:
        with record() as recorded_:
            cursor = db.cursor()
            cursor.execute(ALL)
            for key, _ in cursor.fetchall():
                cursor.execute(READ, (key,))
                cursor.fetchone()

        (finding,) = recorded_.findings
        site, source = finding.callsite, finding.source
        assert (finding.rule, finding.confidence, finding.severity) == ("n-plus-one", "confirmed", "warning")
        assert (site.file, site.line - 2) == (__file__, source.line if source else 0)
        assert site.function.endswith("fed_it")
        assert (site.kind, site.name, site.operation) == ("db", "SELECT customers", "read")
        assert (site.system, site.library, site.version) == (
            self.subject.system,
            self.subject.library,
            self.subject.version,
        )
        assert site.target == database.target
        parent, child = queries(recorded_.profile)
        assert (parent.calls, parent.more().rows_sum) == (1, 20)
        assert (child.calls, child.more().rows_sum, child.more().single_row_calls) == (20, 20, 20)

    def test_one_read_for_all_is_innocent(self, db: Any) -> None:
        with record() as recorded_:
            cursor = db.cursor()
            cursor.execute(ALL)
            keys = [key for key, _ in cursor.fetchall()]
            cursor.execute(f"SELECT name FROM customers WHERE id IN ({', '.join(['%s'] * len(keys))})", keys)
            cursor.fetchall()

        assert recorded_.findings == ()
        assert [frame.more().batch_max for frame in queries(recorded_.profile)] == [0, 20]

    def read(self, db: Any) -> None:
        cursor = db.cursor()
        cursor.execute(READ, (101,))
        cursor.fetchone()
        cursor.close()

    def test_equal_reads_are_found(self, db: Any) -> None:
        with record() as recorded_:
            for _ in range(3):
                self.read(db)

        (finding,) = recorded_.findings
        assert (finding.rule, finding.confidence) == ("duplicate-read", "confirmed")
        assert (finding.evidence["repeats"], finding.evidence["equal_results"]) == (2, 2)

    def test_reading_again_after_a_write_is_innocent(self, db: Any) -> None:
        with record() as recorded_:
            for name in ("one", "other"):
                self.read(db)
                db.cursor().execute("UPDATE customers SET name = %s WHERE id = %s", (name, 101))
            self.read(db)

        assert [finding.rule for finding in recorded_.findings if finding.rule == "duplicate-read"] == []
        (use,) = queries(recorded_.profile)[0].more().keys.values()
        assert (use.calls, use.repeats, use.equal, use.changed) == (3, 0, 0, 2)

    def test_values_written_into_the_text_tell_calls_apart(self, db: Any) -> None:
        with recorded() as profiles:
            for key in (101, 102, 102):
                cursor = db.cursor()
                cursor.execute(f"SELECT name FROM customers WHERE id = {key}")
                cursor.fetchall()

        (frame,) = queries(profiles[0])
        assert sorted(use.calls for use in frame.more().keys.values()) == [1, 2]

    def test_executemany_is_one_innocent_call_with_a_batch(self, db: Any) -> None:
        with record() as recorded_:
            db.cursor().executemany("INSERT INTO customers VALUES (%s, %s)", [(n, "a") for n in range(7)])
            db.cursor().executemany("UPDATE customers SET name = %s WHERE id = %s", [("b", 1), ("b", 2)])
            db.cursor().executemany("DELETE FROM customers WHERE id = %s", [])

        assert recorded_.findings == ()
        insert, update = queries(recorded_.profile)
        assert (insert.calls, insert.callsite.operation, insert.more().batch_max) == (1, "write", 7)
        assert (update.calls, update.more().batch_max) == (1, 2)
        assert recorded_.profile.write_epoch == 2

    def test_writing_in_a_loop_is_found(self, db: Any) -> None:
        with record() as recorded_:
            for n in range(7):
                db.cursor().execute("INSERT INTO customers VALUES (%s, %s)", (n, "a"))

        assert [finding.rule for finding in recorded_.findings] == ["write-loop"]

    def test_error_is_counted_and_passes_untouched(self, db: Any) -> None:
        cursor = db.cursor()
        with recorded() as profiles:
            with pytest.raises(self.subject.error) as caught:
                cursor.execute("SELECT nothing FROM nowhere")
            db.rollback()
            cursor.execute(ALL)
            cursor.fetchall()

        broken, fine = queries(profiles[0])
        name = type(caught.value).__name__
        assert (broken.calls, broken.errors, broken.more().outcomes) == (1, 1, {name: 1})
        assert (fine.calls, fine.errors) == (1, 0)
        assert caught.value.__cause__ is None

    def test_a_closed_connection_fails_as_it_always_did(self, database: Database) -> None:
        connection = self.subject.connect(database)
        cursor = connection.cursor()
        connection.close()

        with recorded() as profiles, pytest.raises(Exception) as caught:
            cursor.execute(ALL)

        assert (
            type(caught.value).__module__.partition(".")[0] == self.subject.error.__module__.partition(".")[0]
        )
        assert [frame.errors for frame in queries(profiles[0])] in ([1], [])

    def test_transactions_settings_and_pings_are_no_queries(self, db: Any) -> None:
        with recorded() as profiles:
            cursor = db.cursor()
            for text in ("BEGIN", "SELECT 1", "SAVEPOINT a", "RELEASE SAVEPOINT a", "COMMIT"):
                cursor.execute(text)
            cursor.execute("SELECT count(*) FROM customers")
            db.commit()
            db.rollback()

        assert counts(profiles[0]) == {"SELECT customers": 1}

    def test_transactions_are_numbered(self, db: Any) -> None:
        numbers = []
        for _ in range(2):
            for text in (ALL, READ.replace("%s", "101")):
                with recorded() as profiles:
                    cursor = db.cursor()
                    cursor.execute(text)
                    cursor.fetchall()
                numbers.append(queries(profiles[0])[0].more().transaction)
            db.commit()

        assert 0 < numbers[0] == numbers[1] < numbers[2] == numbers[3]

    def test_nobody_is_told_user_or_password(self, db: Any, database: Database) -> None:
        with recorded() as profiles:
            db.cursor().execute(ALL)

        site = queries(profiles[0])[0].callsite
        assert database.password not in repr(site)
        assert f"{database.user}:" not in site.target

    # Fetching.

    @pytest.mark.parametrize("variant", VARIANTS)
    def test_fetching_gives_the_same_rows_and_counts_them(
        self, db: Any, tap: Callable[[], None], variant: str
    ) -> None:
        fetch, rows = VARIANTS[variant]
        tap()
        expected = self._fetched(db, fetch)
        undo = self.subject.source().install()

        with recorded() as profiles:
            found = self._fetched(db, fetch)
        undo()

        (frame,) = queries(profiles[0])
        assert found == expected
        assert (frame.more().rows_calls, frame.more().rows_sum) == (1, rows)

    def _fetched(self, db: Any, fetch: Callable[[Any], Any]) -> Any:
        cursor = db.cursor()
        cursor.execute(ALL)
        return fetch(cursor)

    def test_rows_of_a_cursor_that_nobody_closes_are_counted(self, db: Any) -> None:
        with recorded() as profiles:
            cursor = db.cursor()
            cursor.execute(ALL)
            cursor.fetchone()
            del cursor

        (frame,) = queries(profiles[0])
        assert (frame.more().rows_calls, frame.more().rows_sum) == (1, 1)

    def test_nothing_is_kept_of_a_cursor_that_is_gone(self, db: Any) -> None:
        before = len(_dbapi.rows_of._items)

        with recorded():
            cursor = db.cursor()
            cursor.execute(ALL)
            assert len(_dbapi.rows_of._items) == before + 1
            del cursor

        assert len(_dbapi.rows_of._items) == before

    # Installing.

    def test_undone_tap_restores_everything_and_hears_nothing(
        self, tap: Callable[[], None], database: Database
    ) -> None:
        tap()
        before = [vars(owner).get(name) for owner, name in self.subject.patched]
        undo = self.subject.source().install()
        during = [vars(owner).get(name) for owner, name in self.subject.patched]
        undo()

        connection = self.subject.connect(database)
        with recorded() as profiles:
            fill(connection)
        connection.close()

        assert all(one is not other for one, other in zip(before, during, strict=True))
        after = [vars(owner).get(name) for owner, name in self.subject.patched]
        assert all(one is other for one, other in zip(before, after, strict=True))
        assert counts(profiles[0]) == {}

    def test_installing_twice_counts_once(self, db: Any) -> None:
        self.subject.source().install()()

        with recorded() as profiles:
            db.cursor().execute(ALL)

        assert counts(profiles[0]) == {"SELECT customers": 1}

    def test_nothing_is_recorded_without_a_profile(self, db: Any) -> None:
        before = len(_dbapi.rows_of._items)
        cursor = db.cursor()
        cursor.execute(ALL)

        assert len(_dbapi.rows_of._items) == before

    def test_failure_inside_the_tap_never_reaches_the_application(
        self, db: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(_guard, "strict", False)
        monkeypatch.setattr(_dbapi, "begin_query", lambda *_, **__: 1 / 0)

        with recorded() as profiles:
            found = []
            for _ in range(5):
                cursor = db.cursor()
                cursor.execute(READ, (101,))
                found.append(cursor.fetchone())

        assert (found, counts(profiles[0])) == ([("customer 1",)] * 5, {})
        assert _guard.counts == {f"sources.{self.subject.library}": 3}

    def test_thread_of_its_own_counts_into_its_own_unit(self, db: Any) -> None:
        found: list[Any] = []

        def work() -> None:
            with recorded("other") as profiles:
                db.cursor().execute(ALL)
            found.extend(profiles)

        with recorded() as profiles:
            thread = threading.Thread(target=work)
            thread.start()
            thread.join()

        assert (counts(found[0]), counts(profiles[0])) == ({"SELECT customers": 1}, {})
