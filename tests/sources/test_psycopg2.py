"""psycopg2 on a real PostgreSQL server."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any, ClassVar

import psycopg2
import psycopg2.extensions
import psycopg2.extras
import pytest
from psycopg2 import sql
from tests.sources.collect import counts, queries, recorded
from tests.sources.drivers import ALL, READ, ROWS, PlainDriver, Subject

from manometer.sources._patch import Unsupported
from manometer.sources.psycopg2 import Psycopg2Source
from manometer.testing import record

if TYPE_CHECKING:
    from tests.servers import Database


def connect(database: Database, **options: Any) -> Any:
    return psycopg2.connect(
        host=database.host,
        port=database.port,
        user=database.user,
        password=database.password,
        dbname=database.name,
        **options,
    )


@pytest.fixture
def database(postgresql: Database) -> Database:
    return postgresql


class TestPsycopg2(PlainDriver):
    subject = Subject(
        connect,
        Psycopg2Source,
        "psycopg2",
        "postgresql",
        psycopg2.__version__.split(" ")[0],
        psycopg2.errors.UndefinedTable,
        ((psycopg2, "connect"),),
    )

    def test_objects_are_instances_and_look_as_they_always_did(self, db: Any) -> None:
        cursor = db.cursor()

        assert isinstance(db, psycopg2.extensions.connection)
        assert isinstance(cursor, psycopg2.extensions.cursor)
        assert repr(cursor).startswith("<cursor object at ")
        assert repr(db).startswith("<connection object at ")
        assert (type(cursor).__module__, type(cursor).__name__) == ("psycopg2.extensions", "cursor")

    @pytest.mark.parametrize(
        ("factory", "row"),
        [
            (psycopg2.extras.DictCursor, [100, "customer 0"]),
            (psycopg2.extras.RealDictCursor, {"id": 100, "name": "customer 0"}),
            (psycopg2.extras.NamedTupleCursor, (100, "customer 0")),
            (psycopg2.extras.LoggingCursor, None),
        ],
    )
    def test_cursors_of_other_classes_prove_the_data_flow(
        self, db: Any, database: Database, factory: type, row: Any
    ) -> None:
        options = {}
        if row is None:
            factory, row = psycopg2.extras.DictCursor, [100, "customer 0"]
            options["connection_factory"] = psycopg2.extras.DictConnection
        connection = connect(database, cursor_factory=factory, **options)

        with record() as recorded_:
            cursor = connection.cursor()
            cursor.execute(ALL)
            rows = cursor.fetchall()
            for one in rows:
                key = one["id"] if factory is not psycopg2.extras.NamedTupleCursor else one.id
                with connection.cursor(cursor_factory=factory) as other:
                    other.execute(READ, (key,))
                    other.fetchone()
        connection.close()

        assert rows[0] == row
        assert type(cursor).__name__ == factory.__name__
        assert isinstance(cursor, factory)
        (finding,) = recorded_.findings
        assert (finding.rule, finding.confidence) == ("n-plus-one", "confirmed")

    def test_named_cursor_is_one_query_and_its_rows(self, db: Any) -> None:
        with recorded() as profiles:
            cursor = db.cursor("stream")
            cursor.itersize = 6
            cursor.execute(ALL)
            rows = list(cursor)
            cursor.close()

        (frame,) = queries(profiles[0])
        assert (rows, frame.calls, frame.more().rows_sum) == (ROWS, 1, 20)

    def test_composed_statements_have_a_shape_without_values(self, db: Any) -> None:
        with recorded() as profiles:
            for key in (101, 101, 102):
                query = sql.SQL("SELECT {} FROM {} WHERE id = {} AND name <> {}").format(
                    sql.Identifier("name"),
                    sql.Identifier("customers"),
                    sql.Literal(key),
                    sql.Placeholder(),
                )
                db.cursor().execute(query, ("x",))

        (frame,) = queries(profiles[0])
        assert frame.callsite.template == "SELECT name FROM customers WHERE id = ? AND name <> ?"
        assert sorted(use.calls for use in frame.more().keys.values()) == [1, 2]

    def test_copies_and_procedures_are_calls(self, db: Any) -> None:
        db.cursor().execute("CREATE FUNCTION twice(n int) RETURNS int LANGUAGE sql AS 'SELECT n * 2'")

        with recorded() as profiles:
            cursor = db.cursor()
            cursor.copy_from(io.StringIO("1\ta\n2\tb\n"), "customers", columns=("id", "name"))
            cursor.copy_to(io.StringIO(), "customers")
            cursor.copy_expert("COPY customers TO STDOUT", io.StringIO())
            cursor.callproc("twice", (21,))
            found = cursor.fetchone()

        assert found == (42,)
        assert [frame.callsite.template for frame in queries(profiles[0])] == [
            "COPY customers FROM STDIN ?",
            "COPY customers TO STDOUT",
            "COPY customers TO STDOUT",
            "SELECT * FROM twice(...)",
        ]

    def test_values_in_one_statement_are_one_call(self, db: Any) -> None:
        with record() as recorded_:
            psycopg2.extras.execute_values(
                db.cursor(), "INSERT INTO customers VALUES %s", [(n, "a") for n in range(7)]
            )

        assert recorded_.findings == ()
        assert counts(recorded_.profile) == {"INSERT customers": 1}

    def test_types_looked_up_by_the_driver_are_no_queries(self, db: Any) -> None:
        db.cursor().execute("CREATE EXTENSION IF NOT EXISTS hstore")

        with recorded() as profiles:
            psycopg2.extras.HstoreAdapter.get_oids(db)

        assert counts(profiles[0]) == {}

    def test_connection_class_with_a_hook_is_left_alone(self, database: Database) -> None:
        class Base(psycopg2.extensions.connection):
            made: ClassVar[list[type]] = []

            def __init_subclass__(cls) -> None:
                Base.made.append(cls)

        class Own(Base):
            pass

        made = list(Base.made)
        connection = connect(database, connection_factory=Own)
        connection.close()

        assert type(connection) is Own
        assert Base.made == made

    def test_another_major_version_is_refused(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(psycopg2, "__version__", "3.0.0 (dt)")

        with pytest.raises(Unsupported, match=r"3\.0\.0 is not supported"):
            Psycopg2Source().install()
