"""Taking apart the trees of units of work that nobody holds any more, so that they do not wait for a collection."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final, final
from weakref import ref

if TYPE_CHECKING:
    from ._model import Frame, Profile

_MOST_GONE: Final = 64
"""Trees that may wait for the background thread; whoever opens a further unit takes one apart."""


@final
class Tie(ref["Profile"]):
    """Knows the tree of a profile, and when the profile is gone.

    A frame knows its parent and its children: a cycle, which only the collector would find. The
    callback is a function in C on purpose. A `__del__` in Python is a place where an interrupt
    can arrive and be lost.
    """

    __slots__ = ("root",)

    root: Frame


_ties: Final[dict[int, Tie]] = {}
_gone: Final[deque[Tie]] = deque()


def tie(profile: Profile) -> None:
    """Note that the tree of *profile* is to be taken apart once the profile is gone; 0.5 us."""
    found = Tie(profile, _gone.append)
    found.root = profile.root
    profile.tie = _ties[id(found)] = found
    if len(_gone) > _MOST_GONE:
        untie(1)


def untie(most: int = 1_000_000) -> None:
    """Take apart what is gone, at most *most* of it. Any thread; 0.5 us a frame."""
    for _ in range(most):
        try:
            found = _gone.popleft()
        except IndexError:
            return
        _ties.pop(id(found), None)
        found.root.untie()
