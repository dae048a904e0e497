"""The application's own containers that only ever grow: sampled by the background thread, never touched by calls."""

from __future__ import annotations

import sys
from collections import OrderedDict, defaultdict, deque
from itertools import pairwise
from statistics import median
from typing import TYPE_CHECKING, Any, Final, final

from . import _limits
from ._site import is_application
from ._size import Container

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

SAMPLES: Final = 24
"""Samples, a minute apart, from which growth may be claimed."""
_LENGTHS: Final = frozenset({list, dict, set, deque, OrderedDict, defaultdict})
_ADDED: Final = 100
_PER_UNIT: Final = 0.01
_STEADY: Final = 0.8
"""Share of the first third's growth per unit of work that the last third must keep: a cache that fills up does not."""
_ABOVE_PEAK: Final = 2
"""Times the length from which it once shrank: what follows the load rises and falls, and stays below that."""
_GREW: Final = 0.75
"""Share of the samples with traffic in which it must have grown: what is loaded now and then grows in steps."""


@final
class _Series:
    """Length and units of work, sample by sample; every second one is forgotten when there are too many."""

    __slots__ = ("bar", "file", "points")

    def __init__(self, file: str) -> None:
        self.file = file
        self.bar = 0  # once it shrank, the length it must pass to be suspect again
        self.points: list[tuple[int, int]] = []

    def add(self, units: int, length: int) -> None:
        points = self.points
        if points and length < points[-1][1]:
            self.bar = max(self.bar, _ABOVE_PEAK * points[-1][1])
            points.clear()  # it shrinks: whatever grew before is forgiven
        if points and units == points[-1][0]:
            return  # without traffic nothing follows
        points.append((units, length))
        if len(points) > _limits.MAX_SAMPLES:
            del points[1:-1:2]

    def is_growing(self) -> bool:
        """Whether it grew steadily with the units of work, and not towards an end."""
        points = self.points
        if len(points) < SAMPLES:
            return False
        (first_units, first), (last_units, last) = points[0], points[-1]
        added, units = last - first, last_units - first_units
        if last <= self.bar or added < _ADDED or added < _PER_UNIT * units:
            return False
        grew = sum(later > earlier for (_, earlier), (_, later) in pairwise(points))
        third = len(points) // 3
        early, late = _rate(points[: third + 1]), _rate(points[-third - 1 :])
        return grew >= _GREW * (len(points) - 1) and late >= _STEADY * early


def _rate(points: list[tuple[int, int]]) -> float:
    """Return the usual growth per unit of work: the median, so that one load of data is no growth."""
    rates = [
        (to_length - from_length) / max(1, to_units - from_units)
        for (from_units, from_length), (to_units, to_length) in pairwise(points)
    ]
    return median(rates)


@final
class Containers:
    """Follows the length of the module-level containers of the application, and of its classes; bounded.

    Background thread only. Nothing is held but names: a container is looked up anew each time. Only
    exact built-in types are measured, and caches of `functools` without a bound.
    """

    def __init__(self) -> None:
        self._series: dict[str, _Series] = {}

    def sample(self, units: int) -> None:
        """Look at them once.

        Args:
            units: Units of work so far.

        Cost: 0.2 ms for a hundred modules; once a minute.
        """
        found = sorted(_lengths(), key=lambda each: -each[2])[: _limits.MAX_CONTAINERS]
        names = {name for name, _, _ in found}
        for gone in self._series.keys() - names:
            del self._series[gone]
        for name, file, length in found:
            self._series.setdefault(name, _Series(file)).add(units, length)

    def growing(self) -> list[Container]:
        """Return the containers that keep growing, the longest first."""
        found = []
        for name, series in self._series.items():
            if series.is_growing():
                (first_units, first), (last_units, last) = series.points[0], series.points[-1]
                found.append(
                    Container(
                        name, series.file, last, last - first, last_units - first_units, len(series.points)
                    )
                )
        return sorted(found, key=lambda each: -each.length)


def _lengths() -> Iterator[tuple[str, str, int]]:
    """Yield name, file and length of every container of the application's modules."""
    for module_name, module in list(sys.modules.items()):
        file = _file_of(module)
        if not file or not is_application(file):
            continue
        for name, value in _attributes(vars(module)):
            yield from _length(f"{module_name}.{name}", file, value)
            if type(value) is type and type.__dict__["__module__"].__get__(value) == module_name:
                members = type.__dict__["__dict__"].__get__(value)
                for inner, member in _attributes(members):
                    yield from _length(f"{module_name}.{name}.{inner}", file, member)


def _file_of(module: ModuleType | None) -> str:
    # vars() of the exact type only: a lazy module would import what it stands for when it is asked.
    file = vars(module).get("__file__") if type(module) is type(sys) else ""
    return file if type(file) is str else ""


def _attributes(names: Any) -> list[tuple[str, Any]]:
    return [(name, value) for name, value in list(names.items()) if not name.startswith("__")]


def _length(name: str, file: str, value: Any) -> Iterator[tuple[str, str, int]]:
    kind = type(value)
    if kind in _LENGTHS:
        if kind is not deque or value.maxlen is None:
            yield name, file, len(value)
    elif kind.__name__ == "_lru_cache_wrapper" and kind.__module__ == "functools":
        info = value.cache_info()
        if info.maxsize is None:
            yield name, file, info.currsize
