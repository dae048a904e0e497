"""An N+1 on pages too small for a threshold, told by exact counts: calls = a + b x rows over requests."""

from __future__ import annotations

import random

import pytest
from tests.profiles import Unit, rules, site

from manometer._history import History
from manometer._model import PRODUCTION
from manometer.detectors import judge

POSTS = site("SELECT id, author FROM posts", 38)
USERS = site()
ROUNDS = 40


def serve(history, rows, calls):
    """Serve one request that reads *rows* posts and then asks for users *calls* times; no argument is from the posts."""
    unit = Unit(policy=PRODUCTION)
    unit.call(POSTS, rows=rows, ms=1)
    for at in range(calls):
        unit.call(USERS, 5000 + at, ms=1)
    profile = unit.close()
    history.add(profile)
    return [item for item in judge(profile, history) if item.rule == "n-plus-one"]


def found_within(requests, calls_of, rows_of, seed):
    chance, history = random.Random(seed), History()
    found = []
    for _ in range(requests):
        rows = rows_of(chance)
        found += serve(history, rows, calls_of(rows, chance))
    return found


def small(chance):
    return chance.randrange(5)


def test_one_call_for_each_row_is_found_on_pages_of_up_to_four_rows_within_16_requests():
    found = [found_within(16, lambda rows, _: rows, small, seed) for seed in range(ROUNDS)]

    assert sum(map(bool, found)) >= ROUNDS * 0.95
    for item in found[0]:
        assert item.confidence == "confirmed"
        assert item.evidence["calls_per_source_row"] == 1.0


@pytest.mark.parametrize("constant", [3, 4, 12])
def test_a_constant_number_of_calls_is_no_n_plus_one_by_count(constant):
    for seed in range(ROUNDS):
        found = found_within(24, lambda rows, _: constant, small, seed)
        assert [item for item in found if item.confidence == "confirmed"] == []
        assert constant >= PRODUCTION.repeats or found == []


def test_a_batched_read_is_none():
    for seed in range(ROUNDS):
        assert found_within(24, lambda rows, _: 1 if rows else 0, small, seed) == []


def test_counts_that_have_nothing_to_do_with_the_rows_are_none():
    claimed = sum(
        bool(found_within(24, lambda rows, chance: chance.randrange(5), small, seed))
        for seed in range(ROUNDS)
    )

    assert claimed == 0


def test_a_permission_checked_once_or_twice_is_none():
    for seed in range(ROUNDS):
        assert found_within(24, lambda rows, chance: chance.randrange(1, 3), small, seed) == []


def test_pages_that_are_always_full_say_nothing_by_count():
    assert found_within(24, lambda rows, _: rows, lambda _: 4, 1) == []


def test_without_history_four_calls_are_no_finding():
    history = History()

    assert rules(tuple(serve(history, 4, 4))) == []
