"""The same two pages in each framework: `GET /loop` and `GET /batch` answer with what the library at hand loads."""

from __future__ import annotations

import asyncio
import json
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Page = Callable[[], Any]
    """Loads the names; asynchronous where the framework is."""

PATHS = ("loop", "batch")
pages: dict[str, Page] = {}
"""What `/loop` and `/batch` load now."""


def page_of(name: str) -> Any:
    return pages[name]()


# Synchronous ones: each takes a path and returns what the page answered.


def script(path: str) -> Any:
    import manometer

    with manometer.profile("script"):
        return page_of(path)


def wsgi(path: str) -> Any:
    from wsgiref.util import setup_testing_defaults

    from manometer.sources.wsgi import Middleware

    def app(environ: Any, start_response: Any) -> list[bytes]:
        start_response("200 OK", [("Content-Type", "application/json")])
        return [json.dumps(page_of(path)).encode()]

    environ: dict[str, Any] = {}
    setup_testing_defaults(environ)
    return json.loads(b"".join(Middleware(app)(environ, lambda *_: None)))


def flask(path: str) -> Any:
    from flask import Flask

    app = Flask("matrix")
    app.add_url_rule("/<name>", "page", lambda name: json.dumps(page_of(name)))
    return json.loads(app.test_client().get(f"/{path}").get_data())


def django(path: str) -> Any:
    from django.test import Client

    return Client().get(f"/matrix/{path}/").json()


def drf(path: str) -> Any:
    from django.test import Client

    return Client().get(f"/matrix-drf/{path}/").json()


def django_command(path: str) -> Any:
    import io

    from django.core.management import call_command

    out = io.StringIO()
    call_command("load_names", path, stdout=out)
    return json.loads(out.getvalue())


def starlette(path: str) -> Any:
    from starlette.applications import Starlette
    from starlette.responses import JSONResponse
    from starlette.routing import Route

    def page(request: Any) -> Any:
        return JSONResponse(page_of(request.path_params["name"]))

    return asyncio.run(_asgi(Starlette(routes=[Route("/{name}", page)]), path))


def fastapi(path: str) -> Any:
    from fastapi import FastAPI

    app = FastAPI()

    @app.get("/{name}")
    def page(name: str) -> Any:
        return page_of(name)

    return asyncio.run(_asgi(app, path))


def celery(path: str) -> Any:
    from celery import Celery

    app = Celery("matrix", broker="memory://", backend="cache+memory://")
    app.conf.task_always_eager = True
    task = app.task(name="matrix.page")(page_of)
    return task.delay(path).get()


def rq(path: str) -> Any:
    import fakeredis
    from rq import Queue

    queue = Queue(is_async=False, connection=fakeredis.FakeStrictRedis())
    value = queue.enqueue(page_of, path).return_value
    return value() if callable(value) else value  # a property before RQ 1.12


# Asynchronous ones: the same, inside a running loop.


async def script_async(path: str) -> Any:
    import manometer

    with manometer.profile("script"):
        return await page_of(path)


async def asgi(path: str) -> Any:
    from manometer.sources.asgi import Middleware

    async def app(scope: Any, receive: Any, send: Any) -> None:
        body = json.dumps(await page_of(path)).encode()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": body})

    return await _asgi(Middleware(app), path)


async def django_async(path: str) -> Any:
    from django.test import AsyncClient

    return (await AsyncClient().get(f"/matrix-async/{path}/")).json()


async def starlette_async(path: str) -> Any:
    from starlette.applications import Starlette
    from starlette.responses import JSONResponse
    from starlette.routing import Route

    async def page(request: Any) -> Any:
        return JSONResponse(await page_of(request.path_params["name"]))

    return await _asgi(Starlette(routes=[Route("/{name}", page)]), path)


async def fastapi_async(path: str) -> Any:
    from fastapi import FastAPI

    app = FastAPI()

    @app.get("/{name}")
    async def page(name: str) -> Any:
        return await page_of(name)

    return await _asgi(app, path)


async def aiohttp(path: str) -> Any:
    from aiohttp import ClientSession, web

    async def page(request: Any) -> Any:
        return web.json_response(await page_of(request.match_info["name"]))

    app = web.Application()
    app.router.add_get("/{name}", page)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    (address,) = (address[:2] for address in runner.addresses)
    try:
        async with (
            ClientSession() as session,
            session.get(f"http://{address[0]}:{address[1]}/{path}") as answer,
        ):
            return await answer.json()
    finally:
        await runner.cleanup()


async def _asgi(app: Any, path: str) -> Any:
    import httpx

    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://test", timeout=30) as client:
        return (await client.get(f"/{path}")).json()


SYNC: dict[str, Callable[[str], Any]] = {
    "script": script,
    "WSGI middleware": wsgi,
    "Flask": flask,
    "Django": django,
    "Django REST framework": drf,
    "Django command": django_command,
    "Starlette": starlette,
    "FastAPI": fastapi,
    "Celery": celery,
    "RQ": rq,
}
ASYNC: dict[str, Callable[[str], Any]] = {
    "script": script_async,
    "ASGI middleware": asgi,
    "Django": django_async,
    "Starlette": starlette_async,
    "FastAPI": fastapi_async,
    "aiohttp": aiohttp,
}


@contextmanager
def showing(loop: Page, batch: Page) -> Iterator[None]:
    """Let the pages load these for a block."""
    pages.update(loop=loop, batch=batch)
    try:
        yield
    finally:
        pages.clear()
