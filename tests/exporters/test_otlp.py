"""What leaves over OTLP arrives: through the application's own pipelines, or directly; and a dead collector harms nobody."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

pytest.importorskip("opentelemetry.proto")

from tests.otlp_receiver import LOGS, TRACES, Failure, Receiver, attributes_of
from tests.sources.collect import strict_guard

import manometer
from manometer import Config, _guard, _spans
from manometer.exporters import _measures, _protobuf, _sender
from manometer.exporters._otel_settings import read
from manometer.exporters._sender import Sender, Target
from manometer.exporters.otlp import OtlpExporter, _app

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
SCOPE = ("manometer", "1")


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as made:
        yield made


def target(receiver: Receiver, path: str = TRACES, *, compressed: bool = False) -> Target:
    return Target(receiver.url + path, {"x-key": "secret"}, compressed, "")


def span(number: int = 1) -> _protobuf.Span:
    return _protobuf.Span(7, number, 0, "GET /", 2, 1_000, 2_000, {})


def message(number: int = 1) -> bytes:
    return _protobuf.traces({"service.name": "shop"}, SCOPE, [span(number)])


@pytest.mark.parametrize("compressed", [False, True])
def test_span_arrives_equal(receiver: Receiver, compressed: bool) -> None:
    attributes = {
        "text": "ä\ud800",
        "yes": True,
        "number": -7,
        "float": 0.5,
        "list": ["a", "b"],
        "big": 2**62,
    }
    sent = _protobuf.Span(
        2**127,
        2**63,
        5,
        "GET /orders",
        2,
        1_700_000_000_000_000_000,
        1_700_000_000_000_000_009,
        attributes,
        "Boom",
    )
    sender = Sender()
    sender.put(
        target(receiver, compressed=compressed), _protobuf.traces({"service.name": "shop"}, SCOPE, [sent])
    )
    sender.shutdown()

    (found,) = receiver.spans()
    assert found.attributes == {**attributes, "text": "ä?"}
    assert (found.data.trace_id, found.data.span_id, found.data.parent_span_id) == (
        (2**127).to_bytes(16, "big"),
        (2**63).to_bytes(8, "big"),
        (5).to_bytes(8, "big"),
    )
    assert (found.data.name, found.data.kind, found.data.status.code, found.data.status.message) == (
        "GET /orders",
        2,
        2,
        "Boom",
    )
    assert found.data.end_time_unix_nano - found.data.start_time_unix_nano == 9
    assert (found.resource, found.scope) == ({"service.name": "shop"}, "manometer")
    assert receiver.requests[0][2]["x-key"] == "secret"


def test_event_and_metrics_arrive_equal(receiver: Receiver) -> None:
    event = _protobuf.Event(9, "manometer.finding", 13, "WARN", "said", {"a": 1}, 7, 8)
    points = [_protobuf.Point({"k": "v"}, 3.5, 2, (1, 1, 0))]
    histogram = _protobuf.Metric("h", "s", (1.0, 2.0), _protobuf.CUMULATIVE, 1, 2, points)
    counter = _protobuf.Metric("c", "{call}", (), _protobuf.DELTA, 1, 2, points)
    sender = Sender()
    sender.put(target(receiver, LOGS), _protobuf.logs({}, SCOPE, [event]))
    sender.put(target(receiver, "/v1/metrics"), _protobuf.metrics({}, SCOPE, [histogram, counter]))
    sender.shutdown()

    (log,) = receiver.logs()
    assert (log.data.event_name, log.data.severity_number, log.data.body.string_value) == (
        "manometer.finding",
        13,
        "said",
    )
    assert (log.attributes, log.data.span_id) == ({"a": 1}, (8).to_bytes(8, "big"))
    first, second = [item.data for item in receiver.metrics()]
    (point,) = first.histogram.data_points
    assert (
        first.histogram.aggregation_temporality,
        list(point.bucket_counts),
        list(point.explicit_bounds),
    ) == (
        2,
        [1, 1, 0],
        [1.0, 2.0],
    )
    assert (point.count, point.sum, attributes_of(point.attributes)) == (2, 3.5, {"k": "v"})
    assert (second.sum.is_monotonic, second.sum.aggregation_temporality) == (True, 1)
    assert second.sum.data_points[0].as_double == 3.5


def test_failure_that_passes_is_retried(receiver: Receiver) -> None:
    receiver.failure = Failure(status=503, times=1)
    sender = Sender()
    sender.put(target(receiver), message())
    assert receiver.wait_for(receiver.spans)
    sender.shutdown()

    assert (receiver.hits, sender.drops) == (2, {})


def test_refusal_is_not_retried(receiver: Receiver) -> None:
    receiver.failure = Failure(status=400)
    sender = Sender()
    sender.put(target(receiver), message())
    assert receiver.wait_for(lambda: receiver.hits)
    sender.shutdown()

    assert (receiver.hits, sender.drops) == (1, {"otlp_send": 1})


FAILURES = {
    "refused": None,
    "status": Failure(status=503),
    "reset": Failure(reset=True),
    "garbage": Failure(garbage=True),
    "hang": Failure(hang=True),
}


@pytest.mark.parametrize("name", FAILURES)
def test_dead_collector_delays_the_end_by_two_seconds_at_most(receiver: Receiver, name: str) -> None:
    failure = FAILURES[name]
    where = Target("http://127.0.0.1:9/v1/traces", {}, False, "") if failure is None else target(receiver)
    if failure is not None:
        receiver.failure = failure
    sender = Sender()
    for number in range(1, 5):
        sender.put(where, message(number))
    began_s = time.monotonic()
    sender.shutdown()

    assert time.monotonic() - began_s < _sender.EXIT_S + 0.5
    assert sum(sender.drops.values()) >= 1
    assert receiver.spans() == []


def test_breaker_leaves_a_dead_collector_alone_and_tries_again_later() -> None:
    now_s = [100.0]
    sender = Sender(lambda: now_s[0])
    tried: list[int] = []
    sender._try = lambda *_: bool(tried.append(1)) or False  # type: ignore[method-assign]
    where = Target("http://127.0.0.1:9/", {}, False, "")
    for _ in range(5):
        sender._deliver(where, b"")
    assert (len(tried), sender.drops) == (3, {"otlp_send": 3, "otlp_breaker": 2})

    now_s[0] += _sender.BREAK_S
    sender._deliver(where, b"")

    assert len(tried) == 4


def test_full_queue_drops_the_newest_and_counts(receiver: Receiver) -> None:
    receiver.failure = Failure(hang=True)
    sender = Sender()
    for number in range(_sender.MAX_WAITING + 10):
        sender.put(target(receiver), message(number + 1))
    assert receiver.wait_for(lambda: receiver.hits)

    assert 9 <= sender.drops["otlp_queue"] <= 10
    sender.shutdown()
    assert sum(sender.drops.values()) >= _sender.MAX_WAITING


def test_variables_of_opentelemetry_are_obeyed() -> None:
    settings = read(
        {
            "OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318/",
            "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": "https://metrics/own",
            "OTEL_EXPORTER_OTLP_HEADERS": "key=a%20b,bad=x%0d%0ay",
            "OTEL_LOGS_EXPORTER": "none",
            "OTEL_SERVICE_NAME": "shop",
            "OTEL_RESOURCE_ATTRIBUTES": "service.version=2,team=a",
            "OTEL_METRIC_EXPORT_INTERVAL": "5000",
            "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE": "delta",
        },
        "",
    )

    assert {signal: found.url for signal, found in settings.targets.items()} == {
        "traces": "http://collector:4318/v1/traces",
        "metrics": "https://metrics/own",
    }
    assert settings.targets["traces"].headers == {"key": "a b"}
    assert (settings.interval_s, settings.delta) == (5.0, True)
    named = {key: settings.resource[key] for key in ("service.name", "service.version", "team")}
    assert named == {"service.name": "shop", "service.version": "2", "team": "a"}


@pytest.mark.parametrize(
    ("variables", "problems"),
    [
        ({}, 0),
        ({"OTEL_SDK_DISABLED": "true", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318"}, 0),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "collector:4318"}, 1),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4317", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, 1),
    ],
)
def test_what_cannot_be_obeyed_goes_nowhere_and_is_said(variables: dict[str, str], problems: int) -> None:
    settings = read(variables, "")

    assert (settings.targets, len(settings.problems)) == ({}, problems)


def exporter(receiver: Receiver, *exporters: str) -> OtlpExporter:
    variables = {"OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url, "OTEL_SERVICE_NAME": "shop"}
    return OtlpExporter(Config(exporters=exporters), variables)


@manometer.measure
def load(connection: sqlite3.Connection, key: int) -> Any:
    return connection.execute("SELECT id, pause() FROM orders WHERE id < ?", (key,)).fetchall()


def nightly(calls: int = 30) -> None:
    connection = sqlite3.connect(":memory:")
    connection.create_function("pause", 0, lambda: time.sleep(0.001))
    connection.execute("CREATE TABLE orders (id INTEGER)")
    connection.execute("INSERT INTO orders VALUES (-1)")
    with manometer.profile("nightly"):
        for key in range(calls):
            load(connection, key)
    connection.close()


def run(mine: OtlpExporter, work: Any = nightly) -> None:
    with strict_guard():
        stop = manometer.start(Config(exporters=()), exporters=[mine])
        try:
            work()
        finally:
            stop()
    _guard.clear()


def test_profile_is_exported_whole_where_nobody_set_up_opentelemetry(receiver: Receiver) -> None:
    run(exporter(receiver))

    spans = {item.data.name.rpartition(".")[2]: item for item in receiver.spans()}
    assert list(spans) == ["nightly", "load", "SELECT orders"]
    parents = [item.data.parent_span_id for item in spans.values()]
    assert parents == [b"", spans["nightly"].data.span_id, spans["load"].data.span_id]
    assert spans["nightly"].resource["service.name"] == "shop"
    assert spans["nightly"].attributes["manometer.findings"] == ["n-plus-one"]
    assert spans["SELECT orders"].attributes["manometer.calls"] == 30
    assert spans["SELECT orders"].attributes["db.query.text"] == "SELECT id, pause() FROM orders WHERE id < ?"
    for item in spans.values():
        assert spans["nightly"].data.start_time_unix_nano <= item.data.start_time_unix_nano
        assert item.data.end_time_unix_nano <= spans["nightly"].data.end_time_unix_nano


def test_finding_is_a_log_event_complete_by_itself(receiver: Receiver) -> None:
    run(exporter(receiver))

    (log,) = receiver.logs()
    assert (log.data.event_name, log.data.severity_text) == ("manometer.finding", "WARN")
    wanted = {
        "manometer.finding.rule": "n-plus-one",
        "manometer.finding.count": 30,
        "manometer.finding.held_back": 0,
        "manometer.unit.name": "nightly",
        "code.function.name": "load",
        "code.file.path": "exporters/test_otlp.py",
        "db.query.summary": "SELECT orders",
        "db.system.name": "sqlite",
    }
    assert {name: log.attributes.get(name) for name in wanted} == wanted
    assert log.attributes["manometer.finding.fingerprint"].startswith("mn-")
    assert all(type(value) is not dict for value in log.attributes.values())


def test_metrics_are_recorded_per_unit_of_work(receiver: Receiver) -> None:
    def twice() -> None:
        nightly()
        nightly(10)

    run(exporter(receiver), twice)

    metrics = {item.data.name: item.data for item in receiver.metrics()}
    (duration,) = metrics["manometer.unit.duration"].histogram.data_points
    assert (duration.count, list(duration.explicit_bounds)) == (2, list(_measures.TIME_BOUNDS))
    queries = [
        point
        for point in metrics["manometer.unit.calls"].histogram.data_points
        if attributes_of(point.attributes)["manometer.kind"] == "db"
    ]
    assert [(point.count, point.sum) for point in queries] == [(2, 40.0)]
    calls = {
        attributes_of(point.attributes)["manometer.callsite"].rpartition(".")[2]: point.as_double
        for point in metrics["manometer.callsite.calls"].sum.data_points
    }
    assert (calls["load"], calls["SELECT orders"]) == (40.0, 40.0)
    (finding,) = metrics["manometer.findings"].sum.data_points
    assert finding.as_double == 2.0


def test_bounds_are_the_same_everywhere_and_log_spaced() -> None:
    ratios = [high / low for low, high in zip(_measures.TIME_BOUNDS, _measures.TIME_BOUNDS[1:], strict=False)]

    assert (len(_measures.TIME_BOUNDS), _measures.TIME_BOUNDS[0]) == (44, 1e-5)
    assert all(abs(ratio - 2**0.5) < 1e-4 for ratio in ratios)


def test_series_beyond_the_bound_are_one_and_sums_stay_exact() -> None:
    series, sums = _measures.Series(limit=5), _measures.Sums(0, False)
    for number in range(20):
        sums.add(series.admit((_measures.FINDINGS, 1, {"route": str(number)})))

    (metric,) = sums.take(1)
    assert (len(metric.points), sum(point.total for point in metric.points)) == (5, 20.0)
    assert metric.points[-1].attributes == _measures.OVERFLOW
    assert series.overflowed == 16


def test_differences_begin_anew_where_they_are_preferred() -> None:
    sums = _measures.Sums(0, True)
    sums.add((_measures.FINDINGS, 2, {}))
    assert [point.total for point in sums.take(1)[0].points] == [2.0]

    assert sums.take(2) == []


APP = """
import asyncio, os, sqlite3, sys, time
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from opentelemetry import trace, metrics
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
provider = TracerProvider(resource=Resource({"service.name": "app"}))
provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(timeout=3), max_queue_size=8192))
trace.set_tracer_provider(provider)
from opentelemetry.instrumentation.sqlite3 import SQLite3Instrumentor
SQLite3Instrumentor().instrument()
import manometer
from manometer import _guard, measure
_guard.strict = True
manometer.start(manometer.Config(exporters=("otlp",), disable=frozenset(DISABLED), frame_slow_ms=20))
tracer = trace.get_tracer("app")
connection = sqlite3.connect(":memory:", check_same_thread=False)
cursor = connection.cursor()
cursor.execute("CREATE TABLE orders (id INTEGER)")

BODY

manometer.stop()
provider.shutdown()
"""

TREE = """
@measure
def query(n):
    return connection.cursor().execute("SELECT id FROM orders WHERE id = ?", (n,)).fetchall()

@measure
async def one(n):
    with tracer.start_as_current_span(f"inner"):
        await asyncio.sleep(0.001)
        query(n)

@measure
async def handler():
    await asyncio.gather(*(one(n) for n in range(3)))
    with ThreadPoolExecutor(1) as pool:
        pool.submit(copy_context().run, query, 7).result()

@measure
def slow():
    time.sleep(0.03)

@measure
def broken():
    raise LookupError("canary")

with tracer.start_as_current_span("GET /orders", kind=trace.SpanKind.SERVER):
    asyncio.run(handler())
    slow()
    try: broken()
    except LookupError: pass
"""

LOOP = """
@measure
def pair(n):
    return cursor.execute("SELECT id FROM orders WHERE id = ?", (n,)).fetchall()

@measure
def cheap():
    pass

with tracer.start_as_current_span("GET /orders", kind=trace.SpanKind.SERVER):
    for n in range(300):
        pair(n)
    for _ in range(10_000):
        cheap()
"""


def run_app(receiver: Receiver, body: str, disabled: tuple[str, ...] = ("sqlite3",)) -> list[Any]:
    program = APP.replace("BODY", body).replace("DISABLED", repr(disabled))
    environment = {**os.environ, "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url}
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=50, env=environment
    )
    assert done.returncode == 0, done.stderr
    return receiver.spans()


def tree_of(spans: list[Any]) -> list[tuple[str, str]]:
    """Return each span's name with that of its parent; one that did not arrive is named as such."""
    names = {item.data.span_id: item.data.name.rpartition(".")[2] for item in spans}
    return sorted(
        (
            names[item.data.span_id],
            names.get(item.data.parent_span_id, "(orphan)") if item.data.parent_span_id else "",
        )
        for item in spans
        if item.data.name not in ("CREATE", "create")
    )


@pytest.mark.parametrize("disabled", [("sqlite3",), ()], ids=["instrumentation alone", "with our tap"])
def test_measured_frames_are_spans_of_the_applications_own_trace(
    receiver: Receiver, disabled: tuple[str, ...]
) -> None:
    pytest.importorskip("opentelemetry.instrumentation.sqlite3")

    spans = run_app(receiver, TREE, disabled)

    assert tree_of(spans) == sorted(
        [
            ("GET /orders", ""),
            ("handler", "GET /orders"),
            *[("one", "handler")] * 3,
            *[("inner", "one")] * 3,
            *[("query", "inner")] * 3,
            ("query", "handler"),
            *[("SELECT", "query")] * 4,
            ("slow", "GET /orders"),
            ("broken", "GET /orders"),
        ]
    )
    assert len({item.data.trace_id for item in spans if item.data.name != "CREATE"}) == 1
    assert {item.resource["service.name"] for item in spans} == {"app"}
    by_id = {item.data.span_id: item.data for item in spans}
    for item in spans:
        parent = by_id.get(item.data.parent_span_id)
        if parent is not None:
            assert parent.start_time_unix_nano <= item.data.start_time_unix_nano + 5_000_000
    (broken,) = [item.data for item in spans if item.data.name.endswith("broken")]
    assert (broken.status.code, broken.status.message) == (2, "LookupError")


def test_loop_of_300_pairs_gives_350_spans_at_most_and_no_orphan(receiver: Receiver) -> None:
    pytest.importorskip("opentelemetry.instrumentation.sqlite3")

    tree = tree_of(run_app(receiver, LOOP))

    assert 301 <= len(tree) <= 350
    assert [name for name, parent in tree if parent == "(orphan)"] == []
    assert tree.count(("SELECT", "pair")) == 32
    assert tree.count(("SELECT", "GET /orders")) == 268


HOST = """
import sys, threading, sqlite3
touched = set()
def hook(event, arguments):
    if event.startswith("socket."):
        touched.add(threading.current_thread().name)
sys.addaudithook(hook)
import manometer
manometer.start(manometer.Config(exporters=("otlp",)))
touched.clear()
connection = sqlite3.connect(":memory:")
connection.execute("CREATE TABLE orders (id INTEGER)")
def work():
    for _ in range(20):
        with manometer.profile("job"):
            for key in range(20):
                connection.execute("SELECT id FROM orders WHERE id = ?", (key,)).fetchall()
work()
manometer.flush()
import time
deadline = time.monotonic() + 5
while not touched and time.monotonic() < deadline:
    time.sleep(0.01)
print(sorted(touched))
"""


@pytest.mark.parametrize("name", FAILURES)
def test_no_thread_of_the_host_touches_a_socket(receiver: Receiver, name: str) -> None:
    failure = FAILURES[name]
    url = "http://127.0.0.1:9" if failure is None else receiver.url
    if failure is not None:
        receiver.failure = failure
    environment = {**os.environ, "OTEL_EXPORTER_OTLP_ENDPOINT": url}
    began_s = time.monotonic()

    done = subprocess.run(
        [sys.executable, "-c", HOST], capture_output=True, text=True, timeout=50, env=environment
    )

    assert (done.stdout, done.returncode) == ("['manometer-otlp']\n", 0), done.stderr
    assert time.monotonic() - began_s < 30


LOGS_APP = """
import logging, sys
from opentelemetry._logs import set_logger_provider
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor
memory = InMemoryLogRecordExporter()
provider = LoggerProvider()
provider.add_log_record_processor(SimpleLogRecordProcessor(memory))
set_logger_provider(provider)
HANDLER
import manometer, sqlite3, time
manometer.start(manometer.Config(exporters=EXPORTERS))
connection = sqlite3.connect(":memory:")
connection.create_function("pause", 0, lambda: time.sleep(0.001))
connection.execute("CREATE TABLE orders (id INTEGER)")
connection.execute("INSERT INTO orders VALUES (-1)")
with manometer.profile("job"):
    for key in range(30):
        connection.execute("SELECT id, pause() FROM orders WHERE id < ?", (key,)).fetchall()
manometer.stop()
for record in memory.get_finished_logs():
    record = record.log_record
    if record.attributes.get("manometer.finding.rule"):
        print(record.event_name, record.attributes["manometer.finding.rule"], record.attributes["db.query.summary"])
"""
HANDLER = """
from opentelemetry.instrumentation.logging.handler import LoggingHandler
logging.getLogger().addHandler(LoggingHandler(logger_provider=provider))
logging.getLogger().setLevel(logging.INFO)
"""


@pytest.mark.parametrize(
    ("handler", "exporters"),
    [
        (HANDLER, ("log",)),
        (HANDLER, ("log", "otlp")),
        ("", ("log", "otlp")),
        ("", ("otlp",)),
    ],
    ids=["handler and log", "handler, log and otlp", "log and otlp", "otlp"],
)
def test_finding_arrives_once_as_a_named_event(handler: str, exporters: tuple[str, ...]) -> None:
    pytest.importorskip("opentelemetry.instrumentation.logging")
    program = LOGS_APP.replace("HANDLER", handler).replace("EXPORTERS", repr(exporters))

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=50)

    assert done.stdout == "manometer.finding n-plus-one SELECT orders\n", done.stderr


def test_pinned_ids_are_used_once() -> None:
    ids = _app.PinnedIds()
    ids.pinned = 42

    assert ids.generate_span_id() == 42
    assert ids.generate_span_id() not in (0, 42)


def test_exporter_leaves_nothing_promoted_behind(receiver: Receiver) -> None:
    mine = exporter(receiver)
    assert _spans.promoting

    mine.shutdown()

    assert not _spans.promoting


SHOP = """
from shop.app import create_app
BEFORE
app = create_app()
AFTER
for page in ("orders", "orders-eager", "settings"):
    assert app.test_client().get(f"/{page}?n=20").status_code == 200
"""

SHOP_AFTER = """
from opentelemetry.instrumentation.flask import FlaskInstrumentor
FlaskInstrumentor().instrument_app(app)
"""


def tree_of_page(spans: list[Any], page: str) -> list[tuple[str, str]]:
    (trace_id,) = {item.data.trace_id for item in spans if item.data.name == f"GET {page}"}
    return tree_of([item for item in spans if item.data.trace_id == trace_id])


@pytest.mark.parametrize(
    "disabled", [("sqlite3", "sqlalchemy", "flask"), ()], ids=["instrumentations alone", "with our taps"]
)
def test_shop_is_one_tree_with_correct_parents_at_every_level(
    receiver: Receiver, disabled: tuple[str, ...]
) -> None:
    pytest.importorskip("opentelemetry.instrumentation.flask")
    body = f"import sys; sys.path.insert(0, {str(ROOT / 'examples')!r})\n"
    body += SHOP.replace("BEFORE", "").replace("AFTER", SHOP_AFTER)

    spans = run_app(receiver, body, disabled)

    assert tree_of_page(spans, "/orders") == sorted(
        [
            ("GET /orders", ""),
            ("SELECT", "GET /orders"),
            *[("order_row", "GET /orders")] * 20,
            *[("SELECT", "order_row")] * 20,
        ]
    )
    assert tree_of_page(spans, "/orders-eager") == [
        ("GET /orders-eager", ""),
        ("SELECT", "GET /orders-eager"),
    ]
    assert tree_of_page(spans, "/settings").count(("SELECT", "GET /settings")) == 21


def test_shop_is_exported_whole_without_any_set_up(receiver: Receiver) -> None:
    environment = {
        **os.environ,
        "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url,
        "OTEL_SERVICE_NAME": "shop",
        "MANOMETER": "1",
        "MANOMETER_EXPORTERS": "otlp",
        "PYTHONPATH": str(ROOT / "examples"),
    }
    program = "import manometer\n" + SHOP.replace("BEFORE", "").replace("AFTER", "")
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=50, env=environment
    )
    assert done.returncode == 0, done.stderr

    assert tree_of_page(receiver.spans(), "/orders") == [
        ("GET /orders", ""),
        ("SELECT customer", "order_row"),
        ("SELECT orders", "GET /orders"),
        ("order_row", "GET /orders"),
    ]
    rules = [item.attributes["manometer.finding.rule"] for item in receiver.logs()]
    assert "n-plus-one" in rules
