"""Starlette and FastAPI, through real applications: what is named, what is counted, and that nothing else changes."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import http.client
import os
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

pytest.importorskip("starlette")
pytest.importorskip("fastapi")

import httpx
import sqlalchemy as sa
from fastapi import routing as fastapi_routing
from sqlalchemy.ext.asyncio import create_async_engine
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.routing import Mount, Route, WebSocketRoute
from tests.sources.asgi_driver import drive, free_port, scope_of, served
from tests.sources.asgi_shop import api_of, fill, site_of
from tests.sources.collect import counts, queries, strict_guard, switched_on

from manometer import _context, _guard
from manometer._history import History
from manometer._model import STRICT
from manometer.detectors import judge
from manometer.sources._patch import Unsupported
from manometer.sources.asgi import ASGISource, Middleware
from manometer.sources.fastapi import FastAPISource
from manometer.sources.sqlalchemy import SQLAlchemySource
from manometer.sources.starlette import StarletteSource

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from manometer._model import Profile

OWNERS = [(Starlette, "__call__"), (Route, "handle"), (WebSocketRoute, "handle"), (Mount, "handle")]
OWNERS += [(BackgroundTask, "__call__"), (fastapi_routing.APIRoute, "handle")]
ORIGINALS = [vars(owner).get(name) for owner, name in OWNERS]


@pytest.fixture
def tap() -> Iterator[Callable[[], None]]:
    undos = [StarletteSource().install(), FastAPISource().install(), SQLAlchemySource().install()]

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
def engine(tmp_path: Path) -> Iterator[sa.Engine]:
    made = sa.create_engine(f"sqlite:///{tmp_path / 'shop.db'}")
    fill(made)
    yield made
    made.dispose()


@pytest.fixture
def api(engine: sa.Engine) -> Any:
    from sqlalchemy.pool import NullPool

    return api_of(
        engine, create_async_engine(f"sqlite+aiosqlite:///{engine.url.database}", poolclass=NullPool)
    )


@pytest.fixture
def site(engine: sa.Engine, tmp_path: Path) -> Starlette:
    (tmp_path / "file.txt").write_text("a file", encoding="utf-8")
    return site_of(engine, tmp_path)


async def fetch(app: Any, path: str, method: str = "GET", **more: Any) -> httpx.Response:
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://testserver") as client:
        return await client.request(method, path, **more)


def get(app: Any, path: str, method: str = "GET", **more: Any) -> httpx.Response:
    return asyncio.run(fetch(app, path, method, **more))


def told(profiles: list[Profile]) -> list[tuple[str, str, str]]:
    return [(profile.name, profile.status, profile.outcome) for profile in profiles]


# Names.


@pytest.mark.parametrize(
    ("method", "path", "name", "status", "outcome"),
    [
        ("GET", "/api/acme/items/7", "GET /api/{tenant}/items/{item}", "200", "ok"),
        ("GET", "/api/acme/items/x", "GET /api/{tenant}/items/{item}", "422", "ok"),
        ("GET", "/sub/v7/orders/a/b/c", "GET /sub/{version}/orders/{order}", "200", "ok"),
        ("GET", "/shop/sync-batch", "GET /shop/sync-batch", "200", "ok"),
        ("POST", "/broken", "POST /broken", "405", "ok"),
        ("GET", "/broken", "GET /broken", "500", "LookupError"),
        ("GET", "/teapot", "GET /teapot", "418", "ok"),
        ("GET", "/wp-login.php", "GET (unmatched)", "404", "ok"),
        ("GET", "/sub/v7/wp-login.php", "GET (unmatched)", "404", "ok"),
        ("GET", "/docs", "GET /docs", "200", "ok"),
    ],
)
def test_fastapi_request_is_named_after_its_route(
    api: Any, profiles: list[Profile], method: str, path: str, name: str, status: str, outcome: str
) -> None:
    get(api, path, method)

    assert told(profiles) == [(name, status, outcome)]
    assert (profiles[0].framework, profiles[0].kind, profiles[0].cpu_ns) == ("starlette", "request", -1)


@pytest.mark.parametrize(
    ("method", "path", "name", "status", "outcome"),
    [
        ("GET", "/orders/7", "GET /orders/{id}", "200", "ok"),
        ("GET", "/shop/acme/v2/orders/7", "GET /shop/{tenant}/v2/orders/{id}", "200", "ok"),
        ("GET", "/raw/anything/4711", "GET /raw/*", "200", "ok"),
        ("GET", "/handled", "GET /handled", "409", "ok"),
        ("GET", "/broken", "GET /broken", "500", "LookupError"),
        ("DELETE", "/orders/7", "DELETE /orders/{id}", "405", "ok"),
        ("GET", "/orders/x", "GET (unmatched)", "404", "ok"),
        ("GET", "/shop/acme/v2/nothing", "GET (unmatched)", "404", "ok"),
        ("OPTIONS", "/wp-login.php", "OPTIONS (unmatched)", "404", "ok"),
    ],
)
def test_starlette_request_is_named_after_its_route(
    site: Starlette, profiles: list[Profile], method: str, path: str, name: str, status: str, outcome: str
) -> None:
    get(site, path, method)

    assert told(profiles) == [(name, status, outcome)]


def test_preflight_is_unmatched(site: Starlette, profiles: list[Profile]) -> None:
    headers = {"Origin": "http://example.org", "Access-Control-Request-Method": "GET"}

    get(site, "/orders/7", "OPTIONS", headers=headers)

    assert told(profiles) == [("OPTIONS (unmatched)", "200", "ok")]


def test_health_checks_and_static_files_are_excluded(
    api: Any, site: Starlette, profiles: list[Profile]
) -> None:
    get(api, "/health")
    get(site, "/static/file.txt")

    assert profiles == []


def test_trace_id_is_that_of_the_traceparent(api: Any, profiles: list[Profile]) -> None:
    get(api, "/teapot", headers={"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"})

    assert profiles[0].trace_id == "0af7651916cd43dd8448eb211c80319c"


def test_automatic_and_explicit_are_one_request(api: Any, profiles: list[Profile]) -> None:
    undo = ASGISource().install()

    api.add_middleware(Middleware)
    get(api, "/api/acme/items/7")
    get(Middleware(api), "/api/acme/items/7")

    undo()
    assert [(profile.name, profile.framework) for profile in profiles] == [
        ("GET /api/{tenant}/items/{item}", "starlette")
    ] * 2


# What belongs to a request.


@pytest.mark.parametrize("flavour", ["sync", "async"])
def test_loop_over_queries_is_found_with_its_line_and_its_source(
    api: Any, profiles: list[Profile], flavour: str
) -> None:
    get(api, f"/shop/{flavour}-loop")

    (profile,) = profiles
    profile.policy = STRICT
    (finding,) = findings_of(profile)
    assert (profile.name, counts(profile)) == (f"GET /shop/{flavour}-loop", {"SELECT orders": 13})
    assert (finding.rule, finding.confidence, finding.evidence["calls"]) == ("n-plus-one", "confirmed", 12)
    assert finding.callsite.function.endswith(f"{flavour}_loop")
    assert finding.callsite.file == str(Path(__file__).with_name("asgi_shop.py"))
    assert finding.source is not None
    assert finding.source.function.endswith(f"{flavour}_loop")


@pytest.mark.parametrize("flavour", ["sync", "async"])
def test_batch_is_silent(api: Any, profiles: list[Profile], flavour: str) -> None:
    get(api, f"/shop/{flavour}-batch")

    profiles[0].policy = STRICT
    assert counts(profiles[0]) == {"SELECT orders": 2}
    assert findings_of(profiles[0]) == []


def findings_of(profile: Profile) -> list[Any]:
    return list(judge(profile, History()))


def test_fifty_concurrent_requests_keep_their_own_counts(api: Any, profiles: list[Profile]) -> None:
    async def main() -> None:
        pages = [f"/shop/{'a' * (number % 2)}sync-loop?count={number % 40}" for number in range(50)]
        await asyncio.gather(*(fetch(api, page) for page in pages))

    asyncio.run(main())

    loops = [[frame.calls for frame in queries(profile)] for profile in profiles]
    assert sorted(sum(calls) - 1 for calls in loops) == sorted(number % 40 for number in range(50))
    assert {calls[0] for calls in loops} == {1}


def test_dependency_and_sync_route_belong_to_the_request(api: Any, profiles: list[Profile]) -> None:
    get(api, "/api/acme/items/7")

    assert counts(profiles[0]) == {"SELECT orders": 1}


def test_background_tasks_are_units_of_their_own(
    api: Any, profiles: list[Profile], engine: sa.Engine
) -> None:
    get(api, "/api/acme/mails", "POST")

    request, sync_task, async_task = profiles
    assert (request.name, counts(request)) == ("POST /api/{tenant}/mails", {})
    assert [(task.kind, task.name.rpartition(".")[2]) for task in (sync_task, async_task)] == [
        ("task", "mail"), ("task", "ring"),
    ]  # fmt: skip
    assert counts(sync_task) == counts(async_task) == {"INSERT mails": 1}
    with engine.connect() as connection:
        assert connection.execute(sa.text("SELECT count(*) FROM mails")).scalar() == 2


def test_background_task_of_starlette_fails_by_itself(profiles: list[Profile]) -> None:
    def fail() -> None:
        raise LookupError("canary")

    with pytest.raises(LookupError, match="canary"):
        asyncio.run(BackgroundTask(fail)())

    assert [(profile.kind, profile.outcome) for profile in profiles] == [("task", "LookupError")]


def test_stream_belongs_to_its_request(site: Starlette, profiles: list[Profile]) -> None:
    get(site, "/stream")

    (profile,) = profiles
    assert (profile.name, counts(profile)) == ("GET /stream", {"SELECT orders": 4})
    assert 0 < profile.first_byte_ns <= profile.duration_ns


# Nothing else changes.

PAGES = [
    ("GET", "/orders/7"), ("HEAD", "/orders/7"), ("OPTIONS", "/orders/7"), ("GET", "/sync/3"), ("GET", "/stream"),
    ("GET", "/later"), ("GET", "/handled"), ("GET", "/broken"), ("POST", "/echo"), ("GET", "/nowhere"),
    ("GET", "/shop/acme/v2/orders/7"), ("GET", "/shop/acme/v2/orders/7/"), ("GET", "/raw/x"),
    ("GET", "/static/file.txt"), ("GET", "/api/acme/items/7"), ("POST", "/api/acme/mails"), ("GET", "/docs"),
    ("GET", "/teapot"), ("GET", "/sub/v7/orders/a/b"), ("GET", "/shop/sync-loop"), ("GET", "/shop/async-loop"),
]  # fmt: skip


async def answers(app: Any, encoding: bytes) -> list[Any]:
    """Return all messages that a server gets, and what is raised."""
    found: list[Any] = []
    for method, path in PAGES:
        scope = scope_of(path, method, headers=[(b"host", b"testserver"), (b"accept-encoding", encoding)])
        body = {"type": "http.request", "body": b"\x00canary" * 50, "more_body": False}
        try:
            found.append((path, await drive(app, scope, body)))
        except Exception as error:
            found.append((path, type(error), str(error)))
    return found


@pytest.mark.parametrize("encoding", [b"gzip", b"identity"])
@pytest.mark.parametrize("name", ["site", "api"])
def test_messages_are_identical_on_and_off(
    request: pytest.FixtureRequest, name: str, encoding: bytes
) -> None:
    app = request.getfixturevalue(name)
    expected = asyncio.run(answers(app, encoding))
    undos = [StarletteSource().install(), FastAPISource().install(), SQLAlchemySource().install()]
    with switched_on() as profiles, strict_guard():
        found = asyncio.run(answers(app, encoding))
    [undo() for undo in undos]

    assert [_without_times(item) for item in found] == [_without_times(item) for item in expected]
    assert len([profile for profile in profiles if profile.kind == "request"]) == len(PAGES) - 1
    assert len(expected) == len(PAGES)


def _without_times(item: tuple[Any, ...]) -> tuple[Any, ...]:
    return item if type(item[1]) is not list else (item[0], [_timeless(message) for message in item[1]])


def _timeless(message: dict[str, Any]) -> dict[str, Any]:
    body, headers = message.get("body", b""), message.get("headers", [])
    if body[:2] == b"\x1f\x8b":  # the header of gzip holds the time of compression
        body = body[:4] + b"\0" * 4 + body[8:]
    times = (b"last-modified", b"date")
    return {**message, "body": body, "headers": [pair for pair in headers if pair[0] not in times]}


def test_error_of_the_application_is_the_same_object(profiles: list[Profile]) -> None:
    error = LookupError("canary")

    async def fail(_: Any) -> None:
        raise error

    with pytest.raises(LookupError) as caught:
        asyncio.run(drive(Starlette(routes=[Route("/", fail)]), scope_of("/")))

    assert caught.value is error


def test_no_application_is_kept_alive(profiles: list[Profile]) -> None:
    import weakref

    async def page(_: Any) -> Any:
        from starlette.responses import PlainTextResponse

        return PlainTextResponse("ok")

    app = Starlette(routes=[Route("/", page)])
    get(app, "/")
    gone = weakref.ref(app)
    del app
    gc.collect()

    assert gone() is None


# The tap.


def test_undo_restores_by_identity(tap: Callable[[], None]) -> None:
    StarletteSource().install()()
    FastAPISource().install()()
    assert vars(Starlette)["__call__"] is not ORIGINALS[0]

    tap()

    assert [vars(owner).get(name) for owner, name in OWNERS] == ORIGINALS
    assert all(
        vars(owner).get(name) is original for (owner, name), original in zip(OWNERS, ORIGINALS, strict=True)
    )


def test_changed_signature_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def handle(self: Any, request: Any) -> None:
        pass

    monkeypatch.setattr(Mount, "handle", handle)

    with pytest.raises(Unsupported, match=r"handle\(self, request\) is not \(self, scope, receive, send\)"):
        StarletteSource().install()
    assert vars(Starlette)["__call__"] is ORIGINALS[0]


@pytest.mark.skipif(ORIGINALS[-1] is None, reason="this FastAPI has no handle of its own")
def test_fastapi_that_moved_its_prefixes_is_refused(monkeypatch: pytest.MonkeyPatch, api: Any) -> None:
    monkeypatch.delattr(fastapi_routing, "_FASTAPI_SCOPE_KEY")

    with pytest.raises(Unsupported, match="the template of an included route is not where it was"):
        FastAPISource().install()
    assert vars(fastapi_routing.APIRoute)["handle"] is ORIGINALS[-1]


# A real server.

pytest.importorskip("uvicorn")


def page_of(port: int, path: str) -> tuple[int, bytes]:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=20) as response:
        return response.status, response.read()


def test_uvicorn_serves_and_every_request_is_a_unit(
    api: Any, site: Starlette, profiles: list[Profile]
) -> None:
    with served(api) as port:
        assert page_of(port, "/api/acme/items/7") == (200, b'{"tenant":"acme","customer":1007}')
        page_of(port, "/shop/async-loop?count=5")
    with served(site) as port:
        assert page_of(port, "/stream")[1].count(b"\n") == 800

    assert [(profile.name, counts(profile)) for profile in profiles] == [
        ("GET /api/{tenant}/items/{item}", {"SELECT orders": 1}),
        ("GET /shop/async-loop", {"SELECT orders": 6}),
        ("GET /stream", {"SELECT orders": 4}),
    ]


def test_client_that_leaves_a_stream_is_no_error(site: Starlette, profiles: list[Profile]) -> None:
    with served(site) as port:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        connection.request("GET", "/endless")
        response = connection.getresponse()
        assert response.readline() == b"data: tick\n"
        response.close()
        connection.close()

    (profile,) = profiles
    assert (profile.name, profile.status, profile.outcome) == ("GET /endless", "200", "disconnected")
    assert (profile.root.errors, profile.slow_ns is not None) == (0, True)


def test_websocket_is_a_unit_with_its_route(api: Any, profiles: list[Profile]) -> None:
    client = pytest.importorskip("websockets.sync.client")

    with served(api) as port, client.connect(f"ws://127.0.0.1:{port}/api/acme/chat/9") as socket:
        socket.send("7")
        assert socket.recv() == "acme 9 1007"

    (profile,) = profiles
    assert (profile.name, profile.status, profile.outcome) == (
        "WEBSOCKET /api/{tenant}/chat/{room}", "101", "ok",
    )  # fmt: skip
    assert counts(profile) == {"SELECT orders": 1}


PROGRAM = """
import sqlite3
from fastapi import FastAPI

app = FastAPI()
db = sqlite3.connect(":memory:", check_same_thread=False)
db.execute("create table orders (id integer primary key, customer integer)")
db.executemany("insert into orders values (?, ?)", [(n, 100 + n) for n in range(3000)])


@app.get("/last")
def last():
    return db.execute("select count(*) from orders").fetchone()


@app.get("/orders/{tenant}")
async def orders(tenant: str):
    ids = db.execute("select id from orders limit 300").fetchall()
    return [db.execute("select customer from orders where id + 0 = ?", row).fetchone()[0] for row in ids]
"""


@pytest.mark.parametrize(
    "server",
    [
        ["uvicorn", "app:app", "--log-level", "warning", "--port"],
        ["gunicorn", "app:app", "-k", "uvicorn_worker.UvicornWorker", "--log-level", "warning", "-b"],
    ],
    ids=["uvicorn", "gunicorn"],
)
def test_server_under_the_run_command_reports_and_stops(tmp_path: Path, server: list[str]) -> None:
    if server[0] == "gunicorn":
        pytest.importorskip("uvicorn_worker")
    pytest.importorskip(server[0])
    (tmp_path / "app.py").write_text(PROGRAM)
    port = free_port()
    place = str(port) if server[0] == "uvicorn" else f"127.0.0.1:{port}"
    command = [sys.executable, "-m", "manometer", "run", "--", sys.executable, "-m", *server, place]
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(
            command,
            cwd=tmp_path,
            stdout=log,
            stderr=log,
            env={**os.environ, "MANOMETER": "1", "MANOMETER_SLOW_MS": "0"},
        )
    try:
        _wait_for(process, port)
        assert len(page_of(port, "/orders/acme")[1]) > 100
        assert page_of(port, "/last") == (200, b"[3000]")
        process.send_signal(signal.SIGTERM)
        process.wait(20)
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        process.wait()
    text = (tmp_path / "log").read_text()

    assert process.returncode in (0, -signal.SIGTERM), text
    assert "GET /orders/{tenant} 200" in text
    assert "GET /last 200" in text
    assert "n-plus-one" in text
    assert "confirmed calls=300" in text
    assert "in=orders" in text


def _wait_for(process: subprocess.Popen[bytes], port: int) -> None:
    import socket
    import time

    deadline_s = time.monotonic() + 30
    while time.monotonic() < deadline_s:
        assert process.poll() is None, "the server ended"
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.05)
    raise AssertionError("the server did not start")
