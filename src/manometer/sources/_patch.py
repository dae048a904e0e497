"""Patching one attribute of a library, so that it can be taken back by identity."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, Final, final

import wrapt

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..protocols import Undo

    Wrapper = Callable[[Callable[..., Any], Any, tuple[Any, ...], dict[str, Any]], Any]

_MARK: Final = "_self_manometer"


@final
class Unsupported(Exception):  # noqa: N818 - it is a reason, told to the operator, and no fault
    """The library is present and cannot be seen; the message says why."""


def nothing() -> None:
    """Undo what was not done."""


def require(function: Any, *names: str) -> None:
    """Check that *function* still begins with these parameters.

    Raises:
        Unsupported: It does not, or it cannot be told.
    """
    try:
        found = tuple(inspect.signature(function).parameters)
    except (TypeError, ValueError) as error:
        msg = f"{getattr(function, '__qualname__', function)!s} has no signature"
        raise Unsupported(msg) from error
    if found[: len(names)] != names:
        msg = f"{function.__qualname__}({', '.join(found)}) is not ({', '.join(names)})"
        raise Unsupported(msg)


def patch(owner: Any, name: str, wrapper: Wrapper) -> Undo:
    """Put *wrapper* around the function *name* of a class or module.

    Args:
        owner: The class or module; an inherited attribute is shadowed, not replaced.
        name: The attribute.
        wrapper: Called as `wrapper(wrapped, instance, args, kwargs)`.

    Returns:
        What puts the very same object back. If somebody wrapped the attribute after us, it stays
        and our part of it only calls through. Patching twice does nothing, and neither does its undo.

    Raises:
        AttributeError: There is no such attribute.
    """
    missing = object()
    own = vars(owner).get(name, missing)
    original = getattr(owner, name) if own is missing else own
    if getattr(original, _MARK, False):
        return nothing
    active = True

    def tap(wrapped: Callable[..., Any], instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if not active:
            return wrapped(*args, **kwargs)
        return wrapper(wrapped, instance, args, kwargs)

    mine = wrapt.FunctionWrapper(original, tap)
    setattr(mine, _MARK, True)
    setattr(owner, name, mine)

    def undo() -> None:
        nonlocal active
        active = False
        if vars(owner).get(name) is not mine:
            return
        if own is missing:
            delattr(owner, name)
        else:
            setattr(owner, name, own)

    return undo


def is_patched(owner: Any, name: str) -> bool:
    """Tell whether the class itself has our wrapper at *name*."""
    return bool(getattr(vars(owner).get(name), _MARK, False))


def add(owner: Any, name: str, function: Callable[..., Any]) -> Undo:
    """Give a class a method that it does not define, because it answers for it in `__getattr__`.

    Args:
        owner: The class.
        name: The attribute.
        function: The method itself.

    Returns:
        What takes it away again, unless somebody replaced it.

    Raises:
        Unsupported: The class, or one above it, defines it by now.
    """
    found = getattr(owner, name, None)
    if found is function:
        return nothing
    if found is not None:
        msg = f"{owner.__qualname__} defines {name}"
        raise Unsupported(msg)
    setattr(owner, name, function)

    def undo() -> None:
        if vars(owner).get(name) is function:
            delattr(owner, name)

    return undo
