"""What one history knows of caches: since when it looks, what it saw, and which functions ask the same again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, final

from . import _caches, _limits, _lru
from ._cache_facts import CacheFacts, Counts, Memoizable
from ._context import HOT
from ._fingerprint import keyed
from ._model import IO_KINDS
from ._reuse import Reuse

if TYPE_CHECKING:
    from ._detail import KeyUse
    from ._model import Callsite, Frame, Profile

LEAST_NS: Final = 200_000
"""Mean call from which its arguments are followed: it costs 2 us to look at them."""
_GOOD: Final = 0.5
_GIVE_UP: Final = 2_000
_NOTHING: Final = keyed(None)
_ENOUGH: Final = 1_000
"""Reads after which a cache is judged anew."""


@final
class _Function:
    """One measured function, and the arguments of its calls."""

    __slots__ = ("calls", "changed", "equal", "results", "reuse", "total_ns", "units", "unknown")

    def __init__(self) -> None:
        self.reuse = Reuse()
        self.results: dict[int, int] = {}
        self.equal = self.changed = self.unknown = self.units = self.calls = self.total_ns = 0

    def add(self, frame: Frame, keys: dict[int, KeyUse], more: int) -> None:
        self.units += 1
        self.unknown += more
        self.calls += frame.calls
        self.total_ns += frame.total_ns
        for key, use in keys.items():
            if use.calls:
                self._add(key, use)

    def _add(self, key: int, use: KeyUse) -> None:
        self.changed += use.changed
        if use.result == _NOTHING:
            self.changed += 1  # it is called for what it does
            return
        if not self.reuse.add(key) or use.result is None:
            return
        before = self.results.get(key)
        if before is None:
            if len(self.results) < _limits.MAX_REUSE_KEYS:
                self.results[key] = use.result
        elif before == use.result:
            self.equal += 1
        else:
            self.changed += 1
            self.results[key] = use.result


@final
class CacheWatch:
    """The caches of the process as one history sees them. Background thread, or the thread of a test.

    Attributes:
        facts: What was seen between the last two looks, to be judged now.
        functions: What functions were asked the same, to be judged now.
    """

    def __init__(self) -> None:
        self.facts: list[CacheFacts] = []
        self.functions: list[Memoizable] = []
        self._functions: dict[Callsite, _Function] = {}
        self._since_ns = 0
        self._before: dict[_caches.Cache, Counts] = {}
        self._lru: dict[str, _lru.Reading] = {}
        self._looked: set[object] = set()

    def begin(self) -> None:
        """Look from now on: what was before is not judged."""
        _caches.fold()
        self._since_ns = HOT["clock_"]()
        self._before = {cache: _copy(cache.counts) for cache in _caches.all_caches()}
        self._lru = {name: reading for name, (reading, _, _) in _lru.read().items()}
        self.told()

    def told(self) -> None:
        """Have nothing to say until the next look."""
        self.facts, self.functions = [], []

    def look(self) -> None:
        """Take what was seen since the last look, or since the beginning; 0.3 ms and 30 us a cache.

        A cache that few asked goes on being counted; the next look says it.
        """
        _caches.fold()
        self.facts = []
        now_ns = HOT["clock_"]()
        for cache in _caches.all_caches():
            before = self._before.get(cache, Counts())
            found = _caches.facts_of(cache, before, self._since_ns, cache in self._looked)
            self.facts.append(found)
            if found.counts.gets >= _ENOUGH:
                self._before[cache] = _copy(cache.counts)
                self._looked.add(cache)
        for name, (reading, callsite, by_method) in _lru.read().items():
            earlier = self._lru.get(name, (0, 0, 0, 0))
            found = _lru.facts_of(reading, earlier, callsite, by_method, name in self._looked)
            self.facts.append(found)
            if found.counts.gets >= _ENOUGH:
                self._lru[name] = reading
                self._looked.add(name)
        self._since_ns = now_ns
        self.functions = self._memoizable()

    def add(self, profile: Profile) -> None:
        """Learn, from one sealed profile, which functions are asked the same again; 1 us a frame."""
        if profile.kind == "process":
            return
        for frame in profile.root.walk():
            plan = frame.callsite.plan
            if plan is None or not frame.calls or frame.errors:
                continue
            if frame.total_ns < frame.calls * LEAST_NS or not plan.tells_arguments:
                continue
            function = self._functions.get(frame.callsite)
            if function is None:
                if len(self._functions) >= _limits.MAX_MEMOIZABLE or _writes(frame):
                    continue
                function = self._functions[frame.callsite] = _Function()
                plan.follow(True)
            elif function.changed or (function.reuse.seen >= _GIVE_UP and not function.reuse.reused):
                plan.follow(False)
                continue
            detail = frame.detail
            if detail is not None and detail.keys:
                function.add(frame, detail.keys, detail.keys_more)

    def _memoizable(self) -> list[Memoizable]:
        """Return the functions that were asked the same from unit to unit, with what a cache of them would do."""
        found = []
        for callsite, function in self._functions.items():
            reuse = function.reuse
            if function.changed or not reuse.reused or function.unknown > reuse.seen:
                continue
            size, ratio = reuse.smallest()
            found.append(
                Memoizable(
                    callsite=callsite,
                    calls=reuse.seen,
                    reused=round(reuse.reused),
                    distinct=reuse.distinct(),
                    equal=function.equal,
                    size=size,
                    ratio=ratio,
                    mean_ns=function.total_ns // max(1, function.calls),
                    per_unit=reuse.seen / max(1, function.units),
                )
            )
        return found


def healthy() -> list[tuple[int, float, Callsite]]:
    """Return the caches that answer most of what they are asked: reads, hit ratio and place, the busiest first.

    Any thread; 0.3 ms.
    """
    _caches.fold()
    seen = [(cache.counts.hits, cache.counts.gets, cache.callsite) for cache in _caches.all_caches()]
    seen += [(reading[0], reading[0] + reading[1], callsite) for reading, callsite, _ in _lru.read().values()]
    good = [
        (gets, hits / gets, callsite)
        for hits, gets, callsite in seen
        if gets >= _ENOUGH and hits >= _GOOD * gets
    ]
    return sorted(good, key=lambda each: -each[0])


def _writes(frame: Frame) -> bool:
    """Tell whether a call does what must be done each time: it writes, or sends."""
    return any(
        below.callsite.kind == "queue"
        or (below.callsite.kind in IO_KINDS and below.callsite.operation != "read")
        for below in frame.walk()
    )


def _copy(counts: Counts) -> Counts:
    return counts.since(Counts())
