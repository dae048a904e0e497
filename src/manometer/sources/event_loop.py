"""The tap on asyncio's event loops: one that stands still is noticed, and what kept it is named."""

from __future__ import annotations

from threading import get_ident
from typing import TYPE_CHECKING, Any, Final, final

from .. import _guard, _loops
from ._patch import nothing, patch, require

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..protocols import Undo

_POINT: Final = "sources.event-loop"


@final
class EventLoopSource:
    """asyncio, through `events._set_running_loop`, which each loop of the standard library calls when it begins and ends.

    Loops that run already are seen from the next time on; uvloop has no selector to follow, and is not.
    """

    def install(self) -> Undo:
        """Install the tap.

        Raises:
            Unsupported: This asyncio has another signature.
        """
        from asyncio import events

        require(events._set_running_loop, "loop")
        first = patch(events, "_set_running_loop", _set)
        if first is nothing:
            return nothing
        running = events._get_running_loop()
        if running is not None:
            _guard.call(_POINT, _loops.begin, running)

        def undo() -> None:
            first()
            _loops.stop()

        return undo


def _set(wrapped: Callable[..., Any], _: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    result = wrapped(*args, **kwargs)
    if args:
        _guard.call(_POINT, _changed, args[0])
    return result


def _changed(loop: Any) -> None:
    if loop is None:
        _loops.end()
    elif get_ident():
        _loops.begin(loop)
