"""What is still found with OpenTelemetry's instrumentations alone: real ones, no tap of ours beside them."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "opentelemetry.md"

FRAME = """
import http.server, json, sqlite3, threading
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
trace.set_tracer_provider(TracerProvider(shutdown_on_exit=False))
import manometer
from manometer import _guard
_guard.strict = True

class Server(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        self.send_response(200); self.send_header("content-length", "2"); self.end_headers(); self.wfile.write(b"ok")
    def log_message(self, *_): pass
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server)
server.daemon_threads = True
threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
url = f"http://127.0.0.1:{server.server_port}"

from opentelemetry.instrumentation.sqlite3 import SQLite3Instrumentor
SQLite3Instrumentor().instrument()
connection = sqlite3.connect(":memory:", check_same_thread=False)
cursor = connection.cursor()
cursor.execute("CREATE TABLE orders (id INTEGER, customer INTEGER)")
cursor.executemany("INSERT INTO orders VALUES (?, ?)", [(n, n + 100) for n in range(12)])

class Collect:
    def __init__(self): self.reports = []
    def export(self, report): self.reports.append(report)
    def shutdown(self): pass

from manometer.sources import SOURCES
collect = Collect()
off = frozenset(SOURCES) - {"opentelemetry"}
manometer.start(manometer.Config(exporters=(), disable=off), exporters=[collect])
def query(n):
    return cursor.execute("SELECT customer FROM orders WHERE id = ?", (n,)).fetchall()
BODY
manometer.stop()
for report in collect.reports:
    profile = report.profile
    if profile.kind == "process":
        continue
    calls = {f.callsite.name: f.calls for f in profile.root.walk() if f.callsite.kind in ("db", "http")}
    print(json.dumps({
        "name": profile.name, "kind": profile.kind, "status": profile.status, "framework": profile.framework,
        "trace": bool(profile.trace_id), "calls": calls, "outcome": profile.outcome,
        "findings": [[f.rule, f.confidence, f.evidence.get("calls")] for f in report.findings],
    }))
"""

FLASK = """
from flask import Flask
from opentelemetry.instrumentation.flask import FlaskInstrumentor
app = Flask(__name__)
@app.get("/orders/<int:id>")
def order(id):
    return str([query(n) for n in range(12)])
@app.get("/health")
def health():
    return str(query(1))
FlaskInstrumentor().instrument_app(app)
client = app.test_client()
client.get("/orders/7").get_data()
client.get("/health").get_data()
client.get("/nowhere/7").get_data()
"""

FASTAPI = """
from fastapi import FastAPI
from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor
app = FastAPI()
@app.get("/orders/{id}")
async def order(id: int):
    return [query(n) for n in range(12)]
FastAPIInstrumentor.instrument_app(app)
import asyncio, httpx
async def main():
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://shop") as client:
        await client.get("/orders/7")
asyncio.run(main())
"""

DJANGO = """
import django
from django.conf import settings
settings.configure(ROOT_URLCONF="__main__", ALLOWED_HOSTS=["*"], DATABASES={}, MIDDLEWARE=[])
from opentelemetry.instrumentation.django import DjangoInstrumentor
DjangoInstrumentor().instrument()
django.setup()
from django.http import HttpResponse
from django.urls import path
def order(request, id):
    return HttpResponse(str([query(n) for n in range(12)]))
urlpatterns = [path("orders/<int:id>", order)]
from django.test import Client
Client().get("/orders/7")
"""


def run(body: str) -> list[dict[str, Any]]:
    program = FRAME.replace("BODY", body)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=55)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.parametrize(
    ("name", "body", "route"),
    [
        ("flask", FLASK, "GET /orders/<int:id>"),
        ("fastapi", FASTAPI, "GET /orders/{id}"),
        ("django", DJANGO, "GET /orders/<int:id>"),
    ],
)
def test_request_of_a_framework_is_a_unit_of_work(name: str, body: str, route: str) -> None:
    pytest.importorskip(f"opentelemetry.instrumentation.{name}")

    first, *others = run(body)

    assert (first["name"], first["kind"], first["status"]) == (route, "request", "200")
    assert (first["framework"], first["trace"], first["outcome"]) == ("opentelemetry", True, "ok")
    assert first["calls"] == {"SELECT orders": 12}
    assert [finding[0] for finding in first["findings"]] == ["n-plus-one"]
    # A health check is excluded, an unknown path has no name of its own.
    assert [other["name"] for other in others] == (["GET (unmatched)"] if name == "flask" else [])


LOOPS = {
    "sqlite3: `cursor.execute` with placeholders": """
        for n in range(12): query(n)
    """,
    "sqlite3: `cursor.execute` with literals in the text": """
        for n in range(12): cursor.execute(f"SELECT customer FROM orders WHERE id = {n}").fetchall()
    """,
    "sqlite3: the same literal again": """
        for n in range(12): cursor.execute("SELECT customer FROM orders WHERE id = 7").fetchall()
    """,
    "sqlite3: `connection.execute`": """
        for n in range(12): connection.execute("SELECT customer FROM orders WHERE id = ?", (n,)).fetchall()
    """,
    "requests: a URL per row": """
        import requests
        from opentelemetry.instrumentation.requests import RequestsInstrumentor
        RequestsInstrumentor().instrument()
        with requests.Session() as session:
            for n in range(12): session.get(f"{url}/items/{n}")
    """,
    "httpx: a URL per row": """
        import httpx
        from opentelemetry.instrumentation.httpx import HTTPXClientInstrumentor
        HTTPXClientInstrumentor().instrument()
        with httpx.Client() as client:
            for n in range(12): client.get(f"{url}/items/{n}")
    """,
    "httpx: the same URL again": """
        import httpx
        from opentelemetry.instrumentation.httpx import HTTPXClientInstrumentor
        HTTPXClientInstrumentor().instrument()
        with httpx.Client() as client:
            for n in range(12): client.get(f"{url}/items/7")
    """,
    "httpx: async, a URL per row": """
        import asyncio, httpx
        from opentelemetry.instrumentation.httpx import HTTPXClientInstrumentor
        HTTPXClientInstrumentor().instrument()
        async def main():
            async with httpx.AsyncClient() as client:
                for n in range(12): await client.get(f"{url}/items/{n}")
        asyncio.run(main())
    """,
    "innocent: one statement, no loop": """
        query(1)
    """,
}


def documented() -> dict[str, tuple[str, str]]:
    """Return the table of the page: case, with rule and confidence."""
    rows = re.findall(
        r"^\| ([^|]+) \| ([^|]+) \| ([^|]+) \|$", PAGE.read_text(encoding="utf-8"), re.MULTILINE
    )
    return {case: (rule.strip("`"), confidence) for case, rule, confidence in rows if case in LOOPS}


@pytest.mark.parametrize("case", LOOPS)
def test_repetition_is_found_as_the_page_says(case: str) -> None:
    pytest.importorskip("opentelemetry.instrumentation.httpx")
    pytest.importorskip("opentelemetry.instrumentation.requests")
    lines = [line[8:] for line in LOOPS[case].splitlines()]
    body = "\n".join(['with manometer.profile("loop"):', *(f"    {line}" for line in lines)])

    (unit,) = run(body)

    found = [(rule, confidence) for rule, confidence, _ in unit["findings"]] or [("nothing", "")]
    assert found == [tuple(text.replace("none", "") for text in documented()[case])]
    assert all(calls == 12 for _, _, calls in unit["findings"])
