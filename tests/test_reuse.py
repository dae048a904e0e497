"""The estimate of reuse: against the exact answer of a cache that is really run."""

from __future__ import annotations

import bisect
import itertools
import random
from collections import OrderedDict

import pytest

from manometer._limits import MAX_REUSE_KEYS
from manometer._reuse import Reuse

USES = 40_000
SIZES = (32, 128, 512, 2048, 8192)


def zipf(keys: int, exponent: float, rng: random.Random) -> list[int]:
    sums = list(itertools.accumulate(1 / (at + 1) ** exponent for at in range(keys)))
    return [bisect.bisect(sums, rng.random() * sums[-1]) for _ in range(USES)]


def traces(rng: random.Random) -> dict[str, list[int]]:
    return {
        "users": zipf(10_000, 0.9, rng),
        "items": zipf(50_000, 1.1, rng),
        "uniform": [rng.randrange(2_000) for _ in range(USES)],
        "hardly any reuse": [rng.randrange(100_000) for _ in range(USES)],
        "a loop of 3000": [at % 3_000 for at in range(USES)],
        "all new": list(range(USES)),
        "one hot key": [0 if rng.random() < 0.5 else rng.randrange(50_000) for _ in range(USES)],
    }


def exact(trace: list[int], size: int) -> float:
    kept: OrderedDict[int, None] = OrderedDict()
    hits = 0
    for key in trace:
        if key in kept:
            kept.move_to_end(key)
            hits += 1
        else:
            kept[key] = None
            if len(kept) > size:
                kept.popitem(last=False)
    return hits / len(trace)


def fed(trace: list[int], salt: int) -> Reuse:
    reuse = Reuse()
    for key in trace:
        reuse.add((key + 1) * 0x5851F42D4C957F2D + salt & (1 << 64) - 1)
    return reuse


@pytest.mark.parametrize(
    "seed", [1, pytest.param(2, marks=pytest.mark.long), pytest.param(3, marks=pytest.mark.long)]
)
def test_the_hit_ratio_is_wrong_by_two_hundredths_on_average_in_256_keys(seed):
    rng = random.Random(seed)
    errors = []
    for trace in traces(rng).values():
        reuse = fed(trace, rng.getrandbits(60))
        errors += [abs(reuse.hit_ratio(size) - exact(trace, size)) for size in SIZES]
        assert len(reuse._last) <= MAX_REUSE_KEYS
        assert len(reuse._counts) + len(reuse._heavy) <= MAX_REUSE_KEYS

    assert sum(errors) / len(errors) <= 0.021


def test_a_stream_without_reuse_is_no_reason_for_a_cache():
    reuse = fed(list(range(5_000)), 7)

    assert reuse.hit_ratio(1 << 30) == 0.0
    assert reuse.reused == 0


def test_the_smallest_size_that_is_enough_holds_all_keys_of_a_loop():
    size, ratio = fed([at % 100 for at in range(5_000)], 7).smallest()

    assert size == 128
    assert ratio > 0.95


def test_the_number_of_distinct_keys_is_known_about():
    assert fed([at % 3_000 for at in range(30_000)], 11).distinct() == pytest.approx(3_000, rel=0.2)
