"""The tap on cachetools, on its own classes and decorators."""

from __future__ import annotations

import gc
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import cachetools
import pytest

from manometer import _caches, watch_cache
from manometer._history import History
from manometer.testing import install_sources, raising, record

if TYPE_CHECKING:
    from collections.abc import Iterator

UNDO = """
import cachetools
from manometer.testing import install_sources

def methods():
    return [vars(kind).get(name) for kind in vars(cachetools).values() if isinstance(kind, type)
            for name in ("__getitem__", "__setitem__", "get", "setdefault")]

before = methods()
with install_sources("cachetools"):
    assert any(was is not now for was, now in zip(before, methods()))
print(all(was is now for was, now in zip(before, methods())))
"""
KINDS = ("Cache", "FIFOCache", "LFUCache", "LRUCache", "RRCache")


@pytest.fixture(autouse=True)
def sources() -> Iterator[None]:
    _caches.forget()
    with raising(), install_sources("cachetools"):
        yield
    _caches.forget()


def facts(work: Any) -> Any:
    history = History()
    with record(history=history):
        work()
    (found,) = (each for each in history.cache_facts() if each.callsite.library != "functools")
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_each_class_counts_what_it_is_asked(kind):
    cache = getattr(cachetools, kind)(10)

    def work() -> None:
        assert cache.get("a") is None
        cache["a"] = 1
        assert cache.get("a") == 1
        assert cache["a"] == 1
        with pytest.raises(KeyError):
            cache["b"]

    found = facts(work)

    assert (found.counts.hits, found.counts.misses, found.counts.sets, found.maxsize) == (2, 2, 1, 10)
    assert found.callsite.file == __file__


def test_a_cache_with_a_time_to_live_tells_it():
    cache = cachetools.TTLCache(10, ttl=30)

    def work() -> None:
        cache.get("a")
        cache["a"] = 1
        cache.get("a")

    found = facts(work)

    assert (found.counts.hits, found.counts.misses, found.counts.sets) == (1, 1, 1)
    assert found.ttl_ns == 30_000_000_000


def test_what_is_thrown_out_to_make_room_is_no_read():
    cache = cachetools.LRUCache(2)

    def work() -> None:
        for number in range(10):
            cache[number] = number

    found = facts(work)

    assert (found.counts.gets, found.counts.sets) == (0, 10)


def test_the_decorator_is_a_miss_and_a_store_and_then_a_hit():
    @cachetools.cached(cachetools.LRUCache(10))
    def double(number: int) -> int:
        return number * 2

    found = facts(lambda: [double(4), double(4), double(5)])

    assert (found.counts.hits, found.counts.misses, found.counts.filled) == (1, 2, 2)


def test_a_key_that_is_the_users_own_object_runs_no_code_of_ours_and_is_left_out():
    class Key:
        def __hash__(self) -> int:
            return 7

    key = Key()
    cache = cachetools.LRUCache(10)

    def work() -> None:
        cache[key] = 1
        assert cache[key] == 1

    history = History()
    with record(history=history):
        work()

    assert sum(found.counts.gets for found in history.cache_facts() if found.callsite.kind == "cache") == 0


def test_a_cache_that_is_gone_is_forgotten():
    def work() -> None:
        cachetools.LRUCache(10).get("a")

    with record():
        work()
    gc.collect()

    assert _caches.all_caches() == []


def test_a_cache_that_is_watched_has_its_name_and_promise():
    cache = cachetools.LRUCache(10)

    assert watch_cache(cache, "rates", stale_ok=0.1) is cache
    found = facts(lambda: cache.get("EUR"))
    assert (found.callsite.name, found.stale_ok, found.counts.misses) == ("rates", 0.1, 1)


def test_the_undo_takes_every_patch_back_by_identity():
    done = subprocess.run([sys.executable, "-c", UNDO], capture_output=True, text=True, timeout=60)

    assert (done.returncode, done.stdout) == (0, "True\n"), done.stderr
