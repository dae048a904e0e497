"""Spans of OpenTelemetry become frames: real SDK, real instrumentations, no tap of ours beside them."""

from __future__ import annotations

import asyncio
import importlib.metadata
import inspect
import os
import sqlite3
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

pytest.importorskip("opentelemetry.sdk.trace")

from opentelemetry import context as otel_context, trace
from opentelemetry.sdk.trace import TracerProvider, sampling
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, TraceIdRatioBased
from opentelemetry.trace import SpanKind
from tests.sources.collect import queries, recorded, strict_guard, switched_on

from manometer import _context, _guard, _runtime, _spans, measure
from manometer._otel import Instrumentor
from manometer.sources import otel
from manometer.sources.otel import OpenTelemetrySource, _processor
from manometer.sources.sqlite import SQLiteSource
from manometer.testing import FakeClock, record

if TYPE_CHECKING:
    from collections.abc import Iterator

    from manometer._model import Frame, Profile


@pytest.fixture(autouse=True)
def tap() -> Iterator[None]:
    undo = OpenTelemetrySource().install()
    with strict_guard():
        yield
    undo()
    _guard.clear()
    _spans.promoting = _spans.record_unsampled = False
    assert not _context.live


@pytest.fixture
def exported() -> InMemorySpanExporter:
    return InMemorySpanExporter()


@pytest.fixture
def provider(exported: InMemorySpanExporter) -> Iterator[TracerProvider]:
    made = TracerProvider(shutdown_on_exit=False)
    made.add_span_processor(SimpleSpanProcessor(exported))
    assert otel.attach(made)
    yield made
    made.shutdown()


@pytest.fixture
def tracer(provider: TracerProvider) -> trace.Tracer:
    return provider.get_tracer("test.app")


@pytest.fixture
def instrumented(provider: TracerProvider) -> Iterator[sqlite3.Connection]:
    instrumentation = pytest.importorskip("opentelemetry.instrumentation.sqlite3")
    instrumentor = instrumentation.SQLite3Instrumentor()
    instrumentor.instrument(tracer_provider=provider)
    connection = sqlite3.connect(":memory:", check_same_thread=False)
    connection.cursor().execute("CREATE TABLE orders (id INTEGER, customer INTEGER)")
    yield connection
    connection.close()
    instrumentor.uninstrument()


def shape(frame: Frame) -> dict[str, Any]:
    return {
        f"{child.callsite.name.rpartition('.')[2]} {child.calls}": shape(child)
        for child in frame.own_children()
    }


QUERY = {
    "db.system": "postgresql",
    "db.statement": "SELECT name FROM customers WHERE id = 7",
    "db.name": "shop",
    "net.peer.name": "db",
    "net.peer.port": 5432,
}
STABLE_QUERY = {
    "db.system.name": "postgresql",
    "db.query.text": "SELECT name FROM customers WHERE id = 8",
    "db.namespace": "shop",
    "server.address": "db",
    "server.port": 5432,
}


def ask(tracer: trace.Tracer, attributes: dict[str, Any] = QUERY) -> None:
    with tracer.start_as_current_span("SELECT", kind=SpanKind.CLIENT) as span:
        span.set_attributes(attributes)


def test_old_and_stable_conventions_are_one_callsite(tracer: trace.Tracer) -> None:
    with recorded() as profiles:
        for attributes in (QUERY, STABLE_QUERY):
            ask(tracer, attributes)

    (frame,) = queries(profiles[0])
    assert (frame.calls, frame.callsite.name, frame.callsite.target) == (
        2,
        "SELECT customers",
        "shop@db:5432",
    )
    assert frame.callsite.template == "SELECT name FROM customers WHERE id = ?"
    assert len(frame.more().keys) == 2
    assert frame.callsite.file == __file__


def test_masked_arguments_are_unknown_and_no_key(tracer: trace.Tracer) -> None:
    with recorded() as profiles:
        for _ in range(2):
            ask(tracer, {"db.system": "sqlite", "db.statement": "SELECT name FROM customers WHERE id = ?"})
            ask(tracer, {"db.system": "redis", "db.statement": "GET ?"})

    frames = [frame for frame in profiles[0].root.walk() if frame.callsite.kind in ("db", "cache")]
    assert {(frame.callsite.kind, frame.more().unkeyed, len(frame.more().keys)) for frame in frames} == {
        ("db", 2, 0),
        ("cache", 2, 0),
    }


def test_http_client_is_its_route_without_what_its_query_holds(tracer: trace.Tracer) -> None:
    attributes = {"http.request.method": "GET", "url.full": "http://stock:8080/items/42?token=canary"}
    with recorded() as profiles, tracer.start_as_current_span("GET", kind=SpanKind.CLIENT) as span:
        span.set_attributes(attributes)

    (frame,) = profiles[0].root.own_children()
    assert (frame.callsite.kind, frame.callsite.name, frame.callsite.target) == (
        "http",
        "GET /items/{id}",
        "stock:8080",
    )
    assert "canary" not in repr(frame.callsite)


def test_span_and_measured_function_are_one_tree(tracer: trace.Tracer) -> None:
    @measure
    def quote() -> None:
        ask(tracer)

    with recorded() as profiles, tracer.start_as_current_span("price order 4711"):
        for _ in range(3):
            quote()
        ask(tracer)

    assert shape(profiles[0].root) == {
        "price order {} 1": {"quote 3": {"SELECT customers 3": {}}, "SELECT customers 1": {}}
    }


def test_spans_under_gather_stay_below_their_own_task(tracer: trace.Tracer) -> None:
    async def one(name: str, count: int) -> None:
        with tracer.start_as_current_span(name):
            for _ in range(count):
                with tracer.start_as_current_span("SELECT", kind=SpanKind.CLIENT) as span:
                    span.set_attributes(QUERY)
                    await asyncio.sleep(0)

    async def all_of_them() -> None:
        await asyncio.gather(one("first", 2), one("second", 3))

    with recorded() as profiles:
        asyncio.run(all_of_them())

    assert shape(profiles[0].root) == {
        "first 1": {"SELECT customers 2": {}},
        "second 1": {"SELECT customers 3": {}},
    }


def test_thread_that_got_only_the_context_of_opentelemetry_belongs_to_its_request(
    tracer: trace.Tracer,
) -> None:
    with recorded() as profiles, tracer.start_as_current_span("fan out"), ThreadPoolExecutor(1) as pool:
        current = otel_context.get_current()

        def work() -> None:
            otel_context.attach(current)
            ask(tracer)

        pool.submit(work).result()

    assert shape(profiles[0].root) == {"fan out 1": {"SELECT customers 1": {}}}


@pytest.mark.parametrize("kind", [SpanKind.SERVER, SpanKind.CONSUMER, SpanKind.INTERNAL])
def test_local_root_span_opens_a_unit_of_work(tracer: trace.Tracer, kind: SpanKind) -> None:
    attributes = {"http.request.method": "GET", "http.route": "/orders/{id}", "url.path": "/orders/7"}
    with (
        switched_on() as profiles,
        tracer.start_as_current_span("GET", kind=kind, attributes=attributes) as span,
    ):
        span.set_attribute("http.response.status_code", 200)
        ask(tracer)
        trace_id = span.get_span_context().trace_id

    (profile,) = profiles
    wanted = {
        "SERVER": ("request", "GET /orders/{id}", "200"),
        "CONSUMER": ("task", "GET", ""),
        "INTERNAL": ("block", "GET", ""),
    }
    assert (profile.kind, profile.name, profile.status) == wanted[kind.name]
    assert (profile.framework, profile.trace_id) == ("opentelemetry", f"{trace_id:032x}")
    assert shape(profile.root) == {"SELECT customers 1": {}}
    assert _context.variable.get() is None


def test_client_span_alone_is_no_unit_of_work(tracer: trace.Tracer) -> None:
    with switched_on() as profiles:
        ask(tracer)

    assert profiles == []


def test_excluded_route_is_muted_with_all_inside(tracer: trace.Tracer) -> None:
    attributes = {"http.method": "GET", "http.target": "/healthz"}
    with (
        switched_on() as profiles,
        tracer.start_as_current_span("GET", kind=SpanKind.SERVER, attributes=attributes),
    ):
        ask(tracer)

    assert profiles == []
    assert _context.variable.get() is None


def test_exception_of_the_application_is_the_outcome(tracer: trace.Tracer) -> None:
    with (
        switched_on() as profiles,
        pytest.raises(LookupError, match="canary"),
        tracer.start_as_current_span("job"),
    ):
        raise LookupError("canary")

    assert [(profile.name, profile.outcome) for profile in profiles] == [("job", "LookupError")]


def test_tap_inside_a_span_describes_the_call(provider: TracerProvider) -> None:
    instrumentation = pytest.importorskip("opentelemetry.instrumentation.sqlite3")
    undo = SQLiteSource().install()
    instrumentor = instrumentation.SQLite3Instrumentor()
    instrumentor.instrument(tracer_provider=provider)
    try:
        connection = sqlite3.connect(":memory:")
        connection.cursor().execute("CREATE TABLE orders (id INTEGER)")
        connection.cursor().execute("INSERT INTO orders VALUES (7)")
        with recorded() as profiles:
            connection.cursor().execute("SELECT id FROM orders WHERE id = ?", (7,)).fetchall()
            connection.cursor().execute("SELECT 1").fetchall()
        connection.close()
    finally:
        instrumentor.uninstrument()
        undo()

    (frame,) = queries(profiles[0])
    assert (frame.calls, len(frame.more().keys), frame.more().rows_sum) == (1, 1, 1)
    assert profiles[0].spans.seen == 2


def test_span_inside_a_call_of_the_same_kind_is_that_call(tracer: trace.Tracer) -> None:
    with recorded() as profiles:
        for _ in range(3):
            outer = tracer.start_span("SELECT shop", kind=SpanKind.CLIENT, attributes=QUERY)
            ask(tracer)  # a sibling in the trace: the object layer does not make its span current
            outer.end()

    (frame,) = queries(profiles[0])
    assert frame.calls == 3


def test_own_clock_measures_and_times_by_hand_are_obeyed(tracer: trace.Tracer) -> None:
    with FakeClock() as clock, recorded() as profiles:
        with tracer.start_as_current_span("SELECT", kind=SpanKind.CLIENT, attributes=QUERY):
            clock.advance(ms=5)
        began_ns = time.time_ns() - 10**9
        span = tracer.start_span("GET", kind=SpanKind.CLIENT, start_time=began_ns)
        span.end(end_time=began_ns + 7_000_000)

    durations = {frame.callsite.name: frame.total_ns for frame in profiles[0].root.own_children()}
    assert durations == {"SELECT customers": 5_000_000, "GET": 7_000_000}


def test_span_that_never_ends_costs_nothing_but_itself(tracer: trace.Tracer) -> None:
    with recorded() as profiles:
        tracer.start_span("forgotten")
        ask(tracer)

    assert sum(frame.calls for frame in queries(profiles[0])) == 1


def test_end_twice_and_end_after_the_profile_are_harmless(tracer: trace.Tracer) -> None:
    with recorded() as profiles:
        span = tracer.start_span("twice")
        span.end()
        span.end()
        late = tracer.start_span("late", kind=SpanKind.CLIENT, attributes=QUERY)
    before = _context.drops.get("late", 0)
    late.end()

    assert shape(profiles[0].root) == {"twice 1": {}}
    assert _context.drops.pop("late") == before + 1


def test_end_in_another_thread_leaves_this_one_where_it_was(tracer: trace.Tracer) -> None:
    @measure
    def after() -> None:
        pass

    with recorded() as profiles:
        span = tracer.start_span("handed over")
        thread = threading.Thread(target=span.end)
        thread.start()
        thread.join()
        after()

    assert shape(profiles[0].root) == {"handed over 1": {}, "after 1": {}}


def test_failure_of_ours_does_not_reach_the_application(
    tracer: trace.Tracer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("ours")

    monkeypatch.setattr(_guard, "strict", False)
    monkeypatch.setattr("manometer.sources.otel._record.Listener.started", broken)

    with tracer.start_as_current_span("job"):
        pass

    assert _guard.counts == {"sources.opentelemetry": 1}


def test_repetition_is_found_with_an_instrumentation_alone(instrumented: sqlite3.Connection) -> None:
    with record() as judged:
        cursor = instrumented.cursor()
        for key in range(12):
            cursor.execute("SELECT customer FROM orders WHERE id = ?", (key,))
            cursor.fetchone()

    (finding,) = judged.findings
    assert (finding.rule, finding.confidence, finding.evidence["calls"]) == ("n-plus-one", "possible", 12)
    assert finding.callsite.function.endswith("alone")


def test_measured_parent_becomes_the_parent_of_what_an_instrumentation_starts(
    tracer: trace.Tracer, exported: InMemorySpanExporter
) -> None:
    _spans.promoting = True

    @measure
    def handler() -> None:
        load()
        load()

    @measure
    def load() -> None:
        ask(tracer)

    with recorded() as profiles, tracer.start_as_current_span("GET /orders"):
        handler()

    spans = exported.get_finished_spans()
    names = {span.context.span_id: span.name for span in spans}
    promoted = profiles[0].spans.finish(0)
    names |= {promotion.own.span_id: promotion.callsite.name.rpartition(".")[2] for promotion in promoted}
    parents = [(span.name, names[span.parent.span_id]) for span in spans if span.parent]
    assert parents == [("SELECT", "load"), ("SELECT", "load")]
    assert sorted((names[one.own.span_id], names[one.parent_id]) for one in promoted) == [
        ("handler", "GET /orders"),
        ("load", "handler"),
        ("load", "handler"),
    ]
    assert len(names) == 6


def test_parents_are_correct_under_gather(tracer: trace.Tracer, exported: InMemorySpanExporter) -> None:
    _spans.promoting = True

    @measure
    async def fetch(number: int) -> None:
        with tracer.start_as_current_span(f"child {number}", kind=SpanKind.CLIENT):
            await asyncio.sleep(0)

    async def fan_out() -> None:
        await asyncio.gather(*(fetch(number) for number in range(4)))

    with recorded() as profiles, tracer.start_as_current_span("root"):
        asyncio.run(fan_out())

    promoted = profiles[0].spans.finish(0)
    children = [span for span in exported.get_finished_spans() if span.name.startswith("child")]
    assert len(promoted) == 4
    assert {span.parent.span_id for span in children} == {one.own.span_id for one in promoted}
    assert all(one.ended_ns > one.started_ns for one in promoted)


def test_budget_bounds_the_promoted_and_leaves_no_orphan(
    tracer: trace.Tracer, exported: InMemorySpanExporter
) -> None:
    _spans.promoting = True

    @measure
    def cheap() -> None:
        pass

    @measure
    def pair() -> None:
        ask(tracer)

    @measure(slow_ms=0)
    def slow() -> None:
        time.sleep(0.001)

    with recorded() as profiles, tracer.start_as_current_span("root"):
        for _ in range(300):
            pair()
        for _ in range(10_000):
            cheap()
        slow()

    promoted = profiles[0].spans.finish(0)
    spans = exported.get_finished_spans()
    ids = {span.context.span_id for span in spans} | {one.own.span_id for one in promoted}
    assert len(spans) + len(promoted) <= 350
    assert [one.parent_id for one in promoted if one.parent_id not in ids] == []
    assert [span for span in spans if span.parent and span.parent.span_id not in ids] == []
    assert "slow" in {one.callsite.name.rpartition(".")[2] for one in promoted}
    assert profiles[0].spans.refused == 300 - 32


def test_without_the_private_attribute_the_trace_stays_as_it_is(
    tracer: trace.Tracer, exported: InMemorySpanExporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    _spans.promoting = True
    monkeypatch.setattr(_processor, "_can_reparent", False)

    @measure
    def load() -> None:
        ask(tracer)

    with recorded(), tracer.start_as_current_span("root") as root:
        load()

    (span,) = [span for span in exported.get_finished_spans() if span.name == "SELECT"]
    assert span.parent.span_id == root.get_span_context().span_id


def test_self_test_says_that_this_sdk_obeys() -> None:
    assert _processor._try_reparent()


def dropped_share(provider: TracerProvider) -> dict[str, str]:
    otel.attach(provider)
    profiles: list[Profile] = []
    for _ in range(4):
        with recorded() as one, provider.get_tracer("t").start_as_current_span("GET", kind=SpanKind.SERVER):
            pass
        profiles += one
    _spans.forget()
    for profile in profiles:
        _spans.tally(profile)
    return _spans.not_seen()


def test_share_that_was_sampled_out_is_said() -> None:
    assert dropped_share(TracerProvider(sampler=TraceIdRatioBased(0.0), shutdown_on_exit=False)) == {
        "spans": "sampled out in 100 % of 4 units of work by TraceIdRatioBased{0.0}"
    }
    assert dropped_share(TracerProvider(shutdown_on_exit=False)) == {}


@pytest.mark.skipif(
    not hasattr(sampling, "AlwaysRecordSampler"), reason="this SDK has no AlwaysRecordSampler"
)
def test_unsampled_spans_are_seen_on_request_and_exported_no_more_than_before() -> None:
    exported = InMemorySpanExporter()
    provider = TracerProvider(sampler=ALWAYS_OFF, shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exported))
    early = provider.get_tracer("early")
    _spans.record_unsampled = True
    otel.attach(provider)

    with recorded() as profiles:
        ask(early)
        ask(provider.get_tracer("late"))

    assert sum(frame.calls for frame in queries(profiles[0])) == 2
    assert exported.get_finished_spans() == ()
    for undo in otel._undos:
        undo()
    assert provider.sampler is ALWAYS_OFF


def test_undo_takes_the_processor_out(provider: TracerProvider, tracer: trace.Tracer) -> None:
    undo = otel._undos[-1]
    undo()

    with recorded() as profiles:
        ask(tracer)

    assert shape(profiles[0].root) == {}
    assert len(provider._active_span_processor._span_processors) == 1


LATER = """
import sys, manometer
from manometer.testing import install_sources, record
from opentelemetry import trace
{before}
with install_sources("opentelemetry") as installed:
    from opentelemetry.sdk.trace import TracerProvider
    {setting}
    with record() as recorded:
        with trace.get_tracer("x").start_as_current_span("work"):
            pass
print([child.callsite.name for child in recorded.profile.root.own_children()], installed.states["opentelemetry"][0])
"""


@pytest.mark.parametrize(
    ("before", "setting"),
    [
        (
            "from opentelemetry.sdk.trace import TracerProvider; trace.set_tracer_provider(TracerProvider())",
            "",
        ),
        ("", "trace.set_tracer_provider(TracerProvider())"),
        ("from opentelemetry.trace import set_tracer_provider", "set_tracer_provider(TracerProvider())"),
    ],
    ids=["earlier", "later", "later by a name imported before"],
)
def test_provider_is_joined_whenever_it_is_set(before: str, setting: str) -> None:
    program = LATER.format(before=before, setting=setting)

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=50)

    assert (done.stdout, done.stderr) == ("['work'] active\n", "")


LOGFIRE = """
import logfire
from manometer.testing import install_sources, record
with install_sources("opentelemetry"):
    logfire.configure(send_to_logfire=False, console=False)
    with record() as recorded, logfire.span("price {n}", n=7):
        pass
    logfire.configure(send_to_logfire=False, console=False)
    with record() as again, logfire.span("price {n}", n=7):
        pass
for one in (recorded, again):
    print([(child.callsite.name, child.calls) for child in one.profile.root.own_children()])
"""


def test_logfire_is_joined_through_its_proxy_and_again_when_configured_anew(tmp_path: Path) -> None:
    pytest.importorskip("logfire")

    program = tmp_path / "program.py"  # logfire reads the source of its caller
    program.write_text(LOGFIRE, encoding="utf-8")

    done = subprocess.run([sys.executable, str(program)], capture_output=True, text=True, timeout=50)

    assert (done.stdout, done.returncode) == ("[('price {n}', 1)]\n" * 2, 0), done.stderr


PROGRAM = """
import sqlite3, sys
from opentelemetry import trace
from manometer import _runtime
with trace.get_tracer("x").start_as_current_span("job"):
    pass
running = _runtime.running()
print(running is not None and running.config.slow_ms)
"""


@pytest.mark.parametrize(
    ("extra", "printed"),
    [
        ({}, "1000.0"),
        ({"MANOMETER_SLOW_MS": "250"}, "250.0"),
        ({"MANOMETER": "0"}, "False"),
        ({"OTEL_PYTHON_DISABLED_INSTRUMENTATIONS": "manometer"}, "False"),
    ],
)
def test_opentelemetry_instrument_starts_manometer_as_one_of_many(
    tmp_path: Path, extra: dict[str, str], printed: str
) -> None:
    command = Path(sys.executable).with_name("opentelemetry-instrument")
    entry_points = importlib.metadata.entry_points(group="opentelemetry_instrumentor")
    if not command.exists() or "manometer" not in {point.name for point in entry_points}:
        pytest.skip("opentelemetry-instrument, or manometer's metadata, is not installed here")
    program = tmp_path / "app.py"
    program.write_text(PROGRAM, encoding="utf-8")
    none = {f"OTEL_{signal}_EXPORTER": "none" for signal in ("TRACES", "METRICS", "LOGS")}

    done = subprocess.run(
        [command, sys.executable, program],
        capture_output=True,
        text=True,
        timeout=50,
        env={**os.environ, **none, **extra},
    )

    assert done.stdout == f"{printed}\n", done.stderr
    assert ("up state=stop" in done.stderr) == (printed != "False")


def test_instrumentor_takes_options_once_and_ignores_what_it_does_not_know() -> None:
    instrumentor = Instrumentor()
    try:
        instrumentor.instrument(slow_ms=5, exporters=["log"], skip_dep_check=True)
        Instrumentor().instrument(skip_dep_check=True)

        running = _runtime.running()
        assert (running.config.slow_ms, running.config.exporters) == (5, ("log",))
        assert instrumentor.is_instrumented_by_opentelemetry
    finally:
        instrumentor.uninstrument()
    assert _runtime.running() is None


def test_live_span_is_the_measured_call_and_a_parent_at_once(
    tracer: trace.Tracer, exported: InMemorySpanExporter
) -> None:
    _spans.promoting = True

    @measure
    def handler() -> str:
        return quote("a", count=3)

    @measure(span=True, slow_ms=0)
    def quote(name: str, *, count: int = 1) -> str:
        """Say it."""
        ask(tracer)
        return name * count

    @measure(span=True)
    async def later() -> int:
        await asyncio.sleep(0)
        return 7

    with recorded() as profiles, tracer.start_as_current_span("root"):
        assert (handler(), asyncio.run(later())) == ("aaa", 7)

    spans = exported.get_finished_spans()
    promoted = profiles[0].spans.finish(0)
    names = {span.context.span_id: span.name.rpartition(".")[2] for span in spans}
    names |= {one.own.span_id: one.callsite.name.rpartition(".")[2] for one in promoted}
    parents = {names[span.context.span_id]: names[span.parent.span_id] for span in spans if span.parent}
    assert parents == {"SELECT": "quote", "quote": "handler", "later": "root"}
    assert [one.callsite.name.rpartition(".")[2] for one in promoted] == ["handler"]
    assert shape(profiles[0].root) == {
        "root 1": {"handler 1": {"quote 1": {"SELECT customers 1": {}}}, "later 1": {}}
    }
    assert (str(inspect.signature(quote)), quote.__doc__) == (
        "(name: 'str', *, count: 'int' = 1) -> 'str'",
        "Say it.",
    )


def test_live_span_keeps_the_exception_and_costs_nothing_outside_a_profile(
    tracer: trace.Tracer, exported: InMemorySpanExporter
) -> None:
    @measure(span=True)
    def broken() -> None:
        raise LookupError("canary")

    with pytest.raises(LookupError, match="canary"):
        broken()
    assert exported.get_finished_spans() == ()

    with recorded(), pytest.raises(LookupError, match="canary"):
        broken()
    assert [span.status.is_ok for span in exported.get_finished_spans()] == [False]


def test_generator_cannot_be_a_live_span() -> None:
    with pytest.raises(TypeError, match="not generator"):

        @measure(span=True)
        def numbers() -> Iterator[int]:
            yield 1
