"""The tap on asgiref, by which Django goes from async to sync: work on another thread knows who awaits it."""

from __future__ import annotations

from contextvars import ContextVar
from types import FunctionType
from typing import TYPE_CHECKING, Any, Final, final

from .. import _guard
from .._context import HOT, variable
from .._site import NOWHERE, places, read
from ._patch import Unsupported, nothing, patch

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import CodeType, FrameType

    from .._detail import Place
    from ..protocols import Undo

_POINT: Final = "sources.asgiref"
_OWN_FRAMES: Final = 4
"""`places` up to the tap of the patch."""
_awaiting: Final[ContextVar[Place]] = ContextVar("manometer_awaiting", default=NOWHERE)
_code: CodeType | None = None


@final
class AsgirefSource:
    """asgiref 3.6 and later, through `sync_to_async`: the async ORM's queries belong to the line that awaits them."""

    def install(self) -> Undo:
        """Patch `SyncToAsync.__call__`; the thread's own part is only recognised on the stack.

        Raises:
            Unsupported: Threads are entered by other means.
        """
        global _code
        from asgiref.sync import SyncToAsync

        handler: Any = getattr(SyncToAsync, "thread_handler", None)
        if type(handler) is not FunctionType:
            msg = "SyncToAsync has no plain method thread_handler"
            raise Unsupported(msg)
        first = patch(SyncToAsync, "__call__", _call)
        if first is nothing:
            return nothing
        _code = handler.__code__
        second = read(_place_of, _code.co_filename)

        def undo() -> None:
            first()
            second()

        return undo


def _call(wrapped: Callable[..., Any], _: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    current = variable.get()
    if current is False or (current is None and HOT["idle_"]):
        return wrapped(*args, **kwargs)
    found = _guard.call(_POINT, places, _OWN_FRAMES, 1)
    return _run(found[0], wrapped, args, kwargs) if found else wrapped(*args, **kwargs)


async def _run(
    place: Place, wrapped: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    before = _awaiting.get()
    _awaiting.set(place)  # the thread works in a copy of this context
    try:
        return await wrapped(*args, **kwargs)
    finally:
        _awaiting.set(before)


def _place_of(frame: FrameType) -> Place:
    """Return who awaits what runs on this thread, where *frame* is the end of its own stack. 0.1 us."""
    return _awaiting.get() if frame.f_code is _code else NOWHERE
