"""What is known of one cache over some time, as the rules about caches read it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, final

if TYPE_CHECKING:
    from ._model import Callsite


@final
@dataclass(frozen=True, slots=True)
class Stampede:
    """One value that several computed at once, because none of them had stored it yet.

    Attributes:
        at_once: Computations that all had begun before the first one stored its value.
        wasted_ns: Time of all of them but the first to end.
        ended_ns: Monotonic instant of the latest one's end.
    """

    at_once: int
    wasted_ns: int
    ended_ns: int


@final
@dataclass(slots=True)
class Counts:
    """What was counted of one cache; times in nanoseconds.

    Attributes:
        hits: Reads that were answered.
        misses: Reads that were not.
        sets: Values stored.
        get_ns: Time of all reads.
        filled: Misses after which the same owner stored a value.
        compute_ns: Time from those misses to their stores.
        again: Misses of a key that had been stored since the start, by the sample of keys.
        again_ns: Time from the store to that miss.
        expired: Of those, the ones after the time to live that was asked for.
        other_key: Of `filled`, the ones whose value went under another key than was asked for.
        known_value: Of `filled`, the ones whose value was stored lately under another key.
        nothing: Values stored that read back as a miss.
    """

    hits: int = 0
    misses: int = 0
    sets: int = 0
    get_ns: int = 0
    filled: int = 0
    compute_ns: int = 0
    again: float = 0.0
    again_ns: float = 0.0
    expired: float = 0.0
    other_key: int = 0
    known_value: int = 0
    nothing: int = 0

    @property
    def gets(self) -> int:
        """All reads."""
        return self.hits + self.misses

    def since(self, before: Counts) -> Counts:
        """Return what was counted after *before*."""
        return Counts(*[getattr(self, name) - getattr(before, name) for name in self.__slots__])


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class CacheFacts:
    """One cache since somebody last looked.

    Attributes:
        callsite: The line that asks; of a cache of functions, the function.
        counts: What was counted in that time.
        lasted: The cache has been looked at before: it is not merely being filled.
        distinct: Distinct keys asked for, about; 0 when unknown.
        maxsize: Its bound in entries; 0 for none or unknown.
        ttl_ns: Time to live that was asked for; 0 for none or unknown.
        enough: The size that would reach most of the hits, and its hit ratio; zeros when unknown.
        stale_share: Share of hits that were out of date, about; -1 when unknown.
        refreshes: Values compared for it.
        changed: Of those, the ones that had become another.
        oldest_ns: Age that 95 % of the hits did not exceed.
        stale_ok: Share that somebody said is good enough; -1 when nobody did.
        stampedes: Values that several computed at once.
        by_method: It is a cache of a method, whose keys hold the instance.
    """

    callsite: Callsite
    counts: Counts
    lasted: bool = False
    distinct: int = 0
    maxsize: int = 0
    ttl_ns: int = 0
    enough: tuple[int, float] = (0, 0.0)
    stale_share: float = -1.0
    refreshes: int = 0
    changed: int = 0
    oldest_ns: int = 0
    stale_ok: float = -1.0
    stampedes: tuple[Stampede, ...] = field(default=())
    by_method: bool = False


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Memoizable:
    """A function that is asked the same from one unit of work to the next, and answers the same.

    Attributes:
        callsite: The function.
        calls: Units of work, and distinct arguments in each, that were compared.
        reused: Of those, the ones whose arguments had been seen before.
        distinct: Distinct arguments, about.
        equal: Repeats that returned the same.
        size: Entries that reach most of the hits.
        ratio: The hit ratio that many would have.
        mean_ns: Mean duration of a call.
        per_unit: Such calls in a unit of work, on average.
    """

    callsite: Callsite
    calls: int
    reused: int
    distinct: int
    equal: int
    size: int
    ratio: float
    mean_ns: int
    per_unit: float
