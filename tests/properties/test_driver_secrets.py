"""No value that an application hands to a driver is in what manometer prints, in no format."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from tests.servers import Database

COUNT = 1_000

PROGRAM = """
import asyncio, json, os, sys
from manometer import profile

place = json.loads(os.environ["PLACE"])
canaries = json.loads(open(os.environ["CANARIES"]).read())


def literals(canary, n):
    # Values where applications put them: in literals, in parameters, in comments, in lists.
    yield f"SELECT name FROM customers WHERE name = '{canary}'", None
    yield f"SELECT name FROM customers /* {canary} */ WHERE name IN ('{canary}', '{canary}x') AND id > {n}", None
    yield "SELECT name FROM customers WHERE name = %s", (canary,)


def plain(connection, ours):
    cursor = connection.cursor()
    cursor.execute("CREATE TABLE customers (id INTEGER PRIMARY KEY, name VARCHAR(80))")
    connection.commit()
    with profile(f"work of {type(connection).__module__.partition('.')[0]}"):
        for n, canary in enumerate(ours):
            for text, parameters in literals(canary, n):
                cursor.execute(text, parameters)
                cursor.fetchall()
            if n % 100 == 0:
                cursor.executemany("INSERT INTO customers VALUES (%s, %s)", [(n, canary), (n + 1, canary)])
                cursor.execute("UPDATE customers SET name = %s WHERE name = %s", (canary + "y", canary))
                try:
                    cursor.execute(f"SELECT {canary} FROM customers")
                except Exception:
                    connection.rollback()
    connection.close()


def documents(ours):
    import pymongo

    client = pymongo.MongoClient(place["host"], place["port"])
    users = client.shop.users
    with profile("work of pymongo"):
        for canary in ours:
            users.insert_one({"name": canary, canary: canary})
            list(users.find({"name": canary, "tags": {"$in": [canary]}}))
    client.close()


async def asynchronous(ours):
    import asyncpg

    connection = await asyncpg.connect(place["url"])
    await connection.execute("CREATE TABLE customers (id INTEGER PRIMARY KEY, name VARCHAR(80))")
    async with profile("work of asyncpg"):
        for n, canary in enumerate(ours):
            for text, parameters in literals(canary, n):
                await connection.fetch(text.replace("%s", "$1"), *(parameters or ()))
    await connection.close()


driver = sys.argv[1]
if driver == "asyncpg":
    asyncio.run(asynchronous(canaries))
elif driver == "pymongo":
    documents(canaries)
elif driver.startswith("psycopg"):
    plain(__import__(driver).connect(place["url"]), canaries)
else:
    module = __import__("MySQLdb" if driver == "mysqlclient" else driver)
    keys = ("host", "port", "user", "password", "database")
    plain(module.connect(**{key: place[key] for key in keys}), canaries)
"""

SERVERS = {
    "psycopg": "postgresql",
    "psycopg2": "postgresql",
    "asyncpg": "postgresql",
    "pymysql": "mariadb",
    "mysqlclient": "mariadb",
    "pymongo": "mongodb",
}


@pytest.mark.parametrize(
    ("driver", "log_format"), [("psycopg", "logfmt"), *((name, "json") for name in SERVERS)]
)
def test_no_canary_is_printed(
    driver: str, log_format: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    if driver == "mysqlclient":
        pytest.importorskip("MySQLdb", reason="mysqlclient could not be built here")
    database: Database = request.getfixturevalue(SERVERS[driver])
    canaries = [f"canary{secrets.token_hex(12)}" for _ in range(COUNT)]
    (tmp_path / "canaries").write_text(json.dumps(canaries))
    (tmp_path / "program.py").write_text(PROGRAM)
    place = {
        "host": database.host, "port": database.port, "user": database.user, "password": database.password,
        "database": database.name, "url": database.url("postgresql"),
    }  # fmt: skip

    done = subprocess.run(
        [sys.executable, "-m", "manometer", "run", "program.py", driver],
        cwd=tmp_path,
        env={
            **os.environ,
            "PLACE": json.dumps(place),
            "CANARIES": str(tmp_path / "canaries"),
            "MANOMETER_LOG_FORMAT": log_format,
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=55,
    )

    printed = done.stdout
    assert done.returncode == 0, printed.decode()
    assert f"work of {'MySQLdb' if driver == 'mysqlclient' else driver}".encode() in printed
    assert (
        b"customers" in printed or b"users" in printed
    )  # a finding with its statement is there to be searched
    assert [canary for canary in canaries if canary.encode() in printed] == []
    assert database.password.encode() not in printed
