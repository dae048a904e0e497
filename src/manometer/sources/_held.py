"""What is remembered about the cursors and connections of drivers, by identity and for as long as they live."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar, final
from weakref import ref

from .. import _guard
from .._context import drops
from .._limits import MAX_HELD

if TYPE_CHECKING:
    from collections.abc import Callable

_POINT: Final = "sources.held"
_T = TypeVar("_T")


@final
class Held(Generic[_T]):
    """A value for each of some objects that are not ours: neither touched, nor hashed, nor kept alive.

    Args:
        ended: Told the value once its object is gone, on the thread that dropped it.

    Any thread; no lock, each step is one operation of a dict.
    """

    __slots__ = ("_ended", "_items")

    def __init__(self, ended: Callable[[_T], None] | None = None) -> None:
        self._ended = ended
        self._items: dict[int, tuple[ref[Any], _T]] = {}

    def get(self, thing: Any) -> _T | None:
        """Return the value of *thing*; 0.1 us."""
        found = self._items.get(id(thing))
        return None if found is None else found[1]

    def put(self, thing: Any, value: _T) -> None:
        """Set the value of *thing*; beyond the bound it is dropped and counted. 0.6 us.

        Raises:
            TypeError: *thing* cannot be referred to weakly.
        """
        items, key, ended = self._items, id(thing), self._ended
        found = items.get(key)
        if found is not None:
            items[key] = (found[0], value)
            return
        if len(items) >= MAX_HELD:
            drops["held"] = drops.get("held", 0) + 1
            return

        def gone(_: Any) -> None:
            # Before the memory, and with it the identity, is given to another object.
            item = items.pop(key, None)
            if item is not None and ended is not None:
                _guard.call(_POINT, ended, item[1])

        items[key] = (ref(thing, gone), value)

    def pop(self, thing: Any) -> _T | None:
        """Forget *thing* and return its value; 0.1 us."""
        found = self._items.pop(id(thing), None)
        return None if found is None else found[1]

    def clear(self) -> None:
        """Forget all."""
        self._items.clear()
