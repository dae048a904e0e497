"""The tap on asyncio's own connections, which shows how many a program opens at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, final

from .. import _guard
from .._fingerprint import key_of
from ._outgoing import Outgoing, asked_here, asking, begin_outgoing, here
from ._patch import patch, require

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..protocols import Undo

_POINT: Final = "sources.asyncio_streams"
_OWN_FRAMES: Final = 2


@final
class AsyncioStreamsSource:
    """asyncio streams: `asyncio.open_connection`, from its call until the connection is there.

    What is said over the connection is nobody's business here: a library that speaks a protocol over
    it and has a tap of its own covers it.
    """

    def install(self) -> Undo:
        """Patch `open_connection` where it is looked up.

        Raises:
            Unsupported: It has another signature.
        """
        import asyncio
        from asyncio import streams

        require(streams.open_connection, "host", "port")
        undos = [patch(module, "open_connection", _open) for module in (asyncio, streams)]

        def undo() -> None:
            for undo_one in undos:
                undo_one()

        return undo


def _open(wrapped: Callable[..., Any], _: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    place = _guard.call(_POINT, asked_here)

    async def go() -> Any:
        call: Outgoing | None = _guard.call(_POINT, _begin, args, kwargs)
        if call is None:
            return await wrapped(*args, **kwargs)
        try:
            found = await wrapped(*args, **kwargs)
        except BaseException as error:
            call.fail(error, awaited=True)
            raise
        call.finish(awaited=True)
        return found

    return go() if place is None else asking(place, go, (), {})


def _begin(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Outgoing | None:
    on = here(_POINT)
    if on is None:
        return None
    given = (*args, None, None)
    host, port = kwargs.get("host", given[0]), kwargs.get("port", given[1])
    target = f"{host}:{port}" if type(host) is str and type(port) is int else ""
    call = begin_outgoing(
        on,
        "other",
        f"connect {target}".rstrip(),
        "connect",
        operation="",
        system="tcp",
        target=target,
        library="asyncio",
        version="",
        skip=_OWN_FRAMES,
    )
    if call is not None:
        call.key = key_of((target,))
        call.cover()
    return call
