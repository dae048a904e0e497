"""The metrics: what is counted of each report, and sums of our own where the application has no meter."""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING, Any, Final, NamedTuple, final

from .. import _limits
from .._line import clean
from . import _attributes
from ._protobuf import CUMULATIVE, DELTA, Metric, Point

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .._finding import Report
    from .._model import Callsite

TIME_BOUNDS: Final = tuple(float(f"{1e-5 * 2 ** (step / 2):.6g}") for step in range(44))
"""Seconds, each the square root of two above the last, from 10 us to 30 s: the same on every host, so they add up."""
COUNT_BOUNDS: Final = tuple(float(1 << step) for step in range(15))
TOP: Final = 20
"""Callsites of one profile that are recorded: those with the most self time."""
OVERFLOW: Final[dict[str, Any]] = {"otel.metric.overflow": True}


class Instrument(NamedTuple):
    """One instrument; with bounds a histogram, else a counter."""

    name: str
    unit: str
    description: str
    bounds: tuple[float, ...] = ()


UNIT_DURATION: Final = Instrument("manometer.unit.duration", "s", "Duration of units of work.", TIME_BOUNDS)
UNIT_CPU: Final = Instrument("manometer.unit.cpu_time", "s", "CPU time of units of work.", TIME_BOUNDS)
UNIT_WAIT: Final = Instrument("manometer.unit.wait_time", "s", "Time of units not on the CPU.", TIME_BOUNDS)
UNIT_CALLS: Final = Instrument(
    "manometer.unit.calls", "{call}", "Calls of a kind in a unit of work.", COUNT_BOUNDS
)
SITE_CALLS: Final = Instrument("manometer.callsite.calls", "{call}", "Calls through a callsite.")
SITE_TIME: Final = Instrument(
    "manometer.callsite.duration", "s", "Time of a callsite in one unit of work.", TIME_BOUNDS
)
SITE_SELF: Final = Instrument("manometer.callsite.self_time", "s", "Time of a callsite without its children.")
FINDINGS: Final = Instrument("manometer.findings", "{finding}", "Units of work with a finding.")
INSTRUMENTS: Final = (
    UNIT_DURATION, UNIT_CPU, UNIT_WAIT, UNIT_CALLS, SITE_CALLS, SITE_TIME, SITE_SELF, FINDINGS,
)  # fmt: skip

Sample = tuple[Instrument, float, dict[str, Any]]


def samples_of(report: Report) -> Iterator[Sample]:
    """Yield what one report adds to the metrics: per unit of work, never per call. 3 us each."""
    profile = report.profile
    route = clean(profile.route or profile.name)
    unit: dict[str, Any] = {"http.route" if profile.kind == "request" else "manometer.unit.name": route}
    if profile.kind != "process":
        yield UNIT_DURATION, profile.duration_ns / 1e9, unit
        if profile.cpu_ns >= 0:
            yield UNIT_CPU, profile.cpu_ns / 1e9, unit
            yield UNIT_WAIT, max(0, profile.duration_ns - profile.cpu_ns) / 1e9, unit
        for kind, calls in _calls(report).items():
            yield UNIT_CALLS, calls, {**unit, "manometer.kind": kind}
    for callsite, (calls, total_ns, self_ns) in _top(report):
        series = {**_attributes.series_of(callsite), **unit}
        yield SITE_CALLS, calls, series
        yield SITE_TIME, total_ns / 1e9, series
        yield SITE_SELF, self_ns / 1e9, series
    for finding in report.findings:
        if not finding.expected:
            yield FINDINGS, 1, {**unit, "manometer.finding.rule": finding.rule}


def _calls(report: Report) -> dict[str, int]:
    """Count the calls across the boundary of the process by kind; zeros too, so that quantiles are true."""
    found = {"db": 0, "http": 0, "cache": 0, "queue": 0}
    for frame in report.profile.root.walk():
        if frame.callsite.kind in found:
            found[frame.callsite.kind] += frame.calls
    return found


def _top(report: Report) -> list[tuple[Callsite, tuple[int, int, int]]]:
    sums: dict[Callsite, tuple[int, int, int]] = {}
    for frame in report.profile.root.walk():
        if frame.callsite.kind in ("root", "expected"):
            continue
        calls, total_ns, self_ns = sums.get(frame.callsite, (0, 0, 0))
        sums[frame.callsite] = (calls + frame.calls, total_ns + frame.covered_ns, self_ns + frame.self_ns)
    return sorted(sums.items(), key=lambda item: -item[1][2])[:TOP]


@final
class Series:
    """Keeps the attribute sets of each instrument below the bound; further ones are one, marked as overflow."""

    def __init__(self, limit: int = _limits.MAX_METRIC_SERIES) -> None:
        self._limit = limit
        self._known: dict[str, set[tuple[Any, ...]]] = {}
        self.overflowed = 0

    def admit(self, sample: Sample) -> Sample:
        """Return the sample, under the overflow's attributes where its own found no place."""
        instrument, value, attributes = sample
        known = self._known.setdefault(instrument.name, set())
        key = tuple(sorted(attributes.items()))
        if key not in known:
            if len(known) >= self._limit - 1:
                self.overflowed += 1
                return instrument, value, OVERFLOW
            known.add(key)
        return sample


@final
class _Sum:
    __slots__ = ("attributes", "count", "counts", "total")

    def __init__(self, attributes: dict[str, Any], buckets: int) -> None:
        self.attributes = attributes
        self.total = 0.0
        self.count = 0
        self.counts = [0] * buckets


@final
class Sums:
    """Sums and buckets of our own, for a process without a meter provider. Background thread only."""

    def __init__(self, started_unix_ns: int, delta: bool) -> None:
        self._started_unix_ns = started_unix_ns
        self._delta = delta
        self._sums: dict[Instrument, dict[tuple[Any, ...], _Sum]] = {}

    def add(self, sample: Sample) -> None:
        """Add one sample; 1 us."""
        instrument, value, attributes = sample
        of_instrument = self._sums.setdefault(instrument, {})
        key = tuple(sorted(attributes.items()))
        found = of_instrument.get(key)
        if found is None:
            buckets = len(instrument.bounds) + 1 if instrument.bounds else 0
            found = of_instrument[key] = _Sum(attributes, buckets)
        found.total += value
        found.count += 1
        if instrument.bounds:
            found.counts[bisect_left(instrument.bounds, value)] += 1

    def take(self, unix_ns: int) -> list[Metric]:
        """Return everything, or what was added since the last time where differences are wanted."""
        found = [
            Metric(
                instrument.name,
                instrument.unit,
                instrument.bounds,
                DELTA if self._delta else CUMULATIVE,
                self._started_unix_ns,
                unix_ns,
                [Point(one.attributes, one.total, one.count, tuple(one.counts)) for one in sums.values()],
            )
            for instrument, sums in self._sums.items()
        ]
        if self._delta:
            self._sums.clear()
            self._started_unix_ns = unix_ns
        return found
