"""The middleware that makes every request of a WSGI application a unit of work."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, final

from ._request import serve

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..protocols import Undo

_on = False


@final
class Middleware:
    """A WSGI application around another: `app = Middleware(app)`.

    Args:
        app: The application to measure.

    Raises:
        TypeError: *app* cannot be called.

    While manometer is off it only calls through. Flask applications need it not.
    """

    __slots__ = ("__weakref__", "app")

    def __init__(self, app: Callable[..., Any]) -> None:
        if not callable(app):
            msg = f"Middleware: app must be a WSGI application, not {type(app).__name__}"  # type: ignore[unreachable]
            raise TypeError(msg)
        self.app = app

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        """Serve one request; see `_request.serve` for what comes back."""
        if not _on:
            return self.app(environ, start_response)
        return serve(self.app, environ, start_response, "wsgi")


@final
class WSGISource:
    """Switches the middleware on."""

    def install(self) -> Undo:
        """Let middlewares measure, wherever the application put them."""
        global _on
        _on = True
        return _switch_off


def _switch_off() -> None:
    global _on
    _on = False


__all__ = ["Middleware"]
