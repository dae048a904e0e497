"""A template that is rendered, as a frame of the current unit of work."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from .. import _guard
from .._context import variable
from .._measure import Measure
from .._options import Options
from .._site import callsite

if TYPE_CHECKING:
    from collections.abc import Callable

    from .._model import Callsite

_OPTIONS: Final = Options(None, None, None, None, "template", None)


def exact(name: object) -> str:
    """Return a name as an exact string: Django marks some as safe, by a class of its own. Empty for what is none."""
    return str.__getitem__(name, slice(None)) if isinstance(name, str) else ""


def template_callsite(name: object, file: object, library: str, version: str) -> Callsite:
    """Return the callsite of a template: its name, and the file it was read from. 0.5 us once known."""
    text = exact(name) or "(inline template)"
    place = (file, 1, text) if type(file) is str and file else ("", 0, text)
    return callsite("template", text, text, place, library=library, version=version)


def render(
    point: str,
    describe: Callable[[Any], Callsite],
    template: Any,
    wrapped: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
) -> Any:
    """Call *wrapped* as a frame of the template. Application threads; 2 us; raises what *wrapped* raises."""
    block = _guard.call(point, _open, describe, template) if variable.get() else None
    if block is None:
        return wrapped(*args, **kwargs)
    try:
        found = wrapped(*args, **kwargs)
    except BaseException as error:
        _guard.call(point, block.__exit__, type(error), error, None)
        raise
    _guard.call(point, block.__exit__, None, None, None)
    return found


async def render_async(
    point: str,
    describe: Callable[[Any], Callsite],
    template: Any,
    wrapped: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
) -> Any:
    """Do the same with a coroutine function."""
    block = _guard.call(point, _open, describe, template) if variable.get() else None
    if block is None:
        return await wrapped(*args, **kwargs)
    try:
        found = await wrapped(*args, **kwargs)
    except BaseException as error:
        _guard.call(point, block.__exit__, type(error), error, None)
        raise
    _guard.call(point, block.__exit__, None, None, None)
    return found


def _open(describe: Callable[[Any], Callsite], template: Any) -> Measure:
    block = Measure(_OPTIONS, describe(template))
    block.__enter__()
    return block
