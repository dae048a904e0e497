"""The tap on Django's cache framework, on real backends."""

from __future__ import annotations

import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

pytest.importorskip("django")

from django.core.cache import CacheHandler

from manometer import _caches
from manometer._history import History
from manometer.testing import install_sources, raising, record

if TYPE_CHECKING:
    from collections.abc import Iterator

TEXT = "a value that is long enough to be told from others"


@pytest.fixture(autouse=True)
def sources() -> Iterator[None]:
    _caches.forget()
    with raising(), install_sources("django-cache", "executors"):
        yield
    _caches.forget()


def backend(name: str = "locmem.LocMemCache", **options: Any) -> Any:
    settings = {
        "default": {"BACKEND": f"django.core.cache.backends.{name}", "LOCATION": f"{id(options)}", **options}
    }
    made = CacheHandler(settings)["default"]
    made.clear()
    return made


def counted(work: Any) -> Any:
    history = History()
    with record(history=history):
        work()
    (facts,) = (each for each in history.cache_facts() if each.callsite.library != "functools")
    return facts.counts


def test_reads_stores_and_their_outcomes_are_counted():
    cache = backend()

    def work() -> None:
        assert cache.get("plan:1") is None
        cache.set("plan:1", TEXT, 60)
        assert cache.get("plan:1") == TEXT
        assert cache.get("plan:2", "default") == "default"

    counts = counted(work)

    assert (counts.hits, counts.misses, counts.sets, counts.filled) == (1, 2, 1, 1)


def test_many_at_once_are_counted_one_by_one():
    cache = backend()

    def work() -> None:
        cache.get_many(["plan:1", "plan:2"])
        cache.set_many({"plan:1": TEXT})
        assert cache.get_many(["plan:1", "plan:2"]) == {"plan:1": TEXT}

    counts = counted(work)

    assert (counts.hits, counts.misses) == (1, 3)


def test_get_or_set_is_a_miss_and_a_store():
    cache = backend()

    counts = counted(lambda: cache.get_or_set("plan:1", lambda: TEXT, 60))

    assert (counts.misses, counts.sets, counts.filled) == (1, 1, 1)


def test_nothing_stored_as_none_reads_back_as_a_miss_and_is_computed_each_time():
    cache = backend()

    def user(number: int) -> None:
        key = f"user:{number}"
        if cache.get(key) is None:
            cache.set(key, None, 60)

    with record() as recorded:
        for number in range(150):
            user(number % 5)

    (finding,) = recorded.findings
    assert (finding.rule, finding.evidence["why"]) == ("cache-ineffective", "reads back as a miss")
    assert "sentinel" in finding.advice
    assert finding.callsite.template == "cache.get user:{id}"
    assert finding.callsite.file == __file__


def test_a_sentinel_for_what_is_not_there_is_silent():
    cache, missing = backend(), object()

    def user(number: int) -> None:
        key = f"user:{number}"
        if cache.get(key, missing) is missing:
            cache.set(key, None, 60)

    with record() as recorded:
        for number in range(150):
            user(number % 5)

    assert recorded.findings == ()


def test_a_value_computed_by_several_at_once_is_a_stampede_in_djangos_words():
    cache, all_missed = backend(), threading.Barrier(3)

    def ask(_: int) -> None:
        if cache.get("report:2024") is None:
            all_missed.wait(10)
            cache.set("report:2024", TEXT, 60)

    with record() as recorded, ThreadPoolExecutor(3) as pool:
        list(pool.map(ask, range(3)))

    (finding,) = recorded.findings
    assert (finding.rule, finding.evidence["at_once"]) == ("cache-stampede", 3)
    assert "cache.add" in finding.advice


def test_the_backend_that_keeps_nothing_is_left_alone():
    cache = backend("dummy.DummyCache")

    with record() as recorded:
        for number in range(200):
            key = f"plan:{number % 3}"
            if cache.get(key) is None:
                cache.set(key, TEXT)

    assert recorded.findings == ()


def test_files_are_a_cache_like_any_other(tmp_path):
    cache = backend("filebased.FileBasedCache", LOCATION=str(tmp_path))

    def work() -> None:
        cache.get("plan:1")
        cache.set("plan:1", TEXT, 60)
        cache.get("plan:1")

    counts = counted(work)

    assert (counts.hits, counts.misses, counts.sets) == (1, 1, 1)


def test_outside_a_unit_of_work_and_after_the_undo_nothing_is_noted():
    cache = backend()
    cache.get("plan:1")
    _caches.fold()

    assert _caches.all_caches() == []


UNDO = """
from django.core.cache import CacheHandler
from django.core.cache.backends.locmem import LocMemCache
from manometer.testing import install_sources

def methods():
    return [vars(LocMemCache).get(name) for name in ("get", "get_many", "set", "add", "delete")]

before, made = methods(), CacheHandler.create_connection
with install_sources("django-cache"):
    CacheHandler({"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}})["default"]
    assert any(was is not now for was, now in zip(before, methods()))
print(all(was is now for was, now in zip(before, methods())), CacheHandler.create_connection is made)
"""


def test_the_undo_takes_every_patch_back_by_identity():
    done = subprocess.run([sys.executable, "-c", UNDO], capture_output=True, text=True, timeout=60)

    assert (done.returncode, done.stdout) == (0, "True True\n"), done.stderr
