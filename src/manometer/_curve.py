"""A robust curve through a few points: cost = fixed + scaled x shape, both parts at least zero."""

from __future__ import annotations

from math import exp, log, sqrt
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

_ROUNDS: Final = 4
_HUBER: Final = 1.5
_TINY: Final = 1e-12
_NOISE: Final = 0.3
"""Spread of the logarithm of a cost that is assumed while no size was seen often enough to tell."""
_FLOOR: Final = 0.07
"""No mean of costs is trusted further than 7 %: caches and clocks differ between sizes by as much."""


class Point(NamedTuple):
    """What was seen at about one size.

    Attributes:
        log_size: Mean of the natural logarithm of the sizes.
        log_cost: A low quantile of the logarithm of the costs: what disturbs a clock only adds.
        spread: Robust standard deviation of the logarithm of the costs.
        calls: Costs that are kept.
        size: Mean size.
    """

    log_size: float
    log_cost: float
    spread: float
    calls: int
    size: float


class Curve(NamedTuple):
    """`fixed + scaled x shape`, where the shape is 1 at the largest size; *loss* says how badly it fits."""

    fixed: float
    scaled: float
    loss: float


def weights(points: Sequence[Point]) -> list[float]:
    """Return how much each point counts: by its own spread, or by that of the others where it has too few costs."""
    spreads = sorted(point.spread for point in points if point.calls >= 4)
    usual = spreads[len(spreads) // 2] if spreads else _NOISE
    found = []
    for point in points:
        spread = point.spread if point.calls >= 6 else max(point.spread, usual)
        error = 1.25 * max(spread, 0.5 * usual)
        found.append(1.0 / (error * error / point.calls + _FLOOR * _FLOOR))
    return found


def solve(points: Sequence[Point], shape: Sequence[float], weight: Sequence[float]) -> Curve:
    """Minimise a Huber loss of `log(cost) - log(fixed + scaled x shape)` by reweighted least squares.

    Cost: 2 us a point.
    """
    costs = [exp(point.log_cost) for point in points]
    expected, trust = costs[:], [1.0] * len(costs)
    fixed = scaled = 0.0
    left: list[float] = []
    for _ in range(_ROUNDS):
        fixed, scaled = _least_squares(costs, shape, weight, expected, trust)
        expected = [max(fixed + scaled * at, _TINY) for at in shape]
        left = [log(cost / value) if cost > 0 else -50.0 for cost, value in zip(costs, expected, strict=True)]
        trust = [
            min(1.0, _HUBER / max(abs(gap) * sqrt(each), _TINY))
            for gap, each in zip(left, weight, strict=True)
        ]
    loss = 0.0
    for gap, each in zip(left, weight, strict=True):
        square = each * gap * gap
        loss += square if square <= _HUBER * _HUBER else 2 * _HUBER * sqrt(square) - _HUBER * _HUBER
    return Curve(fixed, scaled, loss)


def _least_squares(
    costs: Sequence[float],
    shape: Sequence[float],
    weight: Sequence[float],
    expected: Sequence[float],
    trust: Sequence[float],
) -> tuple[float, float]:
    ones = shapes = squares = cost_sum = product_sum = 0.0
    for cost, at, each, value, share in zip(costs, shape, weight, expected, trust, strict=True):
        relative = each * share / (value * value)
        ones += relative
        shapes += relative * at
        squares += relative * at * at
        cost_sum += relative * cost
        product_sum += relative * at * cost
    determinant = ones * squares - shapes * shapes
    if determinant <= 1e-12 * ones * squares:
        return cost_sum / ones, 0.0
    fixed = (cost_sum * squares - product_sum * shapes) / determinant
    scaled = (ones * product_sum - shapes * cost_sum) / determinant
    if scaled < 0:
        return cost_sum / ones, 0.0
    return (fixed, scaled) if fixed >= 0 else (0.0, product_sum / squares)
