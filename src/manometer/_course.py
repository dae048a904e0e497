"""How the duration of a call changed from one call of a frame to the next, in a few numbers."""

from __future__ import annotations

from typing import Any, Final, NamedTuple, final

FIRST: Final = 4
"""Number of the call from which a course is kept: most frames never have one."""
ENOUGH: Final = 24
"""Calls of a frame from which they may be said to slow down."""
_MORE_EACH: Final = 1.25
_MORE_IN_ALL: Final = 2.0
_MORE_ON_AVERAGE: Final = 1.5
_SAME_ROWS: Final = 1.5
_MAX_OCTAVES: Final = 24


class Slowdown(NamedTuple):
    """What a course shows: the shortest of the early and of the late calls, and the octaves it rose through."""

    early_ns: int
    late_ns: int
    octaves: int


def overlaps(frame: Any) -> bool:
    """Tell whether calls of *frame* ran at once: their number is then that of their end."""
    return frame.detail is not None and frame.detail.peak_in_flight > 1


@final
class Course:
    """The shortest call, the time and the rows of each octave of call numbers: 4 to 7, 8 to 15, 16 to 31 ...

    The shortest, because what disturbs a clock only adds; and of more calls the shortest is shorter,
    so that calls which do not change never seem to slow down.
    """

    __slots__ = ("least_ns", "rows", "total_ns")

    def __init__(self) -> None:
        self.least_ns: list[int] = []
        self.total_ns: list[int] = []
        self.rows: list[int] = []

    def add(self, number: int, duration_ns: int) -> None:
        """Add call *number*, which took *duration_ns*; 0.15 us."""
        at = number.bit_length() - 3
        least = self.least_ns
        if at < len(least):
            self.total_ns[at] += duration_ns
            if duration_ns < least[at]:
                least[at] = duration_ns
        elif at < _MAX_OCTAVES:
            while len(least) <= at:
                least.append(duration_ns)
                self.total_ns.append(0)
                self.rows.append(0)
            self.total_ns[at] = duration_ns

    def add_rows(self, number: int, rows: int) -> None:
        """Add the rows that call *number* returned."""
        at = number.bit_length() - 3
        if 0 <= at < len(self.rows):
            self.rows[at] += rows

    def slowdown(self, calls: int) -> Slowdown | None:
        """Say whether later calls take longer, though they return no more; None when they do not.

        Args:
            calls: Calls of the frame.
        """
        if calls < ENOUGH or len(self.least_ns) < 3:
            return None
        least, rows = self.least_ns, self._per_call(self.rows, calls)
        if calls - (FIRST << len(least) - 1) < FIRST << len(least) - 2:
            least = least[:-1]  # the shortest of a few says less than that of many
        last = len(least) - 1
        first = last
        while first and least[first] >= _MORE_EACH * least[first - 1]:
            first -= 1
        octaves = len(least) - first
        if octaves < 3 or least[-1] < _MORE_IN_ALL * least[first]:
            return None
        means = self._per_call(self.total_ns, calls)
        if means[last] < _MORE_ON_AVERAGE * means[first]:
            return None
        if rows[last] > _SAME_ROWS * max(rows[first], 1.0):
            return None
        return Slowdown(least[first], least[-1], octaves)

    def _per_call(self, sums: list[int], calls: int) -> list[float]:
        found = []
        for at, total in enumerate(sums):
            low = FIRST << at
            found.append(total / max(1, min(2 * low, calls + 1) - low))
        return found
