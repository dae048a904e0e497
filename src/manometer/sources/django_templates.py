"""The tap on Django's templates: each one rendered is a frame, and a query from inside is blamed on its line."""

from __future__ import annotations

from types import FunctionType
from typing import TYPE_CHECKING, Any, Final, final

from .._site import NOWHERE, is_application, read
from ._patch import Unsupported, nothing, patch, require
from ._rendering import exact, render, template_callsite

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import CodeType, FrameType

    from .._detail import Place
    from .._model import Callsite
    from ..protocols import Undo

_POINT: Final = "sources.django-templates"
_code: CodeType | None = None
_version = ""


@final
class DjangoTemplatesSource:
    """Django 4.2 to 6.x, through `Template.render`, and the node that is found on the stack when a tap looks up."""

    def install(self) -> Undo:
        """Patch `Template.render`; the nodes stay as they are.

        Raises:
            Unsupported: Nodes are rendered by other means.
        """
        global _code, _version
        import django
        from django.template.base import Node, Template

        require(Template.render, "self", "context")
        rendered: Any = Node.render_annotated
        if type(rendered) is not FunctionType:
            msg = "Node.render_annotated is no plain function"
            raise Unsupported(msg)
        require(rendered, "self", "context")
        first = patch(Template, "render", _render)
        if first is nothing:
            return nothing
        _code, _version = rendered.__code__, django.get_version()
        second = read(_place_of, _code.co_filename)

        def undo() -> None:
            first()
            second()

        return undo


def _render(wrapped: Callable[..., Any], template: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    return render(_POINT, _describe, template, wrapped, args, kwargs)


def _describe(template: Any) -> Callsite:
    name = getattr(template.origin, "name", "")
    return template_callsite(template.name, "" if _is_nowhere(name) else name, "django", _version)


def _is_nowhere(name: Any) -> bool:
    return type(name) is not str or name.startswith("<")


def _place_of(frame: FrameType) -> Place:
    """Return the line of the application's template whose node *frame* renders. 1 us."""
    if frame.f_code is not _code:
        return NOWHERE
    node = frame.f_locals.get("self")
    token, origin = getattr(node, "token", None), getattr(node, "origin", None)
    name, line = getattr(origin, "name", None), getattr(token, "lineno", None)
    if type(name) is not str or type(line) is not int or _is_nowhere(name) or not is_application(name):
        return NOWHERE
    return (name, line, exact(getattr(origin, "template_name", None)))
