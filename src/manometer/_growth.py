"""How a cost grows with a size: observations in bounded buckets, and what they allow to be said."""

from __future__ import annotations

from array import array
from dataclasses import dataclass
from math import exp, inf, log
from typing import TYPE_CHECKING, Final, Literal, NamedTuple, final

from . import _limits
from ._curve import Curve, Point, solve, weights

if TYPE_CHECKING:
    from collections.abc import Sequence

Order = Literal["unknown", "flat", "power", "exponential"]

_LOW_QUANTILE: Final = 0.35
_MAD: Final = 1.4826
_STEP: Final = 0.05
_LAST_STEP: Final = 90
_EXPONENTIAL_TO: Final = 400
"""Largest size up to which exponential growth is thinkable at all."""
_STUDENT: Final = (12.7, 4.30, 3.18, 2.78, 2.57, 2.45, 2.36, 2.31, 2.26, 2.23, 2.18, 2.18, 2.13, 2.13, 2.13)
_TOP_RANGE: Final = log(16)
MATERIAL_NS: Final = 100_000
"""A call below 100 us at its largest size is nobody's problem."""


class Limits(NamedTuple):
    """What must be there before growth is claimed."""

    sizes: int = 4
    observations: int = 20
    spread: float = 5.0
    low: float = 1.30
    exponent: float = 1.5
    width: float = 1.2
    is_part: bool = False


_WHOLE: Final = Limits()
_PART: Final = Limits(3, 10, 5.0 / 2.1, 1.05, 1.4, inf, True)
"""For the same data without one size, or only its older or newer half: weaker, but it must agree."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Growth:
    """What the observations say.

    Attributes:
        order: `unknown` (see *why*), `flat`, `power` (cost = fixed + scaled x size^exponent), `exponential`.
        why: Reason why nothing can be said; empty otherwise.
        exponent: Best exponent; 0 when unknown.
        low: Lower end of its 95 % confidence interval.
        high: Upper end.
        superlinear: The cost grows faster than the size, and everything that must agree on it does.
        observations: Pairs kept.
        sizes: Distinct sizes, about.
        smallest: Smallest size seen.
        largest: Largest size seen.
        cost_ns: Usual cost at the largest size.
        fixed_ns: Part of the cost that does not depend on the size.
        scaled_ns: Part of the cost at the largest size that does.
        per_item: For exponential growth, by what factor one more item multiplies the scaled part.
    """

    order: Order = "unknown"
    why: str = ""
    exponent: float = 0.0
    low: float = 0.0
    high: float = 0.0
    superlinear: bool = False
    observations: int = 0
    sizes: int = 0
    smallest: float = 0.0
    largest: float = 0.0
    cost_ns: float = 0.0
    fixed_ns: float = 0.0
    scaled_ns: float = 0.0
    per_item: float = 1.0

    def at(self, size: float, exponent: float | None = None) -> float:
        """Return the cost in nanoseconds expected at *size*, with the best exponent or with another one."""
        if self.order == "exponential":
            return self.fixed_ns + self.scaled_ns * exp(
                min(100.0, log(self.per_item) * (size - self.largest))
            )
        power = self.exponent if exponent is None else exponent
        return self.fixed_ns + self.scaled_ns * exp(power * log(max(size, 1e-9) / self.largest))

    def forecast(self, times: float) -> tuple[float, float]:
        """Return the cost at *times* the largest size as a range: of the exponent, and a third for the machine.

        Of exponential growth, where no multiple of the size can be reached, it is that of one tenth more.
        """
        if self.order == "exponential":
            middle = self.at(self.largest * 1.1)
            return middle / 1.5, middle * 1.5
        size = self.largest * times
        return self.at(size, self.low) / 1.33, self.at(size, self.high) * 1.33


class _Bucket:
    """The last observations at about one size, the oldest overwritten first."""

    __slots__ = ("costs", "count", "sizes")

    def __init__(self) -> None:
        self.count = 0
        self.sizes = array("f")
        self.costs = array("f")

    def add(self, size: float, cost: float) -> None:
        if len(self.sizes) < _limits.MAX_OBSERVATIONS_PER_SIZE:
            self.sizes.append(size)
            self.costs.append(cost)
        else:
            at = self.count % _limits.MAX_OBSERVATIONS_PER_SIZE
            self.sizes[at] = size
            self.costs[at] = cost
        self.count += 1

    def point(self, half: int = 0) -> Point | None:
        """Summarise all observations, or the older (-1) or the newer (1) half of them."""
        sizes, costs = self._part(half)
        if not costs:
            return None
        logs = sorted([log(max(cost, 1e-9)) for cost in costs])
        count = len(logs)
        middle = _median(logs)
        low = logs[int(count * _LOW_QUANTILE)] if count >= 5 else middle
        spread = _MAD * _median(sorted([abs(value - middle) for value in logs]))
        sizes = [max(1.0, size) for size in sizes]
        return Point(sum(map(log, sizes)) / count, low, spread, count, sum(sizes) / count)

    def _part(self, half: int) -> tuple[list[float], list[float]]:
        start = self.count % len(self.sizes)  # of a full ring the oldest; of a growing one 0
        sizes = [*self.sizes[start:], *self.sizes[:start]]
        costs = [*self.costs[start:], *self.costs[:start]]
        if not half:
            return sizes, costs
        cut = len(sizes) // 2
        return (sizes[:cut], costs[:cut]) if half < 0 else (sizes[cut:], costs[cut:])


def _median(ordered: Sequence[float]) -> float:
    middle = len(ordered) // 2
    return ordered[middle] if len(ordered) % 2 else 0.5 * (ordered[middle - 1] + ordered[middle])


def _bucket_of(size: int) -> int:
    """Return a number for about this size: exact below 32, then two to an octave."""
    if size < 32:
        return max(0, size)
    octave = size.bit_length()
    return 22 + 2 * octave + ((size >> (octave - 2)) & 1)


@final
class Sizes:
    """Observations of (size, cost) of one callsite, bounded: 64 sizes with the last 64 costs of each.

    Background thread only. 0.6 us an observation; at most 34 kB, usually a third of that.

    Attributes:
        observed: Observations so far.
        dropped: Observations of further sizes that found no place.
        said: What `growth` returned last.
    """

    __slots__ = ("_buckets", "_judged", "dropped", "observed", "said")

    def __init__(self) -> None:
        self._buckets: dict[int, _Bucket] = {}
        self.said = Growth(why="no observations")
        self._judged = 0
        self.observed = 0
        self.dropped = 0

    def add(self, size: int, cost: float) -> None:
        """Add one observation."""
        at = _bucket_of(size)
        bucket = self._buckets.get(at)
        if bucket is None:
            if len(self._buckets) >= _limits.MAX_SIZES:
                self.dropped += 1
                return
            bucket = self._buckets[at] = _Bucket()
        bucket.add(size, cost)
        self.observed += 1

    def points(self, half: int = 0) -> list[Point]:
        """Return one point for each size, the smallest first; of the older (-1) or newer (1) half where asked."""
        found = [bucket.point(half) for bucket in self._buckets.values()]
        return sorted(point for point in found if point is not None)

    def growth(self, material: float = MATERIAL_NS) -> Growth:
        """Say how the cost grows with the size; worked out anew once a quarter more was observed.

        Args:
            material: Cost at the largest size below which no growth is worth a word.

        Cost: 10 ms when worked out, 50 ms when growth is claimed and has to be confirmed.
        """
        if not self._judged or self.observed >= self._judged * 1.25 or self.observed >= self._judged + 1024:
            self._judged = self.observed
            self.said = self._judge(material)
        return self.said

    def _judge(self, material: float) -> Growth:
        found = fit(self.points(), material=material)
        if found.superlinear:
            for half in (-1, 1):
                again = fit(self.points(half), _PART)
                if not again.superlinear:
                    return _without_claim(found)
        return found


def _without_claim(found: Growth) -> Growth:
    from dataclasses import replace

    return replace(found, superlinear=False)


def fit(points: Sequence[Point], limits: Limits = _WHOLE, material: float = 0.0) -> Growth:
    """Fit cost = fixed + scaled x size^exponent, and the exponential that competes with it.

    Args:
        points: By size, the smallest first.
        limits: What must be there before growth is claimed.
        material: Cost at the largest size from which it is claimed.

    Pure; 10 ms for 30 points.
    """
    observations = sum(point.calls for point in points)
    if len(points) < limits.sizes:
        return Growth(why=f"only {_count(len(points), 'size')}", observations=observations, sizes=len(points))
    if observations < limits.observations:
        return Growth(
            why=f"only {_count(observations, 'call')}", observations=observations, sizes=len(points)
        )
    return _Fitting(points, limits, material, observations).growth()


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


class _Fitting:
    """One fit in progress."""

    def __init__(self, points: Sequence[Point], limits: Limits, material: float, observations: int) -> None:
        self.points = points
        self.limits = limits
        self.material = material
        self.observations = observations
        self.weight = weights(points)
        self.log_largest = points[-1].log_size
        self.smallest, self.largest = exp(points[0].log_size), exp(self.log_largest)
        self.rise = exp(min(700.0, points[-1].log_cost - points[0].log_cost))
        self.tried: dict[int, Curve] = {}

    def growth(self) -> Growth:
        """Say how the cost grows."""
        step = self._best_step()
        curve, exponent = self.tried[step], step * _STEP
        freedom = max(1, len(self.points) - 3)
        misfit = min(50.0, max(1.0, curve.loss / freedom))
        low, high = self._interval(curve.loss, misfit, freedom)
        per_item, exponential = self._exponential()
        spread = self.largest / self.smallest
        known = {
            "observations": self.observations,
            "sizes": len(self.points),
            "smallest": self.points[0].size,
            "largest": self.largest,
            "cost_ns": exp(self.points[-1].log_cost),
        }
        if spread < self.limits.spread and not self._is_explosive(exponential, curve, spread):
            return Growth(why=f"sizes vary less than x{self.limits.spread:.0f}", **known)  # type: ignore[arg-type]
        order = self._order(curve, exponential, misfit, low, exponent, spread)
        if order == "power" and high - low > self.limits.width:
            why = f"exponent uncertain: {low:.1f} to {high:.1f}"
            order, uncertain = "unknown", True
        else:
            why, uncertain = "", False
        chosen = exponential if order == "exponential" else curve
        is_claimed = self._is_claimed(order, uncertain, low, exponent, curve)
        return Growth(
            order=order,
            why=why,
            exponent=exponent,
            low=low,
            high=high,
            superlinear=is_claimed,
            fixed_ns=chosen.fixed,
            scaled_ns=chosen.scaled,
            per_item=exp(per_item),
            **known,  # type: ignore[arg-type]
        )

    def _best_step(self) -> int:
        for step in range(2, _LAST_STEP + 1, 5):
            self._try(step)
        coarse = min(self.tried, key=lambda step: self.tried[step].loss)
        for step in range(coarse - 7, coarse + 8):
            self._try(step)
        return min(self.tried, key=lambda step: (self.tried[step].loss, step))

    def _try(self, step: int) -> None:
        if step not in self.tried and 1 <= step <= _LAST_STEP:
            exponent = step * _STEP
            shape = [exp(exponent * (point.log_size - self.log_largest)) for point in self.points]
            self.tried[step] = solve(self.points, shape, self.weight)

    def _interval(self, best: float, misfit: float, freedom: int) -> tuple[float, float]:
        student = _STUDENT[freedom - 1] if freedom <= len(_STUDENT) else 2.05
        allowed = best + misfit * (student**2 if misfit > 1.0 else 3.84)
        inside = [step for step, curve in self.tried.items() if curve.loss <= allowed]
        return min(inside) * _STEP, max(inside) * _STEP

    def _exponential(self) -> tuple[float, Curve]:
        """Return the best growth a size, as a logarithm, and its curve; an infinite loss where there is none."""
        sizes = [point.size for point in self.points]
        span = sizes[-1] - sizes[0]
        best = (0.0, Curve(0.0, 0.0, inf))
        if sizes[-1] > _EXPONENTIAL_TO or span <= 0:
            return best
        for number in range(1, 41):
            per_item = 0.35 * number / span
            shape = [exp(per_item * (size - sizes[-1])) for size in sizes]
            curve = solve(self.points, shape, self.weight)
            if curve.loss < best[1].loss:
                best = (per_item, curve)
        return best

    def _is_explosive(self, exponential: Curve, curve: Curve, spread: float) -> bool:
        """Whether few small sizes are enough, because the cost explodes between them."""
        few = self.points[-1].size <= 64 and len(self.points) >= 6 and spread >= 2.0
        return few and exponential.loss < curve.loss and self.rise > 16

    def _order(
        self, curve: Curve, exponential: Curve, misfit: float, low: float, exponent: float, spread: float
    ) -> Order:
        flat = solve(self.points, [1.0] * len(self.points), self.weight)
        smallest = exp(exponent * (self.points[0].log_size - self.log_largest))
        growth = (curve.fixed + curve.scaled) / max(curve.fixed + curve.scaled * smallest, 1e-300)
        slope = log(max(growth, 1.0)) / log(spread) if spread > 1 else 0.0
        if (flat.loss - curve.loss) / misfit < 8.0 or (slope < 0.22 and low < 0.9) or growth < 1.15:
            return "flat"
        if exponential.loss < curve.loss * 0.8 - 2.0 and self.rise > 16:
            return "exponential"
        return "power"

    def _is_claimed(self, order: Order, uncertain: bool, low: float, exponent: float, curve: Curve) -> bool:
        limits = self.limits
        if order == "flat" or exp(self.points[-1].log_cost) < self.material:
            return False
        whole = curve.fixed + curve.scaled
        if whole <= 0 or curve.scaled <= 0.3 * whole:
            return False
        if order != "exponential":
            if low < limits.low or exponent < limits.exponent:
                return False
            if uncertain and (low < 1.5 or len(self.points) < 6):
                return False
            if not self._is_steep_at_the_top(curve.fixed):
                return False
        return limits.is_part or self._stands_without_one()

    def _is_steep_at_the_top(self, fixed: float) -> bool:
        """Whether it still grows so at the largest sizes: caches and warm-ups bend the middle only."""
        x_sum = y_sum = total = 0.0
        top = []
        for point, weight in zip(self.points, self.weight, strict=True):
            cost = exp(point.log_cost)
            if point.log_size >= self.log_largest - _TOP_RANGE and cost > 1.25 * fixed:
                top.append((point.log_size, log(cost - fixed), weight))
                total += weight
                x_sum += weight * point.log_size
                y_sum += weight * top[-1][1]
        if len(top) < 4:
            return True
        x_mean, y_mean = x_sum / total, y_sum / total
        across = sum(weight * (x - x_mean) ** 2 for x, _, weight in top)
        slope = sum(weight * (x - x_mean) * (y - y_mean) for x, y, weight in top) / across if across else 0.0
        return slope >= 1.4

    def _stands_without_one(self) -> bool:
        """Whether it is claimed without the largest size, and without the next one: no single size decides."""
        points = list(self.points)
        if len(points) < 5:
            return True
        return all(fit(rest, _PART).superlinear for rest in (points[:-1], points[:-2] + points[-1:]))
