"""A recording as one plain object: what `manometer report --format json` writes, and every picture is made from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from ..exporters._event import instant
from ..exporters.questions import QUESTIONS
from .recording import Found, Place, Recording, Route, percentile

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

SCHEMA: Final = 1
"""Changes when a key changes its meaning; described in docs/reference/report.md."""


def summary(recording: Recording, top: int = 10) -> dict[str, Any]:
    """Describe a recording.

    Args:
        recording: At least one unit of work.
        top: Routes and callsites to tell, the ones with most time first. All findings are told.

    Returns:
        An object of JSON values only. Times are milliseconds and end in `_ms`; shares are 0 to 1.
    """
    busiest, hottest = recording.busiest(), recording.hottest()
    total_ms = sum(sum(route.duration_ms) for route in busiest if not route.is_window)
    found, explained = recording.ranked(), recording.ranked(expected=True)
    return {
        "schema": SCHEMA,
        "kind": "report",
        "files": recording.files,
        "from": _instant(recording.from_s),
        "to": _instant(recording.to_s),
        "processes": len(recording.processes),
        "versions": sorted(filter(None, recording.versions)),
        "units": recording.units,
        "total_ms": round(total_ms, 3),
        "routes": [_route(route, total_ms) for route in busiest[:top]],
        "callsites": [_place(place, total_ms) for place in hottest[:top]],
        "findings": [_finding(each, recording) for each in found],
        "expected": [_finding(each, recording) for each in explained],
        "questions": {name: _ids(found, name) for name, _ in QUESTIONS},
        "not_judged": dict(sorted(recording.not_judged.items())),
        "sources": sorted(recording.sources),
        "skipped_lines": recording.skipped_lines,
        "left_out": {
            "routes": max(0, len(busiest) - top),
            "callsites": max(0, len(hottest) - top),
            "beyond_bounds": recording.left_out,
        },
    }


def _route(route: Route, total_ms: float) -> dict[str, Any]:
    ordered = sorted(route.duration_ms)
    return {
        "name": route.name,
        "kind": route.kind,
        "units": len(route),
        "failed": route.failed,
        "total_ms": round(sum(ordered), 3),
        "share": round(sum(ordered) / total_ms, 4) if total_ms and not route.is_window else None,
        "p50_ms": percentile(ordered, 0.5),
        "p95_ms": percentile(ordered, 0.95),
        "p99_ms": percentile(ordered, 0.99),
        "max_ms": ordered[-1],
        "cpu_ms": round(sum(route.cpu_ms) / len(route.cpu_ms), 3) if route.cpu_ms else None,
        "calls": {
            kind: {
                "per_unit": round(sum(counts) / len(route), 2),
                "max": int(max(counts)),
                "ms_per_unit": round(route.calls_ms[kind] / len(route), 3),
            }
            for kind, counts in route.calls.items()
        },
        "waits_ms": {kind: round(wait_ms / len(route), 3) for kind, wait_ms in route.waits_ms.items()},
    }


def _place(place: Place, total_ms: float) -> dict[str, Any]:
    return {
        "label": place.label,
        "kind": place.kind,
        "at": place.at,
        "in": place.function,
        "calls": place.calls,
        "errors": place.errors,
        "total_ms": round(place.total_ms, 3),
        "self_ms": round(place.self_ms, 3),
        "share": round(place.self_ms / total_ms, 4) if total_ms else 0.0,
        "routes": sorted(place.routes)[:10],
    }


def _finding(found: Found, recording: Recording) -> dict[str, Any]:
    minutes = recording.minutes
    seen_in = sum(len(recording.routes[name]) for name in found.routes)
    return {
        **_latest(found.latest),
        "units": found.units,
        "units_of_its_routes": seen_in,
        "routes": sorted(found.routes, key=lambda name: (-found.routes[name], name))[:10],
        "saving_ms_per_unit": [round(found.low_ms / found.units, 3), round(found.high_ms / found.units, 3)],
        "saving_ms_per_min": [round(found.low_ms / minutes, 3), round(found.high_ms / minutes, 3)],
    }


def _latest(item: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in item.items() if key not in ("speaks", "seen")}


def _ids(found: Iterable[Found], question: str) -> list[str]:
    return [each.latest["id"] for each in found if each.latest["question"] == question]


def _instant(value_s: float) -> str | None:
    return instant(round(value_s * 1e3) * 1_000_000)
