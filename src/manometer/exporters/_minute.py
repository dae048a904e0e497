"""What happened in the current minute: how many lines were written, and what got none."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, final

from .. import _limits
from .._line import clean, milliseconds
from ._event import SCHEMA, by_weight, finding

if TYPE_CHECKING:
    from .._finding import Finding, Report
    from ._event import Event

_MINUTE_NS: Final = 60 * 1_000_000_000
_INLINE: Final = 3


@final
class Rate:
    """Lets at most *limit* pass in any minute and counts the rest until it is asked."""

    def __init__(self, limit: int) -> None:
        self._passed_ns: deque[int] = deque(maxlen=limit)
        self.refused = 0

    def passes(self, now_ns: int) -> bool:
        """Tell whether one more may pass at *now_ns*, and count it either way."""
        passed = self._passed_ns
        if len(passed) == passed.maxlen and (not passed or now_ns - passed[0] < _MINUTE_NS):
            self.refused += 1
            return False
        passed.append(now_ns)
        return True

    def take_refused(self) -> int:
        """Return how many were refused since the last answer."""
        refused, self.refused = self.refused, 0
        return refused


@dataclass(slots=True, eq=False)
class _Sum:
    finding: Finding
    unit: str
    seen: int = 0
    cost_ns: int = 0


@final
@dataclass(slots=True, eq=False)
class Minute:
    """Sums of the units of work since `started_ns`; at most `MAX_FINDINGS` findings are kept apart."""

    started_ns: int
    units: int = 0
    slow: int = 0
    guilty: int = 0
    silent: int = 0
    suppressed: int = 0
    sums: dict[str, _Sum] = field(default_factory=dict)

    def add(self, report: Report, slow: bool, printed: bool) -> None:
        """Count one unit of work; one with findings and no line makes the minute worth a line."""
        self.units += 1
        self.slow += slow
        findings = by_weight(report.findings)
        if not findings:
            return
        self.guilty += 1
        self.silent += not printed
        for item in {item.id: item for item in reversed(findings)}.values():
            if item.id not in self.sums and len(self.sums) >= _limits.MAX_FINDINGS:
                continue
            total = self.sums.setdefault(item.id, _Sum(item, report.profile.name))
            total.seen += 1
            total.cost_ns += item.cost_ns

    def is_over(self, now_ns: int) -> bool:
        """Tell whether a minute has passed."""
        return now_ns - self.started_ns >= _MINUTE_NS

    def event(self, now_ns: int) -> Event | None:
        """Describe the minute; None when every finding in it had its line."""
        if not self.silent and not self.suppressed:
            return None
        best = sorted(self.sums.values(), key=lambda total: -total.cost_ns)[:_INLINE]
        return {
            "schema": SCHEMA,
            "event": "summary",
            "win_s": round((now_ns - self.started_ns) / 1e9),
            "units": self.units,
            "slow": self.slow,
            "guilty": self.guilty,
            "found": len(self.sums),
            "suppressed": self.suppressed,
            "findings": [_told(total) for total in best],
        }


def _told(total: _Sum) -> Event:
    told = finding(total.finding, speaks=False)
    return {
        **{key: told[key] for key in ("id", "rule", "severity", "label", "at", "in")},
        "unit": clean(total.unit, 100),
        "seen": total.seen,
        "cost_ms": milliseconds(total.cost_ns),
    }
