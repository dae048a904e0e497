"""PyMySQL on a real MariaDB server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pymysql
import pytest
from pymysql import connections, cursors
from tests.sources.collect import counts, queries, recorded
from tests.sources.drivers import ALL, READ, ROWS, PlainDriver, Subject

from manometer.sources._patch import Unsupported
from manometer.sources.pymysql import PyMySQLSource
from manometer.testing import record

if TYPE_CHECKING:
    from tests.servers import Database


def connect(database: Database, **options: Any) -> Any:
    return pymysql.connect(
        host=database.host,
        port=database.port,
        user=database.user,
        password=database.password,
        database=database.name,
        **options,
    )


@pytest.fixture
def database(mariadb: Database) -> Database:
    return mariadb


class TestPyMySQL(PlainDriver):
    subject = Subject(
        connect,
        PyMySQLSource,
        "pymysql",
        "mariadb",
        ".".join(map(str, pymysql.VERSION[:3])),
        pymysql.err.ProgrammingError,
        (
            (cursors.Cursor, "execute"),
            (cursors.Cursor, "executemany"),
            (cursors.Cursor, "callproc"),
            (cursors.Cursor, "fetchone"),
            (cursors.Cursor, "fetchmany"),
            (cursors.Cursor, "fetchall"),
            (cursors.Cursor, "close"),
            (cursors.SSCursor, "fetchone"),
            (cursors.SSCursor, "fetchmany"),
            (cursors.SSCursor, "close"),
            (connections.Connection, "begin"),
            (connections.Connection, "commit"),
            (connections.Connection, "rollback"),
        ),
    )

    def test_dictionaries_prove_the_data_flow(self, db: Any) -> None:
        with record() as recorded_:
            cursor = db.cursor(cursors.DictCursor)
            cursor.execute(ALL)
            for row in cursor.fetchall():
                cursor.execute(READ, (row["id"],))
                cursor.fetchone()

        (finding,) = recorded_.findings
        assert (finding.rule, finding.confidence) == ("n-plus-one", "confirmed")

    @pytest.mark.parametrize("factory", [cursors.SSCursor, cursors.SSDictCursor])
    @pytest.mark.parametrize("fetch", ["fetchall", "iterate", "fetchmany"])
    def test_unbuffered_cursor_is_one_query_and_its_rows(self, db: Any, factory: type, fetch: str) -> None:
        with recorded() as profiles:
            cursor = db.cursor(factory)
            cursor.execute(ALL)
            if fetch == "fetchmany":
                rows = [row for part in iter(lambda: list(cursor.fetchmany(6)), []) for row in part]
            else:
                rows = cursor.fetchall() if fetch == "fetchall" else list(cursor)
            cursor.close()

        (frame,) = queries(profiles[0])
        expected = (
            [{"id": key, "name": name} for key, name in ROWS] if factory is cursors.SSDictCursor else ROWS
        )
        assert (rows, frame.calls, frame.more().rows_sum) == (expected, 1, 20)

    def test_procedure_is_a_call(self, db: Any) -> None:
        db.cursor().execute("CREATE PROCEDURE twice(n INT) SELECT n * 2")

        with recorded() as profiles:
            cursor = db.cursor()
            cursor.callproc("twice", (21,))
            found = cursor.fetchall()

        assert list(found) == [(42,)]
        assert [frame.callsite.name for frame in queries(profiles[0])] == ["CALL twice"]

    def test_cursor_class_of_the_application_counts_once(self, db: Any) -> None:
        class Own(cursors.Cursor):
            def execute(self, query: str, args: Any = None) -> int:
                return super().execute(query, args)

        with recorded() as profiles:
            db.cursor(Own).execute(ALL)

        assert counts(profiles[0]) == {"SELECT customers": 1}

    def test_another_major_version_is_refused(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(pymysql, "VERSION", (2, 0, 0))

        with pytest.raises(Unsupported, match=r"2\.0\.0 is not supported"):
            PyMySQLSource().install()
