"""Recorded traces are judged as live ones would have been: OTLP JSON lines from any language."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

import manometer
from manometer.cli import main

if TYPE_CHECKING:
    from pathlib import Path


def span(
    number: int, parent: int, name: str, kind: int, start_ms: float, ms: float, **attributes: Any
) -> dict[str, Any]:
    return {
        "traceId": "ab" * 16,
        "spanId": f"{number:016x}",
        "parentSpanId": f"{parent:016x}" if parent else "",
        "name": name,
        "kind": kind,
        "startTimeUnixNano": str(1_700_000_000_000_000_000 + int(start_ms * 1e6)),
        "endTimeUnixNano": str(1_700_000_000_000_000_000 + int((start_ms + ms) * 1e6)),
        "attributes": [
            {"key": key.replace("__", "."), "value": {"stringValue": value}}
            for key, value in attributes.items()
        ],
    }


def request(*spans: dict[str, Any]) -> dict[str, Any]:
    scope = {"scope": {"name": "io.opentelemetry.jdbc"}, "spans": list(spans)}
    return {"resourceSpans": [{"resource": {"attributes": []}, "scopeSpans": [scope]}]}


def trace(queries: int, *, vary: bool = True) -> dict[str, Any]:
    root = span(1, 0, "GET /orders", 2, 0, 100, http__request__method="GET", http__route="/orders")
    handler = span(2, 1, "OrderController.list", 1, 1, 98)
    calls = [
        span(
            10 + at, 2, "SELECT shop.customers", 3, 2 + at * 3, 2,
            db__system="mysql", db__statement=f"SELECT * FROM customers WHERE id = {at if vary else 7}",
        )
        for at in range(queries)
    ]  # fmt: skip
    return request(root, handler, *calls)


def test_loop_over_queries_is_found_in_another_languages_trace() -> None:
    (report,) = manometer.analyze([json.dumps(trace(20))])

    (finding,) = report.findings
    assert (finding.rule, finding.confidence, finding.evidence["calls"]) == ("n-plus-one", "likely", 20)
    assert [site.name for site in finding.path] == ["(root)", "OrderController.list", "SELECT customers"]
    assert (report.profile.name, report.profile.duration_ns) == ("GET /orders", 100_000_000)


def test_equal_reads_are_another_finding() -> None:
    (report,) = manometer.analyze([trace(20, vary=False)])

    assert [finding.rule for finding in report.findings] == ["duplicate-read"]


def test_few_queries_are_no_finding() -> None:
    (report,) = manometer.analyze([trace(2), {}])

    assert report.findings == ()


def test_each_request_of_a_trace_is_a_unit_of_work_of_its_own() -> None:
    caller = span(1, 0, "GET /a", 2, 0, 50, http__method="GET", http__target="/a")
    call = span(2, 1, "GET", 3, 10, 30, http__method="GET", http__url="http://b/items/7")
    callee = span(3, 2, "GET /items/{id}", 2, 12, 20, http__method="GET", http__route="/items/{id}")

    reports = manometer.analyze([request(callee), request(caller, call)])

    assert [report.profile.name for report in reports] == ["GET /a", "GET /items/{id}"]
    assert [frame.callsite.name for frame in reports[0].profile.root.own_children()] == ["GET /items/{id}"]


def test_overlapping_calls_cover_their_time_once() -> None:
    root = span(1, 0, "job", 1, 0, 50)
    calls = [
        span(2 + at, 1, "GET", 3, at, 30, http__method="GET", http__url=f"http://b/{at}") for at in range(3)
    ]

    (report,) = manometer.analyze([request(root, *calls)])

    (frame,) = report.profile.root.own_children()
    assert (frame.calls, frame.total_ns, frame.covered_ns) == (3, 90_000_000, 32_000_000)
    assert report.profile.root.self_ns == 18_000_000


def test_cycle_of_parents_and_endless_depth_end() -> None:
    cycle = [span(1, 2, "a", 1, 0, 1), span(2, 1, "b", 1, 0, 1)]
    deep = [
        span(10 + at, 9 + at, f"level {chr(97 + at % 26)}{chr(97 + at // 26)}", 1, 0, 1) for at in range(500)
    ]

    reports = manometer.analyze([request(*cycle, *deep)])

    assert len(reports) == 1
    assert reports[0].profile.dropped == {"depth": 1}


def test_command_prints_each_finding_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "traces.jsonl"
    other = json.loads(json.dumps(trace(20)).replace("ab" * 16, "cd" * 16))
    file.write_text(f"{json.dumps(trace(20))}\n\n{json.dumps(other)}\n", encoding="utf-8")

    assert main(["analyze", str(file)]) == 0

    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    assert "n-plus-one" in lines[0]
    assert lines[0].endswith("units_with=2 units=2")
    assert lines[1] == "2 units of work, 1 findings"


def test_command_says_what_it_could_not_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "traces.jsonl"
    file.write_text("no json\n", encoding="utf-8")

    assert (main(["analyze", str(file)]), main(["analyze", str(tmp_path / "none")])) == (2, 2)
    assert capsys.readouterr().err.count("manometer analyze: ") == 2
