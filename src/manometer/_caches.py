"""The caches that taps see: what is asked of each, noted by application threads, counted by the background thread."""

from __future__ import annotations

import sys
import threading
from collections import OrderedDict, deque
from typing import TYPE_CHECKING, Any, Final, Literal, final

from . import _limits
from ._aging import Aging
from ._cache_facts import CacheFacts, Counts, Stampede
from ._context import HOT, drops
from ._reuse import Reuse

if TYPE_CHECKING:
    from ._model import Callsite

    Use = Literal["hit", "miss", "set", "gone"]
    Event = tuple["Cache", Use, int, Any, int, int, int | None, int]

_events: Final[deque[Any]] = deque()
_caches: Final[dict[tuple[Any, ...], Cache]] = {}
_folding = threading.Lock()
"""Held by those who count; whoever notes a use does not touch it."""
covering: Final[set[Any]] = set()
"""Owners whose call a tap above describes already."""
MISSED: Final = -1
"""Stands for a stored value that reads back as a miss."""
_VALUES: Final = 512
"""Latest values of one cache that are known, as hashes: is the same one stored under ever new keys?"""
_PENDING: Final = 64
"""Owners of one key that compute at the same time."""


@final
class _Key:
    """What is known of one sampled key."""

    __slots__ = ("ages_ns", "answers", "missed", "stored_ns", "ttl_ns", "value")

    def __init__(self) -> None:
        self.stored_ns = self.ttl_ns = self.answers = self.ages_ns = 0
        self.value: int | None = None
        self.missed = False  # since it was stored


@final
class Cache:
    """One cache, or one shape of keys in a server of caches. Changed by whoever folds the events, one at a time.

    Attributes:
        callsite: The line that asks.
        counts: What was counted since the start.
        stampedes: The latest ones.
        stale_ok: Share of stale hits that somebody said is good enough; -1 when nobody did.
        maxsize: Its bound in entries; 0 for none or unknown.
    """

    __slots__ = (
        "_chains", "_computing", "_keys", "_last_owner", "_values", "aging", "callsite", "counts", "maxsize", "reuse",
        "stale_ok", "stampedes", "ttl_ns",
    )  # fmt: skip

    def __init__(self, callsite: Callsite, maxsize: int = 0, stale_ok: float = -1.0) -> None:
        self.callsite = callsite
        self.counts = Counts()
        self.maxsize = maxsize
        self.stale_ok = stale_ok
        self.ttl_ns = 0
        self.reuse = Reuse()
        self.aging = Aging()
        self.stampedes: deque[Stampede] = deque(maxlen=_limits.MAX_STAMPEDES)
        self._keys: OrderedDict[int, _Key] = OrderedDict()
        self._computing: OrderedDict[int, dict[Any, int]] = OrderedDict()  # key -> owner -> miss
        self._last_owner: OrderedDict[Any, tuple[int, int]] = OrderedDict()  # owner -> its last miss
        self._chains: OrderedDict[int, list[int]] = OrderedDict()  # key -> first store, computations, wasted
        self._values: OrderedDict[int, int] = OrderedDict()  # value -> key

    def hit(self, key: int, owner: Any, now_ns: int, spent_ns: int) -> None:
        """Add a read that was answered."""
        self.counts.hits += 1
        self.counts.get_ns += spent_ns
        self._computed_elsewhere(key, owner)
        if self.reuse.add(key):
            known = self._keys.get(key)
            if known is not None and known.stored_ns:
                self.aging.used(now_ns - known.stored_ns)
                known.answers += 1
                known.ages_ns += now_ns - known.stored_ns

    def miss(self, key: int, owner: Any, now_ns: int, spent_ns: int) -> None:
        """Add a read that was not."""
        counts = self.counts
        counts.misses += 1
        counts.get_ns += spent_ns
        _put(self._last_owner, owner, (key, now_ns), _limits.MAX_COMPUTING)
        owners = self._computing.get(key)
        if owners is None:
            owners = {}
            _put(self._computing, key, owners, _limits.MAX_COMPUTING)
        if len(owners) < _PENDING:
            owners[owner] = now_ns - spent_ns  # what was stored after that was not there
        weight = self.reuse.add(key)
        known = self._keys.get(key)
        if weight and known is not None and known.stored_ns and not known.missed:
            known.missed = True
            age_ns = now_ns - known.stored_ns
            counts.again += weight
            counts.again_ns += weight * age_ns
            if known.ttl_ns and age_ns >= known.ttl_ns * 0.9:
                counts.expired += weight

    def stored(self, key: int, owner: Any, now_ns: int, value: int | None, ttl_ns: int) -> None:
        """Add a value stored; *value* is its keyed hash, -1 for one that reads back as a miss."""
        counts = self.counts
        counts.sets += 1
        counts.nothing += value == MISSED
        self.ttl_ns = max(ttl_ns, 0) or self.ttl_ns
        missed = self._last_owner.pop(owner, None)
        if missed is not None:
            counts.filled += 1
            counts.compute_ns += now_ns - missed[1]
            counts.other_key += missed[0] != key
            if value is not None and value != MISSED:
                counts.known_value += self._values.get(value, key) != key
                _put(self._values, value, key, _VALUES)
        owners = self._computing.get(key)
        began_ns = None if owners is None else owners.pop(owner, None)
        if owners is not None and not owners:
            del self._computing[key]
        if began_ns is not None:
            self._computed(key, began_ns, now_ns)
        self._remember(key, now_ns, value, ttl_ns)

    def gone(self, key: int) -> None:
        """Note that somebody removed a key: what comes next is no refresh of what expired."""
        self._keys.pop(key, None)

    def _remember(self, key: int, now_ns: int, value: int | None, ttl_ns: int) -> None:
        known = self._keys.get(key)
        if known is None:
            if not self.reuse.keeps(key) and len(self._keys) >= _limits.MAX_REUSE_KEYS:
                return
            known = _Key()
            _put(self._keys, key, known, _limits.MAX_REUSE_KEYS)
        elif known.missed and known.value is not None and value is not None:
            mean_ns = known.ages_ns // max(1, known.answers)
            self.aging.refreshed(now_ns - known.stored_ns, known.value != value, known.answers, mean_ns)
        known.stored_ns, known.value, known.ttl_ns, known.missed = now_ns, value, ttl_ns, False
        known.answers = known.ages_ns = 0

    def _computed(self, key: int, began_ns: int, now_ns: int) -> None:
        """Add one computation; those that had all begun before the first one stored its value are a stampede."""
        chain = self._chains.get(key)
        if chain is None or began_ns >= chain[0]:
            _put(self._chains, key, [now_ns, 1, 0], _limits.MAX_COMPUTING)
            return
        chain[1] += 1
        chain[2] += now_ns - began_ns
        if chain[1] > 2 and self.stampedes:
            self.stampedes.pop()  # the same one, which has grown
        self.stampedes.append(Stampede(chain[1], chain[2], now_ns))

    def _computed_elsewhere(self, key: int, owner: Any) -> None:
        """Note that *owner* need not compute: it asked again, and somebody else had stored the value."""
        owners = self._computing.get(key)
        if owners is not None:
            owners.pop(owner, None)
        if self._last_owner.get(owner, (0, 0))[0] == key:
            self._last_owner.pop(owner, None)


def _put(kept: OrderedDict[Any, Any], key: Any, value: Any, most: int) -> None:
    if key not in kept and len(kept) >= most:
        kept.popitem(last=False)
    kept[key] = value
    kept.move_to_end(key)


def cache_of(identity: tuple[Any, ...], callsite: Callsite, maxsize: int = 0) -> Cache | None:
    """Return what is known of the cache that *identity* names, made on first use; None beyond the bound, and counted.

    Application threads; 0.2 us.
    """
    found = _caches.get(identity)
    if found is None:
        if len(_caches) >= _limits.MAX_CACHES:
            drops["caches"] = drops.get("caches", 0) + 1
            return None
        found = _caches.setdefault(identity, Cache(callsite, maxsize))
    return found


def known(identity: tuple[Any, ...]) -> Cache | None:
    """Return what is known of a cache; None when nothing is."""
    return _caches.get(identity)


def owner() -> Any:
    """Return what tells threads, greenlets and tasks apart; 0.2 us."""
    asyncio = sys.modules.get("asyncio")
    if asyncio is None or asyncio._get_running_loop() is None:
        return HOT["ident_"]()
    return id(asyncio.current_task())


def note(
    cache: Cache,
    use: Use,
    key: int | None,
    *,
    spent_ns: int = 0,
    value: int | None = None,
    ttl_ns: int = 0,
) -> None:
    """Note one use of a cache; it is counted later, by another thread.

    Args:
        cache: From `cache_of`.
        use: A read that was answered or not, a value stored, or a key removed.
        key: Keyed hash of the key; without one nothing is noted.
        spent_ns: How long the read took.
        value: Keyed hash of the value stored; -1 for one that reads back as a miss; None when unknown.
        ttl_ns: Its time to live; 0 for none.

    Application threads; 0.7 us, no lock.
    """
    if key is None or HOT["level_"]:
        return
    if len(_events) >= _limits.MAX_CACHE_EVENTS:
        drops["cache_uses"] = drops.get("cache_uses", 0) + 1
        return
    _events.append((cache, use, key, owner(), HOT["clock_"](), spent_ns, value, ttl_ns))


def fold() -> None:
    """Count what was noted. Background thread, or the threads that close profiles in tests; 3 us a use."""
    with _folding:
        _fold()


def _fold() -> None:
    for _ in range(len(_events)):
        try:
            cache, use, key, who, now_ns, spent_ns, value, ttl_ns = _events.popleft()
        except IndexError:  # forgotten meanwhile
            return
        if use == "hit":
            cache.hit(key, who, now_ns, spent_ns)
        elif use == "miss":
            cache.miss(key, who, now_ns, spent_ns)
        elif use == "set":
            cache.stored(key, who, now_ns, value, ttl_ns)
        else:
            cache.gone(key)


def all_caches() -> list[Cache]:
    """Return every cache that was used. Any thread."""
    return list(_caches.values())


def facts_of(cache: Cache, before: Counts, since_ns: int, lasted: bool) -> CacheFacts:
    """Return what is known of a cache since *before*; background thread, 20 us."""
    aging = cache.aging
    return CacheFacts(
        callsite=cache.callsite,
        counts=cache.counts.since(before),
        lasted=lasted,
        distinct=cache.reuse.distinct(),
        maxsize=cache.maxsize,
        ttl_ns=cache.ttl_ns,
        enough=cache.reuse.smallest() if cache.reuse.reused else (0, 0.0),
        stale_share=aging.stale_share() if aging.compared else -1.0,
        refreshes=aging.refreshes,
        changed=aging.changed,
        oldest_ns=aging.oldest_ns(),
        stale_ok=cache.stale_ok,
        stampedes=tuple(each for each in list(cache.stampedes) if each.ended_ns >= since_ns),
    )


def after_fork() -> None:
    """Forget, in a child, what the parent noted, and whoever was counting it."""
    global _folding
    _folding = threading.Lock()
    _events.clear()
    covering.clear()


def forget_one(cache: Cache) -> None:
    """Forget a cache whose object is gone. Any thread."""
    for identity, each in list(_caches.items()):
        if each is cache:
            _caches.pop(identity, None)


def forget_objects() -> None:
    """Forget the caches that are known by the identity of an object, which nobody follows any more."""
    for identity in list(_caches):
        if identity[0] == "object":
            _caches.pop(identity, None)


def forget() -> None:
    """Forget all caches: manometer stops, or a test begins."""
    _events.clear()
    _caches.clear()
