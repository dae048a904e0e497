"""The span processor: hears of every span where it begins and ends, and never raises."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, final

from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.trace import SpanContext

from ... import _guard, _spans
from ._record import Listener
from ._sampling import describe_sampler, record_all

if TYPE_CHECKING:
    from ..._spans import SpanId
    from ...protocols import Undo

_POINT: Final = "sources.opentelemetry"
_can_reparent: bool | None = None


@final
class Processor(SpanProcessor):
    """Sits in a provider of the application's. What fails in it is counted and goes no further."""

    def __init__(self) -> None:
        self.active = True
        self._listener = Listener()

    def on_start(self, span: Any, parent_context: Any = None) -> None:  # noqa: ARG002 - the SDK's signature
        """Hear of a span that begins; on its thread; about what starting the span costs."""
        if self.active and not (_guard.counts and _guard.is_off(_POINT)):
            _guard.call(_POINT, self._start, span)

    def _start(self, span: Any) -> None:
        parent = self._listener.started(span)
        if parent is not None and can_reparent():
            _set_parent(span, parent)

    def on_end(self, span: Any) -> None:
        """Hear of a span that ended; on any thread, perhaps long after its request; about twice what the span costs."""
        if self.active:
            _guard.call(_POINT, self._listener.ended, span)

    def shutdown(self) -> None:
        """Stop listening: the application shuts its provider down."""
        self.active = False

    def force_flush(self, timeout_millis: int = 30_000) -> bool:  # noqa: ARG002 - the SDK's signature
        """Say that nothing is held back."""
        return True


def _set_parent(span: Any, parent: SpanId) -> None:
    old = span.parent
    span._parent = SpanContext(parent.trace_id, parent.span_id, False, old.trace_flags, old.trace_state)


def can_reparent() -> bool:
    """Tell whether this SDK still obeys the private attribute; tried once, on a provider of our own."""
    global _can_reparent
    if _can_reparent is None:
        _can_reparent = bool(_guard.call(_POINT, _try_reparent))
    return _can_reparent


def _try_reparent() -> bool:
    wanted = SpanContext(1, 2, False)
    found = []

    class Probe(SpanProcessor):
        def on_start(self, span: Any, parent_context: Any = None) -> None:  # noqa: ARG002
            span._parent = wanted

        def on_end(self, span: Any) -> None:
            found.append(span.parent)

    from opentelemetry.sdk.resources import Resource

    provider = TracerProvider(resource=Resource({}), shutdown_on_exit=False)
    provider.add_span_processor(Probe())
    provider.get_tracer("manometer").start_span("probe").end()
    return found == [wanted] or not found  # none: OTEL_SDK_DISABLED, where it does not matter


def add_to(provider: Any) -> Undo:
    """Add a processor to *provider* and return what makes it silent, and takes it out where that is possible."""
    processor = Processor()
    provider.add_span_processor(processor)
    _spans.sampler = describe_sampler(provider)
    undo_sampler = record_all(provider) if _spans.record_unsampled else None
    if undo_sampler is not None:
        _spans.sampler = ""

    def undo() -> None:
        processor.active = False
        if undo_sampler is not None:
            undo_sampler()
        _take_out(provider, processor)

    return undo


def _take_out(provider: Any, processor: Processor) -> None:
    """Remove what there is no public way to remove; where the SDK has changed it stays, and is silent."""
    several: Any = getattr(provider, "_active_span_processor", None)
    lock, inside = getattr(several, "_lock", None), getattr(several, "_span_processors", None)
    if several is not None and type(inside) is tuple and lock is not None:
        with lock:
            several._span_processors = tuple(one for one in several._span_processors if one is not processor)
