"""The streamed body of an asynchronous Django response: each step runs inside its request, the last one ends it."""

from __future__ import annotations

from asyncio import CancelledError
from typing import TYPE_CHECKING, Any, final

from .._context import make_current, variable
from ._asgi import DISCONNECTED

if TYPE_CHECKING:
    from collections.abc import AsyncIterable

    from ._request import Request


@final
class AsyncBody:
    """The same as `_request.Body`, for a body that is iterated with `async for`."""

    __slots__ = ("_body", "_iterator", "_request")

    def __init__(self, body: AsyncIterable[bytes], request: Request) -> None:
        self._body = body
        self._iterator: Any = None
        self._request = request

    def __aiter__(self) -> AsyncBody:
        if self._iterator is None:
            self._iterator = aiter(self._body)
        return self

    async def __anext__(self) -> bytes:
        if self._iterator is None:
            self._iterator = aiter(self._body)
        request = self._request
        if request.done:
            return await self._iterator.__anext__()  # type: ignore[no-any-return]
        previous = variable.get()
        make_current(request.opened.branch)
        try:
            chunk: bytes = await self._iterator.__anext__()
        except StopAsyncIteration:
            request.end()
            raise
        except CancelledError as error:
            request.outcome = DISCONNECTED
            request.end(type(error).__name__)
            raise
        except BaseException as error:
            request.end(type(error).__name__)
            raise
        finally:
            make_current(previous)
        request.first_byte()
        return chunk

    async def aclose(self) -> None:
        """Close the body and end the request; what it raises passes."""
        close = getattr(self._iterator if self._iterator is not None else self._body, "aclose", None)
        try:
            if close is not None:
                await close()
        finally:
            self._give_up()

    def close(self) -> None:
        """End the request: Django calls this when the response is closed."""
        self._give_up()

    def _give_up(self) -> None:
        request = self._request
        if self._iterator is not None and not request.done:
            request.outcome = DISCONNECTED  # begun, and not read to its end
        request.end()

    def __del__(self) -> None:
        if getattr(self, "_request", None) is not None:
            self._give_up()  # the client went away, and nobody closed the response
