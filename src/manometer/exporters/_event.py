"""What is told of a report, as one plain record that any form of output is made from."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, Final

from .._level import NAMES
from .._line import clean, milliseconds, to_json

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from .._config import Config
    from .._finding import Finding, Report, Status
    from .._model import Callsite, Frame, Profile

SCHEMA: Final = 1
Event = dict[str, Any]

CALLS: Final = {"db": "sql", "http": "http", "cache": "cache", "queue": "queue"}
"""Kind of a frame, with the word for it in a line."""
WAITS: Final = {"lock": "lock", "wait": "resource"}
MAX_EVENT_BYTES: Final = 2_800
"""With the message and what a formatter adds, a line of JSON stays below `MAX_LINE_BYTES`."""
UNMEASURED: Final = "(unmeasured)"
_MAX_FINDINGS: Final = 8
"""More than fit into `MAX_EVENT_BYTES`."""
_MAX_TOP: Final = 3
_MAX_EVIDENCE: Final = 24
_MAX_REASONS: Final = 16
_MAX_READINGS: Final = 24
_LABEL: Final = 100
_PLACE: Final = 100
_FUNCTION: Final = 80
_STATEMENT: Final = 480
_ADVICE: Final = 240


def is_slow(profile: Profile, config: Config) -> bool:
    """Tell whether a unit of work is worth a line by its duration; a window of the process never is."""
    if profile.kind == "process":
        return False
    slow_ns = config.slow_ms * 1e6 if profile.slow_ns is None else profile.slow_ns
    return profile.duration_ns >= slow_ns


def by_weight(findings: tuple[Finding, ...]) -> list[Finding]:
    """Return the findings that nobody explained: warnings first, then what costs most."""
    open_ones = [finding for finding in findings if not finding.expected]
    return sorted(open_ones, key=lambda finding: (finding.severity != "warning", -finding.cost_ns))


def calls_of(finding: Finding) -> int | None:
    """Return how many calls a finding is about; None when its evidence does not say."""
    for key in ("calls", "count", "repeats"):
        value = finding.evidence.get(key)
        if type(value) is int:
            return value
    return None


def place(callsite: Callsite) -> str:
    """Return `folder/file.py:line` of the application; empty when unknown."""
    if not callsite.file:
        return ""
    return clean("/".join(callsite.file.replace("\\", "/").split("/")[-2:]), _PLACE - 8) + f":{callsite.line}"


def function(callsite: Callsite) -> str:
    """Return the name of the application's function, without the functions around it."""
    return clean(callsite.function.rpartition("<locals>.")[2], _FUNCTION)


def request(report: Report, suppressed: int = 0) -> Event:
    """Describe one unit of work.

    Args:
        report: What was recorded and found.
        suppressed: Earlier units of work that were worth a line and got none.
    """
    profile = report.profile
    open_ones = by_weight(report.findings)
    calls, waits = _calls(profile.root)
    total = profile.duration_ns
    return {
        "schema": SCHEMA,
        "event": "request",
        "unit": unit(profile),
        "dur_ms": milliseconds(total),
        "cpu_ms": None if profile.cpu_ns < 0 else milliseconds(profile.cpu_ns),
        "wait_ms": _wait_ms(profile),
        "waits_ms": {name: milliseconds(ns) for name, ns in waits.items()},
        "concurrent": profile.concurrency,
        "calls": {name: {"count": count, "ms": milliseconds(ns)} for name, (count, ns) in calls.items()},
        "found": len(open_ones),
        "expected": len(report.findings) - len(open_ones),
        "worst": clean(open_ones[0].rule, 40) if open_ones else None,
        "findings": [finding(item, item.id in report.speaking) for item in open_ones[:_MAX_FINDINGS]],
        "top": [] if open_ones else list(_top(profile)),
        "suppressed": suppressed,
        "dropped": _counts(profile.dropped),
        "late": profile.late,
        "not_judged": _texts(profile.not_judged),
        "level": NAMES[profile.level],
        "time_error": round(profile.time_error, 3),
        "self_ms": milliseconds(profile.self_ns),
    }


def said(item: Finding, report: Report) -> Event:
    """Describe one finding whose turn it is."""
    return {
        "schema": SCHEMA,
        "event": "finding",
        "finding": finding(item, item.id in report.speaking),
        "held_back": report.held_back.get(item.id, 0),
        "unit": unit(report.profile),
    }


def answer(found: Mapping[str, Any]) -> Event:
    """Describe the answer to one of the four questions: how many findings, and the one whose fix saves most."""
    return {"schema": SCHEMA, "event": "answer", **found}


def gone(item: Finding) -> Event:
    """Describe a finding that is not seen any more."""
    return {"schema": SCHEMA, "event": "resolved", "finding": finding(item, False)}


def up(status: Status, info_hidden: bool = False) -> Event:
    """Describe how manometer itself is doing."""
    share = status.overhead_share
    return {
        "schema": SCHEMA,
        "event": "up",
        "state": status.state,
        "ver": clean(status.version, 40),
        "pid": status.pid,
        "uptime_s": round(status.uptime_s),
        "units": status.units,
        "found": status.findings,
        "new": status.new,
        "sources": [clean(name, 40) for name in status.sources[:32]],
        "missing": _texts(status.missing),
        "overhead": None if share is None else round(share, 5),
        "self_ms": round(status.self_ms, 1),
        "level": status.level,
        "level_changes": status.level_changes,
        "dropped": _counts(status.dropped),
        "late": status.late,
        "not_judged": _texts(status.not_judged),
        "errors": status.internal_errors,
        "resources": {clean(name, 40): value for name, value in [*status.resources.items()][:_MAX_READINGS]},
        "unused_expected": [clean(name, 80) for name in status.unused_expected[:8]],
        "info_hidden": info_hidden,
    }


def warning(text: str) -> Event:
    """Describe a mistake in the configuration."""
    return {"schema": SCHEMA, "event": "warning", "text": clean(text, 400)}


def unit(profile: Profile) -> Event:
    """Describe which unit of work it was."""
    return {
        "kind": profile.kind,
        "name": clean(profile.name, 200),
        "status": clean(profile.status, 20),
        "outcome": clean(profile.outcome, 80),
        "trace_id": clean(profile.trace_id, 32),
        "version": clean(profile.version, 60),
        "ended": instant(profile.started_unix_ns + profile.duration_ns),
    }


def finding(item: Finding, speaks: bool) -> Event:
    """Describe one finding, complete by itself."""
    low_ns, high_ns = item.saving_ns
    site = item.callsite
    return {
        "id": item.id,
        "rule": clean(item.rule, 40),
        "question": clean(item.question, 20),
        "severity": clean(item.severity, 20),
        "confidence": clean(item.confidence, 20),
        "speaks": speaks,
        "calls": calls_of(item),
        "label": clean(site.name, _LABEL),
        "at": place(site),
        "in": function(site),
        "cost_ms": milliseconds(item.cost_ns),
        "share": round(item.share, 4),
        "saving_ms": [milliseconds(low_ns), milliseconds(high_ns)],
        "source": _site(item.source),
        "holder": _site(item.holder),
        "move": clean(item.move, 20),
        "advice": clean(item.advice, _ADVICE),
        "statement": clean(site.template, _STATEMENT),
        "evidence": dict(_facts(item)),
        "expected": clean(item.expected, 80),
        "seen": list(item.seen),
        "first_seen": instant(item.first_seen_unix_ns),
        "version": clean(item.version, 60),
    }


def fit(event: Event, limit: int = MAX_EVENT_BYTES) -> Event:
    """Shorten an event, in place, until its JSON has *limit* bytes: the tree, findings from the end, statements, facts, lists.

    What was left out is counted under `cut`.
    """
    findings: list[Event] = event.get("findings", [])
    every: list[Event] = findings or [event[key] for key in ("finding",) if key in event]
    cut = 0

    def too_long() -> bool:
        return len(to_json(event)) > limit - len(',"cut":99')

    if event.get("tree") and too_long():
        event["tree"] = []
        cut += 1
    while len(findings) > 1 and too_long():
        findings.pop()
        cut += 1
    for key, empty in (
        ("statement", ""),
        ("evidence", {}),
        ("advice", ""),
        ("holder", None),
        ("source", None),
    ):
        for item in every:
            if item.get(key) and too_long():
                item[key] = empty
                cut += 1
    for key in ("top", "unused_expected", "not_judged", "dropped", "missing", "sources"):
        if event.get(key) and too_long():
            event[key] = type(event[key])()
            cut += 1
    if cut:
        event["cut"] = cut
    return event


def _site(callsite: Callsite | None) -> Event | None:
    if callsite is None:
        return None
    return {"label": clean(callsite.name, _LABEL), "at": place(callsite), "in": function(callsite)}


def _facts(item: Finding) -> Iterator[tuple[str, float | str | None]]:
    """Yield what was counted, durations in milliseconds, and nothing that stands elsewhere in the event."""
    for name, value in [*item.evidence.items()][:_MAX_EVIDENCE]:
        key = clean(name, 40)
        if isinstance(value, str):
            if value != item.callsite.template:
                yield key, clean(value, 100)
        elif key.endswith("_ns"):
            yield f"{key[:-3]}_ms", milliseconds(int(value))
        else:
            # JSON has no word for nan and infinity.
            yield key, value if type(value) is int or abs(value) < float("inf") else None


def _counts(counts: Mapping[str, int]) -> dict[str, int]:
    return {clean(reason, 40): count for reason, count in [*counts.items()][:_MAX_REASONS]}


def _texts(reasons: Mapping[str, str]) -> dict[str, str]:
    return {clean(name, 40): clean(reason, 80) for name, reason in [*reasons.items()][:_MAX_REASONS]}


def instant(unix_ns: int) -> str | None:
    """Write an instant as ISO 8601 in UTC; None when it is not known."""
    if unix_ns <= 0:
        return None
    moment = datetime.fromtimestamp(unix_ns // 1_000_000 / 1_000, tz=timezone.utc)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def seconds_of(written: str) -> float:
    """Return an instant that `instant` wrote as seconds since 1970."""
    return datetime.fromisoformat(written.replace("Z", "+00:00")).timestamp()


def where(described: Mapping[str, Any]) -> str:
    """Return line and function of a finding or callsite that was described; empty when unknown."""
    return " ".join(filter(None, (described["at"], described["in"])))


def _wait_ms(profile: Profile) -> float | None:
    # The process is not waiting for anything while it is idle.
    if profile.cpu_ns < 0 or profile.kind == "process":
        return None
    return milliseconds(max(0, profile.duration_ns - profile.cpu_ns))


def _calls(root: Frame) -> tuple[dict[str, tuple[int, int]], dict[str, int]]:
    """Sum calls and time by kind; what happens inside a call of the same kind is that call."""
    calls: dict[str, tuple[int, int]] = {}
    waits: dict[str, int] = {}
    stack = [(root, "")]
    while stack:
        frame, inside = stack.pop()
        kind = frame.callsite.kind
        if kind in CALLS and kind != inside and frame.callsite.operation != "control":
            name = CALLS[kind]
            count, total_ns = calls.get(name, (0, 0))
            calls[name] = (count + frame.calls, total_ns + frame.covered_ns)
            inside = kind
        elif kind in WAITS:
            waits[WAITS[kind]] = waits.get(WAITS[kind], 0) + frame.covered_ns
        stack.extend((child, inside) for child in frame.own_children())
    ordered = {name: calls[name] for name in CALLS.values() if name in calls}
    return ordered, dict(sorted(waits.items(), key=lambda item: -item[1]))


def _top(profile: Profile) -> Iterator[Event]:
    """Yield the callsites with the most self time: what to look at when no rule has an answer."""
    sums: dict[Callsite, tuple[int, int]] = {}
    for frame in profile.root.walk():
        calls, self_ns = sums.get(frame.callsite, (0, 0))
        sums[frame.callsite] = (calls + frame.calls, self_ns + frame.self_ns)
    best = sorted(sums.items(), key=lambda item: -item[1][1])[:_MAX_TOP]
    for callsite, (calls, self_ns) in best:
        if self_ns < 1_000_000:
            return
        is_root = callsite is profile.root.callsite
        yield {
            "label": UNMEASURED if is_root else clean(callsite.name, _LABEL),
            "at": place(callsite),
            "in": function(callsite),
            "calls": calls,
            "self_ms": milliseconds(self_ns),
        }
