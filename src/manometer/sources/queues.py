"""The tap on queues without a bound, where the application makes them."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any, Final, final

from .. import _guard, _queues, _site
from ._patch import patch, require

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..protocols import Undo

_POINT: Final = "sources.queues"
_OWN: Final = os.path.dirname(os.path.abspath(_site.__file__)) + os.sep
_WRAPT: Final = os.sep + "wrapt" + os.sep
_FRAMES: Final = 8
_kinds: Final[set[type[Any]]] = set()


@final
class QueuesSource:
    """`queue.Queue`, `LifoQueue` and `PriorityQueue`, where a line of the application makes one without `maxsize`."""

    def install(self) -> Undo:
        """Patch `Queue.__init__`; queues made before are not seen.

        Raises:
            Unsupported: It has another signature.
        """
        import queue

        return _install(queue.Queue, queue.LifoQueue, queue.PriorityQueue)


@final
class AsyncioQueuesSource:
    """The same for the queues of asyncio."""

    def install(self) -> Undo:
        """Patch `Queue.__init__`; queues made before are not seen.

        Raises:
            Unsupported: It has another signature.
        """
        from asyncio import queues

        return _install(queues.Queue, queues.LifoQueue, queues.PriorityQueue)


def _install(owner: type[Any], *more: type[Any]) -> Undo:
    require(owner.__init__, "self", "maxsize")
    _kinds.update((owner, *more))
    undo_patch = patch(owner, "__init__", _made)

    def undo() -> None:
        undo_patch()
        _kinds.difference_update((owner, *more))
        _queues.forget()

    return undo


def _made(wrapped: Callable[..., Any], made: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    result = wrapped(*args, **kwargs)
    maxsize = args[0] if args else kwargs.get("maxsize", 0)
    if type(maxsize) is int and maxsize <= 0 and type(made) in _kinds:
        _guard.call(_POINT, _watch, made)
    return result


def _watch(made: Any) -> None:
    """Follow a queue that the application made itself; what a library makes is the library's affair."""
    frame = sys._getframe(1).f_back
    for _ in range(_FRAMES):
        if frame is None:
            return
        file = frame.f_code.co_filename
        if _site.is_application(file):
            _queues.watch(made, _site.place_of(frame))
            return
        if not file.startswith(_OWN) and _WRAPT not in file:
            return
        frame = frame.f_back
