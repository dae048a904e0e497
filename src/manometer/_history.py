"""What many profiles say together about one route and its callsites, within bounds."""

from __future__ import annotations

from bisect import bisect_left
from collections import OrderedDict
from typing import TYPE_CHECKING, Final, final

from . import _limits
from ._cache_watch import CacheWatch
from ._model import IO_KINDS
from ._size_history import SizeHistory

if TYPE_CHECKING:
    from ._cache_facts import CacheFacts, Memoizable
    from ._detail import FrameDetail
    from ._model import Callsite, Frame, Profile

MIN_PROFILES: Final = 8
"""Profiles from which the number of calls may be said to follow the number of rows."""
MIN_PEAKS: Final = 2
"""Profiles from which the calls at once may be said to follow the number of calls."""
_TRIES_KEPT: Final = 10_000
BUCKETS: Final = 48
"""Bucket n of a histogram counts durations below 2^n ns and not below half of that; 2^47 ns are 39 hours."""


@final
class _Fit:
    """Six sums for a line through (rows of the source, calls), exact because they are integers."""

    __slots__ = ("high", "low", "n", "seen", "source", "sx", "sxx", "sxy", "sy", "syy")

    def __init__(self, source: Callsite | None) -> None:
        self.source = source
        self.n = self.sx = self.sy = self.sxx = self.sxy = self.syy = 0
        self.low = self.high = 0
        self.seen = 0  # one bit for each number of rows, above 30 one for each octave

    def add(self, rows: int, calls: int) -> None:
        if rows:
            self.seen |= 1 << (rows if rows < 31 else 26 + rows.bit_length())
        self.low = min(self.low, rows) if self.n else rows
        self.high = max(self.high, rows)
        self.n += 1
        self.sx += rows
        self.sy += calls
        self.sxx += rows * rows
        self.sxy += rows * calls
        self.syy += calls * calls

    def line(self, least: int = MIN_PROFILES) -> tuple[float, float, int, float] | None:
        n = self.n
        spread = n * self.sxx - self.sx * self.sx
        if n < least or self.high - self.low < 2 or self.high < 2 * self.low or spread <= 0:
            return None
        together = n * self.sxy - self.sx * self.sy
        across = n * self.syy - self.sy * self.sy
        slope = together / spread
        unexplained = 1.0 - together * together / (spread * across) if across else 0.0
        return (self.sy - slope * self.sx) / n, slope, n, max(0.0, unexplained)


@final
class _Calls:
    """What is known about one callsite on one route."""

    __slots__ = ("fit", "histogram", "peaks", "retries", "tries")

    def __init__(self) -> None:
        self.fit = _Fit(None)
        self.histogram = [0] * BUCKETS
        self.peaks: _Fit | None = None  # calls at once against calls; made once some overlapped
        self.tries = self.retries = 0  # of late: the older half is forgotten now and then

    def add_edge(self, total: _Sum) -> None:
        """Learn how many calls ran at once, and how many were made again after a failure."""
        if total.peak > 1 or self.peaks is not None:
            self.peaks = self.peaks or _Fit(None)
            self.peaks.add(total.calls, total.peak)
        if total.retries or self.tries:
            self.tries += total.tries
            self.retries += total.retries
            if self.tries > _TRIES_KEPT:
                self.tries, self.retries = self.tries // 2, self.retries // 2


@final
class _Route:
    """What is known about one route."""

    __slots__ = ("histogram", "profiles", "sites")

    def __init__(self) -> None:
        self.profiles = 0
        self.histogram = [0] * BUCKETS
        self.sites: dict[Callsite, _Calls] = {}


@final
class _Sum:
    """All frames of one callsite in one profile."""

    __slots__ = (
        "calls", "covered_ns", "first_started_ns", "frames", "peak", "retries", "rows", "rows_max", "tries",
    )  # fmt: skip

    def __init__(self) -> None:
        self.peak = self.retries = self.tries = 0
        self.calls = self.covered_ns = self.rows = 0
        self.rows_max = -1  # -1: rows were not counted
        self.first_started_ns = 0
        self.frames: list[Frame] = []


@final
class History(SizeHistory):
    """What earlier profiles show; implements `protocols.HistoryView`.

    Background thread only, so it needs no lock. Bounded: the route seen least recently is forgotten;
    of one route, callsites beyond the bound are left out.

    Attributes:
        evicted: Routes that were forgotten.
        dropped: Times a callsite was left out.
    """

    def __init__(self) -> None:
        super().__init__()
        self.caches = CacheWatch()
        self._routes: OrderedDict[str, _Route] = OrderedDict()
        self._sites = 0
        self.evicted = 0
        self.dropped = 0

    def add(self, profile: Profile) -> None:
        """Learn from one sealed profile. Cost: about 4 us a frame."""
        route = self._route(profile.route or profile.name)
        route.profiles += 1
        route.histogram[_bucket(profile.duration_ns)] += 1
        self.add_sizes(profile)
        self.caches.add(profile)
        sums = _sums(profile)
        # In the rolling profile everything grows with the traffic, so that nothing follows from it.
        reads = None if profile.kind == "process" else _reads(sums)
        for callsite, total in sums.items():
            calls = self._calls(route, callsite)
            if calls is None:
                continue
            calls.histogram[_bucket(total.covered_ns)] += 1
            calls.add_edge(total)
            if reads is not None and total.calls > 1 and _may_repeat(callsite):
                _find_source(calls, callsite, total, sums, reads)
        for callsite, calls in route.sites.items():
            source = calls.fit.source
            if source is not None and source in sums:
                calls.fit.add(sums[source].rows, sums[callsite].calls if callsite in sums else 0)

    def profiles(self, route: str) -> int:
        """Return how many profiles of *route* were seen, the current one included."""
        known = self._routes.get(route)
        return 0 if known is None else known.profiles

    def counts_follow_rows(self, route: str, callsite: object) -> tuple[float, float, int, float] | None:
        """Fit calls = a + b x rows over the profiles of *route*.

        The rows are those of the read that supplied the arguments or, where that is not known, of
        the last read of several rows before the calls.

        Returns:
            `(a, b, profiles, unexplained)`, the last one the share of the variance that the line
            leaves over (0 is a perfect line); None below 8 profiles, or while the rows do not
            vary by a factor of two.
        """
        known = self._routes.get(route)
        calls = None if known is None else known.sites.get(callsite)  # type: ignore[call-overload]
        return None if calls is None else calls.fit.line()

    def peak_follows_calls(self, route: str, callsite: object) -> tuple[float, int, float] | None:
        """Fit calls at once = a + b x calls over the profiles of *route*.

        Returns:
            `(b, profiles, unexplained)`; None below two profiles, or while the calls do not vary
            by a factor of two.
        """
        known = self._routes.get(route)
        calls = None if known is None else known.sites.get(callsite)  # type: ignore[call-overload]
        line = None if calls is None or calls.peaks is None else calls.peaks.line(MIN_PEAKS)
        return None if line is None else (line[1], line[2], line[3])

    def tries(self, route: str, callsite: object) -> tuple[int, int]:
        """Return tries of a callsite on *route* of late, and how many of them followed a failure."""
        known = self._routes.get(route)
        calls = None if known is None else known.sites.get(callsite)  # type: ignore[call-overload]
        return (0, 0) if calls is None else (calls.tries, calls.retries)

    def rows_seen(self, route: str, callsite: object) -> int:
        """Return over how many distinct numbers of rows, from one on, `counts_follow_rows` speaks."""
        known = self._routes.get(route)
        calls = None if known is None else known.sites.get(callsite)  # type: ignore[call-overload]
        return 0 if calls is None else bin(calls.fit.seen).count("1")

    def cache_facts(self) -> list[CacheFacts]:
        """Return what was seen of each cache between the last two looks."""
        return self.caches.facts

    def memoizable(self) -> list[Memoizable]:
        """Return the functions that are asked the same from one unit of work to the next."""
        return self.caches.functions

    def latency(self, route: str, callsite: Callsite | None = None) -> tuple[int, ...]:
        """Return the histogram of durations of a route, or of the time its profiles spent in a callsite.

        Element n counts durations from 2^(n-1) to 2^n nanoseconds; empty for what was never seen.
        """
        known = self._routes.get(route)
        if known is None:
            return ()
        if callsite is None:
            return tuple(known.histogram)
        calls = known.sites.get(callsite)
        return () if calls is None else tuple(calls.histogram)

    def _route(self, name: str) -> _Route:
        route = self._routes.get(name)
        if route is None:
            if len(self._routes) >= _limits.MAX_ROUTES:
                self._forget_route()
            route = self._routes[name] = _Route()
        else:
            self._routes.move_to_end(name)
        return route

    def _forget_route(self) -> None:
        _, gone = self._routes.popitem(last=False)
        self._sites -= len(gone.sites)
        self.evicted += 1

    def _calls(self, route: _Route, callsite: Callsite) -> _Calls | None:
        calls = route.sites.get(callsite)
        if calls is None:
            if len(route.sites) >= _limits.MAX_HISTORY_SITES_PER_ROUTE:
                self.dropped += 1
                return None
            while self._sites >= _limits.MAX_HISTORY_SITES and len(self._routes) > 1:
                self._forget_route()
            self._sites += 1
            calls = route.sites[callsite] = _Calls()
        return calls


def _bucket(duration_ns: int) -> int:
    return min(BUCKETS - 1, duration_ns.bit_length())


def _sums(profile: Profile) -> dict[Callsite, _Sum]:
    sums: dict[Callsite, _Sum] = {}
    for frame in profile.root.walk():
        if frame is profile.root or not frame.calls:
            continue
        total = sums.get(frame.callsite)
        if total is None:
            total = sums[frame.callsite] = _Sum()
        total.calls += max(0, frame.calls - frame.errors)
        total.covered_ns += frame.covered_ns
        detail = frame.detail
        if detail is None:
            continue
        total.frames.append(frame)
        _add_edge(total, frame, detail)
        if not total.first_started_ns or detail.first_started_ns < total.first_started_ns:
            total.first_started_ns = detail.first_started_ns
        if detail.rows_calls and frame.callsite.kind in IO_KINDS:
            total.rows += detail.rows_sum
            total.rows_max = max(total.rows_max, detail.rows_max)
    return sums


def _add_edge(total: _Sum, frame: Frame, detail: FrameDetail) -> None:
    inside = detail.boundary.retries_inside if detail.boundary is not None else 0
    total.peak = max(total.peak, detail.peak_in_flight)
    total.tries += frame.calls + inside
    total.retries += inside + sum(use.retries for use in detail.keys.values())


def _may_repeat(callsite: Callsite) -> bool:
    return callsite.kind in IO_KINDS and callsite.operation in ("", "read")


def _reads(sums: dict[Callsite, _Sum]) -> list[tuple[int, int, Callsite]]:
    """Return the reads of several rows, by the instant of their first call."""
    return sorted(
        (total.first_started_ns, number, callsite)
        for number, (callsite, total) in enumerate(sums.items())
        if total.rows_max > 1
    )


def _find_source(
    calls: _Calls,
    callsite: Callsite,
    total: _Sum,
    sums: dict[Callsite, _Sum],
    reads: list[tuple[int, int, Callsite]],
) -> None:
    """Settle, once, on the read whose rows the calls may follow; seen data flow settles it for good."""
    flows: dict[Callsite, int] = {}
    for frame in total.frames:
        for source, hits in frame.detail.flow.items() if frame.detail is not None else ():
            if source.callsite is not callsite and source.callsite in sums:
                flows[source.callsite] = flows.get(source.callsite, 0) + hits
    if flows:
        if calls.fit.source not in flows:
            best = max(flows, key=lambda source: (flows[source], -abs(sums[source].rows - total.calls)))
            calls.fit = _Fit(best)
    elif calls.fit.source is None:
        at = bisect_left(reads, (total.first_started_ns,))  # the last one that began before
        if at > 0:
            calls.fit.source = reads[at - 1][2]
