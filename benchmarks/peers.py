"""The same function under every peer that is installed: `python -m benchmarks.peers EFFORT NAME`, one process each."""

from __future__ import annotations

import functools
import json
import logging
import os
import sys
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from manometer import measure

from ._harness import EFFORTS, Candidate, compare
from ._subjects import SUBJECTS, bare, core, two_clocks, unit
from .calls import candidate
from .taps import nowhere

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass
class Peer:
    """How one product is put around a function.

    Args:
        deco: Decorates it; nothing to do for what watches the whole process.
        root: Opens what a request would.
        start: Switches it on for one slice.
        stop: Switches it off, and forgets what it holds.
        most: Most units in one slice.
    """

    deco: Callable[[Any], Any] = bare
    root: Callable[[], Any] = nullcontext
    start: Callable[[], Any] = field(default=lambda: None)
    stop: Callable[[], Any] = field(default=lambda: None)
    most: int = 1_000_000


def around(opened: Callable[[], Any]) -> Callable[[Any], Any]:
    """A decorator that makes each call inside what `opened` gives."""

    def deco(function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def call(*args: Any, **kwargs: Any) -> Any:
            with opened():
                return function(*args, **kwargs)

        return call

    return deco


def _tracer(sampler: Any) -> Any:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    tracer_provider = TracerProvider(sampler=sampler)
    tracer_provider.add_span_processor(BatchSpanProcessor(nowhere()))
    return tracer_provider.get_tracer("benchmark")


def _of_tracer(tracer: Any) -> Peer:
    return Peer(
        around(lambda: tracer.start_as_current_span("call")), lambda: tracer.start_as_current_span("request")
    )


def otel_recording() -> Peer:
    from opentelemetry.sdk.trace.sampling import ALWAYS_ON

    return _of_tracer(_tracer(ALWAYS_ON))


def otel_not_sampled() -> Peer:
    from opentelemetry.sdk.trace.sampling import ALWAYS_OFF

    return _of_tracer(_tracer(ALWAYS_OFF))


def otel_api_only() -> Peer:
    from opentelemetry import trace

    return _of_tracer(trace.get_tracer("benchmark"))


def logfire() -> Peer:
    import logfire as product

    product.configure(send_to_logfire=False, console=False, metrics=False, inspect_arguments=False)
    return Peer(product.instrument("call", extract_args=False), lambda: product.span("request"))


def sentry() -> Peer:
    import sentry_sdk
    from sentry_sdk.transport import Transport

    class Nowhere(Transport):
        def capture_envelope(self, envelope: Any) -> None:
            pass

    sentry_sdk.init(
        dsn="http://key@127.0.0.1:9/1",
        traces_sample_rate=1.0,
        transport=Nowhere,
        default_integrations=False,
        auto_enabling_integrations=False,
        auto_session_tracking=False,
    )
    return Peer(sentry_sdk.trace, lambda: sentry_sdk.start_transaction(name="request", op="x"))


def ddtrace() -> Peer:
    os.environ |= {
        "DD_INSTRUMENTATION_TELEMETRY_ENABLED": "false",
        "DD_REMOTE_CONFIGURATION_ENABLED": "false",
        "DD_TRACE_STARTUP_LOGS": "false",
    }
    from ddtrace.trace import tracer

    class Nowhere:
        def __getattr__(self, name: str) -> Any:
            return lambda *_, **__: None

    tracer._span_aggregator.writer = Nowhere()
    return Peer(tracer.wrap("call"), lambda: tracer.trace("request"))


def prometheus() -> Peer:
    from prometheus_client import CollectorRegistry, Histogram

    return Peer(Histogram("call", "Calls.", registry=CollectorRegistry()).time())


def wrapt_nothing() -> Peer:
    import wrapt

    @wrapt.decorator
    def deco(wrapped: Any, _: Any, args: Any, kwargs: Any) -> Any:
        return wrapped(*args, **kwargs)

    return Peer(deco)


def cprofile() -> Peer:
    import cProfile

    profiler = cProfile.Profile()
    return Peer(start=profiler.enable, stop=lambda: (profiler.disable(), profiler.clear()))


def yappi() -> Peer:
    import yappi as product

    product.set_clock_type("wall")
    return Peer(start=product.start, stop=lambda: (product.stop(), product.clear_stats()))


def viztracer() -> Peer:
    from viztracer import VizTracer

    tracer = VizTracer(verbose=0)
    return Peer(start=tracer.start, stop=lambda: (tracer.stop(), tracer.clear()), most=200)


def line_profiler() -> Peer:
    from line_profiler import LineProfiler

    return Peer(LineProfiler())


def pyinstrument() -> Peer:
    from pyinstrument import Profiler

    profiler = Profiler(interval=0.001)
    return Peer(start=profiler.start, stop=lambda: (profiler.stop(), profiler.reset()))


PEERS: dict[str, tuple[str, Callable[[], Peer]]] = {
    "OpenTelemetry span, recording": ("opentelemetry.sdk", otel_recording),
    "OpenTelemetry span, not sampled": ("opentelemetry.sdk", otel_not_sampled),
    "OpenTelemetry API, no SDK": ("opentelemetry", otel_api_only),
    "logfire": ("logfire", logfire),
    "sentry-sdk": ("sentry_sdk", sentry),
    "ddtrace": ("ddtrace", ddtrace),
    "prometheus_client Histogram": ("prometheus_client", prometheus),
    "wrapt doing nothing": ("wrapt", wrapt_nothing),
    "cProfile": ("cProfile", cprofile),
    "yappi": ("yappi", yappi),
    "viztracer": ("viztracer", viztracer),
    "line_profiler": ("line_profiler", line_profiler),
    "pyinstrument": ("pyinstrument", pyinstrument),
}
"""Name, with the package it needs and what sets it up."""


def with_peer(peer: Peer) -> Candidate:
    """A plain call under a peer, switched on for each slice."""
    inside = candidate("peer", SUBJECTS["sync"], peer.deco, peer.root)

    def run(units: int) -> None:
        peer.start()
        try:
            inside.run(units)
        finally:
            peer.stop()

    return Candidate("peer", run, calls=inside.calls, most=peer.most)


def main() -> None:
    """Print the costs as JSON, or nothing but the reason where the peer is not installed."""
    effort, name = EFFORTS[sys.argv[1]], sys.argv[2]
    logging.disable(logging.CRITICAL)
    try:
        peer = PEERS[name][1]()
    except Exception as error:
        print(json.dumps({"missing": f"{type(error).__name__}: {error}"[:200]}), flush=True)
        os._exit(0)
    subject = SUBJECTS["sync"]
    costs = compare(
        [
            candidate("bare", subject, bare),
            candidate("Y", subject, two_clocks),
            candidate("manometer", subject, measure, unit),
            with_peer(peer),
        ],
        effort,
    )
    print(
        json.dumps({"core": core(), "costs": {key: asdict(cost) for key, cost in costs.items()}}), flush=True
    )
    os._exit(0)  # exporters' threads and exit handlers are not the subject


if __name__ == "__main__":
    main()
