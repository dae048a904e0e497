"""mysqlclient on a real MariaDB server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from tests.sources.collect import queries, recorded
from tests.sources.drivers import ALL, READ, ROWS, PlainDriver, Subject

from manometer.sources._patch import Unsupported
from manometer.testing import record

if TYPE_CHECKING:
    from tests.servers import Database

MySQLdb = pytest.importorskip("MySQLdb", reason="mysqlclient could not be built here")

from MySQLdb import connections, cursors  # noqa: E402

from manometer.sources.mysqlclient import MySQLClientSource  # noqa: E402


def connect(database: Database, **options: Any) -> Any:
    return MySQLdb.connect(
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


class TestMySQLClient(PlainDriver):
    subject = Subject(
        connect,
        MySQLClientSource,
        "mysqlclient",
        "mariadb",
        ".".join(map(str, MySQLdb.version_info[:3])),
        MySQLdb.ProgrammingError,
        (
            (cursors.BaseCursor, "execute"),
            (cursors.BaseCursor, "executemany"),
            (cursors.BaseCursor, "callproc"),
            (cursors.BaseCursor, "close"),
            (cursors.CursorStoreResultMixIn, "fetchone"),
            (cursors.CursorStoreResultMixIn, "fetchmany"),
            (cursors.CursorStoreResultMixIn, "fetchall"),
            (cursors.CursorUseResultMixIn, "fetchone"),
            (cursors.CursorUseResultMixIn, "fetchmany"),
            (cursors.CursorUseResultMixIn, "fetchall"),
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

    @pytest.mark.parametrize("fetch", ["fetchall", "iterate", "fetchmany"])
    def test_unbuffered_cursor_is_one_query_and_its_rows(self, db: Any, fetch: str) -> None:
        with recorded() as profiles:
            cursor = db.cursor(cursors.SSCursor)
            cursor.execute(ALL)
            if fetch == "fetchmany":
                rows = [row for part in iter(lambda: list(cursor.fetchmany(6)), []) for row in part]
            else:
                rows = list(cursor.fetchall() if fetch == "fetchall" else cursor)
            cursor.close()

        (frame,) = queries(profiles[0])
        assert (rows, frame.calls, frame.more().rows_sum) == (ROWS, 1, 20)

    def test_statement_of_bytes_has_the_same_shape(self, db: Any) -> None:
        with recorded() as profiles:
            for text in (READ, READ.encode()):
                cursor = db.cursor()
                cursor.execute(text, (101,))

        assert {frame.callsite.template for frame in queries(profiles[0])} == {
            "SELECT name FROM customers WHERE id = ?"
        }

    def test_connection_opened_before_the_tap_is_seen_without_its_name(
        self, tap: Any, database: Database
    ) -> None:
        tap()
        connection = connect(database)
        undo = MySQLClientSource().install()

        with recorded() as profiles:
            connection.cursor().execute("SELECT table_name FROM information_schema.tables LIMIT 1")
        connection.close()
        undo()

        (frame,) = queries(profiles[0])
        assert (frame.callsite.system, frame.callsite.target) == ("mariadb", "")

    def test_another_major_version_is_refused(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(MySQLdb, "version_info", (3, 0, 0, "final", 0))

        with pytest.raises(Unsupported, match=r"3\.0\.0 is not supported"):
            MySQLClientSource().install()
