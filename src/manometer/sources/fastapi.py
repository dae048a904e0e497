"""The tap on FastAPI's own routes, which know more of their template than Starlette's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, final

from .. import _guard
from ._matched import note_route
from ._patch import Unsupported, nothing, patch, require

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..protocols import Undo

_POINT: Final = "sources.fastapi"


@final
class FastAPISource:
    """FastAPI 0.100 and later, through `APIRoute.handle` where it has one; Starlette's tap does the rest."""

    def install(self) -> Undo:
        """Install the tap.

        A router that is included knows its prefix only while it answers; the place is FastAPI's own.

        Raises:
            Unsupported: This FastAPI keeps the prefix somewhere else.
        """
        from fastapi import routing

        if "handle" not in vars(routing.APIRoute):
            return nothing  # the prefix is in the template, which Starlette's tap reads
        require(routing.APIRoute.handle, "self", "scope", "receive", "send")
        keys = [
            getattr(routing, name, None)
            for name in ("_FASTAPI_SCOPE_KEY", "_FASTAPI_EFFECTIVE_ROUTE_CONTEXT_KEY")
        ]
        if not all(type(key) is str for key in keys):
            msg = "the template of an included route is not where it was; requests are named after their path"
            raise Unsupported(msg)
        outer, inner = keys

        def handle(
            wrapped: Callable[..., Any], route: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
        ) -> Any:
            if args:
                _guard.call(_POINT, _note, args[0], route, outer, inner)
            return wrapped(*args, **kwargs)

        return patch(routing.APIRoute, "handle", handle)


def _note(scope: Any, route: Any, outer: str, inner: str) -> None:
    known = scope.get(outer) if type(scope) is dict else None
    included = known.get(inner) if type(known) is dict else None
    is_its_own = included is not None and getattr(included, "original_route", None) is route
    note_route(scope, included if is_its_own else route, "path_format")
