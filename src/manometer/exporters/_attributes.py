"""What leaves in OpenTelemetry's words: flat attributes of callsites, findings and units of work."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from .._line import clean, milliseconds
from . import _event

if TYPE_CHECKING:
    from .._finding import Finding, Report
    from .._model import Callsite, Frame, Profile

Attributes = dict[str, Any]

EVENT_NAME: Final = "manometer.finding"
_STATEMENT: Final = 480
_FOLDED: Final = 8


def of_callsite(callsite: Callsite) -> Attributes:
    """Return the place in the source, and what is called, by the semantic conventions."""
    found: Attributes = {}
    if callsite.function:
        found["code.function.name"] = clean(_event.function(callsite))
    if callsite.file:
        found["code.file.path"] = _event.place(callsite).rpartition(":")[0]
        found["code.line.number"] = callsite.line
    if callsite.kind in ("db", "cache"):
        found["db.query.summary"] = clean(callsite.name)
        found["db.query.text"] = clean(callsite.template, _STATEMENT)
        if callsite.system:
            found["db.system.name"] = callsite.system
    elif callsite.kind == "http":
        method, _, path = callsite.template.partition(" ")
        found["http.request.method"] = method
        found["url.template"] = clean(path)
    if callsite.target and callsite.kind in ("db", "cache", "http", "queue"):
        database, at, host = callsite.target.rpartition("@")
        if not at and callsite.kind == "db":
            database, host = host, ""  # a file, or memory
        name, colon, port = host.rpartition(":")
        if colon and port.isdigit():
            found["server.address"], found["server.port"] = clean(name), int(port)
        elif host:
            found["server.address"] = clean(host)
        if database:
            found["db.namespace"] = clean(database)
    return found


def series_of(callsite: Callsite) -> Attributes:
    """Return the attributes of a callsite that are few enough for a metric: no line, no statement."""
    found: Attributes = {"manometer.callsite": clean(callsite.name), "manometer.kind": callsite.kind}
    if callsite.function:
        found["code.function.name"] = clean(_event.function(callsite))
    return found


def of_unit(profile: Profile) -> Attributes:
    """Return what a unit of work was."""
    found: Attributes = {"manometer.unit.kind": profile.kind, "manometer.unit.name": clean(profile.name)}
    if profile.kind == "request":
        if profile.route:
            found["http.route"] = clean(profile.route)
        method, _, _ = profile.name.partition(" ")
        if method.isupper():
            found["http.request.method"] = method
        if profile.status.isdigit():
            found["http.response.status_code"] = int(profile.status)
    if profile.version:
        found["service.version"] = clean(profile.version, 60)
    return found


def of_finding(item: Finding, report: Report) -> Attributes:
    """Return a finding complete by itself: it must be understood where the trace is not there."""
    low_ns, high_ns = item.saving_ns
    found: Attributes = {
        **of_unit(report.profile),
        **of_callsite(item.callsite),
        "manometer.finding.rule": item.rule,
        "manometer.finding.fingerprint": item.id,
        "manometer.finding.question": item.question,
        "manometer.finding.severity": item.severity,
        "manometer.finding.confidence": item.confidence,
        "manometer.finding.count": _event.calls_of(item) or 0,
        "manometer.finding.cost_ms": milliseconds(item.cost_ns),
        "manometer.finding.share": round(item.share, 4),
        "manometer.finding.saving_low_ms": milliseconds(low_ns),
        "manometer.finding.saving_high_ms": milliseconds(high_ns),
        "manometer.finding.move": item.move,
        "manometer.finding.advice": clean(item.advice, 240),
        "manometer.finding.held_back": report.held_back.get(item.id, 0),
        "manometer.finding.seen": item.seen[0],
        "manometer.finding.units": item.seen[1],
    }
    if item.expected:
        found["manometer.finding.expected"] = clean(item.expected, 80)
    if item.source is not None:
        found["manometer.finding.source"] = clean(item.source.name)
    return found


def title_of(item: Finding, report: Report) -> str:
    """Return one sentence for a person."""
    count = _event.calls_of(item)
    times = f"{count} x " if count else ""
    place = _event.place(item.callsite)
    return clean(
        f"{item.rule}: {times}{item.callsite.name} under {report.profile.name}"
        f"{f' ({place})' if place else ''}",
        400,
    )


def folded_below(frame: Frame) -> list[str]:
    """Return what a frame called that is no span by itself, the costliest first: of all its calls together."""
    below = [child for child in frame.own_children() if child.callsite.kind == "call"]
    best = sorted(below, key=lambda child: -child.total_ns)[:_FOLDED]
    return [
        f"{clean(child.callsite.name, 100)} x{child.calls} {milliseconds(child.total_ns)} ms"
        for child in best
    ]
