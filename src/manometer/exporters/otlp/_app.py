"""The application's own OpenTelemetry, as far as it was set up: its tracer, its logger, its meter."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING, Any, Final, final

from opentelemetry import context, metrics, trace
from opentelemetry.trace import NonRecordingSpan, SpanContext, SpanKind, Status, StatusCode, TraceFlags

from ..._version import version
from .. import _attributes

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..._model import Profile
    from ..._spans import Promotion
    from .._measures import Instrument, Sample
    from .._protobuf import Event

_NAME: Final = "manometer"


def scope() -> tuple[str, str]:
    """Return name and version of what emits."""
    return _NAME, version()


def _is_set(provider: Any) -> bool:
    """Tell a provider that somebody set up from the API's stand-in."""
    return not type(provider).__module__.startswith(
        ("opentelemetry.trace", "opentelemetry.metrics", "opentelemetry._logs")
    )


def tracer_provider() -> Any:
    """Return the provider that makes spans, logfire's proxy looked through; None when nobody set one up."""
    provider = trace.get_tracer_provider()
    inner = getattr(provider, "provider", provider)
    return inner if _is_set(inner) else None


@final
class PinnedIds:
    """An id generator of our own tracer: the next span gets the id that its children were told."""

    def __init__(self) -> None:
        self._random = Random()  # noqa: S311 - ids
        self.pinned = 0

    def generate_span_id(self) -> int:
        """Return the pinned id once, else a new one."""
        found, self.pinned = self.pinned, 0
        return found or self._random.getrandbits(64) or 1

    def generate_trace_id(self) -> int:
        """Return a new trace id."""
        return self._random.getrandbits(128) or 1

    def is_trace_id_random(self) -> bool:
        """Say that trace ids are random, as the SDK asks since 1.40."""
        return True


def export_promoted(provider: Any, profile: Profile) -> int:
    """Make the promoted calls of a profile spans of the application's trace.

    Returns:
        How many. Background thread; 20 us each.
    """
    end_ns = profile.started_ns + profile.duration_ns
    promoted = profile.spans.finish(end_ns)
    if not promoted:
        return 0
    tracer = provider.get_tracer(*scope())
    if not hasattr(tracer, "id_generator"):
        return 0
    if type(tracer.id_generator) is not PinnedIds:
        tracer.id_generator = PinnedIds()
    offset_ns = profile.started_unix_ns - profile.started_ns
    _make(tracer, sorted(promoted, key=lambda one: one.started_ns), offset_ns)
    return len(promoted)


def _make(tracer: Any, promoted: Iterable[Promotion], offset_ns: int) -> None:
    for one in promoted:
        parent = SpanContext(one.own.trace_id, one.parent_id, False, TraceFlags(one.own.flags))
        tracer.id_generator.pinned = one.own.span_id
        attributes = _attributes.of_callsite(one.callsite)
        folded = _attributes.folded_below(one.frame)
        if folded:
            attributes["manometer.folded"] = folded
        span = tracer.start_span(
            one.callsite.name,
            trace.set_span_in_context(NonRecordingSpan(parent), context.Context()),
            SpanKind.INTERNAL,
            attributes,
            start_time=one.started_ns + offset_ns,
        )
        tracer.id_generator.pinned = 0
        if one.error:
            span.set_status(Status(StatusCode.ERROR, one.error))
        span.end(one.ended_ns + offset_ns)


def emit(event: Event) -> bool:
    """Emit a log event through the application's logger provider; tells whether there is one."""
    try:
        from opentelemetry import _logs
    except ImportError:
        return False
    provider = _logs.get_logger_provider()
    provider = getattr(provider, "provider", provider)
    if not _is_set(provider):
        return False
    parent: Any = context.Context()
    if event.span_id:
        about = SpanContext(event.trace_id, event.span_id, False, TraceFlags(event.flags))
        parent = trace.set_span_in_context(NonRecordingSpan(about), parent)
    logger = provider.get_logger(*scope())
    logger.emit(
        timestamp=event.unix_ns,
        observed_timestamp=event.unix_ns,
        severity_number=_logs.SeverityNumber(event.severity),
        severity_text=event.severity_text,
        body=event.body,
        attributes=dict(event.attributes),
        event_name=event.name,
        context=parent,
    )
    return True


@final
class Meter:
    """The instruments of the application's meter provider, made when there is one."""

    def __init__(self) -> None:
        self._provider: Any = None
        self._instruments: dict[str, Any] = {}

    def record(self, sample: Sample) -> bool:
        """Record one sample; tells whether somebody set a meter provider up. 11 us."""
        provider = metrics.get_meter_provider()
        if not _is_set(getattr(provider, "provider", provider)):
            return False
        if provider is not self._provider:
            self._provider = provider
            self._instruments.clear()
        instrument, value, attributes = sample
        found = self._instruments.get(instrument.name)
        if found is None:
            found = self._instruments[instrument.name] = _instrument(provider, instrument)
        if instrument.bounds:
            found.record(value, attributes, context.Context())
        else:
            found.add(value, attributes, context.Context())
        return True


def _instrument(provider: Any, wanted: Instrument) -> Any:
    meter = provider.get_meter(*scope())
    if not wanted.bounds:
        return meter.create_counter(wanted.name, wanted.unit, wanted.description)
    try:
        return meter.create_histogram(
            wanted.name,
            wanted.unit,
            wanted.description,
            explicit_bucket_boundaries_advisory=list(wanted.bounds),
        )
    except TypeError:  # before 1.30 there is no advice
        return meter.create_histogram(wanted.name, wanted.unit, wanted.description)
