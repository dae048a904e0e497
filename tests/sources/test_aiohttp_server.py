"""The server of aiohttp, through real sockets: what is named, what is counted, and that nothing else changes."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sqlite3
import subprocess
import sys
import time
import urllib.request
from typing import TYPE_CHECKING, Any

import pytest

pytest.importorskip("aiohttp")

import sqlalchemy as sa
from aiohttp import ClientSession, web
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool
from tests.sources.asgi_driver import free_port
from tests.sources.collect import counts, queries, strict_guard, switched_on

from manometer import _context, _guard
from manometer._history import History
from manometer._model import STRICT
from manometer.detectors import judge
from manometer.sources._patch import Unsupported
from manometer.sources.aiohttp_server import AiohttpServerSource
from manometer.sources.sqlalchemy import SQLAlchemySource

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
    from pathlib import Path

    from manometer._model import Profile

OWNERS = [
    (web.RequestHandler, "_handle_request"),
    (web.StreamResponse, "write"),
    (web.StreamResponse, "prepare"),
]
OWNERS += [(web.WebSocketResponse, "receive")]
ORIGINALS = [vars(owner)[name] for owner, name in OWNERS]
IDS = sa.text("SELECT id FROM orders ORDER BY id LIMIT :count")
ONE = sa.text("SELECT customer FROM orders WHERE id = :id")
MANY = sa.text("SELECT customer FROM orders WHERE id IN :ids").bindparams(sa.bindparam("ids", expanding=True))


@pytest.fixture
def tap() -> Iterator[Callable[[], None]]:
    undos = [AiohttpServerSource().install(), SQLAlchemySource().install()]

    def undo() -> None:
        while undos:
            undos.pop()()

    with strict_guard():
        yield undo
    undo()
    _guard.clear()


@pytest.fixture
def profiles(tap: object) -> Iterator[list[Profile]]:
    with switched_on() as collected:
        yield collected
    assert not _context.live
    assert _context.variable.get() is None


@pytest.fixture
def database(tmp_path: Path) -> str:
    path = str(tmp_path / "shop.db")
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE orders (id INTEGER PRIMARY KEY, customer INTEGER)")
        connection.executemany("INSERT INTO orders VALUES (?, ?)", [(n, 1_000 + n) for n in range(60)])
        connection.commit()
    (tmp_path / "file.txt").write_text("a file", encoding="utf-8")
    return path


def app_of(path: str, closed: asyncio.Event | None = None) -> web.Application:
    """Return a fresh application, for one loop."""
    engine = create_async_engine(f"sqlite+aiosqlite:///{path}", poolclass=NullPool)
    sync_engine = sa.create_engine(f"sqlite:///{path}", poolclass=NullPool)
    app, shop = web.Application(), web.Application()

    async def order(request: web.Request) -> web.Response:
        return web.json_response({"id": request.match_info["id"]})

    async def loop(request: web.Request) -> web.Response:
        count = int(request.query.get("count", "12"))
        async with engine.connect() as connection:
            ids = (await connection.execute(IDS, {"count": count})).scalars().all()
            found = [(await connection.execute(ONE, {"id": key})).scalar_one() for key in ids]
        return web.json_response(found)

    async def batch(request: web.Request) -> web.Response:
        async with engine.connect() as connection:
            ids = (await connection.execute(IDS, {"count": 12})).scalars().all()
            return web.json_response(
                list((await connection.execute(MANY, {"ids": list(ids)})).scalars().all())
            )

    async def threaded(request: web.Request) -> web.Response:
        def work() -> list[int]:
            with sync_engine.connect() as connection:
                return [connection.execute(ONE, {"id": key}).scalar_one() for key in range(7)]

        return web.json_response(await asyncio.to_thread(work))

    async def stream(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        async with engine.connect() as connection:
            for key in range(4):
                found = (await connection.execute(ONE, {"id": key})).scalar_one()
                await response.write(f"{found}\n".encode())
        await response.write_eof()
        return response

    async def endless(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        try:
            while True:
                await response.write(b"data: tick\n\n")
                await asyncio.sleep(0.01)
        finally:
            if closed is not None:
                closed.set()

    async def echo(request: web.Request) -> web.Response:
        return web.Response(body=await request.read())

    async def teapot(request: web.Request) -> web.Response:
        raise web.HTTPConflict(text="canary")

    async def broken(request: web.Request) -> web.Response:
        raise LookupError("canary")

    async def refused(request: web.Request) -> web.Response:
        raise ConnectionRefusedError("canary")

    async def chat(request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        async for message in socket:
            async with engine.connect() as connection:
                found = (await connection.execute(ONE, {"id": int(message.data)})).scalar_one()
            await socket.send_str(str(found))
        return socket

    shop.add_routes([web.get("/orders/{id}", order), web.get("/loop", loop), web.get("/batch", batch)])
    app.add_routes(
        [
            web.get(r"/orders/{id:\d+}", order), web.get("/threaded", threaded), web.get("/stream", stream),
            web.get("/endless", endless), web.post("/echo", echo), web.get("/teapot", teapot),
            web.get("/broken", broken), web.get("/refused", refused), web.get("/chat/{room}", chat),
            web.get("/health", teapot), web.static("/static", path.rpartition("/")[0]),
        ]
    )  # fmt: skip
    app.add_subapp("/shop", shop)
    return app


@contextlib.asynccontextmanager
async def serving(app: web.Application) -> AsyncIterator[tuple[ClientSession, str]]:
    """Serve *app* on the loopback; give a client and the address."""
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    try:
        async with ClientSession() as client:
            yield client, f"http://{host}:{port}"
    finally:
        await runner.cleanup()


def ask(app: web.Application, *paths: str, method: str = "GET", **more: Any) -> list[tuple[int, bytes]]:
    """Make requests one after another; return status and body of each."""

    async def main() -> list[tuple[int, bytes]]:
        async with serving(app) as (client, base):
            found = []
            for path in paths:
                async with client.request(method, base + path, **more) as response:
                    found.append((response.status, await response.read()))
            return found

    return asyncio.run(main())


def told(profiles: list[Profile]) -> list[tuple[str, str, str]]:
    return [(profile.name, profile.status, profile.outcome) for profile in profiles]


@pytest.mark.parametrize(
    ("method", "path", "name", "status", "outcome"),
    [
        ("GET", "/orders/7", "GET /orders/{id}", "200", "ok"),
        ("GET", "/shop/orders/7", "GET /shop/orders/{id}", "200", "ok"),
        ("GET", "/wp-login.php", "GET (unmatched)", "404", "ok"),
        ("GET", "/shop/wp-login.php", "GET (unmatched)", "404", "ok"),
        ("DELETE", "/orders/7", "DELETE (unmatched)", "405", "ok"),
        ("GET", "/teapot", "GET /teapot", "409", "ok"),
        ("GET", "/broken", "GET /broken", "500", "LookupError"),
        ("GET", "/refused", "GET /refused", "500", "ConnectionRefusedError"),
    ],
)
def test_request_is_named_after_its_resource(
    database: str, profiles: list[Profile], method: str, path: str, name: str, status: str, outcome: str
) -> None:
    ask(app_of(database), path, method=method)

    assert told(profiles) == [(name, status, outcome)]
    assert (profiles[0].framework, profiles[0].cpu_ns) == ("aiohttp-server", -1)
    assert 0 < profiles[0].first_byte_ns <= profiles[0].duration_ns


def test_health_checks_and_static_files_are_excluded(database: str, profiles: list[Profile]) -> None:
    answers = ask(app_of(database), "/health", "/static/file.txt")

    assert answers[1] == (200, b"a file")
    assert profiles == []


def test_trace_id_is_that_of_the_traceparent(database: str, profiles: list[Profile]) -> None:
    header = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

    ask(app_of(database), "/orders/7", headers={"traceparent": header})

    assert profiles[0].trace_id == "0af7651916cd43dd8448eb211c80319c"


def test_loop_over_queries_is_found_with_its_line_and_its_source(
    database: str, profiles: list[Profile]
) -> None:
    ask(app_of(database), "/shop/loop")

    (profile,) = profiles
    profile.policy = STRICT
    (finding,) = judge(profile, History())
    assert (profile.name, counts(profile)) == ("GET /shop/loop", {"SELECT orders": 13})
    assert (finding.rule, finding.confidence, finding.evidence["calls"]) == ("n-plus-one", "confirmed", 12)
    assert finding.callsite.function.endswith("loop")
    assert finding.callsite.file == __file__


def test_batch_is_silent(database: str, profiles: list[Profile]) -> None:
    ask(app_of(database), "/shop/batch")

    profiles[0].policy = STRICT
    assert counts(profiles[0]) == {"SELECT orders": 2}
    assert judge(profiles[0], History()) == ()


def test_queries_in_a_thread_belong_to_the_request(database: str, profiles: list[Profile]) -> None:
    ask(app_of(database), "/threaded")

    assert counts(profiles[0]) == {"SELECT orders": 7}


def test_stream_belongs_to_its_request(database: str, profiles: list[Profile]) -> None:
    answers = ask(app_of(database), "/stream")

    assert answers == [(200, b"1000\n1001\n1002\n1003\n")]
    assert [(profile.name, counts(profile)) for profile in profiles] == [
        ("GET /stream", {"SELECT orders": 4})
    ]


def test_fifty_concurrent_requests_keep_their_own_counts(database: str, profiles: list[Profile]) -> None:
    async def main() -> None:
        async with serving(app_of(database)) as (client, base):

            async def one(count: int) -> None:
                async with client.get(f"{base}/shop/loop?count={count}") as response:
                    await response.read()

            await asyncio.gather(*(one(number) for number in range(50)))

    asyncio.run(main())

    assert sorted(sum(frame.calls for frame in queries(profile)) - 1 for profile in profiles) == list(
        range(50)
    )


def test_client_that_leaves_a_stream_is_no_error(database: str, profiles: list[Profile]) -> None:
    async def main() -> None:
        closed = asyncio.Event()
        app = app_of(database, closed)
        async with serving(app) as (client, base):
            response = await client.get(f"{base}/endless")
            assert await response.content.readline() == b"data: tick\n"
            response.close()
            await closed.wait()

    asyncio.run(main())

    (profile,) = profiles
    assert told(profiles) == [("GET /endless", "200", "disconnected")]
    assert (profile.root.errors, profile.slow_ns is not None) == (0, True)


def test_websocket_is_handed_on_once_a_minute(
    database: str, profiles: list[Profile], monkeypatch: pytest.MonkeyPatch
) -> None:
    ahead_ns = 0
    clock = _context.HOT["clock_"]
    monkeypatch.setitem(_context.HOT, "clock_", lambda: clock() + ahead_ns)

    async def main() -> None:
        nonlocal ahead_ns
        async with serving(app_of(database)) as (client, base), client.ws_connect(f"{base}/chat/7") as socket:
            for number in range(4):
                await socket.send_str(str(number))
                assert await socket.receive_str() == str(1_000 + number)
                ahead_ns += 35 * 1_000_000_000

    asyncio.run(main())

    assert {(profile.name, profile.status, profile.outcome) for profile in profiles} == {
        ("GET /chat/{room}", "101", "ok")
    }
    assert sum(counts(profile).get("SELECT orders", 0) for profile in profiles) == 4
    assert len(profiles) in (2, 3)  # the server may ask for the next message before or after time went on


PAGES = [
    ("GET", "/orders/7"), ("HEAD", "/orders/7"), ("POST", "/echo"), ("GET", "/stream"), ("GET", "/teapot"),
    ("GET", "/broken"), ("GET", "/nowhere"), ("DELETE", "/orders/7"), ("GET", "/health"), ("GET", "/threaded"),
    ("GET", "/static/file.txt"), ("GET", "/shop/loop"),
]  # fmt: skip


async def answers_of(app: web.Application) -> list[Any]:
    """Return what arrives on the wire, bytes and chunks, without the date."""
    found = []
    async with serving(app) as (_, base):
        port = int(base.rpartition(":")[2])
        for method, path in PAGES:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            head = f"{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 6\r\n\r\n"
            writer.write(head.encode() + b"canary")
            text = await reader.read()
            found.append([line for line in text.split(b"\r\n") if not line.startswith(b"Date:")])
            writer.close()
            await writer.wait_closed()
    return found


def test_answers_are_identical_on_and_off(database: str, caplog: pytest.LogCaptureFixture) -> None:
    expected = asyncio.run(answers_of(app_of(database)))
    undos = [AiohttpServerSource().install(), SQLAlchemySource().install()]
    with switched_on() as profiles, strict_guard():
        found = asyncio.run(answers_of(app_of(database)))
    [undo() for undo in undos]

    assert found == expected
    assert len(profiles) == len(PAGES) - 2
    assert asyncio.run(answers_of(app_of(database))) == expected


def test_low_level_server_is_named_after_the_path(profiles: list[Profile]) -> None:
    async def handler(request: web.BaseRequest) -> web.Response:
        return web.Response(text=request.path)

    async def main() -> bytes:
        runner = web.ServerRunner(web.Server(handler))
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        try:
            async with (
                ClientSession() as client,
                client.get(f"http://127.0.0.1:{runner.addresses[0][1]}/orders/4711") as response,
            ):
                return await response.read()
        finally:
            await runner.cleanup()

    assert asyncio.run(main()) == b"/orders/4711"
    assert told(profiles) == [("GET /orders/{id}", "200", "ok")]


def test_garbage_is_unmatched_and_breaks_nothing(database: str, profiles: list[Profile]) -> None:
    async def main() -> bytes:
        async with serving(app_of(database)) as (_, base):
            reader, writer = await asyncio.open_connection("127.0.0.1", int(base.rpartition(":")[2]))
            writer.write(b"GET / HTTP/9.x\r\nbroken header\r\n\r\n")
            text = await reader.read()
            writer.close()
            await writer.wait_closed()
            return text

    assert asyncio.run(main()).startswith(b"HTTP/1.0 400")
    assert [profile.status for profile in profiles] == ["400"]


def test_undo_restores_by_identity(tap: Callable[[], None]) -> None:
    AiohttpServerSource().install()()
    assert vars(web.RequestHandler)["_handle_request"] is not ORIGINALS[0]

    tap()

    assert all(
        vars(owner)[name] is original for (owner, name), original in zip(OWNERS, ORIGINALS, strict=True)
    )


def test_changed_signature_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    async def _handle_request(self: Any, request: Any, handler: Callable[[Any], Awaitable[Any]]) -> None:
        pass

    monkeypatch.setattr(web.RequestHandler, "_handle_request", _handle_request)

    with pytest.raises(Unsupported, match="is not .self, request, start_time, request_handler."):
        AiohttpServerSource().install()
    assert vars(web.StreamResponse)["write"] is ORIGINALS[1]


PROGRAM = """
import sys
from aiohttp import web

async def page(request):
    return web.Response(text="ok")

app = web.Application()
app.add_routes([web.get("/orders/{id}", page)])
web.run_app(app, host="127.0.0.1", port=int(sys.argv[1]), print=None)
"""


def test_server_under_the_run_command_reports_and_stops(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(PROGRAM)
    port = free_port()
    environment = {**os.environ, "MANOMETER": "1", "MANOMETER_SLOW_MS": "0"}
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "manometer", "run", "app.py", str(port)],
            cwd=tmp_path, stdout=log, stderr=log, env=environment,
        )  # fmt: skip
    try:
        deadline_s = time.monotonic() + 30
        while True:
            assert process.poll() is None
            assert time.monotonic() < deadline_s
            with contextlib.suppress(OSError):
                urllib.request.urlopen(f"http://127.0.0.1:{port}/orders/7", timeout=20).close()
                break
            time.sleep(0.05)
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
    finally:
        process.kill()
        process.wait()
    text = (tmp_path / "log").read_text()

    assert "GET /orders/{id} 200" in text
    assert "up state=stop" in text
