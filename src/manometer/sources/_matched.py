"""The route that a router of the Starlette family matched, told to the request in progress."""

from __future__ import annotations

from typing import Any, Final

from ._request import MARKER, Request

_REST: Final = "/{path}"
"""What Starlette appends to the template of a mount."""


def request_in(scope: Any) -> Request | None:
    """Return the request in progress of a scope; None when nothing of it is recorded."""
    found = scope.get(MARKER) if type(scope) is dict else None
    return found if type(found) is Request and not found.done and found.opened.profile is not None else None


def note_route(scope: Any, route: Any, attribute: str) -> None:
    """Name the request of *scope* after the template that *route* has in *attribute*.

    Args:
        scope: Of the request.
        route: Of Starlette or FastAPI.
        attribute: Where its template is, converters left out.
    """
    request = request_in(scope)
    template = getattr(route, attribute, None)
    if request is not None and type(template) is str:
        request.route = (request.mount + template) or "/"
        request.framework = "starlette"


def note_mount(scope: Any, mount: Any) -> None:
    """Note that what follows in *scope* is below *mount*."""
    request = request_in(scope)
    template = getattr(mount, "path_format", None)
    if request is not None and type(template) is str and template.endswith(_REST):
        request.mount += template[: -len(_REST)]
        request.framework = "starlette"
