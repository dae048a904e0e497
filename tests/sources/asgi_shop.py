"""Two real applications for the tests of Starlette and FastAPI: the same pages, with their faults and clean twins."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from fastapi import APIRouter, BackgroundTasks, Depends, FastAPI, HTTPException, WebSocket
from sqlalchemy.orm import Session
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.middleware import Middleware as Entry
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.middleware.cors import CORSMiddleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.staticfiles import StaticFiles

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from sqlalchemy.ext.asyncio import AsyncEngine

IDS = sa.text("SELECT id FROM orders ORDER BY id LIMIT :count")
ONE = sa.text("SELECT customer FROM orders WHERE id = :id")
MANY = sa.text("SELECT customer FROM orders WHERE id IN :ids").bindparams(sa.bindparam("ids", expanding=True))
WRITE = sa.text("INSERT INTO mails (customer) VALUES (:customer)")
Background = BackgroundTasks


def fill(engine: sa.Engine) -> None:
    """Make the tables."""
    with engine.begin() as connection:
        connection.execute(sa.text("CREATE TABLE orders (id INTEGER PRIMARY KEY, customer INTEGER)"))
        connection.execute(sa.text("CREATE TABLE mails (id INTEGER PRIMARY KEY, customer INTEGER)"))
        connection.execute(
            sa.text("INSERT INTO orders VALUES (:id, :customer)"),
            [{"id": number, "customer": 1_000 + number} for number in range(40)],
        )


class Stamped(BaseHTTPMiddleware):
    """The kind of middleware that runs the application in another task."""

    async def dispatch(self, request: Request, call_next: Any) -> Response:
        """Add a header."""
        response: Response = await call_next(request)
        response.headers["x-stamped"] = "yes"
        return response


def shop_router(engine: sa.Engine, async_engine: AsyncEngine) -> APIRouter:
    """Return the pages that make queries, sync and async."""
    router = APIRouter(prefix="/shop")

    @router.get("/sync-loop")
    def sync_loop(count: int = 12) -> list[int]:
        with Session(engine) as session:
            ids = session.execute(IDS, {"count": count}).scalars().all()
            return [session.execute(ONE, {"id": key}).scalar_one() for key in ids]

    @router.get("/sync-batch")
    def sync_batch(count: int = 12) -> list[int]:
        with Session(engine) as session:
            ids = session.execute(IDS, {"count": count}).scalars().all()
            return list(session.execute(MANY, {"ids": list(ids)}).scalars())

    @router.get("/async-loop")
    async def async_loop(count: int = 12) -> list[int]:
        async with async_engine.connect() as connection:
            ids = (await connection.execute(IDS, {"count": count})).scalars().all()
            return [(await connection.execute(ONE, {"id": key})).scalar_one() for key in ids]

    @router.get("/async-batch")
    async def async_batch(count: int = 12) -> list[int]:
        async with async_engine.connect() as connection:
            ids = (await connection.execute(IDS, {"count": count})).scalars().all()
            return list((await connection.execute(MANY, {"ids": list(ids)})).scalars())

    return router


def api_of(engine: sa.Engine, async_engine: AsyncEngine) -> FastAPI:
    """Return the application of FastAPI."""
    app = FastAPI()
    inner = APIRouter()
    sub = FastAPI()

    def session() -> Any:
        with Session(engine) as made:
            yield made

    def mail(customer: int) -> None:
        with engine.begin() as connection:
            connection.execute(WRITE, {"customer": customer})

    async def ring(customer: int) -> None:
        async with async_engine.begin() as connection:
            await connection.execute(WRITE, {"customer": customer})

    @inner.get("/items/{item}")
    def item(tenant: str, item: int, db: Session = Depends(session)) -> Any:  # noqa: B008 - FastAPI's way
        return {"tenant": tenant, "customer": db.execute(ONE, {"id": item}).scalar()}

    @inner.post("/mails")
    async def mails(tenant: str, background: Background) -> str:
        background.add_task(mail, 1)
        background.add_task(ring, 2)
        return tenant

    @sub.get("/orders/{order:path}")
    async def order(order: str) -> str:
        return order

    @app.get("/broken")
    async def broken() -> None:
        raise LookupError("canary")

    @app.get("/teapot")
    def teapot() -> None:
        raise HTTPException(418, "canary")

    @app.get("/health")
    def health() -> str:
        return "ok"

    @inner.websocket("/chat/{room}")
    async def chat(socket: WebSocket, tenant: str, room: int) -> None:
        await socket.accept()
        async with async_engine.connect() as connection:
            async for text in socket.iter_text():
                customer = (await connection.execute(ONE, {"id": int(text)})).scalar()
                await socket.send_text(f"{tenant} {room} {customer}")

    middle = APIRouter()
    middle.include_router(inner, prefix="/{tenant}")
    app.include_router(middle, prefix="/api")
    app.include_router(shop_router(engine, async_engine))
    app.mount("/sub/{version}", sub)
    return app


def site_of(engine: sa.Engine, folder: Path) -> Starlette:
    """Return the application of Starlette."""

    async def order(request: Request) -> JSONResponse:
        return JSONResponse({"id": request.path_params["id"]})

    def sync_order(request: Request) -> PlainTextResponse:
        with Session(engine) as session:
            return PlainTextResponse(str(session.execute(ONE, {"id": request.path_params["id"]}).scalar()))

    async def stream(request: Request) -> StreamingResponse:
        async def rows() -> AsyncIterator[str]:
            for number in range(4):
                with engine.connect() as connection:
                    yield f"{connection.execute(ONE, {'id': number}).scalar()}\n" * 200

        return StreamingResponse(rows(), media_type="text/csv")

    async def endless(request: Request) -> StreamingResponse:
        async def ticks() -> AsyncIterator[str]:
            while True:
                yield "data: tick\n\n"
                await asyncio.sleep(0.01)

        return StreamingResponse(ticks(), media_type="text/event-stream")

    async def later(request: Request) -> PlainTextResponse:
        def mail(customer: int) -> None:
            with engine.begin() as connection:
                connection.execute(WRITE, {"customer": customer})

        return PlainTextResponse("sent", background=BackgroundTask(mail, 7))

    async def handled(request: Request) -> Response:
        raise ZeroDivisionError("canary")

    async def broken(request: Request) -> Response:
        raise LookupError("canary")

    async def echo(request: Request) -> Response:
        return Response(await request.body(), media_type="application/octet-stream")

    def turned(request: Request, error: Exception) -> Response:
        return PlainTextResponse("handled", 409)

    async def raw(scope: Any, receive: Any, send: Any) -> None:
        await PlainTextResponse("raw")(scope, receive, send)

    async def chat(socket: WebSocket) -> None:
        await socket.accept()
        async for text in socket.iter_text():
            await socket.send_text(text.upper())

    routes = [
        Route("/orders/{id:int}", order),
        Route("/sync/{id:int}", sync_order),
        Route("/stream", stream),
        Route("/endless", endless),
        Route("/later", later),
        Route("/handled", handled),
        Route("/broken", broken),
        Route("/echo", echo, methods=["POST"]),
        Mount(
            "/shop/{tenant}", routes=[Mount("/v2", routes=[Route("/orders/{id}", order), Route("/", order)])]
        ),
        Mount("/raw", raw),
        Mount("/static", StaticFiles(directory=folder)),
        WebSocketRoute("/chat/{room}", chat),
    ]
    middleware = [
        Entry(CORSMiddleware, allow_origins=["*"]),
        Entry(GZipMiddleware, minimum_size=100),
        Entry(Stamped),
    ]
    return Starlette(routes=routes, middleware=middleware, exception_handlers={ZeroDivisionError: turned})
