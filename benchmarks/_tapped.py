"""The libraries whose taps are measured: how to ask each of them once, and what OpenTelemetry instruments it with.

Each entry is a function of an `ExitStack`, on which it starts what it needs (a server on the loopback), and gives what
connects: called once in each state, it returns the query, a function or a coroutine function.
"""

from __future__ import annotations

import sqlite3
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import ExitStack

    Query = Callable[[], Any]
    Connect = Callable[[], Query]

ROWS = "CREATE TABLE items (id INTEGER PRIMARY KEY, name VARCHAR(20), price REAL)"
FILL = "INSERT INTO items (id, name, price) VALUES (1, 'thing', 1.5)"
QUERY = "SELECT id, name, price FROM items WHERE id = ?"
FORMAT = QUERY.replace("?", "%s")


class Library(NamedTuple):
    """One library: what connects to it, and the module and class of OpenTelemetry's instrumentation."""

    make: Callable[[ExitStack], Connect]
    package: str
    instrumentor: str


def of_sqlite3(_: ExitStack) -> Connect:
    """A query of one row through the driver."""

    def connect() -> Query:
        connection = sqlite3.connect(":memory:")
        connection.execute(ROWS)
        connection.execute(FILL)
        cursor = connection.cursor()
        return lambda: cursor.execute(QUERY, (1,)).fetchone()

    return connect


def of_sqlalchemy(_: ExitStack) -> Connect:
    """A query of one row through the Core of SQLAlchemy."""
    import sqlalchemy
    from sqlalchemy import text

    def connect() -> Query:
        engine = sqlalchemy.create_engine("sqlite://")
        connection = engine.connect()
        connection.execute(text(ROWS))
        connection.execute(text(FILL))
        statement = text(QUERY.replace("?", ":id"))

        def query() -> Any:
            return connection.execute(statement, {"id": 1}).fetchone()

        query.engine = engine  # type: ignore[attr-defined]
        return query

    return connect


def of_django(_: ExitStack) -> Connect:
    """A query of one row through the cursor of Django; OpenTelemetry leaves it to the driver's instrumentation."""
    import django
    from django.conf import settings

    names = iter(("default", "second", "third", "fourth"))
    database = {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}
    settings.configure(DATABASES=dict.fromkeys(("default", "second", "third", "fourth"), database))
    django.setup()
    from django.db import connections

    def connect() -> Query:
        connection = connections[next(names)]
        with connection.cursor() as cursor:
            cursor.execute(ROWS)
            cursor.execute(FILL)

        def query() -> Any:
            with connection.cursor() as cursor:
                cursor.execute(FORMAT, [1])
                return cursor.fetchone()

        return query

    return connect


def _plain(make: Callable[[], Any]) -> Connect:
    """A query through a plain cursor of a driver for a server; the table exists from the first connection on."""
    made = []

    def connect() -> Query:
        connection = make()
        cursor = connection.cursor()
        if not made:
            made.append(True)
            cursor.execute(ROWS)
            cursor.execute(FILL)
            connection.commit()

        def query() -> Any:
            cursor.execute(FORMAT, (1,))
            return cursor.fetchone()

        return query

    return connect


def _postgresql(stack: ExitStack) -> Any:
    from tests.servers import run_postgresql

    return stack.enter_context(run_postgresql()).fresh()


def of_psycopg(stack: ExitStack) -> Connect:
    """A query of one row through psycopg."""
    import psycopg

    url = _postgresql(stack).url("postgresql")
    return _plain(lambda: psycopg.connect(url, autocommit=True))


def of_psycopg2(stack: ExitStack) -> Connect:
    """A query of one row through psycopg2."""
    import psycopg2

    url = _postgresql(stack).url("postgresql")
    return _plain(lambda: psycopg2.connect(url))


def of_asyncpg(stack: ExitStack) -> Connect:
    """A query of one row through asyncpg."""
    import asyncpg

    url = _postgresql(stack).url("postgresql")
    made: list[Any] = []

    def connect() -> Query:
        connection: Any = None

        async def query() -> Any:
            nonlocal connection
            if connection is None:
                connection = await asyncpg.connect(url)
                if not made:
                    made.append(True)
                    await connection.execute(ROWS)
                    await connection.execute(FILL)
            return await connection.fetchrow(QUERY.replace("?", "$1"), 1)

        return query

    return connect


def of_pymysql(stack: ExitStack) -> Connect:
    """A query of one row through PyMySQL."""
    import pymysql
    from tests.servers import run_mariadb

    at = stack.enter_context(run_mariadb()).fresh()
    return _plain(
        lambda: pymysql.connect(
            host=at.host, port=at.port, user=at.user, password=at.password, database=at.name
        )
    )


def of_redis(stack: ExitStack) -> Connect:
    """A GET through redis-py."""
    import redis
    from tests.servers import run_redis

    port = stack.enter_context(run_redis())

    def connect() -> Query:
        client = redis.Redis(port=port)
        client.set("item:1", "thing")
        return lambda: client.get("item:1")

    return connect


def of_redis_asyncio(stack: ExitStack) -> Connect:
    """A GET through redis-py, awaited."""
    import redis.asyncio
    from tests.servers import run_redis

    port = stack.enter_context(run_redis())

    def connect() -> Query:
        client = redis.asyncio.Redis(port=port)

        async def query() -> Any:
            return await client.get("item:1")

        return query

    return connect


def of_pymemcache(stack: ExitStack) -> Connect:
    """A get through pymemcache."""
    from pymemcache.client.base import Client
    from tests.servers import run_memcached

    port = stack.enter_context(run_memcached())

    def connect() -> Query:
        client = Client(("127.0.0.1", port))
        client.set("item:1", "thing")
        return lambda: client.get("item:1")

    return connect


class _Answer(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        body = b"<ListAllMyBucketsResult></ListAllMyBucketsResult>"
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


def _http(stack: ExitStack) -> str:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Answer)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    stack.callback(server.shutdown)
    return f"http://127.0.0.1:{server.server_address[1]}"


def of_requests(stack: ExitStack) -> Connect:
    """A GET through a session of requests."""
    import requests

    url = f"{_http(stack)}/items/1"

    def connect() -> Query:
        session = requests.Session()
        return lambda: session.get(url, timeout=5).content

    return connect


def of_urllib3(stack: ExitStack) -> Connect:
    """A GET through a pool of urllib3."""
    import urllib3

    url = f"{_http(stack)}/items/1"

    def connect() -> Query:
        pool = urllib3.PoolManager()
        return lambda: pool.request("GET", url).data

    return connect


def of_httpx(stack: ExitStack) -> Connect:
    """A GET through a client of httpx."""
    import httpx

    url = f"{_http(stack)}/items/1"

    def connect() -> Query:
        client = httpx.Client()
        return lambda: client.get(url).content

    return connect


def of_httpx_async(stack: ExitStack) -> Connect:
    """A GET through an asynchronous client of httpx."""
    import httpx

    url = f"{_http(stack)}/items/1"

    def connect() -> Query:
        client = httpx.AsyncClient()

        async def query() -> Any:
            return (await client.get(url)).content

        return query

    return connect


def of_aiohttp(stack: ExitStack) -> Connect:
    """A GET through a session of aiohttp."""
    import aiohttp

    url = f"{_http(stack)}/items/1"

    def connect() -> Query:
        session: Any = None

        async def query() -> Any:
            nonlocal session
            session = session or aiohttp.ClientSession()
            async with session.get(url) as answer:
                return await answer.read()

        return query

    return connect


def of_botocore(stack: ExitStack) -> Connect:
    """A ListBuckets through botocore."""
    import botocore.session
    from botocore import UNSIGNED
    from botocore.config import Config

    url = _http(stack)

    def connect() -> Query:
        session = botocore.session.get_session()
        client = session.create_client(
            "s3", endpoint_url=url, region_name="eu-west-1", config=Config(signature_version=UNSIGNED)
        )
        return client.list_buckets  # type: ignore[no-any-return]

    return connect


LIBRARIES = {
    "sqlite3": Library(of_sqlite3, "sqlite3", "SQLite3Instrumentor"),
    "SQLAlchemy": Library(of_sqlalchemy, "sqlalchemy", "SQLAlchemyInstrumentor"),
    "Django": Library(of_django, "sqlite3", "SQLite3Instrumentor"),
    "psycopg": Library(of_psycopg, "psycopg", "PsycopgInstrumentor"),
    "psycopg2": Library(of_psycopg2, "psycopg2", "Psycopg2Instrumentor"),
    "asyncpg": Library(of_asyncpg, "asyncpg", "AsyncPGInstrumentor"),
    "PyMySQL": Library(of_pymysql, "pymysql", "PyMySQLInstrumentor"),
    "redis": Library(of_redis, "redis", "RedisInstrumentor"),
    "redis.asyncio": Library(of_redis_asyncio, "redis", "RedisInstrumentor"),
    "pymemcache": Library(of_pymemcache, "pymemcache", "PymemcacheInstrumentor"),
    "requests": Library(of_requests, "requests", "RequestsInstrumentor"),
    "urllib3": Library(of_urllib3, "urllib3", "URLLib3Instrumentor"),
    "httpx": Library(of_httpx, "httpx", "HTTPXClientInstrumentor"),
    "httpx, async": Library(of_httpx_async, "httpx", "HTTPXClientInstrumentor"),
    "aiohttp": Library(of_aiohttp, "aiohttp_client", "AioHttpClientInstrumentor"),
    "botocore": Library(of_botocore, "botocore", "BotocoreInstrumentor"),
}
