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
    """Flask 2.0 and later, through `Flask.__call__`, `Flask.wsgi_app` and `got_request_exception`."""

    def install(self) -> Undo:
        """Install the tap.

        `__call__` covers the middlewares an application put around its `wsgi_app`; `wsgi_app` covers
        servers and dispatchers that were given that one. Whichever is called first measures.

        Raises:
            Unsupported: This Flask has other signatures.
        """
        from flask import Flask, got_request_exception

        require(Flask.__call__, "self", "environ", "start_response")
        require(Flask.wsgi_app, "self", "environ", "start_response")
        undos = [patch(Flask, "__call__", _call), patch(Flask, "wsgi_app", _call)]
        if undos[0] is nothing:
            return nothing
        try:
            got_request_exception.connect(_failed)
        except RuntimeError as error:  # Flask before 2.3 without blinker
            for undo in undos:
                undo()
            msg = "signals are not available; install blinker"
            raise Unsupported(msg) from error
        undos.append(lambda: got_request_exception.disconnect(_failed))

        def undo_all() -> None:
            for undo in undos:
                undo()

        return undo_all


def _call(wrapped: Callable[..., Any], _: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    if len(args) != 2 or kwargs or type(args[0]) is not dict:
        return wrapped(*args, **kwargs)
    return serve(wrapped, args[0], args[1], "flask", _route_of)


def _route_of(environ: dict[str, Any]) -> str:
    # Werkzeug leaves the request in the environ; no context is active any more when this is asked.
    rule = getattr(getattr(environ.get("werkzeug.request"), "url_rule", None), "rule", None)
    return rule_of(rule) if type(rule) is str else UNMATCHED


def _failed(_: Any, exception: BaseException | None = None, **__: Any) -> None:
    """Note the exception that Flask is about to answer with status 500."""
    _guard.call(_POINT, _note, exception)


def _note(exception: BaseException | None) -> None:
    from flask import request

    found = request.environ.get(MARKER)
    if type(found) is Request and exception is not None:
        found.error = type(exception).__name__
