"""Queues without a bound: which ones the application made, and whether they only ever fill."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final, NamedTuple, final
from weakref import ref

from . import _limits
from ._context import drops

if TYPE_CHECKING:
    from ._detail import Place

WINDOW: Final = 15
"""Samples, a second apart, of which the shortest length counts: a queue that is emptied now and then is healthy."""
RISES: Final = 4
"""Windows in a row, each with a higher floor than the one before, from which work arrives faster than it is done."""
LEAST: Final = 100
"""Length below which nothing is said."""


class Filling(NamedTuple):
    """A queue that keeps filling.

    Attributes:
        name: Its class: `queue.Queue`.
        place: The line that made it.
        length: Its floor in the latest window.
        added: By how much that floor rose.
        windows: Over so many windows.
    """

    name: str
    place: Place
    length: int
    added: int
    windows: int


@final
class _Watched:
    """One queue, held weakly, and the floors of its latest windows."""

    __slots__ = ("floor", "floors", "place", "queue", "samples")

    def __init__(self, made: Any, place: Place) -> None:
        self.queue = ref(made)
        self.place = place
        self.floor = -1
        self.floors: list[int] = []
        self.samples = 0

    def add(self, length: int) -> None:
        self.floor = length if self.floor < 0 else min(self.floor, length)
        self.samples += 1
        if self.samples >= WINDOW:
            self.floors = [*self.floors, self.floor][-(RISES + 1) :]
            self.floor, self.samples = -1, 0

    def is_filling(self) -> bool:
        floors = self.floors
        return len(floors) > RISES and floors[-1] >= LEAST and all(a < b for a, b in pairwise(floors))


_watched: Final[dict[int, _Watched]] = {}


def watch(made: Any, place: Place) -> None:
    """Follow a queue without a bound from now on; beyond `MAX_QUEUES` it is left out and counted.

    Args:
        made: Of an exact class of the standard library, with its items in `queue` or `_queue`; held weakly.
        place: The line of the application that made it.

    Application threads; 0.5 us.
    """
    if len(_watched) >= _limits.MAX_QUEUES:
        drops["queues"] = drops.get("queues", 0) + 1
        return
    _watched[id(made)] = _Watched(made, place)


def forget() -> None:
    """Follow none any more."""
    _watched.clear()


def sample() -> None:
    """Look at the length of every queue once; once a second, background thread, 0.3 us a queue."""
    for key, each in list(_watched.items()):
        made = each.queue()
        if made is None:
            _watched.pop(key, None)
            continue
        held = vars(made).get("queue", vars(made).get("_queue"))
        each.add(len(held) if held is not None else 0)


def filling() -> list[Filling]:
    """Return the queues whose floor rose through four windows, the longest first."""
    found = []
    for each in list(_watched.values()):
        made = each.queue()
        if made is not None and each.is_filling():
            kind = type(made)
            name = f"{kind.__module__.partition('.')[0]}.{kind.__name__}"
            floors = each.floors
            found.append(Filling(name, each.place, floors[-1], floors[-1] - floors[0], len(floors)))
    return sorted(found, key=lambda one: -one.length)
