"""The tap on Flask: every request becomes a unit of work named after the rule it matched."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, final

from .. import _guard
from ._patch import Unsupported, nothing, patch, require
from ._request import MARKER, Request, serve
from ._route import UNMATCHED, rule_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..protocols import Undo

_POINT: Final = "sources.flask"


@final
class FlaskSource:
    """Flask 2.0 and later, through `Flask.__call__`, `Flask.wsgi_app` and two of its signals."""

    def install(self) -> Undo:
        """Install the tap.

        `__call__` covers the middlewares an application put around its `wsgi_app`; `wsgi_app` covers
        servers and dispatchers that were given that one. Whichever is called first measures.

        Raises:
            Unsupported: This Flask has other signatures, or no signals.
        """
        from flask import Flask, got_request_exception, request_started

        require(Flask.__call__, "self", "environ", "start_response")
        require(Flask.wsgi_app, "self", "environ", "start_response")
        if not hasattr(request_started, "receivers"):
            msg = "signals are not available; install blinker"  # optional before Flask 2.3
            raise Unsupported(msg)
        first = patch(Flask, "__call__", _call)
        if first is nothing:
            return nothing
        second = patch(Flask, "wsgi_app", _call)
        request_started.connect(_started)
        got_request_exception.connect(_failed)

        def undo() -> None:
            first()
            second()
            request_started.disconnect(_started)
            got_request_exception.disconnect(_failed)

        return undo


def _call(wrapped: Callable[..., Any], _: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    if len(args) != 2 or kwargs or type(args[0]) is not dict:
        return wrapped(*args, **kwargs)
    return serve(wrapped, args[0], args[1], "flask")


def _started(_: Any, **__: Any) -> None:
    """Hear of a request whose rule has been looked up."""
    _guard.call(_POINT, _note_route)


def _failed(_: Any, exception: BaseException | None = None, **__: Any) -> None:
    """Hear of an exception that Flask is about to answer with status 500."""
    _guard.call(_POINT, _note_error, exception)


def _note_route() -> None:
    from flask import request

    environ, rule = request.environ, request.url_rule
    found = environ.get(MARKER)
    if type(found) is Request:
        text = None if rule is None else rule.rule
        found.route = rule_of(text) if type(text) is str else UNMATCHED
        found.script = environ.get("SCRIPT_NAME") or ""  # a dispatcher above may have moved the mount
        found.framework = "flask"


def _note_error(exception: BaseException | None) -> None:
    from flask import request

    found = request.environ.get(MARKER)
    if type(found) is Request and exception is not None:
        found.error = type(exception).__name__
