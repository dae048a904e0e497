"""The tap on aiohttp's connectors: who holds their connections, and who waits for one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, final

from .. import _guard
from .._wait import Resource
from ._patch import Unsupported, patch, require
from ._pool import Pools, undo_all, wait_async

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..protocols import Undo


def _describe(connector: Any) -> Resource:
    return Resource(
        "pool", "aiohttp connector", limit=connector.limit_per_host or connector.limit, library="aiohttp"
    )


pools: Final = Pools("sources.aiohttp-pool", _describe)


@final
class AiohttpPoolSource:
    """The connectors of aiohttp's client; of the versions that wait for a connection in a method of its own."""

    def install(self) -> Undo:
        """Patch where a request waits for a connection, gets it, and lets go of it.

        Raises:
            Unsupported: They work otherwise.
        """
        from aiohttp.connector import BaseConnector

        if not hasattr(BaseConnector, "_wait_for_available_connection"):
            msg = "this aiohttp waits for connections where nobody can see it (3.11 and later can be seen)"
            raise Unsupported(msg)
        require(BaseConnector._wait_for_available_connection, "self", "key")
        require(BaseConnector.connect, "self", "req")
        require(BaseConnector._release, "self", "key", "protocol")
        undos = [
            patch(BaseConnector, "_wait_for_available_connection", _wait),
            patch(BaseConnector, "connect", _connect),
            patch(BaseConnector, "_release", _release),
        ]
        return undo_all(undos, pools)


async def _wait(
    wrapped: Callable[..., Any], connector: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    return await wait_async(pools.waiter(connector), wrapped, args, kwargs)


async def _connect(
    wrapped: Callable[..., Any], connector: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    connection = await wrapped(*args, **kwargs)
    _guard.call(pools.point, _took, connector, connection)
    return connection


def _took(connector: Any, connection: Any) -> None:
    pools.took(connector, connection.protocol)


def _release(
    wrapped: Callable[..., Any], connector: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    if len(args) > 1:
        pools.gave_back(connector, args[1])
    return wrapped(*args, **kwargs)
