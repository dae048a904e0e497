"""Names in a path are folded where something shows that they are data, and nowhere else."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest

from manometer._model import PRODUCTION
from manometer.sources import _slugs
from manometer.testing import install_sources, raising, record

if TYPE_CHECKING:
    from collections.abc import Iterator

requests = pytest.importorskip("requests", reason="requests is not installed")

NAMES = (
    "alice", "bob", "carol", "dave", "erin", "frank", "grace", "heidi", "ivan", "judy", "mallory", "niaj", "olivia",
    "peggy", "rupert", "sybil", "trent", "victor", "walter", "wendy",
)  # fmt: skip


class Directory(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = 65536

    def do_GET(self) -> None:
        body = json.dumps(
            {"users": [{"login": name} for name in NAMES]} if self.path == "/users" else {"ok": 1}
        )
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *args: Any) -> None:
        pass


@pytest.fixture
def base() -> Iterator[str]:
    _slugs.forget()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Directory)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    with raising(), install_sources("requests", "urllib3"):
        yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    _slugs.forget()


def shapes(recorded: record) -> dict[str, int]:
    found: dict[str, int] = {}
    for frame in recorded.profile.root.walk():
        if frame.callsite.kind == "http":
            found[frame.callsite.template] = found.get(frame.callsite.template, 0) + frame.calls
    return found


def test_names_that_a_list_returned_are_one_shape_from_the_first_on(base: str) -> None:
    with requests.Session() as session, record(policy=PRODUCTION) as recorded:
        for user in session.get(f"{base}/users", timeout=5).json()["users"][:8]:
            session.get(f"{base}/users/{user['login']}", timeout=5)

    assert shapes(recorded) == {"GET /users": 1, "GET /users/{id}": 8}
    (finding,) = recorded.findings
    assert (finding.rule, finding.confidence, finding.evidence["calls"]) == ("n-plus-one", "confirmed", 8)


def test_many_names_at_one_position_are_one_finding_with_all_of_them(base: str) -> None:
    with requests.Session() as session, record(policy=PRODUCTION) as recorded:
        for name in NAMES:
            session.get(f"{base}/api/v2/products/{name}-shoes/stock", timeout=5)

    (finding,) = recorded.findings
    assert (finding.rule, finding.evidence["calls"]) == ("n-plus-one", 20)
    assert finding.callsite.template == "GET /api/v2/products/{id}/stock"


def test_endpoints_of_one_service_keep_their_names(base: str) -> None:
    endpoints = ("users", "orders", "invoices", "stock", "prices", "regions", "carts", "returns")
    with requests.Session() as session, record(policy=PRODUCTION) as recorded:
        for name in endpoints:
            session.get(f"{base}/api/v1/{name}", timeout=5)

    assert shapes(recorded) == {f"GET /api/v1/{name}": 1 for name in endpoints}
    # Where the machine is slow, that nobody waits for the others is worth saying; that is another rule.
    assert {item.rule for item in recorded.findings} <= {"serial-independents"}


def test_a_helper_for_all_requests_keeps_shapes_of_different_things_apart(base: str) -> None:
    def ask(session: Any, path: str) -> None:
        session.get(f"{base}{path}", timeout=5)

    with requests.Session() as session, record(policy=PRODUCTION) as recorded:
        ask(session, "/users/me")
        ask(session, "/users/me/roles")
        ask(session, "/orders/latest")
        ask(session, "/prices/today")

    assert sorted(shapes(recorded)) == [
        "GET /orders/latest", "GET /prices/today", "GET /users/me", "GET /users/me/roles",
    ]  # fmt: skip
    assert recorded.findings == ()


def test_no_name_is_kept_once_it_is_known_to_be_data(base: str) -> None:
    with requests.Session() as session:
        for _ in range(2):
            with record(policy=PRODUCTION) as recorded:
                for name in NAMES:
                    session.get(f"{base}/users/{name}", timeout=5)

    assert shapes(recorded) == {"GET /users/{id}": 20}
