"""The rule cache-ineffective on caches that measured functions keep by themselves."""

from __future__ import annotations

import pytest

from manometer import measure
from manometer._cache_facts import CacheFacts, Counts
from manometer._model import PRODUCTION, STRICT, Callsite
from manometer.detectors._caching import make_it_hit
from manometer.detectors.repetition.cache_ineffective import _why
from manometer.testing import FakeClock, record

KNOWN: dict[object, int] = {}
RULES = ("cache-ineffective", "repeated-call")
POLICIES = pytest.mark.parametrize("policy", [STRICT, PRODUCTION], ids=["strict", "production"])


@measure
def two_keys(number: int) -> int:
    if str(number) in KNOWN:
        return KNOWN[str(number)]
    CLOCK.advance(ms=3)
    KNOWN[number] = number * 2
    return number * 2


@measure
def one_key(number: int) -> int:
    CLOCK.advance(ns=500)
    key = ("n", number)
    found = KNOWN.get(key)
    if found is None:
        CLOCK.advance(ms=3)
        found = KNOWN[key] = number * 2
    return found


@measure
def emptied(number: int) -> int:
    found = KNOWN.get(number)
    if found is None:
        CLOCK.advance(ms=3)
        found = KNOWN[number] = number * 2
    KNOWN.clear()
    return found


@measure
def no_cache(number: int) -> int:
    made: dict[int, int] = {}
    if number not in made:
        CLOCK.advance(ms=3)
        made[number] = number * 2
    return made[number]


@measure
def same_key_in_two_words(number: int) -> int:
    CLOCK.advance(ns=500)
    row = {"id": number}
    if number in KNOWN:
        return KNOWN[number]
    CLOCK.advance(ms=3)
    KNOWN[row["id"]] = number * 2
    return number * 2


CLOCK = FakeClock()


@pytest.fixture(autouse=True)
def fresh():
    KNOWN.clear()
    with CLOCK:
        yield
    KNOWN.clear()


def found(function, policy):
    with record(policy=policy, kind="request") as recorded:
        for number in range(120):
            function(number % 6)
    return {item.rule: item for item in recorded.findings if item.rule in RULES}


@POLICIES
def test_a_function_that_looks_up_one_key_and_stores_another_is_named_with_both_lines(policy):
    said = found(two_keys, policy)

    assert sorted(said) == ["cache-ineffective", "repeated-call"]
    item = said["cache-ineffective"]
    assert (item.evidence["cache"], item.evidence["why"], item.confidence) == (
        "KNOWN",
        "other key",
        "confirmed",
    )
    assert "use one key" in item.advice
    assert item.callsite.function == "two_keys"


@POLICIES
def test_a_cache_that_something_empties_is_likely_to_be_of_no_use(policy):
    said = found(emptied, policy)

    assert said["cache-ineffective"].confidence == "likely"


@POLICIES
def test_a_cache_with_one_key_answers(policy):
    assert found(one_key, policy) == {}


@POLICIES
def test_a_key_written_in_two_words_that_is_the_same_answers(policy):
    assert found(same_key_in_two_words, policy) == {}


@POLICIES
def test_a_dict_made_in_the_call_is_no_cache(policy):
    assert sorted(found(no_cache, policy)) == ["repeated-call"]


def facts(library: str = "redis", **counts: float) -> CacheFacts:
    site = Callsite(name="GET plan:{id}", library=library, kind="cache")
    return CacheFacts(callsite=site, counts=Counts(**counts))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        ({"hits": 0, "misses": 99, "filled": 99, "again": 99}, ""),
        ({"hits": 20, "misses": 80, "filled": 80, "again": 80}, ""),
        ({"hits": 19, "misses": 81, "filled": 81, "again": 81}, "evicted"),
        ({"hits": 0, "misses": 100, "filled": 100}, ""),
        ({"hits": 0, "misses": 100, "filled": 0, "again": 100}, ""),
        ({"hits": 0, "misses": 100, "filled": 100, "other_key": 50}, "other key"),
        ({"hits": 0, "misses": 100, "filled": 100, "known_value": 60}, "key differs"),
        ({"hits": 0, "misses": 100, "filled": 100, "again": 60, "expired": 40}, "expired"),
        ({"hits": 0, "misses": 100, "sets": 100, "filled": 100, "again": 60, "nothing": 60}, "reads back as a miss"),
        ({"hits": 900, "misses": 100, "filled": 100, "get_ns": 10**9, "compute_ns": 10**7}, "costs more than it saves"),
        ({"hits": 900, "misses": 100, "filled": 100, "get_ns": 10**9, "compute_ns": 10**9}, ""),
    ],
)  # fmt: skip
def test_why_a_cache_is_of_no_use_follows_from_what_was_counted(counts, expected):
    assert _why(facts(**counts), strict=False) == expected


@pytest.mark.parametrize("why", ["other key", "key differs", "expired", "evicted", "new keys"])
@pytest.mark.parametrize("library", ["redis", "django", "cachetools", "functools"])
def test_each_reason_has_a_remedy(library, why):
    assert make_it_hit(facts(library), why).endswith(".")
