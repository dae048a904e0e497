"""Runs the cells whose libraries and servers are at hand: `python -m tests.scenarios.matrix URLS`, one line of JSON a cell.

URLS is a JSON object of the servers' addresses: `postgresql`, `mariadb` (a URL without a scheme, and the parts) and `mongodb`.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
import sys
import tempfile
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.scenarios import django_app
from tests.scenarios.matrix import frameworks, libraries
from tests.scenarios.matrix.libraries import (
    AsyncCursors,
    AsyncEngine,
    AsyncMongo,
    Asyncpg,
    Cursors,
    DjangoAsyncOrm,
    DjangoOrm,
    Engine,
    Mongo,
    Orm,
)
from tests.servers import Database
from tests.sources.collect import switched_on

from manometer._history import History
from manometer._model import STRICT
from manometer.detectors import judge
from manometer.testing import install_sources, raising

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from manometer._model import Profile


def sync_libraries(folder: str, servers: dict[str, Database]) -> Iterator[tuple[str, str, Any]]:
    """Yield name, database and library of the synchronous ones; the tables are there."""
    file = f"{folder}/shop.sqlite3"
    with sqlite3.connect(file) as connection:
        libraries.fill(connection.execute)
    yield "sqlite3", "SQLite", Cursors(lambda: sqlite3.connect(file, check_same_thread=False), "?")
    yield "SQLAlchemy", "SQLite", Engine(f"sqlite:///{file}")
    yield "SQLAlchemy ORM", "SQLite", Orm(f"sqlite:///{file}")
    yield "Django ORM", "SQLite", DjangoOrm("default")
    if (server := servers.get("postgresql")) is not None:
        yield from _on_postgresql(server)
    if (server := servers.get("mariadb")) is not None:
        yield from _on_mariadb(server)
    if (server := servers.get("mongodb")) is not None:
        mongo = Mongo(server.host, server.port, server.name)
        libraries.fill_mongo(mongo.open())
        yield "pymongo", "MongoDB protocol", mongo


def _on_postgresql(server: Database) -> Iterator[tuple[str, str, Any]]:
    import psycopg
    import psycopg2
    import sqlalchemy

    with psycopg.connect(server.url("postgresql")) as connection:
        libraries.fill(connection.execute)  # type: ignore[arg-type]
    yield "psycopg", "PostgreSQL", Cursors(lambda: psycopg.connect(server.url("postgresql")))
    yield "psycopg2", "PostgreSQL", Cursors(lambda: psycopg2.connect(server.url("postgresql")))
    # SQLAlchemy 1.4 does not know psycopg 3.
    url = server.url(
        "postgresql+psycopg2" if sqlalchemy.__version__.startswith("1.") else "postgresql+psycopg"
    )
    yield "SQLAlchemy", "PostgreSQL", Engine(url)
    yield "SQLAlchemy ORM", "PostgreSQL", Orm(url)
    django_app.add_database("postgresql", "postgresql", server)
    yield "Django ORM", "PostgreSQL", DjangoOrm("postgresql")


def _on_mariadb(server: Database) -> Iterator[tuple[str, str, Any]]:
    import pymysql

    login: dict[str, Any] = {"host": server.host, "port": server.port, "user": server.user}
    login |= {"password": server.password, "database": server.name}
    with pymysql.connect(**login) as connection, connection.cursor() as cursor:
        libraries.fill(cursor.execute)
        connection.commit()
    yield "PyMySQL", "MariaDB", Cursors(lambda: pymysql.connect(**login))
    yield "SQLAlchemy", "MariaDB", Engine(server.url("mysql+pymysql"))
    yield "SQLAlchemy ORM", "MariaDB", Orm(server.url("mysql+pymysql"))
    try:
        import MySQLdb
    except ImportError:
        return
    yield "mysqlclient", "MariaDB", Cursors(lambda: MySQLdb.connect(**login))
    django_app.add_database("mariadb", "mysql", server)
    yield "Django ORM", "MariaDB", DjangoOrm("mariadb")


def async_libraries(folder: str, servers: dict[str, Database]) -> Iterator[tuple[str, str, Any]]:
    """Yield the same of the asynchronous ones, on the same tables."""
    yield "SQLAlchemy + aiosqlite", "SQLite", AsyncEngine(f"sqlite+aiosqlite:///{folder}/shop.sqlite3")
    yield "Django ORM", "SQLite", DjangoAsyncOrm("default")
    if (server := servers.get("postgresql")) is not None:
        yield "psycopg", "PostgreSQL", AsyncCursors(server.url("postgresql"))
        yield "asyncpg", "PostgreSQL", Asyncpg(server.url("postgresql"))
        yield "SQLAlchemy + asyncpg", "PostgreSQL", AsyncEngine(server.url("postgresql+asyncpg"))
        yield "Django ORM", "PostgreSQL", DjangoAsyncOrm("postgresql")
    if (server := servers.get("mongodb")) is not None:
        yield "pymongo", "MongoDB protocol", AsyncMongo(server.host, server.port, server.name)


def verdicts(profiles: list[Profile]) -> list[dict[str, Any]]:
    """Return what there is to say of the one unit of work that made calls."""
    (profile,) = [each for each in profiles if any(frame.callsite.kind == "db" for frame in each.root.walk())]
    profile.policy = STRICT
    history = History()
    history.add(profile)
    return [
        {
            "rule": finding.rule,
            "calls": finding.evidence.get("calls"),
            "file": Path(finding.callsite.file).name,
            "line": finding.callsite.line,
        }
        for finding in judge(profile, history)
        if finding.question != "sharing"  # who waited for whom depends on how busy this machine is
    ]


def cell(ask: Callable[[str], Any], path: str) -> dict[str, Any]:
    try:
        with switched_on() as profiles:
            answer = ask(path)
        return {"answer": answer, "found": verdicts(profiles), "kind": profiles[0].kind}
    except Exception:
        return {"error": traceback.format_exc()}


async def cell_async(ask: Callable[[str], Any], path: str) -> dict[str, Any]:
    try:
        with switched_on() as profiles:
            answer = await ask(path)
        return {"answer": answer, "found": verdicts(profiles), "kind": profiles[0].kind}
    except Exception:
        return {"error": traceback.format_exc()}


def run_sync(library: Any, say: Callable[..., None]) -> None:
    connection = library.open()
    pages = [lambda: library.loop(connection), lambda: library.batch(connection)]
    for name, ask in frameworks.SYNC.items():
        with frameworks.showing(*pages):
            say(name, "sync", library, [cell(ask, path) for path in frameworks.PATHS])


async def run_async(library: Any, say: Callable[..., None]) -> None:
    connection = await library.open()

    async def loop() -> Any:
        return await library.loop(connection)

    async def batch() -> Any:
        return await library.batch(connection)

    for name, ask in frameworks.ASYNC.items():
        with frameworks.showing(loop, batch):
            say(name, "async", library, [await cell_async(ask, path) for path in frameworks.PATHS])


def main(addresses: str) -> None:
    servers = {name: Database(**parts) for name, parts in json.loads(addresses).items()}
    with tempfile.TemporaryDirectory() as folder, raising(), install_sources():
        django_app.configure()
        for name, database, library in sync_libraries(folder, servers):
            run_sync(library, _say(name, database))
        for name, database, library in async_libraries(folder, servers):
            asyncio.run(run_async(library, _say(name, database)))


def _say(name: str, database: str) -> Callable[..., None]:
    def say(framework: str, mode: str, library: Any, cells: list[dict[str, Any]]) -> None:
        said = {"framework": framework, "library": name, "database": database, "mode": mode}
        print(json.dumps(said | {"line": libraries.line_of(library), "cells": cells}), flush=True)

    return say


if __name__ == "__main__":
    main(sys.argv[1])
