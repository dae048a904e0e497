"""The cost of one query through a tap: `python -m benchmarks.taps EFFORT LIBRARY STATE`, one process each.

A tap patches the library for the whole process, so the states cannot be interleaved in one. Each process times the
yardstick Y beside its queries, and costs are compared in units of it.
"""

from __future__ import annotations

import json
import logging
import os
import sqlite3
import sys
from contextlib import nullcontext
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from ._harness import EFFORTS, Candidate, compare, loop
from ._subjects import SUBJECTS, bare, core, nothing, two_clocks, unit
from .calls import candidate

if TYPE_CHECKING:
    from collections.abc import Callable

STATES = ("bare", "manometer", "OpenTelemetry")
ROWS = "CREATE TABLE items (id INTEGER PRIMARY KEY, name TEXT, price REAL)"
QUERY = "SELECT id, name, price FROM items WHERE id = ?"
_FILL = "INSERT INTO items (name, price) VALUES ('thing', 1.5)"


def nowhere() -> Any:
    """An exporter of spans that forgets them."""
    from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

    class Nowhere(SpanExporter):
        def export(self, _: Any) -> Any:
            return SpanExportResult.SUCCESS

        def shutdown(self) -> None:
            pass

    return Nowhere()


def provider() -> Any:
    """The SDK of OpenTelemetry, recording everything; returns a tracer."""
    from opentelemetry import trace
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    made = TracerProvider()
    made.add_span_processor(BatchSpanProcessor(nowhere()))
    trace.set_tracer_provider(made)
    return trace.get_tracer("benchmark")


def switch_on(state: str, library: str) -> Callable[[], Any]:
    """Install a state; returns what opens a unit of work in it."""
    if state == "manometer":
        import manometer

        manometer.start(manometer.Config(exporters=(), heartbeat_s=0))
        return unit
    if state == "OpenTelemetry":
        tracer = provider()
        if library == "SQLAlchemy":
            from opentelemetry.instrumentation.sqlalchemy import SQLAlchemyInstrumentor as Instrumentor
        else:  # its Django instrumentation leaves queries to the driver's
            from opentelemetry.instrumentation.sqlite3 import SQLite3Instrumentor as Instrumentor
        Instrumentor().instrument()
        return lambda: tracer.start_as_current_span("request")
    return nothing


def of_sqlite3() -> Callable[[], object]:
    """A query of one row through the driver."""
    connection = sqlite3.connect(":memory:")
    connection.execute(ROWS)
    connection.execute(_FILL)
    connection.commit()
    cursor = connection.cursor()
    return lambda: cursor.execute(QUERY, (1,)).fetchone()


def of_sqlalchemy() -> Callable[[], object]:
    """A query of one row through the Core of SQLAlchemy."""
    from sqlalchemy import create_engine, text

    connection = create_engine("sqlite://").connect()
    connection.execute(text(ROWS))
    connection.execute(text(_FILL))
    statement = text(QUERY.replace("?", ":id"))
    return lambda: connection.execute(statement, {"id": 1}).fetchone()


def of_django() -> Callable[[], object]:
    """A query of one row through the cursor of Django."""
    import django
    from django.conf import settings

    settings.configure(DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}})
    django.setup()
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute(ROWS)
        cursor.execute(_FILL)
    query = QUERY.replace("?", "%s")

    def one() -> object:
        with connection.cursor() as cursor:
            cursor.execute(query, [1])
            return cursor.fetchone()

    return one


LIBRARIES = {"sqlite3": of_sqlite3, "SQLAlchemy": of_sqlalchemy, "Django": of_django}


def main() -> None:
    """Print the cost of a query and of the yardstick as JSON, or why there is none."""
    effort, library, state = EFFORTS[sys.argv[1]], sys.argv[2], sys.argv[3]
    logging.disable(logging.CRITICAL)
    try:
        root = switch_on(state, library)
        query = LIBRARIES[library]()
    except Exception as error:
        print(json.dumps({"missing": f"{type(error).__name__}: {error}"[:200]}), flush=True)
        os._exit(0)
    run = loop("query()", {"query": query}, inner=200, root=root, asynchronous=False)
    costs = compare(
        [
            candidate("bare call", SUBJECTS["sync"], bare, nullcontext),
            candidate("Y", SUBJECTS["sync"], two_clocks, nullcontext),
            Candidate("query", run, calls=200),
        ],
        effort,
    )
    print(
        json.dumps({"core": core(), "costs": {key: asdict(cost) for key, cost in costs.items()}}), flush=True
    )
    os._exit(0)


if __name__ == "__main__":
    main()
