"""What the rules about caches share: saying one, and the remedy in the words of the library."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from .._finding import Finding

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .._cache_facts import CacheFacts
    from .._finding import Confidence, Move, Severity
    from .._model import Callsite, Profile


def tell(
    profile: Profile,
    callsite: Callsite,
    rule: str,
    *,
    confidence: Confidence,
    severity: Severity,
    advice: str,
    evidence: Mapping[str, int | float | str],
    cost_ns: int = 0,
    saving_ns: tuple[int, int] = (0, 0),
    move: Move = "restructure",
) -> Finding:
    """Make a finding about a cache. It claims no calls: what a cache promises is no affair of one unit of work.

    Args:
        profile: The one it is said of.
        callsite: The line that asks the cache.
        rule: Which rule speaks.
        confidence: How sure it is.
        severity: What it is worth where nobody expects it.
        advice: One imperative sentence.
        evidence: Facts.
        cost_ns: Time it took since somebody last looked.
        saving_ns: What a fix would have saved of that, low and high bound.
        move: Which of the four moves fixes it.
    """
    stated = dict(callsite.expect)
    expected = stated.get(rule) or stated.get("*") or profile.reason(rule)
    return Finding(
        rule=rule,
        question="repetition",
        severity="info" if expected else severity,
        confidence=confidence,
        callsite=callsite,
        evidence={name: value for name, value in evidence.items() if value not in ("", 0) or name in _ALWAYS},
        cost_ns=cost_ns,
        saving_ns=saving_ns,
        move=move,
        advice=advice,
        expected=expected,
    )


_ALWAYS: Final = frozenset({"calls", "gets", "hits", "total_ns"})


def facts_about(found: CacheFacts) -> dict[str, int | float | str]:
    """Return what was counted of a cache, units in the names."""
    counts = found.counts
    return {
        "calls": counts.gets,
        "gets": counts.gets,
        "hits": counts.hits,
        "misses": counts.misses,
        "stored": counts.sets,
        "distinct": found.distinct,
        "maxsize": found.maxsize,
        "get_mean_ns": counts.get_ns // max(1, counts.gets),
        "compute_mean_ns": counts.compute_ns // max(1, counts.filled),
        "total_ns": counts.get_ns + counts.compute_ns,
        "ttl_ns": found.ttl_ns,
        "shape": found.callsite.template,
        "target": found.callsite.target,
    }


_LOCKS: Final = {
    "django": "Hold cache.add(key + ':lock', 1, timeout) while one computes, and let the others serve the old value or wait.",
    "redis": "Let one compute: hold redis.lock(key + ':lock') around it and ask again inside, or refresh before it expires.",
    "pymemcache": "Let one compute: client.add(key + ':lock', 1, expire=...) says who, and the others wait or serve the old value.",
    "cachetools": "Give cached(...) a lock and a condition (cachetools 6: condition=threading.Condition()), so that one computes and the others wait.",
}


def compute_alone(callsite: Callsite) -> str:
    """Say how one computation can serve all who ask at the same time."""
    return _LOCKS.get(
        callsite.library,
        "Hold a lock for this key while one computes, and ask the cache again inside the lock.",
    )


def make_it_hit(found: CacheFacts, why: str) -> str:
    """Say how a cache that never answers can be made to."""
    size, ratio = found.enough
    library = found.callsite.library
    if why == "other key":
        return "Store under the key that is asked for: make it in one place, and use it for both."
    if why == "key differs":
        return "Leave out of the key what does not change the value: an instant, the user, the order of parameters."
    if why == "reads back as a miss":
        return _STORE_NOTHING.get(
            library, "Store a value of its own for what is not there, and tell it from a miss."
        )
    if why == "expired":
        return "Raise the time to live above the time between two questions, or drop the cache."
    if why == "costs more than it saves":
        return "Drop it, or keep the value in the process: computing it takes less than asking."
    if library == "functools":
        if found.by_method:
            return "Move the function out of the class, or keep the result on the instance with functools.cached_property: its keys hold the instance."
        return "Raise maxsize above the number of different arguments in turn, or drop lru_cache if they never come again."
    if why == "new keys":
        return "Drop it, or leave out of the key what makes each one new."
    if size:
        return f"Raise its size to {size} entries, which would answer {ratio:.0%}."
    return "Look for what removes the values: a bound on memory, a flush, or another process."


_STORE_NOTHING: Final = {
    "django": "Store what is not there as a sentinel, and ask with cache.get(key, default=missing): None reads back as a miss.",
    "redis": "Store an empty value for what is not there, with a short time to live, and tell it from a miss.",
}


def keep_fresh(callsite: Callsite) -> str:
    """Say how a cache can be kept from answering with what is out of date."""
    if callsite.library == "django":
        return "Delete the key where the value is written (cache.delete(key) in transaction.on_commit), or shorten its timeout."
    if callsite.library == "redis":
        return "Delete the key where the value is written, after the commit, or shorten its EX."
    return "Remove the key where the value is written, or shorten its time to live."


def remember(size: int, has_io: bool) -> str:
    """Say how a function can answer from a cache what it was asked before."""
    if has_io:
        return f"Keep its results for as long as they may be out of date: cachetools.cached(TTLCache({size}, ttl=...)), or a shared cache."
    return f"Decorate it with functools.lru_cache(maxsize={size}) if it is pure."
