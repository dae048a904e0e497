"""An interval holds the truth as often as it says, and the numbers needed follow from it."""

from __future__ import annotations

from random import Random

import pytest

from manometer.reports.noise import chance_of_none, shift, units_needed


def sample(random: Random, units: int, times: float = 1.0) -> list[float]:
    return [10 * times * random.lognormvariate(0, 0.4) for _ in range(units)]


@pytest.mark.parametrize("units", [6, 20, 200])
def test_the_interval_holds_the_truth_as_often_as_it_promises(units: int) -> None:
    random = Random(units)
    missed = 0
    for _ in range(400):
        found = shift(sample(random, units), sample(random, units, 1.5), threshold=0.1, doubt=0.05)
        assert found is not None
        missed += not found.low <= 1.5 <= found.high

    assert missed <= 400 * 0.05 + 3 * (400 * 0.05 * 0.95) ** 0.5


def test_load_that_comes_and_goes_widens_the_interval() -> None:
    steady = sample(Random(1), 200)
    waves = [value * (3 if at // 40 % 2 else 1) for at, value in enumerate(steady)]
    shuffled = Random(2).sample(waves, len(waves))

    in_order, mixed = (shift(each, each, threshold=0.1, doubt=0.05) for each in (waves, shuffled))

    assert in_order is not None
    assert mixed is not None
    assert in_order.high > mixed.high * 1.1


def test_a_few_pauses_do_not_move_the_typical_time() -> None:
    steady = sample(Random(3), 100)
    paused = [value if at % 25 else value + 500 for at, value in enumerate(steady)]

    found = shift(steady, paused, threshold=0.1, doubt=0.05)

    assert found is not None
    assert not found.is_beyond(0.1)


def test_the_units_that_are_said_to_be_needed_do_tell_the_threshold() -> None:
    random = Random(4)
    first = shift(sample(random, 50), sample(random, 50), threshold=0.2, doubt=0.01)
    assert first is not None

    told = 0
    for _ in range(100):
        found = shift(
            sample(random, first.needed), sample(random, first.needed, 1.2 * 1.2), threshold=0.2, doubt=0.01
        )
        told += found is not None and found.is_beyond(0.2)

    assert told >= 75


def test_four_values_are_not_compared() -> None:
    assert shift([1.0] * 4, [9.0] * 40, threshold=0.1, doubt=0.05) is None


def test_times_of_zero_are_compared_without_a_fault() -> None:
    found = shift([0.0] * 9, [0.0] * 9, threshold=0.1, doubt=0.05)

    assert found is not None
    assert found.ratio == 1.0


@pytest.mark.parametrize(
    ("seen", "of", "among", "is_chance"),
    [(8, 8, 8, False), (1, 1, 1, True), (1, 20, 20, True), (10, 20, 20, False), (100, 100, 3, False)],
)
def test_seeing_nothing_is_chance_only_where_little_was_to_be_seen(
    seen: int, of: int, among: int, is_chance: bool
) -> None:
    assert (chance_of_none(seen, of, among) > 0.01) is is_chance


def test_the_units_needed_are_those_after_which_it_is_no_chance() -> None:
    needed = units_needed(3, 20, 0.01)

    assert chance_of_none(3, 20, needed) <= 0.01 < chance_of_none(3, 20, needed - 1)
