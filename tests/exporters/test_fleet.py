"""The SQL of the fleet page, run on what four processes really sent, equals what they really measured."""

from __future__ import annotations

import json
import math
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

pytest.importorskip("opentelemetry.proto")

from tests.otlp_receiver import Receiver, attributes_of, value_of

if TYPE_CHECKING:
    from tests.otlp_receiver import Item

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "fleet.md"
PROCESSES = 4

WORKER = """
import json, random, sqlite3, sys, time
import manometer
number = int(sys.argv[1])
class Collect:
    def __init__(self): self.durations, self.findings = [], 0
    def export(self, report):
        if report.profile.kind == "process": return
        self.durations.append(report.profile.duration_ns / 1e9)
        self.findings += len(report.findings)
    def shutdown(self): pass
collect = Collect()
manometer.start(manometer.Config(exporters=("otlp",), repeat_after_s=0), exporters=[collect])
connection = sqlite3.connect(":memory:")
connection.create_function("pause", 0, lambda: time.sleep(0.0005 * (number + 1)))
connection.execute("CREATE TABLE orders (id INTEGER)")
connection.execute("INSERT INTO orders VALUES (-1)")
for unit in range(12):
    with manometer.profile("nightly"):
        for key in range(20 + unit):
            connection.execute("SELECT id, pause() FROM orders WHERE id < ?", (key,)).fetchall()
manometer.stop()
print(json.dumps({"durations": collect.durations, "calls": sum(20 + unit for unit in range(12)), "findings": collect.findings}))
"""

TABLES = """
CREATE TABLE otel.otel_logs (
    Timestamp DateTime64(9), TraceId String, SpanId String, SeverityText LowCardinality(String), SeverityNumber UInt8,
    ServiceName LowCardinality(String), Body String, ScopeName String, EventName String,
    ResourceAttributes Map(LowCardinality(String), String), LogAttributes Map(LowCardinality(String), String)
) ENGINE = MergeTree ORDER BY (ServiceName, Timestamp);
CREATE TABLE otel.otel_metrics_sum (
    ResourceAttributes Map(LowCardinality(String), String), ServiceName LowCardinality(String), MetricName String,
    Attributes Map(LowCardinality(String), String), StartTimeUnix DateTime64(9), TimeUnix DateTime64(9), Value Float64,
    AggregationTemporality Int32, IsMonotonic Bool
) ENGINE = MergeTree ORDER BY (ServiceName, MetricName, TimeUnix);
CREATE TABLE otel.otel_metrics_histogram (
    ResourceAttributes Map(LowCardinality(String), String), ServiceName LowCardinality(String), MetricName String,
    Attributes Map(LowCardinality(String), String), StartTimeUnix DateTime64(9), TimeUnix DateTime64(9), Count UInt64,
    Sum Float64, BucketCounts Array(UInt64), ExplicitBounds Array(Float64), AggregationTemporality Int32
) ENGINE = MergeTree ORDER BY (ServiceName, MetricName, TimeUnix)
"""


def texts(attributes: dict[str, Any]) -> dict[str, str]:
    return {key: str(value) for key, value in attributes.items()}


def seconds(unix_ns: int) -> str:
    return f"{unix_ns // 10**9}.{unix_ns % 10**9:09d}"


def common(item: Item) -> dict[str, Any]:
    return {"ResourceAttributes": texts(item.resource), "ServiceName": item.resource["service.name"]}


def log_row(item: Item) -> dict[str, Any]:
    log = item.data
    return {
        **common(item), "Timestamp": seconds(log.time_unix_nano), "SeverityText": log.severity_text,
        "SeverityNumber": log.severity_number, "Body": value_of(log.body), "ScopeName": item.scope,
        "EventName": log.event_name, "LogAttributes": texts(item.attributes),
    }  # fmt: skip


def point_rows(item: Item, kind: str) -> list[dict[str, Any]]:
    data = getattr(item.data, kind)
    rows = []
    for point in data.data_points:
        row = {
            **common(item), "MetricName": item.data.name, "Attributes": texts(attributes_of(point.attributes)),
            "StartTimeUnix": seconds(point.start_time_unix_nano), "TimeUnix": seconds(point.time_unix_nano),
            "AggregationTemporality": data.aggregation_temporality,
        }  # fmt: skip
        if kind == "sum":
            row |= {"Value": point.as_double, "IsMonotonic": data.is_monotonic}
        else:
            row |= {
                "Count": point.count, "Sum": point.sum, "BucketCounts": list(point.bucket_counts),
                "ExplicitBounds": list(point.explicit_bounds),
            }  # fmt: skip
        rows.append(row)
    return rows


def documented() -> dict[str, str]:
    page = PAGE.read_text(encoding="utf-8")
    return dict(re.findall(r"<!-- sql: (\w+) -->\n```sql\n(.*?)```", page, re.DOTALL))


def work(receiver: Receiver) -> list[dict[str, Any]]:
    """Let the processes work at the same time; return what each measured."""
    environments = [
        {
            **os.environ,
            "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url,
            "OTEL_SERVICE_NAME": "shop",
            "OTEL_RESOURCE_ATTRIBUTES": f"host.name=h{number % 2}",
        }
        for number in range(PROCESSES)
    ]
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", WORKER, str(number)], env=environment, stdout=subprocess.PIPE, text=True
        )
        for number, environment in enumerate(environments)
    ]
    return [json.loads(process.communicate(timeout=50)[0]) for process in processes]


def test_documented_sql_equals_what_the_processes_measured(tmp_path: Path) -> None:
    session_of = pytest.importorskip("chdb.session")
    with Receiver() as receiver:
        measured = work(receiver)
        tables = {
            "otel_logs": [log_row(item) for item in receiver.logs()],
            "otel_metrics_sum": [
                row
                for item in receiver.metrics()
                if item.data.HasField("sum")
                for row in point_rows(item, "sum")
            ],
            "otel_metrics_histogram": [
                row
                for item in receiver.metrics()
                if item.data.HasField("histogram")
                for row in point_rows(item, "histogram")
            ],
        }
    session = session_of.Session(str(tmp_path / "db"))
    session.query("CREATE DATABASE otel")
    for statement in TABLES.split(";"):
        session.query(statement)
    for name, rows in tables.items():
        session.query(f"INSERT INTO otel.{name} FORMAT JSONEachRow " + "\n".join(map(json.dumps, rows)))

    def ask(name: str) -> list[dict[str, Any]]:
        return [
            json.loads(line) for line in str(session.query(documented()[name], "JSONEachRow")).splitlines()
        ]

    findings, callsites, quantiles = ask("findings"), ask("callsites"), ask("quantiles")
    session.close()

    (finding,) = findings
    assert (finding["rule"], finding["called"]) == ("n-plus-one", "SELECT orders")
    assert [int(finding[key]) for key in ("processes", "hosts")] == [PROCESSES, 2]
    said = [int(row["LogAttributes"]["manometer.finding.count"]) for row in tables["otel_logs"]]
    assert int(finding["worst"]) == max(said) >= 20
    spoken = sum(1 + int(row["LogAttributes"]["manometer.finding.held_back"]) for row in tables["otel_logs"])
    assert int(finding["sightings"]) == spoken
    calls = {row["callsite"]: row["calls"] for row in callsites}
    assert calls["SELECT orders"] == sum(one["calls"] for one in measured)
    durations = sorted(value for one in measured for value in one["durations"])
    for row in quantiles:
        true_s = durations[math.ceil(float(row["q"]) * len(durations)) - 1]
        assert true_s / 1.2 <= float(row["estimate_s"]) <= true_s * 1.2
        assert int(row["units"]) == len(durations) == PROCESSES * 12
    assert [float(row["q"]) for row in quantiles] == [0.5, 0.9, 0.99]
