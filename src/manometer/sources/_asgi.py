"""The unit of work of one ASGI request or WebSocket, from its call to the last byte that it sends."""

from __future__ import annotations

from asyncio import CancelledError
from typing import TYPE_CHECKING, Any, Final, final

from .. import _context, _guard, _rolling
from .._context import HOT, open_profile, restore, variable
from ._parts import hand_on_if_due, never_slow
from ._request import DEADLINE, MARKER, Request, note_deadline, note_left
from ._route import UNMATCHED, is_excluded, method_of, trace_id_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from .._model import Profile

    App = Callable[[Any, Any, Any], Awaitable[Any]]

KINDS: Final = ("http", "websocket")
"""Types of scope that are units of work."""
LIFESPAN: Final = "lifespan"
DISCONNECTED: Final = "disconnected"
CANCELLED: Final = "cancelled"
_POINT: Final = "sources.asgi"
_GONE: Final = frozenset({"http.disconnect", "websocket.disconnect"})
_LAST: Final = frozenset({"http.response.body", "http.response.zerocopysend"})
_REFUSED: Final = frozenset({"websocket.close", "websocket.http.response.start"})
_GROUPS: Final = frozenset({"ExceptionGroup", "BaseExceptionGroup"})
_MAX_GROUPS: Final = 8
_MAX_HEADERS: Final = 64
"""Headers looked at for the one that is wanted."""


def _header(headers: Any, name: bytes) -> str:
    """Return one header of a scope or message; empty when it is absent or not of built-in types."""
    if type(headers) not in (list, tuple):
        return ""
    for pair in headers[:_MAX_HEADERS]:
        if type(pair) not in (list, tuple) or len(pair) != 2 or type(pair[0]) is not bytes:
            continue
        if pair[0].lower() == name and type(pair[1]) is bytes:
            value: str = pair[1].decode("latin-1")
            return value
    return ""


def _text(scope: dict[str, Any], name: str) -> str:
    value = scope.get(name)
    return value if type(value) is str else ""


def _begin(scope: dict[str, Any], framework: str) -> Request | None:
    outer = scope.get(MARKER)
    if type(outer) is Request and not outer.done:
        return None
    path = _text(scope, "path") or "/"
    lasting = scope["type"] == "websocket"
    method = "WEBSOCKET" if lasting else method_of(scope.get("method"))
    opened = open_profile(method, "request", cpu=False, muted=is_excluded(method, path))
    request = Request(method, "", path, framework, opened)
    if opened.profile is not None:
        opened.profile.trace_id = trace_id_of(_header(scope.get("headers"), b"traceparent"))
        note_deadline(opened.profile, _header(scope.get("headers"), DEADLINE.encode()))
        if lasting:
            never_slow(request)
    scope[MARKER] = request
    return request


async def serve(app: App, scope: dict[str, Any], receive: Any, send: Any, framework: str) -> Any:
    """Call an ASGI application as one unit of work.

    Args:
        app: The application.
        scope: The server's scope; gets one key, `manometer.request`. Of type `http` or `websocket`.
        receive: The server's.
        send: The server's.
        framework: Which source asks.

    Application threads; 25 us, about as much as a WSGI request. Raises what the application raises and nothing else.
    """
    request = None if HOT["idle_"] else _guard.call(_POINT, _begin, scope, framework)
    if request is None:
        return await app(scope, receive, send)
    if request.opened.profile is None:
        try:
            return await app(scope, receive, send)
        finally:
            restore(request.opened)
            request.end()
    exchange = _Exchange(request, receive, send, scope["type"] == "websocket")
    try:
        result = await app(scope, exchange.receive, exchange.send)
    except BaseException as error:
        restore(request.opened)
        _guard.call(_POINT, exchange.failed, error)
        raise
    restore(request.opened)
    _guard.call(_POINT, exchange.returned)
    return result


async def lifespan(app: App, scope: Any, receive: Any, send: Any) -> Any:
    """Let an application start and end; then export what there is.

    A server may end itself by the signal it was sent, and then no exit handler runs. Blocks at most
    two seconds, once, after the application has ended.
    """
    try:
        return await app(scope, receive, send)
    finally:
        if _rolling.finish is not None:
            _guard.call(_POINT, _rolling.finish)


@final
class _Exchange:
    """The messages between one application and its server, passed on as they are."""

    __slots__ = ("_complete", "_gone", "_held", "_receive", "_request", "_send", "_trailers", "_websocket")

    def __init__(self, request: Request, receive: Any, send: Any, websocket: bool) -> None:
        self._request = request
        self._receive = receive
        self._send = send
        self._websocket = websocket
        self._complete = False  # the last byte was sent
        self._gone = False  # the client left before that
        self._trailers = False  # the body is not the end of the response
        self._held: list[Profile] = []

    async def receive(self) -> Any:
        """Pass on what the server says."""
        message = await self._receive()
        if not self._request.done:
            _guard.call(_POINT, self._received, message)
        return message

    async def send(self, message: Any) -> Any:
        """Pass on what the application says; the last byte ends the request."""
        if self._request.done:
            return await self._send(message)
        last = _guard.call(_POINT, self._sending, message)
        try:
            result = await self._send(message)
        except OSError:
            self._gone = True
            _guard.call(_POINT, note_left, self._request)
            raise
        _guard.call(_POINT, self._sent, last)
        return result

    def _received(self, message: Any) -> None:
        kind = message.get("type") if type(message) is dict else None
        if kind in _GONE:
            self._gone = not self._complete
            if self._gone:
                note_left(self._request)
        elif kind == "websocket.receive":
            hand_on_if_due(self._request)

    def _sending(self, message: Any) -> bool:
        """Read what is about to be sent; tell whether nothing follows it."""
        kind = message.get("type") if type(message) is dict else None
        request = self._request
        if kind in _LAST:
            request.first_byte()
            return not message.get("more_body") and not self._trailers and not self._websocket
        if kind == "http.response.start":
            request.status = str(message["status"]) if type(message.get("status")) is int else ""
            self._trailers = message.get("trailers") is True
            if _header(message.get("headers"), b"content-type").startswith("text/event-stream"):
                never_slow(request)
        elif kind == "websocket.accept":
            request.status = "101"
        elif kind in _REFUSED and not request.status:
            status = message.get("status")
            request.status = str(status) if type(status) is int else "403"
        if kind == "http.response.trailers":
            return not message.get("more_trailers")
        return kind == "http.response.pathsend"

    def _sent(self, last: bool | None) -> None:
        request = self._request
        if not last:
            hand_on_if_due(request)
            return
        self._complete = True
        if self._gone:
            request.outcome = DISCONNECTED  # frameworks finish a response that nobody waits for
        opened = request.opened
        if variable.get() not in (opened.branch, opened.previous):
            return  # a measured coroutine of the application is around this: it counts when it returns
        if request.status.startswith("5"):
            # The exception behind it comes after it: frameworks answer first and raise then.
            opened.sink = self._held.append
        self._end()
        restore(opened)  # what follows the last byte is no part of the request

    def _end(self, error: str = "") -> None:
        request = self._request
        if not request.done:
            _settle(request)
            request.end(error)

    def failed(self, error: BaseException) -> None:
        """End the request with the exception that left the application."""
        error = _single(error)
        name = type(error).__name__
        if isinstance(error, CancelledError) or name == "Cancelled":
            self._request.outcome = DISCONNECTED if self._gone else CANCELLED
        elif self._gone and (isinstance(error, OSError) or name.endswith(("Disconnect", "Disconnected"))):
            self._request.outcome = DISCONNECTED
        self._end(name)
        self._release(name)

    def returned(self) -> None:
        """End the request where its last byte did not: the client left, or a WebSocket is over."""
        if self._gone and not self._websocket and not self._complete:
            self._request.outcome = DISCONNECTED
        self._end()
        self._release("")

    def _release(self, error: str) -> None:
        for profile in self._held:
            if error and profile.outcome == "ok":
                profile.outcome, profile.root.errors = error, 1
            if _context.sink is not None:
                _context.sink(profile)
        self._held.clear()


def _single(error: BaseException) -> BaseException:
    """Return what a task group wrapped: a group of one is that one."""
    for _ in range(_MAX_GROUPS):
        inner = getattr(error, "exceptions", None)
        if type(error).__name__ not in _GROUPS or type(inner) is not tuple or len(inner) != 1:
            break
        error = inner[0]
    return error


def _settle(request: Request) -> None:
    """Name a request that matched no route; the router of a framework would have named it otherwise."""
    if request.route:
        return
    answered = request.status[:1] in ("1", "2", "3")
    if (
        request.method == "OPTIONS"
        or request.status == "405"
        or (request.framework != "asgi" and not answered)
    ):
        request.route = UNMATCHED
    elif request.mount and request.status != "404":
        request.route = f"{request.mount}/*"
