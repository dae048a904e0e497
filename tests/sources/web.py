"""A real HTTP server on loopback whose answers a test decides, and which remembers what it was asked."""

from __future__ import annotations

import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Answer = tuple[int, Any]


class Site:
    """What the server answers: `answer(method, path)` gives a status and JSON, or None to hang up."""

    def __init__(self, answer: Callable[[str, str], Answer | None]) -> None:
        self.answer = answer
        self.asked: list[str] = []
        self.url = ""
        self.target = ""
        self.held = threading.Event()  # requests below /held wait for it
        self._arrived = threading.Condition()

    def arrived(self, request: str) -> None:
        with self._arrived:
            self.asked.append(request)
            self._arrived.notify_all()

    def wait_for(self, count: int) -> None:
        """Wait until that many requests have arrived."""
        with self._arrived:
            assert self._arrived.wait_for(lambda: len(self.asked) >= count, timeout=20)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256
    site: Site

    def handle_error(self, *_: Any) -> None:
        """A client that gave up is what the test is about."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = 65536

    def _serve(self) -> None:
        site = self.server.site  # type: ignore[attr-defined]
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        path = urlsplit(self.path).path
        site.arrived(f"{self.command} {self.path}")
        if path.startswith("/held"):
            site.held.wait(20)
        found = site.answer(self.command, self.path)
        if found is None:
            self.close_connection = True
            return
        status, value = found
        body = b"" if self.command == "HEAD" else json.dumps(value).encode()
        self.send_response(status)
        if 300 <= status < 400:
            self.send_header("Location", value)
            body = b""
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("do_"):
            return self._serve
        raise AttributeError(name)

    def log_message(self, *_: Any) -> None:
        """Print nothing."""


def echo(method: str, path: str) -> Answer:
    """Answer 200 with a small document."""
    return 200, {"method": method, "ok": True}


@contextmanager
def serving(answer: Callable[[str, str], Answer | None] = echo) -> Iterator[Site]:
    """Serve for a block."""
    site = Site(answer)
    server = _Server(("127.0.0.1", 0), _Handler)
    server.site = site
    site.target = f"127.0.0.1:{server.server_port}"
    site.url = f"http://{site.target}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield site
    finally:
        site.held.set()
        server.shutdown()
        server.server_close()
        thread.join()
