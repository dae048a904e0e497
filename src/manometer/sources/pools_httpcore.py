"""The tap on httpcore's connection pools, which httpx asks: who holds their connections, and who waits for one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, final

from .. import _guard
from .._wait import Resource
from ._patch import Unsupported, patch, require
from ._pool import Pools, undo_all, wait, wait_async

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..protocols import Undo

_MOST: Final = 10_000
_asked: Final[dict[int, Any]] = {}
"""The pool that each request in progress was made to, by the identity of the request."""


def _describe(pool: Any) -> Resource:
    limit = pool._max_connections
    return Resource("pool", "httpx connection pool", limit=limit if limit < _MOST else 0, library="httpx")


pools: Final = Pools("sources.httpx-pool", _describe)


@final
class HttpcorePoolSource:
    """httpcore 1.x, synchronous and asynchronous."""

    def install(self) -> Undo:
        """Patch where a request waits for a connection, and where it lets go of it.

        Raises:
            Unsupported: They work otherwise.
        """
        from httpcore._async import connection_pool as in_tasks
        from httpcore._sync import connection_pool as in_threads

        waits = getattr(in_threads, "PoolRequest", None), getattr(in_tasks, "AsyncPoolRequest", None)
        streams = getattr(in_threads, "PoolByteStream", None), getattr(in_tasks, "PoolByteStream", None)
        if None in waits or None in streams:
            msg = "this httpcore pools its connections otherwise (1.0.3 and later can be seen)"
            raise Unsupported(msg)
        for each in waits:
            require(getattr(each, "wait_for_connection", None), "self", "timeout")
        require(in_threads.ConnectionPool.handle_request, "self", "request")
        require(in_tasks.AsyncConnectionPool.handle_async_request, "self", "request")
        undos = [
            patch(in_threads.ConnectionPool, "handle_request", _handle),
            patch(in_tasks.AsyncConnectionPool, "handle_async_request", _handle_async),
            patch(waits[0], "wait_for_connection", _wait),
            patch(waits[1], "wait_for_connection", _wait_async),
            patch(streams[0], "close", _close),
            patch(streams[1], "aclose", _close_async),
        ]
        return undo_all(undos, pools)


def _note(pool: Any, args: tuple[Any, ...]) -> None:
    if args and len(_asked) < _MOST:
        _asked[id(args[0])] = pool


def _failed(pool: Any, args: tuple[Any, ...]) -> None:
    if args:
        pools.gave_back(pool, args[0])


def _handle(wrapped: Callable[..., Any], pool: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    _note(pool, args)
    try:
        return wrapped(*args, **kwargs)
    except BaseException:
        _failed(pool, args)
        raise
    finally:
        _asked.pop(id(args[0]) if args else 0, None)


async def _handle_async(
    wrapped: Callable[..., Any], pool: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    _note(pool, args)
    try:
        return await wrapped(*args, **kwargs)
    except BaseException:
        _failed(pool, args)
        raise
    finally:
        _asked.pop(id(args[0]) if args else 0, None)


def _wait(wrapped: Callable[..., Any], asked: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    pool = _asked.get(id(asked.request))
    if pool is None:
        return wrapped(*args, **kwargs)
    result = wait(pools.waiter(pool) if asked.connection is None else None, wrapped, args, kwargs)
    pools.took(pool, asked.request)
    return result


async def _wait_async(
    wrapped: Callable[..., Any], asked: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    pool = _asked.get(id(asked.request))
    if pool is None:
        return await wrapped(*args, **kwargs)
    waiter = pools.waiter(pool) if asked.connection is None else None
    result = await wait_async(waiter, wrapped, args, kwargs)
    pools.took(pool, asked.request)
    return result


def _let_go(stream: Any) -> None:
    pools.gave_back(stream._pool, stream._pool_request.request)


def _close(wrapped: Callable[..., Any], stream: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    _guard.call(pools.point, _let_go, stream)
    return wrapped(*args, **kwargs)


async def _close_async(
    wrapped: Callable[..., Any], stream: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    _guard.call(pools.point, _let_go, stream)
    return await wrapped(*args, **kwargs)
