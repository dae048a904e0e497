"""The trees of a recording in the formats of tools that draw them: speedscope, and the trace viewer of Chrome and Perfetto."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .forest import Key
    from .recording import Recording, Route

_SCHEMA: Final = "https://www.speedscope.app/file-format-schema.json"


def speedscope(recording: Recording) -> dict[str, Any]:
    """Return the merged tree of each route as a profile of https://www.speedscope.app, weights in milliseconds."""
    frames: dict[Key, int] = {}
    profiles = []
    for route in recording.busiest():
        root = recording.forest.routes[route.name]
        samples, weights = [], []
        for path, node in root.walk():
            if node.self_ms > 0:
                samples.append([frames.setdefault(each.key, len(frames)) for each in path])
                weights.append(round(node.self_ms, 3))
        profiles.append(
            {
                "type": "sampled",
                "name": f"{route.name} ({len(route)} units)",
                "unit": "milliseconds",
                "startValue": 0,
                "endValue": round(sum(weights), 3),
                "samples": samples,
                "weights": weights,
            }
        )
    return {
        "$schema": _SCHEMA,
        "exporter": "manometer",
        "name": "manometer",
        "activeProfileIndex": 0,
        "shared": {"frames": [_frame(key) for key in frames]},
        "profiles": profiles,
    }


def chrome(recording: Recording) -> dict[str, Any]:
    """Return the slowest unit of work of each route as a trace that Perfetto and Chrome open, one track a route."""
    events: list[dict[str, Any]] = []
    for track, route in enumerate(recording.busiest(), 1):
        events.append(
            {"ph": "M", "name": "thread_name", "pid": 1, "tid": track, "args": {"name": route.name}}
        )
        events += _events(route, track)
    return {"displayTimeUnit": "ms", "traceEvents": events}


def _events(route: Route, track: int) -> Iterator[dict[str, Any]]:
    record = route.slowest
    yield _event(route.name, "unit", track, 0.0, record["dur_ms"], {"status": record["unit"]["status"]})
    for _, site, calls, total_ms, self_ms, start_ms, end_ms in record.get("tree", ()):
        callsite = record["callsites"][site]
        facts = {"at": callsite["at"], "calls": calls, "covered_ms": total_ms, "own_ms": self_ms}
        yield _event(callsite["label"], callsite["kind"], track, start_ms, end_ms - start_ms, facts)


def _event(
    name: str, kind: str, track: int, start_ms: float, duration_ms: float, facts: dict[str, Any]
) -> dict[str, Any]:
    times = {"ts": round(start_ms * 1e3, 1), "dur": round(duration_ms * 1e3, 1)}
    return {"ph": "X", "name": name, "cat": kind, "pid": 1, "tid": track, **times, "args": facts}


def _frame(key: Key) -> dict[str, Any]:
    kind, label, at = key
    file, _, line = at.rpartition(":")
    found: dict[str, Any] = {"name": label if kind in ("call", "block") else f"{label} [{kind}]"}
    if file:
        found |= {"file": file, "line": int(line)}
    return found
