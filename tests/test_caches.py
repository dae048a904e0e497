"""What is known of caches: noted by whoever uses them, counted by another thread, within bounds."""

from __future__ import annotations

import pytest
from tests import profiles

from manometer import _caches, _context, _limits, watch_cache
from manometer._cache_watch import healthy
from manometer._history import History
from manometer._model import Callsite
from manometer.exporters.questions import Questions
from manometer.testing import FakeClock, raising, record

SITE = Callsite(name="GET plan:{id}", file="/app/shop/plans.py", line=7, kind="cache", library="redis")


@pytest.fixture(autouse=True)
def fresh():
    _caches.forget()
    _context.drops.clear()
    with raising():
        yield
    _caches.forget()
    _context.drops.clear()


def cache() -> _caches.Cache:
    made = _caches.cache_of(("test",), SITE)
    assert made is not None
    return made


def test_a_miss_and_a_store_by_the_same_owner_are_one_computation():
    one = cache()
    with FakeClock() as clock:
        _caches.note(one, "miss", 1, spent_ns=10)
        clock.advance(ms=5)
        _caches.note(one, "set", 1, value=7)
        _caches.fold()

    assert (one.counts.misses, one.counts.filled, one.counts.compute_ns) == (1, 1, 5_000_000)


def test_whoever_computes_after_the_first_one_has_stored_is_no_part_of_a_stampede():
    one = cache()
    one.miss(1, "a", 0, 0)
    one.stored(1, "a", 10, None, 0)
    one.miss(1, "b", 20, 0)
    one.stored(1, "b", 30, None, 0)

    assert list(one.stampedes) == []


def test_a_stampede_that_grows_is_one():
    one = cache()
    for owner in "abc":
        one.miss(1, owner, 0, 0)
    for at, owner in enumerate("abc", 1):
        one.stored(1, owner, 10 * at, None, 0)

    (stampede,) = one.stampedes
    assert (stampede.at_once, stampede.wasted_ns) == (3, 20 + 30)


def test_a_miss_that_was_asked_before_the_store_ended_belongs_to_it():
    one = cache()
    one.miss(1, "a", 0, 0)
    one.stored(1, "a", 10, None, 0)
    one.miss(1, "b", 11, 5)  # asked at 6, answered at 11
    one.stored(1, "b", 20, None, 0)

    assert [each.at_once for each in one.stampedes] == [2]


def test_a_value_that_was_removed_is_no_refresh_of_what_expired():
    one = cache()
    one.stored(1, "a", 0, 7, 0)
    one.gone(1)
    one.miss(1, "a", 10, 0)
    one.stored(1, "a", 20, 8, 0)

    assert one.aging.refreshes == 0


def test_a_value_that_is_written_without_a_miss_is_no_refresh():
    one = cache()
    one.stored(1, "a", 0, 7, 0)
    one.hit(1, "a", 10, 0)
    one.stored(1, "a", 20, 8, 0)

    assert one.aging.refreshes == 0


def test_a_value_that_had_expired_is_compared_with_the_next_one():
    one = cache()
    one.stored(1, "a", 5, 7, 0)
    one.hit(1, "a", 10, 0)
    one.miss(1, "a", 20, 0)
    one.stored(1, "a", 30, 8, 0)

    assert (one.aging.refreshes, one.aging.changed, one.aging.compared) == (1, 1, 1)


def test_uses_beyond_the_bound_are_left_out_and_counted():
    one = cache()
    for key in range(_limits.MAX_CACHE_EVENTS + 5):
        _caches.note(one, "miss", key)
    _caches.fold()

    assert one.counts.misses == _limits.MAX_CACHE_EVENTS
    assert _context.drops["cache_uses"] == 5


def test_caches_beyond_the_bound_are_left_out_and_counted():
    made = [_caches.cache_of((number,), SITE) for number in range(_limits.MAX_CACHES + 3)]

    assert made.count(None) == 3
    assert _context.drops["caches"] == 3


def test_what_is_kept_of_one_cache_is_bounded():
    one = cache()
    for key in range(5_000):
        one.miss(key, key, key, 0)
        one.stored(key, -key - 1, key, key, 0)

    assert len(one._keys) <= _limits.MAX_REUSE_KEYS
    assert len(one._computing) <= _limits.MAX_COMPUTING
    assert len(one._last_owner) <= _limits.MAX_COMPUTING


def test_a_child_does_not_wait_for_a_thread_of_its_parent():
    _caches._folding.acquire()
    _caches.after_fork()

    _caches.note(cache(), "hit", 1)
    _caches.fold()
    assert cache().counts.hits == 1


def test_what_was_before_the_block_is_not_said_of_it():
    one, history = cache(), History()
    for _ in range(10):
        _caches.note(one, "miss", 1)
    with record(history=history):
        _caches.note(one, "miss", 1)

    (facts,) = [each for each in history.cache_facts() if each.callsite is SITE]
    assert facts.counts.misses == 1


def test_a_cache_that_answers_is_said_to_be_not_worth_optimising(monkeypatch):
    # It is a cache of functools that answers, too, once other tests have asked it often.
    monkeypatch.setattr(profiles, "site", profiles.site.__wrapped__)
    one = cache()
    for number in range(2_000):
        _caches.note(one, "hit" if number else "miss", 1)

    assert [callsite for _, _, callsite in healthy()] == [SITE]
    page = Questions().page()
    assert "the cache GET plan:{id} (shop/plans.py:7) answers 100% of 2000 reads" in " ".join(page.split())


@pytest.mark.parametrize(
    ("cache", "name", "stale_ok"),
    [({}, "", None), ({}, 7, None), ({}, "x", 2), ({}, "x", "often"), ([], "x", None), (object(), "x", None)],
)
def test_what_cannot_be_watched_is_told_at_once(cache, name, stale_ok):
    with pytest.raises(TypeError, match="watch_cache"):
        watch_cache(cache, name, stale_ok=stale_ok)


def test_a_watched_dict_is_a_dict():
    plain = {"a": 1, "b": None}
    watched = watch_cache(dict(plain), "rates")

    assert watched == plain
    assert isinstance(watched, dict)
    assert (watched.get("a"), watched["a"], watched.get("b", 5), watched.get("z"), watched.get("z", 3)) == (
        1,
        1,
        None,
        None,
        3,
    )
    assert ("a" in watched, "z" in watched, len(watched), list(watched)) == (True, False, 2, ["a", "b"])
    assert watched.setdefault("c", 4) == 4
    assert watched.pop("c") == 4
    assert watched.pop("c", 9) == 9
    with pytest.raises(KeyError, match="c"):
        watched.pop("c")
    with pytest.raises(KeyError, match="z"):
        watched["z"]
    del watched["a"]
    assert dict(watched) == {"b": None}
