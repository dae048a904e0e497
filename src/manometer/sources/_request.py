"""The unit of work of one request, from its call to the last byte of its body."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, final

from .. import _context, _guard, _limits
from .._context import HOT, close_profile, make_current, open_profile, restore, variable
from ._route import UNMATCHED, is_excluded, method_of, templated, trace_id_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from .._context import OpenProfile
    from .._model import Profile

MARKER: Final = "manometer.request"
"""Key of the WSGI environ or ASGI scope under which the request in progress stands: nobody measures it twice."""
ROUTE: Final = "manometer.route"
"""Key of the WSGI environ under which an application may say which route it matched."""
DEADLINE: Final = "x-envoy-expected-rq-timeout-ms"
"""Header in which Envoy tells a service how long it will wait, in milliseconds."""
_DEADLINE: Final = "HTTP_" + DEADLINE.upper().replace("-", "_")
_MAX_DIGITS: Final = 9
_POINT: Final = "sources.wsgi"


def note_deadline(profile: Profile, left_ms: object) -> None:
    """Note until when somebody waits for this unit of work, where a proxy says so; 0.1 us."""
    if type(left_ms) is str and left_ms.isascii() and left_ms.isdigit() and len(left_ms) <= _MAX_DIGITS:
        profile.deadline_ns = profile.started_ns + int(left_ms) * 1_000_000


def note_left(request: Request) -> None:
    """Note that the client is gone: nobody waits for what comes now."""
    profile = request.opened.profile
    if profile is not None and not profile.left_ns:
        profile.left_ns = HOT["clock_"]()


def _discard(_: Profile) -> None:
    """Take a profile that turned out to be of an excluded route."""


def _blameless(profile: Profile) -> None:
    """Take a profile that ended early through nobody's fault."""
    profile.root.errors = 0
    if _context.sink is not None:
        _context.sink(profile)


@final
class Request:
    """A request in progress.

    Attributes:
        asked: The framework's own request while the application answers, None before and after.
        script: Raw path of the mount, which the template of a route does not contain.
        mount: Template of the mounts passed so far, where a framework tells; a route is below them.
        route: Template of the matched route, `UNMATCHED`, or empty while nobody has said.
        error: Type of an exception that was answered with a response.
        outcome: How it ended early without anybody's fault (the client left); empty otherwise.
        parts: Profiles that were handed on already, of a request that lasts.
    """

    __slots__ = (
        "asked", "done", "error", "framework", "method", "mount", "opened", "outcome", "parts", "path", "route", "script",
        "status",
    )  # fmt: skip

    def __init__(self, method: str, script: str, path: str, framework: str, opened: OpenProfile) -> None:
        self.method = method
        self.script = script
        self.path = path
        self.framework = framework
        self.opened = opened
        self.asked: Any = None
        self.mount = ""
        self.route = ""
        self.status = ""
        self.error = ""
        self.outcome = ""
        self.parts = 0
        self.done = False

    def end(self, error: str = "") -> None:
        """Seal the profile; the first call counts. Never raises."""
        if self.done:
            return
        self.done = True
        _guard.call(_POINT, self._end, error or self.error)

    def _end(self, error: str) -> None:
        profile = self.opened.profile
        if profile is None:
            return
        try:
            self.describe(profile)
            if self.outcome:
                error = ""
                profile.outcome = self.outcome
                self.opened.sink = self.opened.sink or _blameless
        finally:
            close_profile(self.opened, error)

    def describe(self, profile: Profile) -> None:
        """Write into *profile* what is known of the request by now."""
        if self.route:
            route = self.route
            if self.script and route != UNMATCHED:
                route = templated(self.script) + route
            if is_excluded(self.method, route):
                self.opened.sink = _discard
        elif self.status == "404":
            route = UNMATCHED  # whatever a scanner asks for must not become a name
        else:
            route = templated(self.script + self.path)
        profile.name = f"{self.method} {route}"[: _limits.MAX_NAME]
        profile.route = route
        profile.status = self.status
        profile.framework = self.framework

    def first_byte(self) -> None:
        """Note when the first byte of the body was there."""
        profile = self.opened.profile
        if profile is not None and not profile.first_byte_ns and not self.parts:
            profile.first_byte_ns = max(1, HOT["clock_"]() - profile.started_ns)


def _begin(environ: dict[str, Any], framework: str) -> Request | None:
    outer = environ.get(MARKER)
    if type(outer) is Request and not outer.done:
        return None
    method = method_of(environ.get("REQUEST_METHOD"))
    script, path = environ.get("SCRIPT_NAME") or "", environ.get("PATH_INFO") or "/"
    opened = open_profile(method, "request", muted=is_excluded(method, script + path))
    request = Request(method, script, path, framework, opened)
    if opened.profile is not None:
        opened.profile.trace_id = trace_id_of(environ.get("HTTP_TRACEPARENT"))
        note_deadline(opened.profile, environ.get(_DEADLINE))
    environ[MARKER] = request
    return request


def settle(environ: dict[str, Any]) -> None:
    """Take over the route that the application put into the environ while it answered."""
    request = environ.get(MARKER)
    route = environ.get(ROUTE)
    if type(request) is Request and type(route) is str and route:
        request.route = route


def serve(
    app: Callable[..., Any],
    environ: dict[str, Any],
    start_response: Callable[..., Any],
    framework: str,
    settle: Callable[[dict[str, Any]], None] = settle,
) -> Any:
    """Call a WSGI application as one unit of work.

    Args:
        app: The application.
        environ: The server's environ; gets one key, `manometer.request`.
        start_response: The server's.
        framework: Which source asks.
        settle: Takes over from the environ what the application left there while it answered.

    Returns:
        The application's own iterable where it is complete already (a list, a tuple, the server's
        file wrapper), else one that ends the request at its last byte.

    Application threads; 20 us. Raises what the application raises and nothing else.
    """
    if HOT["idle_"]:
        return app(environ, start_response)
    request = _guard.call(_POINT, _begin, environ, framework)
    if request is None:
        try:
            return app(environ, start_response)
        finally:
            _guard.call(_POINT, settle, environ)
    try:
        body = app(environ, _starting(request, start_response))
    except BaseException as error:
        _guard.call(_POINT, settle, environ)
        restore(request.opened)
        request.end(type(error).__name__)
        raise
    _guard.call(_POINT, settle, environ)
    restore(request.opened)
    if type(body) in (list, tuple) or type(body) is environ.get("wsgi.file_wrapper"):
        request.first_byte()
        request.end()
        return body
    return (SizedBody if hasattr(type(body), "__len__") else Body)(body, request)


def _starting(request: Request, start_response: Callable[..., Any]) -> Callable[..., Any]:
    def start(status: Any, *args: Any, **kwargs: Any) -> Any:
        if type(status) is str:
            request.status = status[:3]
        return start_response(status, *args, **kwargs)

    return start


class Body:
    """A streamed response body: each step runs inside its request, the last one ends it."""

    __slots__ = ("_body", "_iterator", "_request")

    def __init__(self, body: Iterable[bytes], request: Request) -> None:
        self._body = body
        self._iterator: Any = None
        self._request = request

    def _step(self, function: Callable[..., Any], *args: Any) -> Any:
        """Call the host's *function* with the request current; its errors end the request and pass."""
        request = self._request
        if request.done:
            return function(*args)
        previous = variable.get()
        make_current(request.opened.branch)
        try:
            return function(*args)
        except StopIteration:
            request.end()
            raise
        except BaseException as error:
            request.end(type(error).__name__)
            raise
        finally:
            make_current(previous)

    def __iter__(self) -> Body:
        if self._iterator is None:
            self._iterator = self._step(iter, self._body)
        return self

    def __next__(self) -> bytes:
        if self._iterator is None:
            self._iterator = self._step(iter, self._body)
        chunk: bytes = self._step(next, self._iterator)
        self._request.first_byte()
        return chunk

    def close(self) -> None:
        """Close the body and end the request; what it raises passes."""
        close = getattr(self._body, "close", None)
        try:
            if close is not None:
                self._step(close)
        finally:
            self._request.end()

    def __del__(self) -> None:
        request = getattr(self, "_request", None)
        if request is not None:
            request.end()  # the server forgot to close it


@final
class SizedBody(Body):
    """The same for a body that knows its length, from which a server may take Content-Length."""

    __slots__ = ()

    def __len__(self) -> int:
        return len(self._body)  # type: ignore[arg-type]
