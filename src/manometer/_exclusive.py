"""The witness of calls that must not overlap: which object is somebody inside of now?"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, Final

from . import _context, _guard, _limits, _stacks

if TYPE_CHECKING:
    from ._model import Callsite

_POINT: Final = "measure.exclusive"
_VALUES: Final = frozenset({int, str, bytes})
_inside: Final[dict[Any, tuple[Any, Callsite]]] = {}
"""Object, with who is inside: by its value where it is a number or text, else by identity."""


def witness(target: Any, callsite: Callsite, parameters: tuple[str, ...], name: str, kind: str) -> Any:
    """Return *target* so that two calls at once on the same object are seen.

    Args:
        target: The function or coroutine function.
        callsite: Its callsite.
        parameters: Names of its parameters.
        name: The one that says which object it is: `self`, or a parameter with a number or text.
        kind: `sync` or `async`.

    Raises:
        ValueError: There is no such parameter.
        TypeError: A generator: it is inside for as long as its consumer likes.
    """
    if name not in parameters:
        msg = f"measure: exclusive names no parameter: {name!r} is not in {parameters}"
        raise ValueError(msg)
    if kind not in ("sync", "async"):
        msg = f"measure: exclusive is for functions and coroutine functions, not {kind}"
        raise TypeError(msg)
    at = parameters.index(name)

    if kind == "async":

        @functools.wraps(target)
        async def waits(*args: Any, **kwargs: Any) -> Any:
            mine = _guard.call(_POINT, enter, callsite, args[at] if at < len(args) else kwargs.get(name))
            try:
                return await target(*args, **kwargs)
            finally:
                if mine is not None:
                    _inside.pop(mine, None)

        return waits

    @functools.wraps(target)
    def call(*args: Any, **kwargs: Any) -> Any:
        mine = _guard.call(_POINT, enter, callsite, args[at] if at < len(args) else kwargs.get(name))
        try:
            return target(*args, **kwargs)
        finally:
            if mine is not None:
                _inside.pop(mine, None)

    return call


def enter(callsite: Callsite, thing: Any) -> Any:
    """Note that the caller is inside *thing*; 0.8 us.

    Returns:
        What to take out of `_inside` at the end; None where somebody is there already, perhaps the caller.
    """
    on = _context.current()
    if on is None:
        return None
    key = (type(thing), thing) if type(thing) in _VALUES else id(thing)
    me = _stacks.me()
    if len(_inside) >= _limits.MAX_INSIDE:
        return None
    # One step, so that two who come at once cannot both be first.
    owner, other = _inside.setdefault(key, (me, callsite))
    if owner is me:
        return key
    if owner != me and not on.profile.sealed:
        overlaps = on.profile.overlaps
        pair = (callsite, other)
        if pair in overlaps or len(overlaps) < _limits.MAX_HOLDERS:
            overlaps[pair] = overlaps.get(pair, 0) + 1
    return None
