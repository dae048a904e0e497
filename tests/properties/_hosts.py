"""Applications that go through everything manometer has, and say what they did: the programs of chaos."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import threading
import types
from typing import Any

from manometer import expected, measure, profile


@measure
def leaf(n: int) -> int:
    if n == 3:
        msg = "leaf"
        raise ValueError(msg)
    return n


@measure(key="n", size="n")
def keyed(n: int) -> int:
    return leaf(n)


@measure
def recursive(n: int) -> int:
    return n if n == 0 else recursive(n - 1)


@measure
def items(n: int) -> Any:
    for at in range(n):
        yield leaf(at)


@measure
async def awaited(n: int) -> int:
    await asyncio.sleep(0)
    return keyed(n)


@measure
async def streamed(n: int) -> Any:
    for at in range(n):
        await asyncio.sleep(0)
        yield leaf(at)


def plain() -> list[Any]:
    """Every kind of callable, block and ending."""
    log: list[Any] = []
    with profile("plain", kind="request"):
        for n in range(5):
            try:
                log.append(keyed(n))
            except ValueError as error:
                log.append(str(error))
        log.append(recursive(3))
        log.append(list(items(2)))
        with contextlib.suppress(ValueError):
            log += items(6)
        with measure("block"), measure("block"), expected("because"):
            log.append(leaf(1))
        with contextlib.suppress(ValueError), measure("failing"):
            leaf(3)
    return log


def threaded() -> list[Any]:
    """A thread that goes on with the context of the one that started it."""
    log: list[Any] = []
    with profile("threaded"):
        leaf(1)
        thread = threading.Thread(target=_in_copy(log))
        thread.start()
        thread.join()
    return log


@types.coroutine
def _pause() -> Any:
    yield


@measure
async def paused(n: int) -> int:
    await _pause()
    return leaf(n)


@measure
async def paused_items(n: int) -> Any:
    for at in range(n):
        await _pause()
        yield leaf(at)


def stepped() -> list[Any]:
    """Coroutines without a loop, so that an interrupt is never the loop's to lose."""

    async def main() -> list[Any]:
        log: list[Any] = []
        async with profile("stepped"), measure("block"):
            log.append(await paused(2))
            async for value in paused_items(2):
                log.append(value)
            with contextlib.suppress(ValueError):
                await paused(3)
        return log

    coroutine = main()
    try:
        while True:
            coroutine.send(None)
    except StopIteration as end:
        return end.value
    finally:
        coroutine.close()


def _in_copy(log: list[Any]) -> Any:
    import contextvars

    context = contextvars.copy_context()
    return lambda: log.append(context.run(leaf, 7))


def asynchronous() -> list[Any]:
    """Coroutines, async generators, tasks."""
    log: list[Any] = []

    async def main() -> None:
        async with profile("async"), measure("block"):
            log.append(await awaited(1))
            log.append(await asyncio.gather(awaited(2), awaited(2), awaited(3), return_exceptions=True))
            async for value in streamed(2):
                log.append(value)
            task = asyncio.ensure_future(awaited(1))
            await asyncio.sleep(0)
            task.cancel()
            log.append(await asyncio.gather(task, return_exceptions=True))

    asyncio.run(main())
    return [str(item) for item in log]


def outside() -> list[Any]:
    """Calls outside any unit of work."""
    return [leaf(1), leaf(2), list(items(2)), keyed(0)]


def queries() -> list[Any]:
    """sqlite3 in all its ways."""
    log: list[Any] = []
    with profile("queries"):
        connection = sqlite3.connect(":memory:")
        connection.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT)")
        connection.executemany("INSERT INTO t (name) VALUES (?)", [("a",), ("b",), ("c",)])
        connection.executescript("UPDATE t SET name = 'd' WHERE id = 3; DELETE FROM t WHERE id = 99;")
        log.append(connection.execute("SELECT id, name FROM t ORDER BY id").fetchall())
        for at in range(1, 4):
            log.append(connection.execute("SELECT name FROM t WHERE id = ?", (at,)).fetchone())
        cursor = connection.cursor()
        cursor.execute("SELECT id FROM t ORDER BY id")
        log.append(cursor.fetchmany(2))
        log.append(list(cursor))
        cursor.close()
        try:
            connection.execute("SELECT missing FROM t")
        except sqlite3.OperationalError as error:
            log.append(str(error))
        connection.close()
    return log


def requests() -> list[Any]:
    """A WSGI application, its body complete and streamed, its errors."""
    from manometer.sources.wsgi import Middleware

    def app(environ: dict[str, Any], start_response: Any) -> Any:
        if environ["PATH_INFO"] == "/fail":
            raise ValueError(leaf(2))
        start_response("200 OK", [("Content-Type", "text/plain")])
        if environ["PATH_INFO"] == "/stream":
            return (str(leaf(at)).encode() for at in range(3))
        return [str(leaf(1)).encode()]

    served = Middleware(app)
    log: list[Any] = []
    for path in ("/whole", "/stream", "/fail", "/orders/42"):
        said: list[Any] = []
        environ = {"REQUEST_METHOD": "GET", "PATH_INFO": path, "SCRIPT_NAME": ""}
        try:
            body = served(environ, lambda status, headers, said=said: said.append((status, headers)))
            log.append((said, list(body)))
            if hasattr(body, "close"):
                body.close()
        except ValueError as error:
            log.append(str(error))
    return log


HOSTS = {host.__name__: host for host in (plain, threaded, stepped, asynchronous, outside, queries, requests)}
