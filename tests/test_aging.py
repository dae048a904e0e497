"""The estimate of staleness: against the truth of simulated caches, from their refreshes alone."""

from __future__ import annotations

import itertools
import random
from math import exp

import pytest

from manometer._aging import Aging

KEYS = 400
SECOND = 1_000_000_000


def simulate(ttl_s: float, changes_per_s: float, uneven: float, seed: int = 1) -> tuple[float, Aging]:
    """Serve two hours of reads; return the true share of stale hits, and what was learned of them."""
    rng = random.Random(seed)
    rates = [changes_per_s * exp(rng.gauss(0, uneven) - uneven * uneven / 2) for _ in range(KEYS)]
    weights = list(itertools.accumulate(1 / (at + 1) ** 0.9 for at in range(KEYS)))
    version = [0] * KEYS
    changes_at = [rng.expovariate(rate) for rate in rates]
    kept: dict[int, list[float]] = {}  # version, stored at, answers, sum of their ages
    aging, hits, stale, now_s = Aging(), 0, 0, 0.0
    while now_s < 7_200:
        now_s += rng.expovariate(20)
        (key,) = rng.choices(range(KEYS), cum_weights=weights)
        while changes_at[key] < now_s:
            version[key] += 1
            changes_at[key] += rng.expovariate(rates[key])
        known = kept.get(key)
        if known is not None and now_s - known[1] < ttl_s:
            hits += 1
            stale += known[0] != version[key]
            aging.used(int((now_s - known[1]) * SECOND))
            known[2] += 1
            known[3] += now_s - known[1]
            continue
        if known is not None:
            mean_ns = int(known[3] / max(1, known[2]) * SECOND)
            aging.refreshed(
                int((now_s - known[1]) * SECOND), known[0] != version[key], int(known[2]), mean_ns
            )
        kept[key] = [version[key], now_s, 0, 0.0]
    return stale / hits, aging


@pytest.mark.parametrize(
    ("ttl_s", "changes_per_s", "uneven"),
    [
        (60, 1 / 3600, 0.0),
        (300, 1 / 3600, 0.0),
        (300, 1 / 3600, 1.0),
        (300, 1 / 600, 1.0),
        (3600, 1 / 3600, 0.5),
        (300, 1 / 86_400, 0.0),
    ],
)
def test_the_share_of_stale_answers_is_known_within_a_factor_from_refreshes_alone(
    ttl_s, changes_per_s, uneven
):
    true, aging = simulate(ttl_s, changes_per_s, uneven)

    assert 0.6 * true <= aging.stale_share() <= 1.4 * true


def test_values_that_never_change_are_never_stale():
    aging = Aging()
    for _ in range(100):
        aging.refreshed(60 * SECOND, False, 10, 30 * SECOND)
        aging.used(30 * SECOND)

    assert aging.stale_share() == 0.0


def test_without_a_hit_nothing_was_stale():
    aging = Aging()
    aging.refreshed(60 * SECOND, True, 0, 0)

    assert aging.stale_share() == 0.0


def test_the_ages_of_answers_are_known_within_an_octave_quarter():
    aging = Aging()
    for age_s in range(1, 101):
        aging.used(age_s * SECOND)

    assert aging.oldest_ns(0.95) == pytest.approx(95 * SECOND, rel=0.2)
