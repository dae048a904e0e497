"""What it costs to see caches: a read with and without manometer, in turns in one process."""

from __future__ import annotations

from time import perf_counter_ns
from typing import TYPE_CHECKING, Final

from manometer import _caches, watch_cache
from manometer.testing import install_sources, record

if TYPE_CHECKING:
    from collections.abc import Callable

_CALLS: Final = 200
_ROUNDS: Final = 100


def _mean_ns(read: Callable[[], object]) -> float:
    began_ns = perf_counter_ns()
    for _ in range(_CALLS):
        read()
    return (perf_counter_ns() - began_ns) / _CALLS


def measure_reads() -> dict[str, tuple[float, float, float]]:
    """Return, by kind of cache, the least mean of a read: plain, watched outside a unit, and inside one."""
    import cachetools

    plain, plain_dict = cachetools.LRUCache(16), {"key": 1}
    plain["key"] = 1
    watched = watch_cache(dict(plain_dict), "benchmark")
    rows: dict[str, list[list[float]]] = {"cachetools": [[], [], []], "dict": [[], [], []]}
    for _ in range(_ROUNDS):
        rows["cachetools"][0].append(_mean_ns(lambda: plain["key"]))
        rows["dict"][0].append(_mean_ns(lambda: plain_dict.get("key")))
        with install_sources("cachetools"):
            rows["cachetools"][1].append(_mean_ns(lambda: plain["key"]))
            rows["dict"][1].append(_mean_ns(lambda: watched.get("key")))
            with record():
                rows["cachetools"][2].append(_mean_ns(lambda: plain["key"]))
                _caches.fold()
                rows["dict"][2].append(_mean_ns(lambda: watched.get("key")))
    return {name: (min(row[0]), min(row[1]), min(row[2])) for name, row in rows.items()}


if __name__ == "__main__":
    for name, (bare, idle, on) in measure_reads().items():
        print(
            f"{name:12} plain {bare:6.0f} ns   outside a unit +{idle - bare:5.0f} ns   in a unit +{on - bare:5.0f} ns"
        )
