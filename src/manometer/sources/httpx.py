"""The tap on httpx, sync and async: one call for each request that a network transport is given."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, final

from .. import _guard
from .._context import HOT
from ._http import MARK, begin_http, end_http, parsed, target_of
from ._outgoing import Outgoing, asked_here, asking, here, limit_ns, version_of
from ._patch import patch, require

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..protocols import Undo

_POINT: Final = "sources.httpx"
_OWN_FRAMES: Final = 3
_VERBS: Final = ("get", "options", "head", "post", "put", "patch", "delete", "request", "send")
_version = ""


@final
class HttpxSource:
    """httpx 0.23 and later, through its two network transports, whatever client or transport is around them.

    A transport that a test puts in their place (a mock, an application) is no network and is not seen.
    """

    def install(self) -> Undo:
        """Patch `handle_request` and `handle_async_request`, and the reading of answers.

        Raises:
            Unsupported: This httpx has other signatures.
        """
        global _version
        import httpx

        require(httpx.HTTPTransport.handle_request, "self", "request")
        require(httpx.AsyncHTTPTransport.handle_async_request, "self", "request")
        _version = version_of(httpx)
        undos = [patch(httpx.AsyncClient, verb, _ask) for verb in _VERBS]
        undos += [
            patch(httpx.HTTPTransport, "handle_request", _handle),
            patch(httpx.AsyncHTTPTransport, "handle_async_request", _handle_async),
            patch(httpx.Response, "read", _read),
            patch(httpx.Response, "aread", _aread),
            patch(httpx.Response, "json", _json),
        ]

        def undo() -> None:
            for undo_one in undos:
                undo_one()

        return undo


def _ask(wrapped: Callable[..., Any], _: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Remember who asked: `gather(client.get(...), ...)` runs without a line of the application on its stack."""
    place = _guard.call(_POINT, asked_here)
    return wrapped(*args, **kwargs) if place is None else asking(place, wrapped, args, kwargs)


def _handle(
    wrapped: Callable[..., Any], transport: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    request = args[0] if args else kwargs.get("request")
    call: Outgoing | None = _guard.call(_POINT, _begin, transport, request, False)
    if call is None:
        return wrapped(*args, **kwargs)
    try:
        response = wrapped(*args, **kwargs)
    except BaseException as error:
        _guard.call(_POINT, _put_back, request)
        call.fail(error)
        raise
    _guard.call(_POINT, _end, call, request, response, False)
    return response


def _handle_async(
    wrapped: Callable[..., Any], transport: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    request = args[0] if args else kwargs.get("request")

    async def handle() -> Any:
        call: Outgoing | None = _guard.call(_POINT, _begin, transport, request, True)
        if call is None:
            return await wrapped(*args, **kwargs)
        try:
            response = await wrapped(*args, **kwargs)
        except BaseException as error:
            _guard.call(_POINT, _put_back, request)
            call.fail(error, awaited=True)
            raise
        _guard.call(_POINT, _end, call, request, response, True)
        return response

    return handle()


def _begin(transport: Any, request: Any, is_async: bool) -> Outgoing | None:
    on = here(_POINT)
    if on is None:
        return None
    url = request.url
    call = begin_http(
        on,
        request.method,
        url.raw_path.decode("ascii", "replace"),
        target_of(url.scheme, url.host, url.port),
        library="httpx",
        version=_version,
        body=getattr(request, "_content", b"") or None,  # there unless it is streamed
        headers=request.headers.raw,
        skip=_OWN_FRAMES,
    )
    if call is None:
        return None
    if not hasattr(request, "_content"):
        call.key = None
    _note_timeout(call, request.extensions.get("timeout"))
    if getattr(getattr(transport, "_pool", None), "_retries", 0):
        _watch_connects(call, request.extensions, is_async)
    return call


def _note_timeout(call: Outgoing, limits: Any) -> None:
    """Read the time limits as the transport gets them: of each read, or whatever else is limited."""
    if type(limits) is not dict:
        return  # whoever drives a transport by hand
    call.timeout_ns = limit_ns(limits.get("read"))


def _watch_connects(call: Outgoing, extensions: dict[str, Any], is_async: bool) -> None:
    """Count the connections that a transport with `retries` tries once more, through httpcore's public hook."""
    if "trace" in extensions:
        return  # the application's own; there is room for one

    def trace(name: str, _: Any) -> None:
        call.retries += name == "connection.retry.started"

    async def trace_async(name: str, info: Any) -> None:
        trace(name, info)

    extensions["trace"] = trace_async if is_async else trace


def _put_back(request: Any) -> None:
    if getattr(request.extensions.get("trace"), "__module__", "") == __name__:
        del request.extensions["trace"]


def _end(call: Outgoing, request: Any, response: Any, awaited: bool) -> None:
    _put_back(request)
    end_http(call, response.status_code, length=response.headers.get("content-length"), awaited=awaited)
    response.extensions[MARK] = call


def _read(wrapped: Callable[..., Any], response: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    call = None if hasattr(response, "_content") else response.extensions.get(MARK)
    if type(call) is not Outgoing:
        return wrapped(*args, **kwargs)
    started_ns = HOT["clock_"]()
    content = wrapped(*args, **kwargs)
    _guard.call(_POINT, call.body, HOT["clock_"]() - started_ns, 0)
    return content


def _aread(wrapped: Callable[..., Any], response: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    call = None if hasattr(response, "_content") else response.extensions.get(MARK)
    if type(call) is not Outgoing:
        return wrapped(*args, **kwargs)
    known: Outgoing = call

    async def read() -> Any:
        started_ns = HOT["clock_"]()
        content = await wrapped(*args, **kwargs)
        _guard.call(_POINT, known.body, HOT["clock_"]() - started_ns, 0)
        return content

    return read()


def _json(wrapped: Callable[..., Any], response: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    value = wrapped(*args, **kwargs)
    call = response.__dict__.get("extensions", {}).pop(MARK, None)
    if type(call) is Outgoing:
        parsed(call, value, response.__dict__.get("_content") if response.status_code == 200 else None)
    return value
