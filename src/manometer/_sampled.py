"""Functions called very often: their wrappers' lighter codes, and the time of the calls that were only counted."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final, final

from . import _limits
from ._level import SAMPLED, UNITS
from ._template import lighter_codes

if TYPE_CHECKING:
    from types import CodeType, FunctionType

    from ._model import Callsite, Profile

ALWAYS_TIMED: Final = 16
"""First calls of every frame, all of them timed."""
RATE: Final = 16
"""After those one call of so many is timed."""


def is_timed(number: int) -> bool:
    """Tell whether the next call of a frame with *number* calls is timed: the text of the wrapper, and the compiled core.

    Only where nothing lies below the frame so far may one be left out, or what the function calls
    would be placed beside it. Multiples of an odd number spread evenly and with no period that a loop of the application could have.
    """
    return number < ALWAYS_TIMED or (number * 40503) & 0xFFFF < 0x10000 // RATE


def scale(profile: Profile) -> float:
    """Add the time of the calls that were only counted, as the mean of those that were timed.

    Returns:
        The relative standard error of the worst frame, for durations that vary by as much as they
        last; 0 where every call was timed.

    Background thread, once a sealed profile; 0.3 us a frame.
    """
    error = 0.0
    for frame in profile.root.walk():
        timed = frame.calls - frame.untimed
        if frame.untimed and timed > 0:
            frame.total_ns += frame.total_ns * frame.untimed // timed
            error = max(error, 1 / math.sqrt(timed))
    return error


@final
class Wrappers:
    """The wrappers whose code is another one than they were made with; background thread only."""

    def __init__(self) -> None:
        self._known: dict[Callsite, tuple[Any, CodeType, CodeType, CodeType]] = {}

    def __len__(self) -> int:
        return len(self._known)

    def __contains__(self, site: object) -> bool:
        return site in self._known

    def add(self, site: Callsite, level: int) -> bool:
        """Let the code of *site*'s wrapper follow the level from now on; False where it cannot."""
        rewritable = None if site.plan is None else site.plan.rewritable
        wrapper: FunctionType | None = None if rewritable is None else rewritable[0]()
        if (
            rewritable is None
            or wrapper is None
            or site in self._known
            or len(self._known) >= _limits.MAX_SAMPLED
        ):
            return False
        reference, shape = rewritable
        self._known[site] = (reference, wrapper.__code__, *lighter_codes(wrapper, shape))
        self._put(site, level)
        return True

    def put_level(self, level: int) -> None:
        """Give all of them the code of *level*; below `SAMPLED` their own, and they are forgotten."""
        for site in list(self._known):
            self._put(site, level)
        if level < SAMPLED:
            self._known.clear()

    def _put(self, site: Callsite, level: int) -> None:
        reference, full, sampled, bare = self._known[site]
        wrapper: FunctionType | None = reference()
        if wrapper is None:
            del self._known[site]
        elif wrapper.__code__ in (full, sampled, bare):  # or somebody else rewrote it: it is theirs now
            wrapper.__code__ = full if level < SAMPLED else bare if level >= UNITS else sampled
