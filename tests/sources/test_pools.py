"""Pools that run dry, live: real libraries, a real server on loopback, one holder and one who waits."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from contextlib import asynccontextmanager, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from tests.releases import skip_too_old
from tests.servers import postgresql, postgresql_server, redis_server  # noqa: F401 - fixtures
from tests.waiting import HELD_S, meet

from manometer.testing import install_sources, raising, record


@pytest.fixture(autouse=True)
def tapped():
    with raising(), install_sources():
        yield


class Answer(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        time.sleep(HELD_S)
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, *_):
        pass


@pytest.fixture
def url():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/rates"
    server.shutdown()
    server.server_close()
    thread.join()


def waits(unit):
    return [item for item in unit.findings if item.rule == "pool-wait"]


def check(units, resource, limit=1):
    """Exactly one of two waits, for what it should wait for."""
    found = [item for unit in units for item in waits(unit)]
    assert [(item.evidence["resource"], item.evidence["limit"]) for item in found] == [(resource, limit)]
    assert found[0].evidence["longest_ns"] >= HELD_S * 1e9 / 3
    return found[0]


class TestSQLAlchemy:
    @pytest.fixture
    def engine(self, tmp_path):
        sqlalchemy = pytest.importorskip("sqlalchemy")
        from sqlalchemy.pool import QueuePool

        engine = sqlalchemy.create_engine(
            f"sqlite:///{tmp_path}/shop.db",
            poolclass=QueuePool,
            pool_size=1,
            max_overflow=0,
            connect_args={"check_same_thread": False},
        )
        yield engine
        engine.dispose()

    def test_a_wait_for_a_connection(self, engine):
        import sqlalchemy

        @contextmanager
        def use():
            with engine.connect() as connection:
                connection.execute(sqlalchemy.text("SELECT name FROM sqlite_master")).all()
                yield

        item = check(meet(use), "sqlalchemy QueuePool")

        assert item.evidence["target"].endswith("shop.db")
        assert item.holder.function == "slow_part"
        assert item.evidence["used_mean_ns"] < item.evidence["held_mean_ns"] / 2

    def test_a_connection_that_is_free_makes_nobody_wait(self, engine):
        for _ in range(3):
            with record() as unit, engine.connect():
                pass
            assert unit.findings == ()

    def test_the_timeout_of_the_pool_passes_untouched(self, engine):
        from sqlalchemy.exc import TimeoutError as PoolTimeout

        engine.pool._timeout = 0.03
        with engine.connect(), record() as unit, pytest.raises(PoolTimeout):
            engine.connect()
        (item,) = waits(unit)

        assert item.evidence["failed"] == 1

    def test_tasks_that_wait(self, tmp_path):
        pytest.importorskip("sqlalchemy.ext.asyncio")
        pytest.importorskip("aiosqlite")
        from sqlalchemy import text
        from sqlalchemy.ext.asyncio import create_async_engine
        from sqlalchemy.pool import AsyncAdaptedQueuePool

        async def main():
            engine = create_async_engine(
                f"sqlite+aiosqlite:///{tmp_path}/a.db",
                poolclass=AsyncAdaptedQueuePool,  # not yet the one of a file in SQLAlchemy 1.4
                pool_size=1,
                max_overflow=0,
            )

            async def one():
                async with record(kind="request") as unit, engine.connect() as connection:
                    await connection.execute(text("SELECT 1"))
                    await asyncio.sleep(HELD_S)
                return unit

            try:
                return await asyncio.gather(one(), one())
            finally:
                await engine.dispose()

        check(asyncio.run(main()), "sqlalchemy AsyncAdaptedQueuePool")


class TestPsycopg:
    def test_a_wait_for_a_connection(self, postgresql):  # noqa: F811
        psycopg_pool = pytest.importorskip("psycopg_pool")
        with psycopg_pool.ConnectionPool(postgresql.url("postgresql"), min_size=1, max_size=1) as pool:
            pool.wait()
            item = check(meet(pool.connection), "psycopg_pool ConnectionPool")

        assert item.holder.function == "slow_part"

    def test_tasks_that_wait(self, postgresql):  # noqa: F811
        psycopg_pool = pytest.importorskip("psycopg_pool")

        async def main():
            where = postgresql.url("postgresql")
            async with psycopg_pool.AsyncConnectionPool(where, min_size=1, max_size=1, open=False) as pool:
                await pool.wait()

                async def one():
                    async with record(kind="request") as unit, pool.connection():
                        await asyncio.sleep(HELD_S)
                    return unit

                return await asyncio.gather(one(), one())

        check(asyncio.run(main()), "psycopg_pool AsyncConnectionPool")

    def test_opening_a_connection_is_no_wait_for_somebody_else(self, postgresql):  # noqa: F811
        psycopg_pool = pytest.importorskip("psycopg_pool")
        with psycopg_pool.ConnectionPool(postgresql.url("postgresql"), min_size=1, max_size=4) as pool:
            pool.wait()
            (unit,) = meet(pool.connection)

        assert unit.findings == ()


class TestRedis:
    def test_a_wait_for_a_connection(self, redis_server):  # noqa: F811
        redis = pytest.importorskip("redis")
        pool = redis.BlockingConnectionPool(host="127.0.0.1", port=redis_server, max_connections=1)
        client = redis.Redis(connection_pool=pool)
        client.ping()

        @contextmanager
        def use():
            with client.pubsub() as inbox:
                inbox.subscribe("orders")
                yield

        item = check(meet(use), "redis BlockingConnectionPool")
        client.close()
        pool.disconnect()

        assert item.evidence["target"] == f"127.0.0.1:{redis_server}"

    def test_tasks_that_wait(self, redis_server):  # noqa: F811
        asynchronous = pytest.importorskip("redis.asyncio")
        skip_too_old("redis-asyncio-pool")

        async def main():
            pool = asynchronous.BlockingConnectionPool(host="127.0.0.1", port=redis_server, max_connections=1)
            client = asynchronous.Redis(connection_pool=pool)

            async def one():
                async with record(kind="request") as unit:
                    await client.blpop(["nothing"], timeout=HELD_S)
                return unit

            try:
                return await asyncio.gather(one(), one())
            finally:
                await client.aclose()
                await pool.disconnect()

        check(asyncio.run(main()), "redis BlockingConnectionPool")


class TestHTTP:
    def test_requests(self, url):
        requests = pytest.importorskip("requests")
        session = requests.Session()
        session.mount("http://", requests.adapters.HTTPAdapter(pool_maxsize=1, pool_block=True))
        item = check(self.at_once(lambda: session.get(url, timeout=5)), "urllib3 HTTPConnectionPool")
        session.close()

        assert "pool_maxsize" in item.advice

    def test_requests_without_block_opens_another_one(self, url):
        requests = pytest.importorskip("requests")
        session = requests.Session()
        session.mount("http://", requests.adapters.HTTPAdapter(pool_maxsize=1))
        units = self.at_once(lambda: session.get(url, timeout=5))
        session.close()

        assert [waits(unit) for unit in units] == [[], []]

    def test_httpx(self, url):
        httpx = pytest.importorskip("httpx")
        skip_too_old("httpx-pool")
        with httpx.Client(limits=httpx.Limits(max_connections=1)) as client:
            item = check(self.at_once(lambda: client.get(url)), "httpx connection pool")

        assert "max_connections" in item.advice

    def test_httpx_in_tasks(self, url):
        httpx = pytest.importorskip("httpx")
        skip_too_old("httpx-pool")

        @asynccontextmanager
        async def client():
            async with httpx.AsyncClient(limits=httpx.Limits(max_connections=1)) as made:
                yield made.get

        check(self.tasks(client, url), "httpx connection pool")

    def test_aiohttp(self, url):
        aiohttp = pytest.importorskip("aiohttp")
        skip_too_old("aiohttp-pool")

        @asynccontextmanager
        async def client():
            connector = aiohttp.TCPConnector(limit=1)
            async with aiohttp.ClientSession(connector=connector) as session:

                async def get(url):
                    async with session.get(url, timeout=aiohttp.ClientTimeout(5)) as response:
                        await response.read()

                yield get

        check(self.tasks(client, url), "aiohttp connector")

    def test_a_call_does_not_count_the_wait_for_its_connection(self, url):
        requests = pytest.importorskip("requests")
        session = requests.Session()
        session.mount("http://", requests.adapters.HTTPAdapter(pool_maxsize=1, pool_block=True))
        units = self.at_once(lambda: session.get(url, timeout=5))
        session.close()
        (late,) = (unit for unit in units if waits(unit))
        spent = {frame.callsite.kind: frame.total_ns for frame in late.profile.root.own_children()}

        assert spent["wait"] + spent["http"] <= late.profile.duration_ns

    def test_a_broken_connection_is_given_back(self):
        urllib3 = pytest.importorskip("urllib3")
        with socket.socket() as nobody:
            nobody.bind(("127.0.0.1", 0))  # bound, and nobody listens
            port = nobody.getsockname()[1]
            pool = urllib3.HTTPConnectionPool("127.0.0.1", port, maxsize=1, block=True, retries=False)
            with record() as unit:
                for _ in range(3):
                    with pytest.raises(urllib3.exceptions.HTTPError):
                        pool.request("GET", "/", timeout=1)
            pool.close()

        assert waits(unit) == []

    @staticmethod
    def at_once(call):
        start, units = threading.Barrier(2), []

        def one():
            start.wait(10)
            with record(kind="request") as unit:
                call()
            units.append(unit)

        threads = [threading.Thread(target=one) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
        return units

    @staticmethod
    def tasks(client, url):
        async def main():
            async with client() as get:

                async def one():
                    async with record(kind="request") as unit:
                        await get(url)
                    return unit

                return await asyncio.gather(one(), one())

        return asyncio.run(main())


class TestDjangoTransactions:
    def test_a_call_inside_a_transaction_is_held_across_it(self, url, tmp_path):
        import subprocess
        import sys

        pytest.importorskip("django")
        pytest.importorskip("requests")
        done = subprocess.run(
            [sys.executable, "-c", ATOMIC, str(tmp_path / "shop.db"), url],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr

        assert done.stdout.split() == ["inside:transaction", "outside:"]


ATOMIC = """
import sys
from django.conf import settings
path, url = sys.argv[1:]
settings.configure(DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": path}})
import django
django.setup()
import requests
from django.db import connection, transaction
from manometer.testing import install_sources, raising, record

def order(inside):
    with transaction.atomic():
        with transaction.atomic():
            with connection.cursor() as cursor:
                cursor.execute("CREATE TABLE IF NOT EXISTS orders (id integer)")
        if inside:
            requests.get(url, timeout=5)
    if not inside:
        requests.get(url, timeout=5)

with raising(), install_sources():
    for inside in (True, False):
        with record(kind="request") as unit:
            order(inside)
        found = ",".join(item.evidence["resource"].split()[0] for item in unit.named("held-across-io"))
        print(("inside:" if inside else "outside:") + found)
"""
