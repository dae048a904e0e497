"""One report as a plain record that says everything that a later question needs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from .. import _limits
from .._line import clean, milliseconds
from . import _event

if TYPE_CHECKING:
    from .._finding import Report
    from .._model import Callsite, Profile

_CALLSITES: Final = 100


def report(report: Report) -> dict[str, Any]:
    """Describe a report: the event of its unit of work, all its findings, and its callsites with their times.

    At most `MAX_RECORD_BYTES` as JSON; what was left out is counted under `cut`.
    """
    record = _event.request(report)
    record["event"] = "report"
    record["started"] = _event.instant(report.profile.started_unix_ns)
    record["findings"] = [_event.finding(item, item.id in report.speaking) for item in report.findings]
    record["callsites"] = callsites(report.profile)
    del record["top"]
    return _event.fit(record, _limits.MAX_RECORD_BYTES)


def callsites(profile: Profile) -> list[dict[str, Any]]:
    """Describe the callsites of a profile, the one with the most time of its own first."""
    sums: dict[Callsite, list[int]] = {}
    for frame in profile.root.walk():
        if frame is profile.root:
            continue
        total = sums.setdefault(frame.callsite, [0, 0, 0, 0])
        for at, value in enumerate((frame.calls, frame.errors, frame.covered_ns, frame.self_ns)):
            total[at] += value
    best = sorted(sums.items(), key=lambda item: -item[1][3])[:_CALLSITES]
    return [
        {
            "label": clean(callsite.name, 100),
            "kind": callsite.kind,
            "at": _event.place(callsite),
            "in": _event.function(callsite),
            "calls": calls,
            "errors": errors,
            "total_ms": milliseconds(total_ns),
            "self_ms": milliseconds(self_ns),
        }
        for callsite, (calls, errors, total_ns, self_ns) in best
    ]
