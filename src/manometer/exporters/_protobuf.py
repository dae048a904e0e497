"""OTLP in its binary form, written by hand: three small messages need no library in the host's process."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

DELTA, CUMULATIVE = 1, 2


class Span(NamedTuple):
    """One span; ids are numbers, 0 for no parent."""

    trace_id: int
    span_id: int
    parent_id: int
    name: str
    kind: int
    started_unix_ns: int
    ended_unix_ns: int
    attributes: Mapping[str, Any]
    error: str = ""


class Event(NamedTuple):
    """One log record with a name."""

    unix_ns: int
    name: str
    severity: int
    severity_text: str
    body: str
    attributes: Mapping[str, Any]
    trace_id: int = 0
    span_id: int = 0
    flags: int = 0


class Point(NamedTuple):
    """One series of a metric: a sum, or the counts of its buckets."""

    attributes: Mapping[str, Any]
    total: float
    number: int = 0
    counts: Sequence[int] = ()


class Metric(NamedTuple):
    """One metric; with *bounds* a histogram, else a monotonic sum."""

    name: str
    unit: str
    bounds: Sequence[float]
    temporality: int
    started_unix_ns: int
    unix_ns: int
    points: Sequence[Point]


def varint(value: int) -> bytes:
    """Write a number, seven bits a byte, the low ones first."""
    out = bytearray()
    value &= (1 << 64) - 1
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _bytes(field: int, value: bytes) -> bytes:
    return varint(field << 3 | 2) + varint(len(value)) + value


def _text(field: int, value: str) -> bytes:
    return _bytes(field, value.encode("utf-8", "replace")) if value else b""


def _int(field: int, value: int) -> bytes:
    return varint(field << 3) + varint(value) if value else b""


def _fixed(field: int, value: int) -> bytes:
    return varint(field << 3 | 1) + struct.pack("<Q", value)


def _double(field: int, value: float) -> bytes:
    return varint(field << 3 | 1) + struct.pack("<d", value)


def _any(value: Any) -> bytes:
    kind = type(value)
    if kind is str:
        return _bytes(1, value.encode("utf-8", "replace"))
    if kind is bool:
        return varint(2 << 3) + varint(int(value))
    if kind is int:
        return varint(3 << 3) + varint(value)
    if kind is float:
        return _double(4, value)
    return _bytes(5, b"".join(_bytes(1, _any(item)) for item in value))


def _attributes(field: int, attributes: Mapping[str, Any]) -> bytes:
    return b"".join(
        _bytes(field, _text(1, name) + _bytes(2, _any(value))) for name, value in attributes.items()
    )


def _request(resource: Mapping[str, Any], scope: tuple[str, str], items: Iterable[bytes]) -> bytes:
    """Wrap items of one kind: the three export requests have the same shape and the same numbers."""
    inside = _bytes(1, _text(1, scope[0]) + _text(2, scope[1])) + b"".join(_bytes(2, item) for item in items)
    return _bytes(1, _bytes(1, _attributes(1, resource)) + _bytes(2, inside))


def traces(resource: Mapping[str, Any], scope: tuple[str, str], spans: Iterable[Span]) -> bytes:
    """Return an ExportTraceServiceRequest."""
    return _request(resource, scope, map(_span, spans))


def _span(span: Span) -> bytes:
    parent = _bytes(4, span.parent_id.to_bytes(8, "big")) if span.parent_id else b""
    status = _bytes(15, _text(2, span.error) + _int(3, 2)) if span.error else b""
    return (
        _bytes(1, span.trace_id.to_bytes(16, "big"))
        + _bytes(2, span.span_id.to_bytes(8, "big"))
        + parent
        + _text(5, span.name)
        + _int(6, span.kind)
        + _fixed(7, span.started_unix_ns)
        + _fixed(8, span.ended_unix_ns)
        + _attributes(9, span.attributes)
        + status
    )


def logs(resource: Mapping[str, Any], scope: tuple[str, str], events: Iterable[Event]) -> bytes:
    """Return an ExportLogsServiceRequest."""
    return _request(resource, scope, map(_event, events))


def _event(event: Event) -> bytes:
    trace = _bytes(9, event.trace_id.to_bytes(16, "big")) if event.trace_id else b""
    span = _bytes(10, event.span_id.to_bytes(8, "big")) if event.span_id else b""
    return (
        _fixed(1, event.unix_ns)
        + _int(2, event.severity)
        + _text(3, event.severity_text)
        + _bytes(5, _any(event.body))
        + _attributes(6, event.attributes)
        + trace
        + span
        + _fixed(11, event.unix_ns)
        + _text(12, event.name)
    )


def metrics(resource: Mapping[str, Any], scope: tuple[str, str], found: Iterable[Metric]) -> bytes:
    """Return an ExportMetricsServiceRequest."""
    return _request(resource, scope, map(_metric, found))


def _metric(metric: Metric) -> bytes:
    times = _fixed(2, metric.started_unix_ns) + _fixed(3, metric.unix_ns)
    if metric.bounds:
        bounds = _bytes(7, struct.pack(f"<{len(metric.bounds)}d", *metric.bounds))
        points = [
            _bytes(
                1,
                times
                + _fixed(4, point.number)
                + _double(5, point.total)
                + _bytes(6, struct.pack(f"<{len(point.counts)}Q", *point.counts))
                + bounds
                + _attributes(9, point.attributes),
            )
            for point in metric.points
        ]
        data = _bytes(9, b"".join(points) + _int(2, metric.temporality))
    else:
        points = [
            _bytes(1, times + _double(4, point.total) + _attributes(7, point.attributes))
            for point in metric.points
        ]
        data = _bytes(7, b"".join(points) + _int(2, metric.temporality) + _int(3, 1))
    return _text(1, metric.name) + _text(3, metric.unit) + data
