"""The tap on the server of aiohttp: every request becomes a unit of work named after its resource."""

from __future__ import annotations

from asyncio import CancelledError
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final, final

from .. import _guard
from .._context import HOT, open_profile, restore
from ._parts import hand_on_if_due, never_slow
from ._patch import nothing, patch, require
from ._request import Request
from ._route import UNMATCHED, is_excluded, method_of, trace_id_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from ..protocols import Undo

    Handler = Callable[[Any], Awaitable[Any]]

_POINT: Final = "sources.aiohttp-server"
_LOST: Final = frozenset({"", "BrokenPipeError", "ClientConnectionResetError", "ConnectionResetError"})
"""How a handler ends, by the type of its exception, when its client has left."""
_answers: tuple[type[BaseException], ...] = ()
"""Exceptions that are responses."""
_request: Final[ContextVar[Request | None]] = ContextVar("manometer.aiohttp", default=None)
"""The request that this task answers. The server runs each in a task, so a context of its own."""


@final
class AiohttpServerSource:
    """aiohttp 3.9 and later, through `RequestHandler._handle_request`, which calls the handler and sends its response.

    Signals and middlewares are public, but belong to one application, and end before the body is sent.
    """

    def install(self) -> Undo:
        """Install the tap.

        Raises:
            Unsupported: This aiohttp has other signatures.
        """
        global _answers
        from aiohttp import web

        require(web.RequestHandler._handle_request, "self", "request", "start_time", "request_handler")
        require(web.StreamResponse.prepare, "self", "request")
        require(web.StreamResponse.write, "self", "data")
        require(web.WebSocketResponse.receive, "self", "timeout")
        first = patch(web.RequestHandler, "_handle_request", _call)
        if first is nothing:
            return nothing
        _answers = (web.HTTPException,)
        undos = [
            first,
            patch(web.StreamResponse, "prepare", _prepare),
            patch(web.StreamResponse, "write", _write),
            patch(web.WebSocketResponse, "receive", _receive),
        ]

        def undo() -> None:
            for each in undos:
                each()

        return undo


def _call(wrapped: Callable[..., Any], protocol: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    if HOT["idle_"] or len(args) != 3 or kwargs:
        return wrapped(*args, **kwargs)
    return _serve(wrapped, protocol, *args)


def _begin(message: Any) -> Request:
    method, path = method_of(message.method), message.path
    opened = open_profile(method, "request", cpu=False, muted=is_excluded(method, path))
    request = Request(method, "", path, "aiohttp-server", opened)
    if opened.profile is not None:
        opened.profile.trace_id = trace_id_of(message.headers.get("traceparent"))
    return request


async def _serve(
    wrapped: Callable[..., Any], protocol: Any, message: Any, start: Any, handler: Handler
) -> Any:
    """Answer one request as one unit of work. Raises what the server raises and nothing else."""
    request = _guard.call(_POINT, _begin, message)
    if request is None:
        return await wrapped(message, start, handler)
    if request.opened.profile is None:
        try:
            return await wrapped(message, start, handler)
        finally:
            restore(request.opened)
            request.end()
    _request.set(request)
    try:
        result = await wrapped(message, start, _noting(handler, request))
    except BaseException as error:
        _finish(request)
        _guard.call(_POINT, _failed, request, protocol, error)
        raise
    _finish(request)
    _guard.call(_POINT, _answered, request, result)
    return result


def _finish(request: Request) -> None:
    restore(request.opened)
    if _request.get() is request:
        _request.set(None)


def _noting(handler: Handler, request: Request) -> Handler:
    """Return *handler*, watched: the server answers its exceptions, and they are seen nowhere else."""

    async def handle(message: Any) -> Any:
        try:
            response = await handler(message)
        except BaseException as error:
            _guard.call(_POINT, _note, request, message, error)
            raise
        _guard.call(_POINT, _note, request, message, None)
        return response

    return handle


def _note(request: Request, message: Any, error: BaseException | None) -> None:
    """Take over what the router matched, and how the handler ended."""
    request.first_byte()
    _note_route(request, message)
    if error is not None and not isinstance(error, (*_answers, CancelledError)):
        request.error = type(error).__name__


def _note_route(request: Request, message: Any) -> None:
    try:
        route = getattr(message.match_info, "route", None)
    except Exception:  # a request that never reached the router
        route = None
    template = getattr(getattr(route, "resource", None), "canonical", None)
    if type(template) is str:
        request.route = template or "/"
    elif route is not None:
        request.route = UNMATCHED


def _answered(request: Request, result: Any) -> None:
    """End a request that was answered."""
    response, reset = result if type(result) is tuple and len(result) == 2 else (None, False)
    status = getattr(response, "status", None)
    request.status = str(status) if type(status) is int else ""
    if reset is True and request.error in _LOST and request.status != "101":
        request.outcome = "disconnected"
    request.end()


def _failed(request: Request, protocol: Any, error: BaseException) -> None:
    """End a request that could not be answered: the client left, or the server stops."""
    if request.error in _LOST:
        if isinstance(error, CancelledError):
            request.outcome = "cancelled" if protocol.transport is not None else "disconnected"
        elif isinstance(error, ConnectionError):
            request.outcome = "disconnected"
    request.end(request.error or type(error).__name__)


def _current() -> Request | None:
    request = _request.get()
    return None if request is None or request.done else request


def _prepare(
    wrapped: Callable[..., Any], response: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    request = _current()
    if request is not None and args:
        _guard.call(_POINT, _prepares, request, response, args[0])
    return wrapped(*args, **kwargs)


def _prepares(request: Request, response: Any, message: Any) -> None:
    """Take over what the parts of a response that lasts are named with; it begins to be sent."""
    if not request.route:
        _note_route(request, message)
    request.status = str(response.status)
    if response.content_type == "text/event-stream":
        never_slow(request)


def _write(wrapped: Callable[..., Any], _: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    request = _current()
    if request is not None:
        request.first_byte()
        hand_on_if_due(request)
    return wrapped(*args, **kwargs)


def _receive(wrapped: Callable[..., Any], _: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    request = _current()
    if request is not None:
        request.status = "101"
        never_slow(request)
        hand_on_if_due(request)
    return wrapped(*args, **kwargs)
