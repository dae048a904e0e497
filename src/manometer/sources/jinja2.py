"""The tap on Jinja2: each template rendered is a frame, and a query from inside is blamed on its line."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, final

from .._site import NOWHERE, read
from ._patch import nothing, patch, require
from ._rendering import render, render_async, template_callsite

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

    from .._detail import Place
    from .._model import Callsite
    from ..protocols import Undo

_POINT: Final = "sources.jinja2"
_MAX_LINES: Final = 4_000
_lines: Final[dict[tuple[int, int], tuple[Place, Any]]] = {}
"""Code object and line of it, with the template's place; kept with the code, so that its id is not given away."""
_version = ""


@final
class Jinja2Source:
    """Jinja2 3.0 and later, sync and async, through `Template.render` and the code it makes of a template."""

    def install(self) -> Undo:
        """Patch `Template.render` and `Template.render_async`; generated code is only read.

        Raises:
            Unsupported: Templates cannot tell their own lines.
        """
        global _version
        from importlib.metadata import version

        from jinja2 import Template

        require(Template.get_corresponding_lineno, "self", "lineno")
        first = patch(Template, "render", _render)
        if first is nothing:
            return nothing
        _version = version("jinja2")
        second = patch(Template, "render_async", _render_async)
        third = read(_place_of)

        def undo() -> None:
            first()
            second()
            third()
            _lines.clear()

        return undo


def _render(wrapped: Callable[..., Any], template: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    return render(_POINT, _describe, template, wrapped, args, kwargs)


def _render_async(
    wrapped: Callable[..., Any], template: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    return render_async(_POINT, _describe, template, wrapped, args, kwargs)


def _describe(template: Any) -> Callsite:
    file = template.filename
    is_file = type(file) is str and not file.startswith("<")
    return template_callsite(template.name, file if is_file else "", "jinja2", _version)


def _place_of(frame: FrameType) -> Place | None:
    """Return the line of the template that *frame* was generated from; None when it is no template. 0.2 us once known."""
    template = frame.f_globals.get("__jinja_template__")
    if template is None:
        return None
    code = frame.f_code
    found = _lines.get((id(code), frame.f_lineno))
    if found is None:
        if len(_lines) >= _MAX_LINES:
            _lines.clear()
        place = _look_up(template, frame.f_lineno)
        found = _lines[id(code), frame.f_lineno] = (place, code)
    return found[0]


def _look_up(template: Any, lineno: int) -> Place:
    name = template.name if type(template.name) is str else ""
    file = template.filename
    if type(file) is not str or file.startswith("<"):
        file = name
    if not file:
        return NOWHERE  # made from a string: the line that renders it says more
    return (file, template.get_corresponding_lineno(lineno), name)
