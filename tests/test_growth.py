from __future__ import annotations

import math
import random

import pytest
from benchmarks import growth as bench

from manometer import _limits
from manometer._growth import Growth, Sizes

US = 1_000


def observe(cost, sizes, *, rounds=4, noise=0.1, seed=3):
    chance = random.Random(seed)
    seen = Sizes()
    for _ in range(rounds):
        for size in sizes:
            seen.add(size, cost(size) * math.exp(chance.gauss(0, noise)))
    return seen


SPREAD = [round(10 * 1.35**at) for at in range(20)]


@pytest.fixture(scope="module")
def timings():
    return bench.load()


class TestRecordedFunctions:
    """87 functions of known growth, timed once; noise of 20 % and of 50 % with outliers and constant overhead."""

    @pytest.mark.parametrize("noise", bench.NOISES, ids=["20 %", "50 %"])
    @pytest.mark.parametrize("seed", bench.SEEDS)
    def test_superlinear_functions_are_caught_and_others_left_alone(self, timings, noise, seed):
        found = bench.score(timings, bench.ours, noise, seed)

        assert (found.superlinear, found.others) == (29, 56)
        assert found.caught >= 26
        assert len(found.accused) <= 2, found.accused

    def test_costs_that_have_nothing_to_do_with_the_size_are_no_growth(self, timings):
        claims, asked = bench.null(timings, bench.ours, rounds=2)

        assert asked == 2 * 87
        assert claims == 0


class TestWhatIsSaid:
    def test_a_square_with_its_exponent_inside_the_interval(self):
        found = observe(lambda n: 5 * US + 2 * US * n * n, SPREAD).growth()

        assert (found.order, found.superlinear) == ("power", True)
        assert found.low <= 2.0 <= found.high
        assert abs(found.exponent - 2.0) < 0.15

    def test_constant_overhead_does_not_hide_the_square_behind_it(self):
        found = observe(lambda n: 3_000 * US + US * n * n, SPREAD).growth()

        assert found.superlinear
        assert abs(found.exponent - 2.0) < 0.25

    def test_a_line_is_no_finding(self):
        found = observe(lambda n: 50 * US * n, SPREAD).growth()

        assert (found.order, found.superlinear) == ("power", False)
        assert abs(found.exponent - 1.0) < 0.15

    def test_n_log_n_is_no_finding(self):
        assert not observe(lambda n: 20 * US * n * math.log(n), SPREAD).growth().superlinear

    def test_a_constant_is_flat(self):
        assert observe(lambda _: 500 * US, SPREAD).growth().order == "flat"

    def test_doubling_with_each_item_is_exponential(self):
        found = observe(lambda n: US * 2**n, range(2, 18)).growth()

        assert (found.order, found.superlinear) == ("exponential", True)
        assert 1.7 < found.per_item < 2.3

    def test_a_forecast_is_a_range_that_holds_the_truth(self):
        found = observe(lambda n: US * n * n, SPREAD).growth()
        low, high = found.forecast(10)
        truth = US * (found.largest * 10) ** 2

        assert low <= truth <= high
        assert high < 10 * low

    def test_a_tiny_cost_is_nobodys_problem(self):
        assert not observe(lambda n: 0.0005 * US * n * n, SPREAD[:12]).growth().superlinear


class TestWhatIsNotSaid:
    def test_nothing_was_observed(self):
        assert Sizes().growth() == Growth(why="only 0 sizes")

    def test_few_calls(self):
        found = observe(lambda n: US * n * n, SPREAD[:15], rounds=1).growth()

        assert (found.order, found.why) == ("unknown", "only 15 calls")

    def test_few_sizes(self):
        found = observe(lambda n: US * n * n, (10, 100, 1000), rounds=20).growth()

        assert (found.order, found.why) == ("unknown", "only 3 sizes")

    def test_sizes_close_together(self):
        found = observe(lambda n: US * n * n, (20, 24, 28, 32, 38, 45, 54, 64, 76), rounds=10).growth()

        assert (found.order, found.why) == ("unknown", "sizes vary less than x5")

    def test_one_size_alone_decides_nothing(self):
        seen = observe(lambda n: 50 * US * n, SPREAD)
        for _ in range(8):
            seen.add(SPREAD[-1] * 2, 50 * US * SPREAD[-1] ** 2)

        assert not seen.growth().superlinear

    def test_a_growth_that_only_the_older_half_of_the_calls_shows_is_over(self):
        seen = observe(lambda n: US * n * n, SPREAD, rounds=6)
        assert seen.growth().superlinear

        later = observe(lambda n: US * n * n, SPREAD, rounds=6)
        for _ in range(7):
            for size in SPREAD:
                later.add(size, 40 * US * size)

        assert not later.growth().superlinear


class TestBounds:
    def test_sizes_beyond_the_bound_are_counted_and_dropped(self):
        seen = Sizes()
        for power in range(1, 60):
            seen.add(2**power, 1.0)
            seen.add(3 * 2**power, 1.0)
        for size in range(32):
            seen.add(size, 1.0)

        assert len(seen.points()) == _limits.MAX_SIZES
        assert seen.dropped > 0

    def test_only_the_latest_costs_of_a_size_are_kept(self):
        seen = Sizes()
        for _ in range(1000):
            seen.add(5, 100.0)
        for _ in range(_limits.MAX_OBSERVATIONS_PER_SIZE):
            seen.add(5, 900.0)
        (point,) = seen.points()

        assert point.calls == _limits.MAX_OBSERVATIONS_PER_SIZE
        assert round(math.exp(point.log_cost)) == 900

    def test_a_verdict_is_kept_until_a_quarter_more_was_seen(self):
        seen = observe(lambda n: US * n * n, SPREAD)
        first = seen.growth()
        seen.add(10, US)

        assert seen.growth() is first
        for _ in range(seen.observed // 4):
            seen.add(10, US)
        assert seen.growth() is not first
