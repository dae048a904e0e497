"""The middleware that makes every request of an ASGI application a unit of work."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, final

from ._asgi import KINDS, LIFESPAN, lifespan, serve

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from ..protocols import Undo

_on = False


@final
class Middleware:
    """An ASGI application around another: `app = Middleware(app)`.

    Args:
        app: The application to measure.

    Raises:
        TypeError: *app* cannot be called.

    While manometer is off it only calls through. Starlette and FastAPI need it not.
    """

    __slots__ = ("__weakref__", "app")

    def __init__(self, app: Callable[[Any, Any, Any], Awaitable[Any]]) -> None:
        if not callable(app):
            msg = f"Middleware: app must be an ASGI application, not {type(app).__name__}"  # type: ignore[unreachable]
            raise TypeError(msg)
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> Any:
        """Serve one scope; what is no request passes untouched."""
        kind = scope.get("type") if _on and type(scope) is dict else None
        if kind in KINDS:
            return await serve(self.app, scope, receive, send, "asgi")
        if kind == LIFESPAN:
            return await lifespan(self.app, scope, receive, send)
        return await self.app(scope, receive, send)


@final
class ASGISource:
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
