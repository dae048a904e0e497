"""A receiver of OTLP for tests: HTTP (protobuf, gzip, JSON), gRPC where it is installed, and failures on demand."""

from __future__ import annotations

import gzip
import http.server
import socket
import struct
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from google.protobuf.json_format import Parse
from opentelemetry.proto.collector.logs.v1 import logs_service_pb2
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

TRACES, LOGS, METRICS = "/v1/traces", "/v1/logs", "/v1/metrics"
MESSAGES = {
    TRACES: (trace_service_pb2.ExportTraceServiceRequest, trace_service_pb2.ExportTraceServiceResponse),
    LOGS: (logs_service_pb2.ExportLogsServiceRequest, logs_service_pb2.ExportLogsServiceResponse),
    METRICS: (
        metrics_service_pb2.ExportMetricsServiceRequest,
        metrics_service_pb2.ExportMetricsServiceResponse,
    ),
}


@dataclass(frozen=True)
class Item:
    """One span, log record or metric as it arrived, with the resource and scope around it."""

    data: Any
    resource: dict[str, Any]
    scope: str

    @property
    def attributes(self) -> dict[str, Any]:
        return attributes_of(self.data.attributes)


@dataclass
class Failure:
    """What goes wrong with the next requests.

    Attributes:
        status: Answered in place of 200.
        retry_after: Value of that header; empty for none.
        delay_s: Seconds until the answer, cut short when the receiver closes.
        hang: Never answer; the connection stays open until the receiver closes.
        reset: Close the connection with RST in place of an answer.
        garbage: Answer with bytes that are no HTTP.
        times: Requests that fail; None for all.
    """

    status: int = 0
    retry_after: str = ""
    delay_s: float = 0.0
    hang: bool = False
    reset: bool = False
    garbage: bool = False
    times: int | None = None


@dataclass
class Receiver:
    """Listens on a free port of the loopback interface: `with Receiver() as receiver:`."""

    grpc: bool = False
    failure: Failure = field(default_factory=Failure)

    def __post_init__(self) -> None:
        self.requests: list[tuple[str, Any, dict[str, str]]] = []
        self.hits = 0
        self.arrived = threading.Condition()
        self._closing = threading.Event()
        self._http: http.server.ThreadingHTTPServer | None = None
        self._grpc: Any = None
        self.url = self.grpc_target = ""

    def __enter__(self) -> Receiver:
        self._http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._http.daemon_threads = True
        self._http.block_on_close = False
        self.url = f"http://127.0.0.1:{self._http.server_port}"
        threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True).start()
        if self.grpc:
            self._grpc, port = _serve_grpc(self.take)
            self.grpc_target = f"127.0.0.1:{port}"
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.set()
        if self._http is not None:
            self._http.shutdown()
            self._http.server_close()
        if self._grpc is not None:
            self._grpc.stop(0)

    def take(self, path: str, message: Any, headers: dict[str, str]) -> None:
        with self.arrived:
            self.requests.append((path, message, headers))
            self.arrived.notify_all()

    def fails(self) -> Failure | None:
        """Return how this request fails, if it does."""
        with self.arrived:
            self.hits += 1
            self.arrived.notify_all()
            failure = self.failure
            if failure.times is not None:
                failure.times -= 1
                if failure.times < 0:
                    return None
        return failure if failure != Failure(times=failure.times) else None

    def wait(self, seconds: float) -> None:
        """Wait in a failing request; ends when the receiver closes."""
        self._closing.wait(seconds)

    def wait_for(self, condition: Callable[[], object], timeout_s: float = 10.0) -> bool:
        """Wait until something that arrived makes *condition* true."""
        deadline_s = time.monotonic() + timeout_s
        with self.arrived:
            while not condition():
                left_s = deadline_s - time.monotonic()
                if left_s <= 0:
                    return False
                self.arrived.wait(left_s)
        return True

    def clear(self) -> None:
        """Forget what arrived."""
        with self.arrived:
            self.requests.clear()
            self.hits = 0

    def spans(self) -> list[Item]:
        return list(self._items(TRACES, "resource_spans", "scope_spans", "spans"))

    def logs(self) -> list[Item]:
        return list(self._items(LOGS, "resource_logs", "scope_logs", "log_records"))

    def metrics(self) -> list[Item]:
        return list(self._items(METRICS, "resource_metrics", "scope_metrics", "metrics"))

    def _items(self, wanted: str, resources: str, scopes: str, items: str) -> Iterator[Item]:
        for path, message, _ in list(self.requests):
            for resource in getattr(message, resources) if path == wanted else ():
                of_resource = attributes_of(resource.resource.attributes)
                for scope in getattr(resource, scopes):
                    for item in getattr(scope, items):
                        yield Item(item, of_resource, scope.scope.name)


def value_of(value: Any) -> Any:
    """Return an AnyValue as what it stands for in Python."""
    kind = value.WhichOneof("value")
    if kind is None:
        return None
    if kind == "array_value":
        return [value_of(item) for item in value.array_value.values]
    if kind == "kvlist_value":
        return attributes_of(value.kvlist_value.values)
    return getattr(value, kind)


def attributes_of(pairs: Any) -> dict[str, Any]:
    """Return key-value pairs as a dict."""
    return {pair.key: value_of(pair.value) for pair in pairs}


def _handler(receiver: Receiver) -> type[http.server.BaseHTTPRequestHandler]:
    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            failure = receiver.fails()
            if failure is not None and _fail(self, failure, receiver):
                return
            if self.headers.get("content-encoding") == "gzip":
                body = gzip.decompress(body)
            request, response = MESSAGES.get(self.path, (None, None))
            if request is None or response is None:
                _answer(self, 404, b"", {})
                return
            is_json = "json" in self.headers.get("content-type", "")
            message = Parse(body, request()) if is_json else request.FromString(body)
            receiver.take(self.path, message, {name.lower(): text for name, text in self.headers.items()})
            _answer(self, 200, b"{}" if is_json else response().SerializeToString(), {})

        def log_message(self, *_: Any) -> None:
            pass

    return Handler


def _fail(handler: http.server.BaseHTTPRequestHandler, failure: Failure, receiver: Receiver) -> bool:
    """Do what was asked for; tells whether the request is over."""
    if failure.hang:
        receiver.wait(60)
        handler.close_connection = True
        return True
    if failure.reset:
        handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        handler.close_connection = True
        return True
    if failure.garbage:
        handler.wfile.write(b"\x00\xff garbage\r\n\r\n")
        handler.close_connection = True
        return True
    receiver.wait(failure.delay_s)
    if failure.status:
        extra = {"retry-after": failure.retry_after} if failure.retry_after else {}
        _answer(handler, failure.status, b"", extra)
        return True
    return False


def _answer(
    handler: http.server.BaseHTTPRequestHandler, status: int, body: bytes, headers: dict[str, str]
) -> None:
    handler.send_response(status)
    for name, text in {"content-type": "application/x-protobuf", **headers}.items():
        handler.send_header(name, text)
    handler.send_header("content-length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body)


def _serve_grpc(take: Callable[[str, Any, dict[str, str]], None]) -> tuple[Any, int]:
    import grpc

    def method(path: str) -> Any:
        request, response = MESSAGES[path]

        def export(message: Any, _: Any) -> Any:
            take(path, message, {})
            return response()

        return grpc.unary_unary_rpc_method_handler(
            export, request_deserializer=request.FromString, response_serializer=response.SerializeToString
        )

    server = grpc.server(ThreadPoolExecutor(2))
    for path, package, service in (
        (TRACES, "trace", "TraceService"),
        (LOGS, "logs", "LogsService"),
        (METRICS, "metrics", "MetricsService"),
    ):
        name = f"opentelemetry.proto.collector.{package}.v1.{service}"
        handlers = grpc.method_handlers_generic_handler(name, {"Export": method(path)})
        server.add_generic_rpc_handlers((handlers,))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    return server, port
