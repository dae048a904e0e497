"""One report as a plain record that says everything that a later question needs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from .. import _limits
from .._line import clean, milliseconds
from . import _event
from ._whole import window

if TYPE_CHECKING:
    from .._finding import Report
    from .._model import Callsite, Profile

_CALLSITES: Final = 100
_TREE: Final = 200
"""Frames of one unit of work that are told one by one: about 45 bytes each."""
Node = tuple[int, int, int, float, float, float, float]
Sums = list[tuple["Callsite", list[int]]]


def report(report: Report) -> dict[str, Any]:
    """Describe a report: the event of its unit of work, all its findings, and its callsites with their times.

    At most `MAX_RECORD_BYTES` as JSON; what was left out is counted under `cut`.
    """
    record = _event.request(report)
    record["event"] = "report"
    record["started"] = _event.instant(report.profile.started_unix_ns)
    record["findings"] = [_event.finding(item, item.id in report.speaking) for item in report.findings]
    hottest = _hottest(report.profile)
    record["callsites"], record["tree"] = _described(hottest), _tree(report.profile, hottest)
    del record["top"]
    return _event.fit(record, _limits.MAX_RECORD_BYTES)


def callsites(profile: Profile) -> list[dict[str, Any]]:
    """Describe the callsites of a profile, the one with the most time of its own first."""
    return _described(_hottest(profile))


def _described(hottest: Sums) -> list[dict[str, Any]]:
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
        for callsite, (calls, errors, total_ns, self_ns) in hottest
    ]


def _tree(profile: Profile, hottest: Sums) -> list[Node]:
    """Describe the frames of a profile, parents first.

    Returns:
        Of each frame its parent's place in this list (-1 for the unit of work itself), its callsite's
        place in `callsites`, its calls, the time they covered and that of its own, and when the first
        began and the last ended after the start of the unit of work, in milliseconds. Where the times
        are not known (plain functions), they are those of what was called, or of the parent. Frames
        with a callsite that is not told, and those that took least of more than 200, are left out;
        what they called stands below their nearest parent that is told.
    """
    places = {callsite: place for place, (callsite, _) in enumerate(hottest)}
    frames = [frame for frame in profile.root.walk() if frame.calls and frame.callsite in places]
    kept = set(sorted(frames, key=lambda frame: -frame.covered_ns)[:_TREE])
    nodes: list[Node] = []
    stack = [(profile.root, -1, (profile.started_ns, profile.started_ns + profile.duration_ns))]
    while stack:
        parent, above, around = stack.pop()
        for frame in parent.own_children():
            times = window(frame, around)
            if frame not in kept:
                stack.append((frame, above, times))
                continue
            own = (
                frame.covered_ns,
                frame.self_ns,
                times[0] - profile.started_ns,
                times[1] - profile.started_ns,
            )
            nodes.append((above, places[frame.callsite], frame.calls, *map(milliseconds, own)))  # type: ignore[arg-type]
            stack.append((frame, len(nodes) - 1, times))
    return nodes


def _hottest(profile: Profile) -> Sums:
    """Return calls, errors, time covered and own time of each callsite, the one with the most time of its own first."""
    sums: dict[Callsite, list[int]] = {}
    for frame in profile.root.walk():
        if frame is profile.root:
            continue
        total = sums.setdefault(frame.callsite, [0, 0, 0, 0])
        for at, value in enumerate((frame.calls, frame.errors, frame.covered_ns, frame.self_ns)):
            total[at] += value
    return sorted(sums.items(), key=lambda item: -item[1][3])[:_CALLSITES]
