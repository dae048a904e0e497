"""The receiver that other tests trust: every encoding arrives the same, every failure fails as it is named."""

from __future__ import annotations

import gzip
import http.client
import urllib.error
import urllib.request
from typing import Any

import pytest

pytest.importorskip("opentelemetry.proto")

from google.protobuf.json_format import MessageToJson
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2
from tests.otlp_receiver import TRACES, Failure, Receiver


def request() -> Any:
    message = trace_service_pb2.ExportTraceServiceRequest()
    resource = message.resource_spans.add()
    resource.resource.attributes.add(key="service.name").value.string_value = "shop"
    scope = resource.scope_spans.add()
    scope.scope.name = "test"
    span = scope.spans.add(name="GET /orders", trace_id=b"t" * 16, span_id=b"s" * 8)
    span.attributes.add(key="list").value.array_value.values.add().int_value = 7
    return message


def post(url: str, body: bytes, **headers: str) -> int:
    sent = urllib.request.Request(url + TRACES, body, {k.replace("_", "-"): v for k, v in headers.items()})
    with urllib.request.urlopen(sent, timeout=5) as answer:
        return int(answer.status)


@pytest.mark.parametrize("form", ["protobuf", "gzip", "json", "grpc"])
def test_every_encoding_arrives_equal(form: str) -> None:
    if form == "grpc":
        grpc = pytest.importorskip("grpc")
    with Receiver(grpc=form == "grpc") as receiver:
        message = request()
        if form == "grpc":
            with grpc.insecure_channel(receiver.grpc_target) as channel:
                name = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
                channel.unary_unary(name)(message.SerializeToString(), timeout=5)
        elif form == "json":
            # Ids are hexadecimal in OTLP's JSON and base64 in protobuf's: left out here.
            span = message.resource_spans[0].scope_spans[0].spans[0]
            span.trace_id, span.span_id = b"", b""
            post(receiver.url, MessageToJson(message).encode(), content_type="application/json")
        else:
            raw = message.SerializeToString()
            body = gzip.compress(raw) if form == "gzip" else raw
            post(receiver.url, body, **({"content_encoding": "gzip"} if form == "gzip" else {}))
        (found,) = receiver.spans()

    assert (found.data.name, found.resource, found.scope) == ("GET /orders", {"service.name": "shop"}, "test")
    assert found.attributes == {"list": [7]}


@pytest.mark.parametrize(
    ("failure", "error"),
    [
        (Failure(status=503), urllib.error.HTTPError),
        (Failure(reset=True), ConnectionError),
        (Failure(garbage=True), http.client.BadStatusLine),
    ],
)
def test_failures_fail_and_nothing_counts_as_arrived(failure: Failure, error: type[Exception]) -> None:
    with Receiver(failure=failure) as receiver:
        with pytest.raises(error) as raised:
            post(receiver.url, request().SerializeToString())
        if isinstance(raised.value, urllib.error.HTTPError):
            raised.value.close()

        assert (receiver.hits, receiver.spans()) == (1, [])


def test_failure_ends_after_its_number_of_times() -> None:
    with Receiver(failure=Failure(status=503, times=1)) as receiver:
        with pytest.raises(urllib.error.HTTPError) as raised:
            post(receiver.url, request().SerializeToString())
        raised.value.close()

        assert post(receiver.url, request().SerializeToString()) == 200
        assert (receiver.hits, len(receiver.spans())) == (2, 1)
