"""Recursion that walks the same arguments again along every path: what its exact counts show."""

from __future__ import annotations

from math import log
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from .._model import Frame

_ENOUGH: Final = 8


class Walk(NamedTuple):
    """The counts of one recursive function.

    Attributes:
        calls: Calls with arguments that were kept.
        distinct: Distinct ones among them.
        most: Calls with the most repeated of them.
        equal: Repeats that are known to have returned the same.
        is_exponential: The counts rise by a factor from one argument to the next.
        all_calls: All calls.
    """

    calls: int
    distinct: int
    most: int
    equal: int
    is_exponential: bool
    all_calls: int


def is_recursive(frame: Frame) -> bool:
    """Tell whether calls of this frame were made inside it: they fold into the frame already open."""
    return (
        any(child.parent is not frame for child in frame.children.values())
        or frame.children.get(frame.callsite) is frame
    )


def walk_of(frames: Iterable[Frame]) -> Walk | None:
    """Return the counts where calls outnumber the square of the distinct arguments; None where they do not.

    Not for a tree with one leaf that occurs often: most arguments must be repeated.
    """
    counts: dict[int, int] = {}
    calls = equal = 0
    recursive = False
    for frame in frames:
        calls += frame.calls
        recursive = recursive or is_recursive(frame)
        for key, use in frame.detail.keys.items() if frame.detail is not None else ():
            counts[key] = counts.get(key, 0) + use.calls
            equal += use.equal
    ordered = sorted(counts.values())
    kept = sum(ordered)
    if not recursive or len(ordered) < _ENOUGH or kept < len(ordered) ** 2:
        return None
    if ordered[len(ordered) // 2] < 3:
        return None
    return Walk(kept, len(ordered), ordered[-1], equal, _is_exponential(ordered), calls)


def _is_exponential(ordered: Sequence[int]) -> bool:
    logs = [log(max(1, count)) for count in ordered]
    ranks = [float(rank) for rank in range(1, len(ordered) + 1)]
    return _together(logs, ranks) >= _together(logs, [log(rank) for rank in ranks])


def _together(one: Sequence[float], other: Sequence[float]) -> float:
    """Return the correlation of two rows of numbers."""
    mean, other_mean = sum(one) / len(one), sum(other) / len(other)
    product = sum((a - mean) * (b - other_mean) for a, b in zip(one, other, strict=True))
    spread = sum((a - mean) ** 2 for a in one) * sum((b - other_mean) ** 2 for b in other)
    return product / spread**0.5 if spread > 0 else 0.0
