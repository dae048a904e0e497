"""What the tests of ASGI share: an application driven by hand, and a real server on the loopback."""

from __future__ import annotations

import asyncio
import socket
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

READY_S = 20.0


def scope_of(path: str = "/", method: str = "GET", kind: str = "http", **more: Any) -> dict[str, Any]:
    """Return the scope that a server makes."""
    scope: dict[str, Any] = {
        "type": kind, "asgi": {"version": "3.0", "spec_version": "2.3"}, "http_version": "1.1", "method": method,
        "scheme": "http", "path": path, "raw_path": path.encode(), "query_string": b"", "root_path": "",
        "headers": [(b"host", b"testserver")], "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 80), **more,
    }  # fmt: skip
    if kind == "websocket":
        del scope["method"]
    return scope


async def drive(app: Any, scope: dict[str, Any], *incoming: dict[str, Any]) -> list[dict[str, Any]]:
    """Call *app* as a server does, in a task of its own; return all that it sent."""
    messages = list(incoming) or [{"type": "http.request", "body": b"", "more_body": False}]
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        if messages:
            return messages.pop(0)
        await asyncio.Event().wait()
        raise AssertionError

    async def send(message: dict[str, Any]) -> None:
        sent.append(dict(message))

    await asyncio.create_task(app(scope, receive, send))
    return sent


def ask(app: Any, path: str = "/", method: str = "GET", *incoming: dict[str, Any], **more: Any) -> list[Any]:
    """Make one request; return the messages of its response."""
    return asyncio.run(drive(app, scope_of(path, method, **more), *incoming))


def free_port() -> int:
    """Return a port of the loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


@contextmanager
def served(app: Any) -> Iterator[int]:
    """Serve *app* with uvicorn, in a thread, on the port that is returned."""
    import uvicorn

    bound = socket.socket()
    bound.bind(("127.0.0.1", 0))
    # The other protocol warns of a part of websockets that is deprecated.
    ws = "websockets-sansio" if "websockets-sansio" in uvicorn.config.WS_PROTOCOLS else "auto"
    server = uvicorn.Server(uvicorn.Config(app, log_level="critical", lifespan="off", ws=ws))
    started = threading.Event()
    startup = server.startup

    async def noted(*args: Any, **kwargs: Any) -> None:
        await startup(*args, **kwargs)
        started.set()

    server.startup = noted  # type: ignore[method-assign]
    thread = threading.Thread(target=server.run, args=([bound],))
    thread.start()
    try:
        assert started.wait(READY_S), "uvicorn did not start"
        yield bound.getsockname()[1]
    finally:
        server.should_exit = True
        thread.join(READY_S)
        bound.close()
