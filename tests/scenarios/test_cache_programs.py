"""Small programs around caches, guilty ones and their innocent twins: exactly what each shows, and nothing else."""

from __future__ import annotations

import functools
import itertools
import json
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import cachetools
import fakeredis
import pytest

from manometer import _caches, measure, watch_cache
from manometer._context import close_profile, open_profile, restore
from manometer._history import History
from manometer._model import PRODUCTION, STRICT
from manometer.testing import FakeClock, install_sources, raising, record

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from manometer._finding import Finding

POLICIES = pytest.mark.parametrize("policy", [STRICT, PRODUCTION], ids=["strict", "production"])
ABOUT_CACHES = ("cache-ineffective", "cache-stampede", "cache-stale", "cache-would-pay")


@pytest.fixture(autouse=True)
def sources() -> Iterator[None]:
    _caches.forget()
    with raising(), install_sources("redis", "cachetools", "executors"):
        yield
    _caches.forget()
    for function in (too_small, large_enough, Basket.total):
        function.cache_clear()  # what is counted of them is seen by whoever looks


@pytest.fixture
def server() -> fakeredis.FakeRedis:
    made = fakeredis.FakeRedis(server=fakeredis.FakeServer())
    made.ping()
    return made


def shown(work: Callable[[], object], policy: Any, history: History | None = None) -> list[Finding]:
    with record(policy=policy, kind="request", history=history) as recorded:
        work()
    return [item for item in recorded.findings if item.rule in ABOUT_CACHES]


def serve(work: Callable[[], object], history: History) -> None:
    """Serve a request that nobody judges."""
    opened = open_profile("GET /", "request", cpu=False, to=history.add)
    try:
        work()
    finally:
        close_profile(opened)
        restore(opened)


def verdicts(found: list[Finding]) -> list[tuple[str, object]]:
    return [(item.rule, item.evidence.get("why", item.evidence.get("at_once"))) for item in found]


def report_of(name: object) -> str:
    return json.dumps({"report": str(name), "rows": list(range(20))})


def answer(server: fakeredis.FakeRedis, key: str, value: str, **life: int) -> str:
    """Ask redis, and store what was computed where it did not know."""
    raw = server.get(key)
    if raw is None:
        server.set(key, value, **life)
        return value
    return str(raw.decode())


# Keys.


@POLICIES
def test_a_key_with_an_instant_in_it_never_hits(server, policy):
    def work() -> None:
        for instant in range(200):
            answer(server, f"menu:{17_000_000 + instant}", report_of("menu"))

    assert verdicts(shown(work, policy)) == [("cache-ineffective", "key differs")]


@POLICIES
def test_a_key_without_the_instant_hits(server, policy):
    def work() -> None:
        for _ in range(200):
            answer(server, "menu:today", report_of("menu"))

    assert shown(work, policy) == []


@POLICIES
def test_a_key_with_parameters_in_the_order_they_came_misses_what_is_there(policy):
    orders = list(itertools.permutations("abcde"))
    cache = watch_cache({}, "search")

    def work() -> None:
        for order in orders:
            key = "&".join(order)
            if cache.get(key) is None:
                cache[key] = report_of("abcde")

    assert verdicts(shown(work, policy)) == [("cache-ineffective", "key differs")]


@POLICIES
def test_a_key_with_sorted_parameters_hits(policy):
    orders = list(itertools.permutations("abcde"))
    cache = watch_cache({}, "search")

    def work() -> None:
        for order in orders:
            key = "&".join(sorted(order))
            if cache.get(key) is None:
                cache[key] = report_of("abcde")

    assert shown(work, policy) == []


@POLICIES
def test_a_key_per_user_of_what_is_the_same_for_all_never_hits(policy):
    cache = cachetools.LRUCache(1_000)

    def work() -> None:
        for user in range(150):
            if cache.get((user, "banner")) is None:
                cache[user, "banner"] = report_of("banner")

    assert verdicts(shown(work, policy)) == [("cache-ineffective", "key differs")]


@POLICIES
def test_a_key_per_user_of_what_is_each_ones_own_is_a_cache_being_filled(policy):
    cache = cachetools.LRUCache(1_000)

    def work() -> None:
        for user in range(150):
            if cache.get(user) is None:
                cache[user] = report_of(user)

    assert shown(work, policy) == []


@POLICIES
def test_what_is_asked_for_under_one_key_and_stored_under_another_never_hits(server, policy):
    def work() -> None:
        for number in range(200):
            name = number % 10
            if server.get(f"rate:{name}:v1") is None:
                server.set(f"rate:{name}", report_of(name))

    assert verdicts(shown(work, policy)) == [("cache-ineffective", "other key")]


@POLICIES
def test_a_list_of_what_is_revoked_is_no_cache(server, policy):
    server.set("revoked:0", "1")

    def work() -> None:
        for token in range(1, 200):
            server.get(f"revoked:{token}")

    assert shown(work, policy) == []


# What is not there.


@POLICIES
def test_nothing_that_is_stored_as_nothing_is_looked_up_each_time(policy):
    cache = watch_cache({}, "users")

    def user(number: int) -> None:
        found = cache.get(number)
        if found is None:
            cache[number] = None

    def work() -> None:
        for number in range(200):
            user(number % 5)

    assert shown(work, policy) == []  # a dict tells None from a miss


# Time.


@POLICIES
def test_a_time_to_live_below_the_time_between_two_questions_is_of_no_use(policy):
    with FakeClock() as clock:
        cache = cachetools.TTLCache(100, ttl=1, timer=lambda: clock.now_ns / 1e9)

        def work() -> None:
            for _ in range(120):
                clock.advance(ms=5_000)
                if cache.get("rates") is None:
                    cache["rates"] = report_of("rates")

        found = shown(work, policy)

    assert verdicts(found) == [("cache-ineffective", "expired")]
    assert found[0].evidence["asked_again_after_ns"] == 5_000_000_000


@POLICIES
def test_a_time_to_live_above_it_is_of_use(policy):
    with FakeClock() as clock:
        cache = cachetools.TTLCache(100, ttl=60, timer=lambda: clock.now_ns / 1e9)

        def work() -> None:
            for _ in range(120):
                clock.advance(ms=5_000)
                if cache.get("rates") is None:
                    cache["rates"] = report_of("rates")

        assert shown(work, policy) == []


# Size.


@POLICIES
def test_a_cache_one_entry_smaller_than_what_is_asked_for_in_turn_throws_out_what_comes_next(policy):
    cache = cachetools.LRUCache(20)

    def work() -> None:
        for number in range(420):
            name = number % 21
            if cache.get(name) is None:
                cache[name] = report_of(name)

    found = shown(work, policy)

    assert verdicts(found) == [("cache-ineffective", "evicted")]
    assert "32" in found[0].advice


@POLICIES
def test_a_cache_as_large_as_what_is_asked_for_in_turn_answers(policy):
    cache = cachetools.LRUCache(21)

    def work() -> None:
        for number in range(420):
            name = number % 21
            if cache.get(name) is None:
                cache[name] = report_of(name)

    assert shown(work, policy) == []


@functools.lru_cache(maxsize=32)
def too_small(number: int) -> int:
    return number * number


@functools.lru_cache(maxsize=64)
def large_enough(number: int) -> int:
    return number * number


class Basket:
    """Instances do not last longer than a request, and neither do keys that hold them."""

    @functools.lru_cache(maxsize=16)  # noqa: B019 - the mistake
    def total(self, currency: str) -> str:
        return currency * 2


@POLICIES
def test_an_lru_cache_smaller_than_the_loop_over_it_never_answers(policy):
    found = shown(lambda: [too_small(number % 40) for number in range(800)], policy)

    assert verdicts(found) == [("cache-ineffective", "evicted")]
    assert found[0].callsite.function == "too_small"
    assert "maxsize" in found[0].advice


@POLICIES
def test_an_lru_cache_as_large_as_the_loop_answers(policy):
    assert shown(lambda: [large_enough(number % 40) for number in range(800)], policy) == []


@POLICIES
def test_an_lru_cache_on_a_method_holds_instances_that_are_gone(policy):
    found = shown(lambda: [Basket().total("EUR") for _ in range(400)], policy)

    assert verdicts(found) == [("cache-ineffective", "evicted")]
    assert "cached_property" in found[0].advice


# Several at once.


def at_once(function: Callable[[int], object], count: int = 4) -> None:
    with ThreadPoolExecutor(count) as pool:
        list(pool.map(function, range(count)))


@POLICIES
def test_two_workers_that_miss_the_same_key_compute_it_twice(server, policy):
    all_missed = threading.Barrier(4)

    def ask(_: int) -> None:
        if server.get("report:2024") is None:
            all_missed.wait(10)
            server.set("report:2024", report_of(2024), ex=60)

    found = shown(lambda: at_once(ask), policy)

    assert verdicts(found) in ([("cache-stampede", 4)], [])
    assert verdicts(found) == [("cache-stampede", 4)]
    assert "lock" in found[0].advice


@POLICIES
def test_a_lock_with_a_second_look_inside_lets_one_compute(server, policy):
    all_missed, lock = threading.Barrier(4), threading.Lock()

    def ask(_: int) -> None:
        if server.get("report:2024") is None:
            all_missed.wait(10)
            with lock:
                if server.get("report:2024") is None:
                    server.set("report:2024", report_of(2024), ex=60)

    assert shown(lambda: at_once(ask), policy) == []


@POLICIES
def test_different_keys_at_the_same_time_are_no_stampede(server, policy):
    all_missed = threading.Barrier(4)

    def ask(number: int) -> None:
        if server.get(f"report:{number}") is None:
            all_missed.wait(10)
            server.set(f"report:{number}", report_of(number), ex=60)

    assert shown(lambda: at_once(ask), policy) == []


@POLICIES
def test_cached_with_a_lock_around_the_cache_alone_computes_at_once(policy):
    all_missed = threading.Barrier(4)

    @cachetools.cached(cachetools.LRUCache(8), lock=threading.Lock())
    def report(year: int) -> str:
        all_missed.wait(10)
        return report_of(year)

    assert verdicts(shown(lambda: at_once(lambda _: report(2024)), policy)) == [("cache-stampede", 4)]


# What is not optimised yet.


@measure(key="region")
def shipping(region: int, clock: FakeClock) -> int:
    clock.advance(ms=20)
    return region * 3


@measure(key="region")
def traffic(region: int, clock: FakeClock) -> int:
    clock.advance(ms=20)
    return clock.now_ns


@measure(key="region")
def notify(region: int, clock: FakeClock) -> None:
    clock.advance(ms=20)


@POLICIES
@pytest.mark.parametrize(
    ("function", "expected"), [(shipping, ["cache-would-pay"]), (traffic, []), (notify, [])]
)
def test_a_function_asked_the_same_by_each_request_would_be_answered_by_a_cache(function, expected, policy):
    history = History()
    with FakeClock() as clock:
        for order in range(600):
            serve(lambda order=order: function(order % 20, clock), history)
        found = shown(lambda: function(0, clock), policy, history)

    assert [item.rule for item in found] == expected


@POLICIES
def test_a_function_that_is_asked_something_new_each_time_needs_no_cache(policy):
    history = History()
    with FakeClock() as clock:
        for order in range(600):
            serve(lambda order=order: shipping(order, clock), history)
        found = shown(lambda: shipping(600, clock), policy, history)

    assert found == []


@POLICIES
def test_a_cache_that_is_warm_is_silent(server, policy):
    for number in range(20):
        server.set(f"plan:{number}", report_of(number))

    def work() -> None:
        for number in range(400):
            answer(server, f"plan:{number % 20}", report_of(number % 20))

    assert shown(work, policy) == []
