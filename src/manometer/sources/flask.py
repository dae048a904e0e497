"""The tap on Flask: every request becomes a unit of work named after the rule it matched."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, final

from .. import _guard
from ._patch import nothing, patch, require
from ._request import MARKER, Request, serve, settle
from ._route import UNMATCHED, rule_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..protocols import Undo

_POINT: Final = "sources.flask"


@final
class FlaskSource:
    """Flask 2.0 and later, through `Flask.__call__`, `wsgi_app`, `request_context` and `log_exception`.

    Not through its signals: other tools show each receiver of a signal as work of the application.
    """

    def install(self) -> Undo:
        """Install the tap.

        `__call__` covers the middlewares an application put around its `wsgi_app`; `wsgi_app` covers
        servers and dispatchers that were given that one. Whichever is called first measures.

        Raises:
            Unsupported: This Flask has other signatures.
        """
        from flask import Flask

        require(Flask.__call__, "self", "environ", "start_response")
        require(Flask.wsgi_app, "self", "environ", "start_response")
        require(Flask.request_context, "self", "environ")
        require(Flask.log_exception, "self", "exc_info")
        first = patch(Flask, "__call__", _call)
        if first is nothing:
            return nothing
        undos = [
            first,
            patch(Flask, "wsgi_app", _call),
            patch(Flask, "request_context", _asked),
            patch(Flask, "log_exception", _failed),
        ]

        def undo() -> None:
            for each in undos:
                each()

        return undo


def _call(wrapped: Callable[..., Any], _: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    if len(args) != 2 or kwargs or type(args[0]) is not dict:
        return wrapped(*args, **kwargs)
    return serve(wrapped, args[0], args[1], "flask", _note_route)


def _asked(wrapped: Callable[..., Any], _: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Keep the request that Flask made, until it has been answered."""
    context = wrapped(*args, **kwargs)
    if args:
        _guard.call(_POINT, _note_request, args[0], context)
    return context


def _failed(wrapped: Callable[..., Any], _: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Hear of an exception that Flask answers with status 500."""
    _guard.call(_POINT, _note_error, args)
    return wrapped(*args, **kwargs)


def _note_request(environ: Any, context: Any) -> None:
    found = environ.get(MARKER) if type(environ) is dict else None
    if type(found) is Request and not found.done:
        found.asked = context.request
        found.script = environ.get("SCRIPT_NAME") or ""  # a dispatcher above may have moved the mount
        found.framework = "flask"


def _note_route(environ: dict[str, Any]) -> None:
    settle(environ)
    found = environ.get(MARKER)
    if type(found) is not Request or found.asked is None:
        return
    known, found.asked = vars(found.asked), None
    if not found.route:
        text = getattr(known.get("url_rule"), "rule", None)
        found.route = rule_of(text) if type(text) is str else UNMATCHED


def _note_error(args: tuple[Any, ...]) -> None:
    from flask import request

    found = request.environ.get(MARKER)
    if type(found) is Request and args and type(args[0]) is tuple and args[0][0] is not None:
        found.error = args[0][0].__name__
