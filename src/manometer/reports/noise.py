"""How much two samples of times differ beyond what they differ by chance, and how many would be needed to know."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist, fmean
from typing import TYPE_CHECKING, Final, final

if TYPE_CHECKING:
    from collections.abc import Sequence

_TRIM: Final = 0.1
"""Share of the values that is left out at each end: pauses of the collector, the first request of a process."""
_BLOCKS: Final = 10
_POWER: Final = NormalDist().inv_cdf(0.8)
BETWEEN: Final = 0.05
"""Standard deviation, as a logarithm, of the typical time of a route between processes of the same build.

Addresses, hash seeds and neighbours differ from start to start and stay for the life of a process
(Mytkowicz et al., ASPLOS 2009); 40 recordings of the example shop on a busy machine showed 0.04 to 0.15,
most of it common to all routes.
"""
_FLOOR_MS: Final = 0.01
"""Below this a time is noise of the clock and of the measuring itself."""


@final
@dataclass(frozen=True, slots=True)
class Shift:
    """How a time changed: the ratio of the typical value after to that before, with its interval.

    Attributes:
        ratio: Of the geometric means; 1.2 is a fifth slower.
        low: Lower end of the interval.
        high: Upper end of the interval.
        needed: Units of work of each recording from which the threshold that was asked about can be told from noise.
        processes: Processes that they must come from for that.
    """

    ratio: float
    low: float
    high: float
    needed: int
    processes: int

    def is_beyond(self, threshold: float, shared: float = 1.0) -> bool:
        """Tell whether the whole interval lies beyond the threshold, on either side, without the part that is shared."""
        limit = 1 + threshold
        return self.low / max(shared, 1.0) > limit or self.high / min(shared, 1.0) < 1 / limit


def shift(
    before: Sequence[float],
    after: Sequence[float],
    *,
    threshold: float,
    doubt: float,
    between: float = 0.0,
) -> Shift | None:
    """Compare two samples of times, each in the order in which it was taken.

    The means of the logarithms without a tenth at each end are compared (Yuen, Biometrika 61, 1974), with
    the variance that the means of ten consecutive blocks show where that is larger: load that comes
    and goes makes neighbours alike, and a sample says less than its number promises.

    Args:
        before: Milliseconds, of each unit of work.
        after: The same of the other recording.
        threshold: Share of a change that matters; only for `needed`.
        doubt: Probability of an interval that does not hold the truth, both sides together.
        between: Standard error of either mean that more units of the same process would not lessen.

    Returns:
        None when either has fewer than five values.
    """
    if min(len(before), len(after)) < 5:
        return None
    (mean_1, error_1), (mean_2, error_2) = _typical(before), _typical(after)
    sure = NormalDist().inv_cdf(1 - doubt / 2)
    # Student's t is wider than the normal distribution where there are few values: by its variance.
    freedom = max(3.0, min(len(before), len(after)) * (1 - 2 * _TRIM) - 1)
    sure *= math.sqrt(freedom / (freedom - 2))
    error = math.hypot(error_1, error_2, between, between)
    difference = mean_2 - mean_1
    spread = (error_1**2 * len(before) + error_2**2 * len(after)) / 2
    least = ((sure + _POWER) / math.log1p(threshold)) ** 2
    # Half of what is allowed may come from the units, half from the processes.
    needed, processes = (2 * 2 * variance * least for variance in (spread, BETWEEN**2))
    return Shift(
        math.exp(difference),
        math.exp(difference - sure * error),
        math.exp(difference + sure * error),
        max(5, math.ceil(needed)),
        max(1, math.ceil(processes)),
    )


def chance_of_none(seen: int, of: int, among: int) -> float:
    """Return how likely it is to see nothing among so many units of work, when it was seen in *seen* of *of*.

    The rate is taken at the low end of its interval (Wilson 1927, 95 % one-sided).
    """
    return float((1 - _least_rate(seen, of)) ** among)


def units_needed(seen: int, of: int, doubt: float) -> int:
    """Return among how many units of work seeing nothing is no accident."""
    return math.ceil(math.log(doubt) / math.log(1 - _least_rate(seen, of)))


def _least_rate(seen: int, of: int) -> float:
    z = NormalDist().inv_cdf(0.95)
    share = seen / of
    middle = share + z * z / (2 * of)
    spread = z * math.sqrt(share * (1 - share) / of + z * z / (4 * of * of))
    return min(0.999, max(1e-6, (middle - spread) / (1 + z * z / of)))


def _typical(values: Sequence[float]) -> tuple[float, float]:
    """Return the trimmed mean of the logarithms, and its standard error."""
    logs = [math.log(max(value, _FLOOR_MS)) for value in values]
    ordered = sorted(logs)
    cut = int(len(ordered) * _TRIM)
    kept = ordered[cut : len(ordered) - cut]
    low, high = kept[0], kept[-1]
    pulled = [min(max(value, low), high) for value in logs]
    middle = fmean(pulled)
    squares = sum((value - middle) ** 2 for value in pulled)
    error = math.sqrt(squares / (len(logs) - 1) / len(logs)) / (1 - 2 * _TRIM)
    return fmean(kept), max(error, _error_of_blocks(pulled))


def _error_of_blocks(values: list[float]) -> float:
    """Return the standard error of the mean, judged by blocks of neighbours."""
    size = len(values) // _BLOCKS
    if size < 2:
        return 0.0
    means = [fmean(values[at * size : (at + 1) * size]) for at in range(_BLOCKS)]
    middle = fmean(means)
    return math.sqrt(sum((mean - middle) ** 2 for mean in means) / (_BLOCKS - 1) / _BLOCKS)
