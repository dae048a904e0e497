"""The cost of one query through each tap: `python -m benchmarks.taps EFFORT LIBRARY`, one process a library.

The states (bare, with manometer, with OpenTelemetry's instrumentation while recording) take turns in it: in each round
one is installed, timed and taken out again, on a connection of its own. Needs what the tests need to start servers.
"""

from __future__ import annotations

import asyncio
import inspect
import json
import logging
import os
import random
import statistics
import sys
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import asdict, dataclass, field
from importlib import import_module
from itertools import repeat
from typing import TYPE_CHECKING, Any

from manometer._context import close_profile, open_profile, restore

from ._harness import EFFORTS, Cost, Effort, clock_ns, compare
from ._subjects import SUBJECTS, bare, core, two_clocks
from ._tapped import LIBRARIES
from .calls import candidate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from manometer import Profile

    from ._tapped import Library, Query

STATES = ("bare", "manometer", "OpenTelemetry")
INNER = 50
"""Queries in one unit of work."""


_latest: list[Profile] = []
spans_seen = 0


def nothing() -> None:
    """Install nothing."""


@contextmanager
def unit() -> Iterator[None]:
    """A unit of work as a request opens one; the latest is kept to be looked at."""
    opened = open_profile("benchmark", to=_keep)
    try:
        yield
    finally:
        close_profile(opened)
        restore(opened)


def _keep(profile: Profile) -> None:
    _latest[:] = [profile]


def nowhere() -> Any:
    """An exporter of spans that forgets them."""
    from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

    class Exporter(SpanExporter):
        def export(self, _: Any) -> Any:
            return SpanExportResult.SUCCESS

        def shutdown(self) -> None:
            pass

    return Exporter()


def provider() -> Any:
    """The SDK of OpenTelemetry, recording everything; returns a tracer."""
    from opentelemetry import trace
    from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    class Counter(SpanProcessor):
        def on_end(self, _: Any) -> None:
            global spans_seen
            spans_seen += 1

    made = TracerProvider()
    made.add_span_processor(BatchSpanProcessor(nowhere()))
    made.add_span_processor(Counter())
    trace.set_tracer_provider(made)
    return trace.get_tracer("benchmark")


@dataclass
class State:
    """One way to run the queries: what installs it, what takes it out, and what opens a unit of work."""

    name: str
    on: Callable[[], None]
    off: Callable[[], None]
    root: Callable[[], Any]
    query: Query = nothing
    samples: list[float] = field(default_factory=list)
    units: int = 1

    def run(self, loop: asyncio.AbstractEventLoop, units: int) -> None:
        """Make so many units of queries."""
        query = self.query
        if inspect.iscoroutinefunction(query):
            loop.run_until_complete(self._await(query, units))
            return
        for _ in range(units):
            with self.root():
                for _ in repeat(None, INNER):
                    query()

    async def _await(self, query: Query, units: int) -> None:
        for _ in range(units):
            with self.root():
                for _ in repeat(None, INNER):
                    await query()

    def once(self, loop: asyncio.AbstractEventLoop, units: int) -> float:
        """Nanoseconds of one query."""
        started_ns = clock_ns()
        self.run(loop, units)
        return (clock_ns() - started_ns) / units / INNER


def manometer_on() -> None:
    """Install every tap; nobody hears of what they see."""
    import manometer

    manometer.start(
        manometer.Config(exporters=(), heartbeat_s=0, max_overhead=1, disable=frozenset({"opentelemetry"}))
    )


def manometer_off() -> None:
    """Take them out again."""
    import manometer

    manometer.stop()


def states_of(library: Library, tracer: Any) -> list[State]:
    """The three states of a library."""
    module = import_module(f"opentelemetry.instrumentation.{library.package}")
    instrumentor = getattr(module, library.instrumentor)()
    theirs = State("OpenTelemetry", nothing, nothing, lambda: tracer.start_as_current_span("request"))

    def instrument() -> None:
        engine = getattr(theirs.query, "engine", None)
        instrumentor.instrument(skip_dep_check=True, **({} if engine is None else {"engine": engine}))

    theirs.on, theirs.off = instrument, instrumentor.uninstrument
    return [
        State("bare", nothing, nothing, nullcontext),
        State("manometer", manometer_on, manometer_off, unit),
        theirs,
    ]


def tapped_calls() -> int:
    """Calls of taps in the latest unit of work."""
    return sum(
        frame.calls
        for profile in _latest
        for frame in profile.root.walk()
        if frame.callsite.kind in ("db", "http", "cache")
    )


def measure(states: list[State], connect: Callable[[], Query], effort: Effort) -> dict[str, Any]:
    """Time the states in turns, and check that each sees what it should."""
    loop, seen = asyncio.new_event_loop(), {}
    asyncio.set_event_loop(loop)
    for state in states:
        state.on()
        state.query = connect()
        state.run(loop, 1)
        before = spans_seen
        spent_ns = max(1.0, state.once(loop, 1) * INNER)
        state.units = max(1, int(effort.slice_ms * 1e6 / spent_ns))
        seen[state.name] = tapped_calls() if state.name == "manometer" else spans_seen - before - 1
        state.off()
    for name in ("manometer", "OpenTelemetry"):
        if seen[name] < INNER:
            return {"missing": f"{name} saw {seen[name]} of {INNER} queries"}
    order = list(states)
    for _ in range(effort.rounds):
        random.shuffle(order)
        for state in order:
            state.on()
            state.run(loop, 1)
            state.samples.append(state.once(loop, state.units))
            state.off()
    return {
        state.name: asdict(Cost(min(state.samples), statistics.median(state.samples))) for state in states
    }


def main() -> None:
    """Print the cost of a query in each state, and of the yardstick, as JSON, or why there is none."""
    effort, name = EFFORTS[sys.argv[1]], sys.argv[2]
    logging.disable(logging.CRITICAL)
    with ExitStack() as stack:
        try:
            library = LIBRARIES[name]
            states = states_of(library, provider())
            costs = measure(states, library.make(stack), effort)
        except Exception as error:
            costs = {"missing": f"{type(error).__name__}: {error}"[:200]}
        if "missing" not in costs:
            yardstick = [
                candidate("bare call", SUBJECTS["sync"], bare, nullcontext),
                candidate("Y", SUBJECTS["sync"], two_clocks, nullcontext),
            ]
            costs |= {key: asdict(cost) for key, cost in compare(yardstick, effort).items()}
            costs = {"core": core(), "costs": costs}
        print(json.dumps(costs), flush=True)
    os._exit(0)


if __name__ == "__main__":
    main()
