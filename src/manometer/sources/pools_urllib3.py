"""The tap on urllib3's connection pools that block: who holds their connections, and who waits for one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, final

from .._wait import Resource
from ._patch import patch, require
from ._pool import Pools, undo_all, wait

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..protocols import Undo


def _describe(pool: Any) -> Resource:
    limit = getattr(pool.pool, "maxsize", 0)
    target = f"{pool.host}:{pool.port}" if type(pool.port) is int else str(pool.host)
    return Resource("pool", "urllib3 HTTPConnectionPool", limit=limit, target=target, library="urllib3")


pools: Final = Pools("sources.urllib3-pool", _describe)


@final
class Urllib3PoolSource:
    """urllib3 1.26 and 2.x, also below requests: pools with `block=True`. The others open more connections instead."""

    def install(self) -> Undo:
        """Patch how they hand connections out and take them back.

        Raises:
            Unsupported: They work otherwise.
        """
        from urllib3.connectionpool import HTTPConnectionPool

        require(HTTPConnectionPool._get_conn, "self", "timeout")
        require(HTTPConnectionPool._put_conn, "self", "conn")
        return undo_all(
            [patch(HTTPConnectionPool, "_get_conn", _get), patch(HTTPConnectionPool, "_put_conn", _put)],
            pools,
        )


def _get(wrapped: Callable[..., Any], pool: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    if not pool.block:
        return wrapped(*args, **kwargs)
    items = getattr(pool.pool, "queue", None)
    full = items is not None and not items
    connection = wait(pools.waiter(pool) if full else None, wrapped, args, kwargs)
    pools.took(pool, connection)
    return connection


def _put(wrapped: Callable[..., Any], pool: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    if pool.block:
        connection = args[0] if args else kwargs.get("conn")
        if connection is None:
            pools.gave_some_back(pool)  # it broke, and an empty place is given back
        else:
            pools.gave_back(pool, connection)
    return wrapped(*args, **kwargs)
