"""One thread that sends bytes to a collector, and everything that keeps it from harming its host."""

from __future__ import annotations

import gzip
import os
import socket
import threading
import time
from queue import Empty
from typing import TYPE_CHECKING, Final, NamedTuple, final
from urllib.parse import urlsplit

from .. import _real
from .._context import MUTED, make_current
from .._version import version

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from queue import SimpleQueue

CONNECT_S: Final = 3.0
"""Longest wait for a connection, and for each answer."""
TOTAL_S: Final = 10.0
"""Longest time for one message, its retries included."""
RETRIES: Final = 2
EXIT_S: Final = 1.5
"""Longest wait at the end of the process."""
MAX_WAITING: Final = 256
"""Messages that wait to be sent; further ones are dropped."""
MAX_BYTES: Final = 4_000_000
BREAK_AFTER: Final = 3
"""Messages lost in a row after which the collector is left alone for a while."""
BREAK_S: Final = 30.0
_MAX_HEAD: Final = 16_384
_RETRIABLE: Final = frozenset({0, 429, 502, 503, 504})


class Target(NamedTuple):
    """Where one signal goes."""

    url: str
    headers: Mapping[str, str]
    compressed: bool
    certificate: str


@final
class Sender:
    """Takes messages from the background thread and sends them on its own; `put` never blocks.

    Args:
        clock_s: Monotonic clock.

    Attributes:
        drops: What was lost, by reason.
    """

    def __init__(self, clock_s: Callable[[], float] = time.monotonic) -> None:
        self._clock_s = clock_s
        self.drops: dict[str, int] = {}
        self.sent = 0
        self._begin()

    def _begin(self) -> None:
        self._pid = os.getpid()
        self._queue: SimpleQueue[tuple[Target, bytes] | None] = _real.original("queue", "SimpleQueue")()
        self._thread: threading.Thread | _real.Thread | None = None
        self._socket: socket.socket | None = None
        self._stop_s = 0.0
        self._lost = 0
        self._broken_until_s = 0.0

    def put(self, target: Target, message: bytes) -> None:
        """Take a message; a full queue, or one that is too long, drops it and counts."""
        if self._pid != os.getpid():
            self._begin()  # a forked child has no thread, and the queue is its parent's
        if self._queue.qsize() >= MAX_WAITING or len(message) > MAX_BYTES or self._stop_s:
            self._drop("otlp_queue")
            return
        self._queue.put((target, message))
        if self._thread is None:
            self._start()

    def _drop(self, reason: str) -> None:
        self.drops[reason] = self.drops.get(reason, 0) + 1

    def _start(self) -> None:
        thread: threading.Thread | _real.Thread
        if _real.is_patched():
            thread = _real.Thread(self._run)
        else:
            thread = threading.Thread(target=self._run, name="manometer-otlp", daemon=True)
        self._thread = thread
        try:
            thread.start()
        except RuntimeError:  # at the end of the interpreter none can start
            self._thread = None

    def _run(self) -> None:
        make_current(MUTED)  # our own traffic is nobody's unit of work
        queue = self._queue
        while True:
            item = queue.get()
            if item is None:
                return
            self._deliver(*item)

    def _deliver(self, target: Target, message: bytes) -> None:
        if self._clock_s() < self._broken_until_s:
            self._drop("otlp_breaker")
            return
        if self._try(target, message):
            self.sent += 1
            self._lost = 0
            return
        self._drop("otlp_send")
        self._lost += 1
        if self._lost >= BREAK_AFTER:
            self._broken_until_s = self._clock_s() + BREAK_S

    def _try(self, target: Target, message: bytes) -> bool:
        """Send one message with its retries; tells whether the collector took it."""
        deadline_s = self._clock_s() + TOTAL_S
        body = gzip.compress(message, 6) if target.compressed else message
        for attempt in range(RETRIES + 1):
            try:
                status, wait_s = self._post(target, body, deadline_s)
            except (OSError, ValueError):
                status, wait_s = 0, 0.0
            if 200 <= status < 300:
                return True
            if status not in _RETRIABLE or attempt == RETRIES:
                return False
            pause_s = wait_s or 0.5 * 2**attempt
            if self._stop_s or self._clock_s() + pause_s >= deadline_s:
                return False
            self._pause(pause_s)
        return False

    def _pause(self, seconds: float) -> None:
        """Wait, but not beyond the end of the process."""
        until_s = self._clock_s() + seconds
        while not self._stop_s and self._clock_s() < until_s:
            time.sleep(min(0.05, seconds))

    def _left(self, deadline_s: float) -> float:
        if self._stop_s:
            deadline_s = min(deadline_s, self._stop_s)
        left_s = min(CONNECT_S, deadline_s - self._clock_s())
        if left_s <= 0:
            raise TimeoutError
        return left_s

    def _post(self, target: Target, body: bytes, deadline_s: float) -> tuple[int, float]:
        """Post *body*; returns the status, and the pause that the collector asks for in seconds."""
        parts = urlsplit(target.url)
        secure = parts.scheme == "https"
        host, port = parts.hostname or "", parts.port or (443 if secure else 80)
        connection: socket.socket = socket.create_connection((host, port), self._left(deadline_s))
        try:
            self._socket = connection
            if secure:
                connection = self._secure(connection, host, target.certificate)
            connection.settimeout(self._left(deadline_s))
            connection.sendall(_head(target, parts.path or "/", parts.netloc, len(body)) + body)
            return _answer(self._read_head(connection, deadline_s))
        finally:
            self._socket = None
            connection.close()

    def _secure(self, connection: socket.socket, host: str, certificate: str) -> socket.socket:
        import ssl

        context = ssl.create_default_context(cafile=certificate or None)
        return context.wrap_socket(connection, server_hostname=host)

    def _read_head(self, connection: socket.socket, deadline_s: float) -> bytes:
        head = b""
        while b"\r\n\r\n" not in head and len(head) < _MAX_HEAD:
            connection.settimeout(self._left(deadline_s))
            part = connection.recv(4_096)
            if not part:
                break
            head += part
        return head

    def shutdown(self) -> None:
        """Send what waits, for at most `EXIT_S` seconds; what is left is dropped and counted."""
        thread, self._thread = self._thread, None
        if thread is None or self._pid != os.getpid():
            return
        self._stop_s = self._clock_s() + EXIT_S
        self._queue.put(None)
        thread.join(EXIT_S)
        if thread.is_alive():
            self._empty()
            connection = self._socket
            if connection is not None:
                try:
                    connection.shutdown(socket.SHUT_RDWR)  # wakes the thread out of its wait
                except OSError:
                    pass
            thread.join(0.2)

    def _empty(self) -> None:
        while True:
            try:
                if self._queue.get_nowait() is not None:
                    self._drop("otlp_exit")
            except Empty:
                break
        self._queue.put(None)


def _head(target: Target, path: str, host: str, length: int) -> bytes:
    lines = [
        f"POST {path} HTTP/1.1",
        f"Host: {host.rpartition('@')[2]}",
        f"User-Agent: OTel-OTLP-Exporter-Python-manometer/{version()}",
        "Content-Type: application/x-protobuf",
        f"Content-Length: {length}",
        "Connection: close",
        *(["Content-Encoding: gzip"] if target.compressed else []),
        *(f"{name}: {value}" for name, value in target.headers.items()),
    ]
    return "\r\n".join([*lines, "", ""]).encode("latin-1", "replace")


def _answer(head: bytes) -> tuple[int, float]:
    first, _, rest = head.partition(b"\r\n")
    words = first.split(b" ", 2)
    if len(words) < 2 or not words[0].startswith(b"HTTP/1.") or not words[1].isdigit():
        raise ValueError("no HTTP")
    wait_s = 0.0
    for line in rest.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.strip().lower() == b"retry-after" and value.strip().isdigit():
            wait_s = float(value)
    return int(words[1]), wait_s
