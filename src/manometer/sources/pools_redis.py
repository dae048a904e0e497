"""The tap on redis-py's blocking connection pools, synchronous and asynchronous."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, final

from .. import _guard
from .._wait import Resource
from ._patch import Unsupported, patch, require
from ._pool import Pools, Waiter, undo_all, wait, wait_async

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..protocols import Undo


def _describe(pool: Any) -> Resource:
    options = pool.connection_kwargs
    host, port = options.get("host") or options.get("path") or "", options.get("port")
    target = f"{host}:{port}" if type(port) is int else str(host)
    limit = pool.max_connections
    return Resource(
        "pool", "redis BlockingConnectionPool", limit=limit, system="redis", target=target, library="redis"
    )


pools: Final = Pools("sources.redis-pool", _describe)


@final
class RedisPoolSource:
    """`redis.BlockingConnectionPool`; the plain one never makes anybody wait."""

    def install(self) -> Undo:
        """Patch `get_connection` and `release`.

        Raises:
            Unsupported: They have another signature.
        """
        from redis.connection import BlockingConnectionPool

        return _install(BlockingConnectionPool, _get, _release)


@final
class RedisAsyncioPoolSource:
    """The same for `redis.asyncio`."""

    def install(self) -> Undo:
        """Patch `get_connection` and `release`.

        Raises:
            Unsupported: They have another signature, or the pool does not say whether it has a connection.
        """
        from redis.asyncio.connection import BlockingConnectionPool

        if not hasattr(BlockingConnectionPool, "can_get_connection"):
            msg = "this redis.asyncio does not say whether a connection is free (5.0.1 and later do)"
            raise Unsupported(msg)
        return _install(BlockingConnectionPool, _get_async, _release_async)


def _install(owner: Any, get: Any, release: Any) -> Undo:
    require(owner.get_connection, "self", "command_name")
    require(owner.release, "self", "connection")
    return undo_all([patch(owner, "get_connection", get), patch(owner, "release", release)], pools)


def _get(wrapped: Callable[..., Any], pool: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    free = getattr(pool, "pool", None)
    items = getattr(free, "queue", None)
    full = items is not None and not items
    connection = wait(pools.waiter(pool) if full else None, wrapped, args, kwargs)
    pools.took(pool, connection)
    return connection


def _release(wrapped: Callable[..., Any], pool: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    pools.gave_back(pool, args[0] if args else kwargs.get("connection"))
    return wrapped(*args, **kwargs)


async def _get_async(
    wrapped: Callable[..., Any], pool: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    connection = await wait_async(_guard.call(pools.point, _waiter_of, pool), wrapped, args, kwargs)
    pools.took(pool, connection)
    return connection


def _waiter_of(pool: Any) -> Waiter | None:
    return None if pool.can_get_connection() else pools.waiter(pool)


async def _release_async(
    wrapped: Callable[..., Any], pool: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    pools.gave_back(pool, args[0] if args else kwargs.get("connection"))
    return await wrapped(*args, **kwargs)
