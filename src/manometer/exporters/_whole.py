"""A whole profile as spans, for a process that has no traces of its own."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING, Any, Final

from .. import _limits
from .._line import clean, milliseconds
from .._setups import SYSTEM
from . import _attributes, _event
from ._protobuf import Span

if TYPE_CHECKING:
    from .._finding import Report
    from .._model import Frame, Profile

_KINDS: Final = {"request": 2, "task": 5}
_CLIENT_KINDS: Final = {"db": 3, "http": 3, "cache": 3, "queue": 4}
_INTERNAL: Final = 1
_ids: Final = Random()  # noqa: S311 - ids, and the application may seed the global generator

Window = tuple[int, int]


def spans_of(report: Report) -> list[Span]:
    """Return the unit of work and its frames as spans of one trace, parents first.

    A frame stands for all its calls: its span reaches from the first to the last of them, and its
    attributes say how many there were. Of functions measured without times only their duration is
    known; their start is then that of what they called, or of their parent. Background thread; 5 us
    a frame, at most `MAX_EXPORTED_FRAMES`.
    """
    profile = report.profile
    offset_ns = profile.started_unix_ns - profile.started_ns
    trace_id = int(profile.trace_id, 16) if profile.trace_id else _ids.getrandbits(128) or 1
    root_id = _ids.getrandbits(64) or 1
    found = [_root_span(report, trace_id, root_id)]
    kept = _kept(profile)
    stack = [(profile.root, root_id, (profile.started_ns, profile.started_ns + profile.duration_ns))]
    while stack:
        parent, parent_id, around = stack.pop()
        for frame in parent.own_children():
            if frame not in kept:
                continue
            around_this = window(frame, around)
            span_id = _ids.getrandbits(64) or 1
            error = next(iter(frame.detail.outcomes), "error") if frame.errors and frame.detail else ""
            found.append(
                Span(
                    trace_id,
                    span_id,
                    parent_id,
                    clean(frame.callsite.name),
                    _CLIENT_KINDS.get(frame.callsite.kind, _INTERNAL),
                    around_this[0] + offset_ns,
                    around_this[1] + offset_ns,
                    _frame_attributes(frame),
                    error,
                )
            )
            stack.append((frame, span_id, around_this))
    return found


def _root_span(report: Report, trace_id: int, span_id: int) -> Span:
    profile = report.profile
    return Span(
        trace_id,
        span_id,
        0,
        clean(profile.name),
        _KINDS.get(profile.kind, _INTERNAL),
        profile.started_unix_ns,
        profile.started_unix_ns + profile.duration_ns,
        _root_attributes(report),
        "" if profile.outcome == "ok" else clean(profile.outcome, 80),
    )


def _kept(profile: Profile) -> set[Frame]:
    """Return the frames that took most time, with those above them; not what is only made there, which a finding tells."""
    frames = [
        frame
        for frame in profile.root.walk()
        if frame is not profile.root and frame.calls and frame.callsite.system != SYSTEM
    ]
    frames.sort(key=lambda frame: -frame.total_ns)
    kept: set[Frame] = set()
    for frame in frames:
        line = []
        up: Frame | None = frame
        while up is not None and up is not profile.root and up not in kept:
            line.append(up)
            up = up.parent
        if len(kept) + len(line) <= _limits.MAX_EXPORTED_FRAMES:
            kept.update(line)
    if len(kept) < len(frames):
        profile.drop("exported_frames", len(frames) - len(kept))
    return kept


def window(frame: Frame, around: Window) -> Window:
    """Return when a frame was active, as far as it is known, inside the time of its parent."""
    low_ns, high_ns = around
    detail = frame.detail
    started_ns, ended_ns = _known(frame)
    if not started_ns and detail is not None and detail.exemplars:
        started_ns, ended_ns = detail.exemplars[0].started_ns, detail.exemplars[-1].ended_ns
    if not started_ns:
        inside = [_known(below) for below in frame.walk() if below is not frame]
        starts = [times[0] for times in inside if times[0]]
        started_ns = min(starts, default=low_ns)
        ended_ns = max([times[1] for times in inside if times[0]], default=0)
    if not detail or not detail.first_started_ns:
        ended_ns = max(ended_ns, started_ns + frame.covered_ns)
    started_ns = min(max(started_ns, low_ns), high_ns)
    return started_ns, max(started_ns, min(ended_ns, high_ns))


def _known(frame: Frame) -> Window:
    detail = frame.detail
    return (0, 0) if detail is None else (detail.first_started_ns, detail.last_ended_ns)


def _root_attributes(report: Report) -> dict[str, Any]:
    profile = report.profile
    found = _attributes.of_unit(profile)
    found["manometer.concurrent"] = profile.concurrency
    if profile.cpu_ns >= 0:
        found["manometer.cpu_ms"] = milliseconds(profile.cpu_ns)
    open_ones = _event.by_weight(report.findings)
    if open_ones:
        found["manometer.findings"] = [item.rule for item in open_ones[:8]]
        found["manometer.finding.fingerprints"] = [item.id for item in open_ones[:8]]
    return found


def _frame_attributes(frame: Frame) -> dict[str, Any]:
    found = _attributes.of_callsite(frame.callsite)
    found["manometer.calls"] = frame.calls
    found["manometer.total_ms"] = milliseconds(frame.total_ns)
    found["manometer.self_ms"] = milliseconds(frame.self_ns)
    if not frame.detail or not frame.detail.first_started_ns:
        found["manometer.times"] = "estimated"
    return found
