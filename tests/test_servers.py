"""The servers that the tests of drivers talk to."""

from __future__ import annotations

from typing import TYPE_CHECKING

import psycopg
import pymysql
import pytest
from tests import servers

if TYPE_CHECKING:
    from tests.servers import Database


def test_postgresql_runs_and_each_test_has_a_database(postgresql: Database) -> None:
    with psycopg.connect(postgresql.url("postgresql")) as connection:
        found = connection.execute("SELECT current_database(), current_user").fetchone()

    assert found == (postgresql.name, "app")
    assert postgresql.target == f"{postgresql.name}@127.0.0.1:{postgresql.port}"


def test_mariadb_runs_and_each_test_has_a_database(mariadb: Database) -> None:
    connection = pymysql.connect(
        host=mariadb.host,
        port=mariadb.port,
        user=mariadb.user,
        password=mariadb.password,
        database=mariadb.name,
    )
    with connection, connection.cursor() as cursor:
        cursor.execute("SELECT database(), @@version")
        name, version = cursor.fetchone()

    assert name == mariadb.name
    assert "MariaDB" in version


def test_a_server_that_is_not_installed_says_which_program(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(servers.shutil, "which", lambda *_, **__: None)

    with pytest.raises(servers.NotInstalled, match="initdb is not installed"), servers.run_postgresql():
        pass
