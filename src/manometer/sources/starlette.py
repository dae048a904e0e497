"""The tap on Starlette and what is built on it: requests named after their route, background tasks on their own."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, Final, final

from .. import _guard
from .._context import HOT, MUTED, close_profile, open_profile, restore, variable
from .._model import JOB
from ._asgi import KINDS, LIFESPAN, lifespan, serve
from ._matched import note_mount, note_route
from ._patch import nothing, patch, require

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..protocols import Undo

_POINT: Final = "sources.starlette"


@final
class StarletteSource:
    """Starlette 0.27 and later, through `Starlette.__call__`, the `handle` of its routes and `BackgroundTask.__call__`.

    FastAPI calls the first; its own routes are those of `FastAPISource`.
    """

    def install(self) -> Undo:
        """Install the tap.

        Raises:
            Unsupported: This Starlette has other signatures.
        """
        from starlette.applications import Starlette
        from starlette.background import BackgroundTask
        from starlette.routing import Mount, Route, WebSocketRoute

        protocol = ("self", "scope", "receive", "send")
        require(Starlette.__call__, *protocol)
        require(BackgroundTask.__call__, "self")
        for kind in (Route, WebSocketRoute, Mount):
            require(kind.handle, *protocol)
        first = patch(Starlette, "__call__", _call)
        if first is nothing:
            return nothing
        undos = [
            first,
            patch(Route, "handle", _route),
            patch(WebSocketRoute, "handle", _route),
            patch(Mount, "handle", _mount),
            patch(BackgroundTask, "__call__", _background),
        ]

        def undo() -> None:
            for each in undos:
                each()

        return undo


def _call(wrapped: Callable[..., Any], _: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    if len(args) != 3 or kwargs or type(args[0]) is not dict:
        return wrapped(*args, **kwargs)
    kind = args[0].get("type")
    if kind in KINDS:
        return serve(wrapped, *args, "starlette")
    return lifespan(wrapped, *args) if kind == LIFESPAN else wrapped(*args)


def _route(wrapped: Callable[..., Any], route: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    if args:
        _guard.call(_POINT, note_route, args[0], route, "path_format")
    return wrapped(*args, **kwargs)


def _mount(wrapped: Callable[..., Any], mount: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    if args:
        _guard.call(_POINT, note_mount, args[0], mount)
    return wrapped(*args, **kwargs)


async def _run(task: Callable[..., Any], name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Run a background task as a unit of work; its errors pass."""
    opened = open_profile(name, "task", cpu=False, policy=JOB)
    if opened.profile is not None:
        opened.profile.framework = "starlette"
    try:
        result = await task(*args, **kwargs)
    except BaseException as error:
        restore(opened)
        close_profile(opened, type(error).__name__)
        raise
    restore(opened)
    close_profile(opened)
    return result


def _background(wrapped: Callable[..., Any], task: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    if HOT["idle_"] or variable.get() is MUTED:
        return wrapped(*args, **kwargs)
    return _run(wrapped, _guard.call(_POINT, _name_of, task) or "(background task)", args, kwargs)


def _name_of(task: Any) -> str:
    """Return module and qualified name of the function of a background task."""
    function = getattr(task, "func", None)
    while type(function) is functools.partial:
        function = function.func
    module, name = getattr(function, "__module__", None), getattr(function, "__qualname__", None)
    if type(name) is not str:
        module, name = type(function).__module__, type(function).__qualname__
    return f"{module}.{name}" if type(module) is str else name
