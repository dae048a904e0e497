"""Serves two pages with other tools at work beside manometer: `neighbours.py WHO ORDER`, where WHO names the tools.

ORDER is `off` (no manometer), `first` or `last`: whether manometer starts before or after them. Prints one object: what the
tools have, and what manometer found.
"""

from __future__ import annotations

import json
import sqlite3
import sys
from typing import TYPE_CHECKING, Any

import requests
import sqlalchemy as sa
from flask import Flask
from sqlalchemy.pool import StaticPool
from tests.sources.web import serving

if TYPE_CHECKING:
    from collections.abc import Callable

ROWS = 12
REQUESTS = 3


def application(url: str) -> tuple[Flask, Any]:
    """Return a shop and its engine: `/loop` asks once for each order, `/joined` once."""
    engine = sa.create_engine("sqlite://", poolclass=StaticPool, connect_args={"check_same_thread": False})
    with engine.begin() as connection:
        connection.execute(sa.text("CREATE TABLE customers (id INTEGER PRIMARY KEY, name TEXT)"))
        connection.execute(sa.text("CREATE TABLE orders (id INTEGER PRIMARY KEY, customer INTEGER)"))
        for n in range(ROWS):
            connection.execute(sa.text(f"INSERT INTO customers VALUES ({100 + n}, 'customer {n}')"))
            connection.execute(sa.text(f"INSERT INTO orders VALUES ({n}, {100 + n})"))
    app = Flask("shop")

    @app.get("/loop")
    def loop() -> list[str]:
        requests.get(f"{url}/rates", timeout=5)
        with engine.connect() as connection:
            keys = connection.execute(sa.text("SELECT customer FROM orders ORDER BY id")).scalars().all()
            one = sa.text("SELECT name FROM customers WHERE id = :key")
            return [connection.execute(one, {"key": key}).scalar_one() for key in keys]

    @app.get("/joined")
    def joined() -> list[str]:
        requests.get(f"{url}/rates", timeout=5)
        both = "SELECT name FROM orders JOIN customers ON customers.id = orders.customer ORDER BY orders.id"
        with engine.connect() as connection:
            return list(connection.execute(sa.text(both)).scalars())

    @app.get("/plain")
    def plain() -> list[str]:
        with sqlite3.connect(":memory:") as connection:
            connection.execute("CREATE TABLE tags (name TEXT)")
            return [str(connection.execute("SELECT name FROM tags").fetchall())]

    return app, engine


# The tools: each is started, given the application, and asked what it has.


def sentry() -> tuple[Callable[[Any, Any], None], Callable[[], Any]]:
    import sentry_sdk
    from sentry_sdk.transport import Transport

    events: list[Any] = []

    class Collect(Transport):
        def capture_envelope(self, envelope: Any) -> None:
            events.extend(item.payload.json for item in envelope.items if item.type == "transaction")

    sentry_sdk.init(dsn="http://key@127.0.0.1:9/1", traces_sample_rate=1.0, transport=Collect)

    def data() -> Any:
        return [
            [event["transaction"], sorted([span["op"], span["description"] or ""] for span in event["spans"])]
            for event in events
        ]

    return lambda app, engine: None, data


def datadog() -> tuple[Callable[[Any, Any], None], Callable[[], Any]]:
    import ddtrace
    from ddtrace.trace import TraceFilter, tracer

    traces: list[Any] = []

    class Collect(TraceFilter):
        def process_trace(self, trace: Any) -> None:
            names = {span.span_id: span.name for span in trace}
            traces.append(sorted([span.name, span.resource, names.get(span.parent_id, "")] for span in trace))

    ddtrace.patch(flask=True, sqlalchemy=True, sqlite3=True, requests=True)
    tracer.configure(trace_processors=[Collect()])
    return lambda app, engine: None, lambda: sorted(traces)


def opentelemetry() -> tuple[Callable[[Any, Any], None], Callable[[], Any]]:
    from opentelemetry import trace
    from opentelemetry.instrumentation.flask import FlaskInstrumentor
    from opentelemetry.instrumentation.requests import RequestsInstrumentor
    from opentelemetry.instrumentation.sqlite3 import SQLite3Instrumentor
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    exporter = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    trace.set_tracer_provider(provider)
    SQLite3Instrumentor().instrument()
    RequestsInstrumentor().instrument()

    def data() -> Any:
        spans = exporter.get_finished_spans()
        names = {span.context.span_id: span.name for span in spans}
        return sorted(
            [
                span.name,
                str(span.status.status_code),
                names.get(span.parent.span_id, "") if span.parent else "",
            ]
            for span in spans
        )

    return lambda app, engine: FlaskInstrumentor().instrument_app(app), data


TOOLS = {"sentry": sentry, "datadog": datadog, "opentelemetry": opentelemetry}


class Collect:
    """Keeps manometer's reports."""

    def __init__(self) -> None:
        self.reports: list[Any] = []

    def export(self, report: Any) -> None:
        self.reports.append(report)

    def shutdown(self) -> None:
        pass


def start(collect: Collect) -> None:
    import manometer
    from manometer import _guard

    _guard.strict = True
    manometer.start(manometer.Config(exporters=()), exporters=[collect])


def main(who: str, order: str) -> None:
    collect = Collect()
    if order == "first":
        start(collect)
    tools = {name: TOOLS[name]() for name in who.split("+") if name}
    if order == "last":
        start(collect)
    with serving() as site:
        app, engine = application(site.url)
        for attach, _ in tools.values():
            attach(app, engine)
        client = app.test_client()
        answers = [
            client.get(path).get_json() for _ in range(REQUESTS) for path in ("/loop", "/joined", "/plain")
        ]
    if order != "off":
        import manometer

        manometer.stop()
    print(json.dumps({
        "answers": answers,
        "tools": {name: data() for name, (_, data) in tools.items()},
        "units": [
            {
                "name": report.profile.name,
                "calls": sorted(
                    [frame.callsite.kind, frame.callsite.name, frame.calls, frame.callsite.line]
                    for frame in report.profile.root.walk()
                    if frame.callsite.kind in ("db", "http")
                    and frame.callsite.operation != "control"
                ),
                "findings": sorted([item.rule, item.evidence.get("calls"), item.callsite.line] for item in report.findings),
            }
            for report in collect.reports
            if report.profile.kind == "request"
        ],
    }))  # fmt: skip
    sys.stdout.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
