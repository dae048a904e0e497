"""A local receiver of telemetry that is well, or ill in one of the ways that receivers are."""

from __future__ import annotations

import contextlib
import http.client
import socket
import threading
import time
from typing import Any, Literal, get_args

Mode = Literal[
    "ok",
    "refused",
    "400",
    "401",
    "413",
    "429",
    "503",
    "reset",
    "silent",
    "slow",
    "garbage",
    "redirect",
    "long",
]
MODES: tuple[str, ...] = get_args(Mode)
_STATUS = {"400": 400, "401": 401, "413": 413, "429": 429, "503": 503, "ok": 200}
_LIMIT_S = 60.0


class Collector:
    """`with Collector("503") as collector: ... collector.url`: a server on loopback in its own thread.

    Args:
        mode: `ok`, a status code, `refused` (nobody listens), `reset` (in the middle of the body), `silent`
            (accepts and says nothing), `slow` (one byte a second), `garbage` (no HTTP), `redirect` (to itself),
            `long` (an endless answer).
        retry_after_s: Sent with 429 and 503.

    Attributes:
        bodies: What was received whole.
        requests: First lines of the requests, the abandoned ones included.
        connections: Connections accepted.
    """

    def __init__(self, mode: str = "ok", retry_after_s: int | None = None) -> None:
        assert mode in MODES
        self.mode = mode
        self.retry_after_s = retry_after_s
        self.bodies: list[bytes] = []
        self.requests: list[str] = []
        self.connections = 0
        self._open: list[socket.socket] = []
        self._closing = threading.Event()
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._server.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._thread = threading.Thread(target=self._accept, name="collector", daemon=True)

    def __enter__(self) -> Collector:
        if self.mode == "refused":
            self._server.close()
        else:
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.set()
        with contextlib.suppress(OSError):
            self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        for connection in list(self._open):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            connection.close()
        if self._thread.ident is not None:
            self._thread.join(5)

    def _accept(self) -> None:
        while not self._closing.is_set():
            try:
                connection, _ = self._server.accept()
            except OSError:
                return
            self.connections += 1
            self._open.append(connection)
            threading.Thread(target=self._serve, args=(connection,), name="collector", daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError, ValueError), connection, connection.makefile("rb") as stream:
            connection.settimeout(_LIMIT_S)
            while not self._closing.is_set() and self._answer(connection, stream):
                pass

    def _answer(self, connection: socket.socket, stream: Any) -> bool:
        first = stream.readline(65_536)
        if not first:
            return False
        self.requests.append(first.decode("latin-1").strip())
        headers = http.client.parse_headers(stream)
        length = int(headers.get("Content-Length", "0"))
        if self.mode == "reset":
            stream.read(min(length, 1))
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
            return False
        self.bodies.append(stream.read(length))
        if self.mode == "silent":
            self._closing.wait(_LIMIT_S)
            return False
        if self.mode == "garbage":
            connection.sendall(b"\x16\x03\x01\x02\x00\xff\xfe not http at all\r\n\r\n")
            return False
        answer = self._head()
        if self.mode == "slow":
            for at in range(len(answer)):
                connection.sendall(answer[at : at + 1])
                if self._closing.wait(1.0):
                    return False
        connection.sendall(answer)
        while self.mode == "long" and not self._closing.is_set():
            connection.sendall(b"x" * 4_096)
            time.sleep(0)
        return self.mode == "ok"

    def _head(self) -> bytes:
        if self.mode == "redirect":
            return f"HTTP/1.1 307 T\r\nLocation: {self.url}/again\r\nContent-Length: 0\r\n\r\n".encode()
        if self.mode == "long":
            return b"HTTP/1.1 200 OK\r\n\r\n"
        status = _STATUS.get(self.mode, 200)
        retry = "" if self.retry_after_s is None else f"Retry-After: {self.retry_after_s}\r\n"
        return f"HTTP/1.1 {status} T\r\n{retry}Content-Length: 2\r\nConnection: close\r\n\r\n{{}}".encode()
