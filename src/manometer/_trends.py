"""What changes at a callsite from one unit of work to the next: calls that slow down, results that grow."""

from __future__ import annotations

from collections import OrderedDict, deque
from itertools import combinations
from typing import TYPE_CHECKING, Final, final

from . import _limits
from ._course import ENOUGH, overlaps
from ._model import IO_KINDS
from ._size import Rise

if TYPE_CHECKING:
    from ._model import Callsite, Frame, Profile

WINDOW: Final = 8
"""Units of work in which the largest result is looked for."""
_WINDOWS_KEPT: Final = 16
_WINDOWS: Final = 8
_WINDOWS_UNSTEADY: Final = 12
_IN_ORDER: Final = 0.9
_RISE: Final = 1.5


class _Trend:
    """What is known about one callsite."""

    __slots__ = ("judged", "largest", "maxima", "slowed", "units")

    def __init__(self) -> None:
        self.slowed = self.judged = 0
        self.largest = self.units = 0
        self.maxima: deque[int] = deque(maxlen=_WINDOWS_KEPT)

    def add_result(self, rows: int) -> None:
        self.largest = max(self.largest, rows)
        self.units += 1
        if not self.units % WINDOW:
            self.maxima.append(self.largest)
            self.largest = 0


@final
class Trends:
    """What is known about callsites that cross a boundary; bounded. Background thread only.

    Attributes:
        evicted: Callsites that were forgotten, the one seen least recently first.
    """

    def __init__(self) -> None:
        self._known: OrderedDict[Callsite, _Trend] = OrderedDict()
        self.evicted = 0

    def add(self, profile: Profile) -> None:
        """Learn from a sealed profile. Cost: 0.5 us a frame of a tap."""
        largest: dict[Callsite, int] = {}
        for frame in profile.root.walk():
            detail = frame.detail
            if frame.callsite.kind not in IO_KINDS or detail is None:
                continue
            if detail.course is not None and frame.calls >= ENOUGH and not overlaps(frame):
                self._add_course(frame)
            if detail.rows_calls and frame.callsite.operation in ("", "read") and not detail.batch_sum:
                largest[frame.callsite] = max(largest.get(frame.callsite, 0), detail.rows_max)
        for callsite, rows in largest.items():
            self._trend(callsite).add_result(rows)

    def _add_course(self, frame: Frame) -> None:
        detail = frame.detail
        if detail is not None and detail.course is not None:
            trend = self._trend(frame.callsite)
            trend.judged += 1
            trend.slowed += detail.course.slowdown(frame.calls) is not None

    def _trend(self, callsite: Callsite) -> _Trend:
        trend = self._known.get(callsite)
        if trend is None:
            if len(self._known) >= _limits.MAX_TRENDS:
                self._known.popitem(last=False)
                self.evicted += 1
            trend = self._known[callsite] = _Trend()
        else:
            self._known.move_to_end(callsite)
        return trend

    def slowed(self, callsite: Callsite) -> tuple[int, int]:
        """Return in how many units of work the calls slowed down, and in how many there were enough of them to tell."""
        trend = self._known.get(callsite)
        return (0, 0) if trend is None else (trend.slowed, trend.judged)

    def rising(self, callsite: Callsite) -> Rise | None:
        """Say whether the largest result keeps rising: in all of 8 windows, or in nine tenths of the pairs of 12.

        By chance eight windows stand in this order once in 40,000 times.
        """
        trend = self._known.get(callsite)
        if trend is None or len(trend.maxima) < _WINDOWS:
            return None
        maxima = list(trend.maxima)
        in_order = [earlier < later for earlier, later in combinations(maxima, 2)]
        steady = all(in_order) or (
            len(maxima) >= _WINDOWS_UNSTEADY and sum(in_order) >= _IN_ORDER * len(in_order)
        )
        if not steady or maxima[-1] < _RISE * maxima[0]:
            return None
        return Rise(maxima[0], maxima[-1], len(maxima), len(maxima) * WINDOW)
