"""The tap on the pools of psycopg_pool, synchronous and asynchronous."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, final

from .._wait import Resource
from ._patch import patch, require
from ._pool import Pools, undo_all, wait, wait_async

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..protocols import Undo


def _describe(pool: Any) -> Resource:
    return Resource(
        "pool",
        f"psycopg_pool {type(pool).__name__}",
        limit=pool.max_size,
        system="postgresql",
        library="psycopg",
    )


pools: Final = Pools("sources.psycopg-pool", _describe)


@final
class PsycopgPoolSource:
    """psycopg_pool 3.1 and later."""

    def install(self) -> Undo:
        """Patch `getconn` and `putconn`, which `connection()` uses as well.

        Raises:
            Unsupported: They have another signature.
        """
        import psycopg_pool

        kinds = (
            (psycopg_pool.ConnectionPool, _get, _put),
            (psycopg_pool.AsyncConnectionPool, _get_async, _put_async),
        )
        undos = []
        for owner, get, put in kinds:
            require(owner.getconn, "self", "timeout")
            require(owner.putconn, "self", "conn")
            undos += [patch(owner, "getconn", get), patch(owner, "putconn", put)]
        return undo_all(undos, pools)


def _is_full(pool: Any) -> bool:
    """Tell whether all connections are out, and no further one will be opened."""
    state = vars(pool)
    free, opened = state.get("_pool"), state.get("_nconns", 0)
    return free is not None and not free and opened >= pool.max_size > 0


def _get(wrapped: Callable[..., Any], pool: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    connection = wait(pools.waiter(pool) if _is_full(pool) else None, wrapped, args, kwargs)
    pools.took(pool, connection)
    return connection


def _put(wrapped: Callable[..., Any], pool: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    pools.gave_back(pool, args[0] if args else kwargs.get("conn"))
    return wrapped(*args, **kwargs)


async def _get_async(
    wrapped: Callable[..., Any], pool: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    connection = await wait_async(pools.waiter(pool) if _is_full(pool) else None, wrapped, args, kwargs)
    pools.took(pool, connection)
    return connection


async def _put_async(
    wrapped: Callable[..., Any], pool: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    pools.gave_back(pool, args[0] if args else kwargs.get("conn"))
    return await wrapped(*args, **kwargs)
