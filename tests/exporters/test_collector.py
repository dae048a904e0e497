"""With a real collector in between (rotel), everything that leaves arrives equal."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

pytest.importorskip("opentelemetry.proto")

from tests.otlp_receiver import LOGS, METRICS, TRACES, Receiver

from manometer.exporters import _protobuf
from manometer.exporters._sender import Sender, Target

if TYPE_CHECKING:
    from collections.abc import Iterator


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def accepts(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as made:
        yield made


@pytest.fixture
def collector(receiver: Receiver) -> Iterator[str]:
    rotel = pytest.importorskip("rotel", reason="rotel is not installed (Python 3.11 only)")
    agent = Path(rotel.__file__).with_name("rotel-agent")
    http, grpc = free_port(), free_port()
    command = [
        agent, "start",
        "--otlp-http-endpoint", f"127.0.0.1:{http}", "--otlp-grpc-endpoint", f"127.0.0.1:{grpc}",
        "--exporter", "otlp", "--otlp-exporter-endpoint", receiver.url, "--otlp-exporter-protocol", "http",
    ]  # fmt: skip
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
        deadline_s = time.monotonic() + 20
        while not accepts(http):
            if process.poll() is not None:
                assert process.stderr is not None
                pytest.skip(f"rotel does not start here: {process.stderr.read().decode()[:200]}")
            assert time.monotonic() < deadline_s
            time.sleep(0.02)
        yield f"http://127.0.0.1:{http}"
        process.terminate()


def test_spans_events_and_metrics_pass_a_collector_unchanged(receiver: Receiver, collector: str) -> None:
    attributes = {"text": "ä", "yes": True, "number": -7, "float": 0.5, "list": ["a", "b"]}
    spans = [
        _protobuf.Span(
            7, number, number - 1, f"span {number}", 2, 10**18, 10**18 + number, attributes, "Boom"
        )
        for number in range(1, 6)
    ]
    event = _protobuf.Event(10**18, "manometer.finding", 13, "WARN", "said", attributes, 7, 8)
    points = [_protobuf.Point({"k": "v"}, 3.5, 2, (1, 1, 0))]
    metrics = [
        _protobuf.Metric("h", "s", (1.0, 2.0), _protobuf.CUMULATIVE, 10**18, 10**18 + 1, points),
        _protobuf.Metric("c", "{call}", (), _protobuf.DELTA, 10**18, 10**18 + 1, points),
    ]
    resource, scope = {"service.name": "shop"}, ("manometer", "1")
    messages = {
        TRACES: _protobuf.traces(resource, scope, spans),
        LOGS: _protobuf.logs(resource, scope, [event]),
        METRICS: _protobuf.metrics(resource, scope, metrics),
    }

    sent = everything(receiver, receiver.url, messages)
    receiver.clear()

    assert everything(receiver, collector, messages) == sent


def everything(receiver: Receiver, url: str, messages: dict[str, bytes]) -> list[Any]:
    sender = Sender()
    for path, message in messages.items():
        sender.put(Target(url + path, {}, True, ""), message)
    assert receiver.wait_for(lambda: receiver.spans() and receiver.logs() and receiver.metrics())
    sender.shutdown()
    assert sender.drops == {}
    items = [*receiver.spans(), *receiver.logs(), *receiver.metrics()]
    return [(item.data.SerializeToString(deterministic=True), item.resource, item.scope) for item in items]


def test_exporter_of_a_whole_process_speaks_to_a_collector(receiver: Receiver, collector: str) -> None:
    program = """
import manometer
with manometer.profile("job"):
    with manometer.measure("step"):
        pass
"""
    environment = {
        **os.environ,
        "MANOMETER": "1",
        "MANOMETER_EXPORTERS": "otlp",
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector,
        "OTEL_SERVICE_NAME": "jobs",
    }

    done = subprocess.run([sys.executable, "-c", program], env=environment, timeout=50, capture_output=True)

    assert (done.returncode, receiver.wait_for(lambda: receiver.spans() and receiver.metrics())) == (0, True)
    assert [(item.data.name, item.resource["service.name"]) for item in receiver.spans()] == [
        ("job", "jobs"),
        ("step", "jobs"),
    ]
