"""What measuring adds to the application's threads: one event of each sort, timed here at start, and a unit of work."""

from __future__ import annotations

import functools
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, final

from . import _context
from ._measure import measure
from ._model import IO_KINDS, NO_CHILDREN

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ._detail import FrameDetail
    from ._model import Callsite, Frame, Profile
    from ._plan import Plan

_LOOP: Final = 100
_ROUNDS: Final = 4
_UNITS: Final = 12
_FRAMES: Final = 10
_LEAST_NS: Final = 20
TAPS: Final = {"sqlite3": 40, "sqlalchemy": 160, "django": 125}
"""Library, with what a call through its tap adds in units of the yardstick (`benchmarks/taps.py`)."""
_TAP: Final = 100
"""The same for every other library."""
_PLAIN_TAP: Final = 0.6
"""Share that is left of it without fingerprints."""
_REQUEST: Final = 60
"""What the tap on a server adds to each request, in the same unit."""


@final
@dataclass(slots=True)
class Costs:
    """Nanoseconds that one event adds, the defaults those of a slow machine in pure Python.

    Attributes:
        call_ns: A call of a measured function.
        watched_ns: The same where its arguments are fingerprinted.
        skip_ns: The same where it is only counted.
        task_ns: A call of a coroutine function.
        item_ns: A step of a generator.
        block_ns: A `with measure(...)`.
        frame_ns: The first call of a function in a unit of work, beyond an ordinary one.
        unit_ns: A unit of work.
        yard_ns: A decorator with two clock readings, the unit of what cannot be timed at start.
    """

    call_ns: int = 400
    watched_ns: int = 2_500
    skip_ns: int = 250
    task_ns: int = 1_200
    item_ns: int = 700
    block_ns: int = 1_500
    frame_ns: int = 1_500
    unit_ns: int = 10_000
    yard_ns: int = 350

    def calibrate(self) -> None:
        """Time all of them; about 5 ms, once, at start, on the caller's thread."""
        empty = _best(_nothing)
        self.yard_ns = _added(_calls(_two_clocks(_bare)), _calls(_bare))
        self.unit_ns = max(1_000, empty)
        bare_ns = _inside(_calls(_bare))
        self.call_ns = _per_call(_inside(_calls(_measured())) - bare_ns)
        self.watched_ns = _per_call(_inside(_calls(measure(key=())(_fresh()))) - bare_ns)
        self.skip_ns = self.call_ns // 2
        self.task_ns = _per_call(_inside(_tasks(measure(_task))) - _inside(_tasks(_task)))
        self.item_ns = _per_call(_inside(_steps(measure(_items))) - _inside(_steps(_items)))
        self.block_ns = _per_call(_inside(_blocks) - _inside(_nothing))
        first_ns = (_best(_each([_measured() for _ in range(_FRAMES)])) - empty) // _FRAMES
        self.frame_ns = max(_LEAST_NS, first_ns - self.call_ns)

    def tap_ns(self, library: str, plain: bool) -> int:
        """Return what a call through the tap on *library* adds, *plain* without fingerprints."""
        share = _PLAIN_TAP if plain else 1.0
        return int(TAPS.get(library, _TAP) * self.yard_ns * share)


@final
@dataclass(slots=True)
class Tally:
    """What measuring one unit of work has cost so far.

    Attributes:
        cost_ns: All of it, on the application's threads.
        leaves: By measured function whose frames have nothing below them: calls that were not
            fingerprinted, and what they cost.
    """

    cost_ns: int = 0
    leaves: dict[Callsite, tuple[int, int]] = field(default_factory=dict)

    def minus(self, before: Tally | None) -> Tally:
        """Return what was added since *before*, which may be nothing."""
        if before is None:
            return self
        leaves = {}
        for site, (calls, cost_ns) in self.leaves.items():
            less, less_ns = before.leaves.get(site, (0, 0))
            leaves[site] = (max(0, calls - less), max(0, cost_ns - less_ns))
        return Tally(max(0, self.cost_ns - before.cost_ns), leaves)


def tally(profile: Profile, costs: Costs) -> Tally:
    """Add up what measuring *profile* has cost; also of one in progress. Background thread; 1 us a frame."""
    found = Tally()
    found.cost_ns = costs.unit_ns
    if profile.framework and profile.kind == "request":
        found.cost_ns += _REQUEST * costs.yard_ns
    for frame in profile.root.walk():
        site = frame.callsite
        if site.kind in IO_KINDS:
            found.cost_ns += frame.calls * costs.tap_ns(site.library, profile.plain)
        elif frame is not profile.root:
            found.cost_ns += costs.frame_ns + _of_function(frame, costs, found)
    return found


def _of_function(frame: Frame, costs: Costs, found: Tally) -> int:
    plan: Plan | None = frame.callsite.plan
    detail = frame.detail
    if plan is None:
        return frame.calls * costs.block_ns
    if plan.kind in ("generator", "asyncgen"):
        steps = frame.calls + (0 if detail is None else detail.rows_sum)
        return steps * (costs.item_ns if plan.kind == "generator" else costs.task_ns)
    if plan.kind == "async":
        return frame.calls * costs.task_ns
    watched = 0 if detail is None else min(frame.calls, _looked_at(detail))
    plain = max(0, frame.calls - watched)
    plain_ns = (plain - frame.untimed) * costs.call_ns + frame.untimed * costs.skip_ns
    if frame.children is NO_CHILDREN and plan.rewritable is not None:
        calls, cost_ns = found.leaves.get(frame.callsite, (0, 0))
        found.leaves[frame.callsite] = (calls + plain, cost_ns + plain_ns)
    return plain_ns + watched * costs.watched_ns


def _looked_at(detail: FrameDetail) -> int:
    return max(detail.rows_calls, detail.unkeyed + sum(use.calls for use in detail.keys.values()))


def _bare() -> None:
    return None


def _fresh() -> Callable[[], None]:
    def fresh() -> None:
        return None

    return fresh


def _measured() -> Callable[[], None]:
    return measure(_fresh())


async def _task() -> None:
    return None


def _items() -> Iterator[int]:
    yield from range(_LOOP)


def _two_clocks(function: Callable[..., Any]) -> Callable[..., Any]:
    """The yardstick: a timing decorator as people write it by hand."""
    total_ns = [0]

    @functools.wraps(function)
    def timed(*args: Any, **kwargs: Any) -> Any:
        started_ns = time.perf_counter_ns()
        try:
            return function(*args, **kwargs)
        finally:
            total_ns[0] += time.perf_counter_ns() - started_ns

    return timed


def _calls(function: Callable[[], object]) -> Callable[[], None]:
    def run() -> None:
        for _ in range(_LOOP):
            function()

    return run


def _each(functions: list[Callable[[], object]]) -> Callable[[], None]:
    def run() -> None:
        for function in functions:
            function()

    return run


def _tasks(function: Callable[[], Any]) -> Callable[[], None]:
    def run() -> None:
        for _ in range(_LOOP):
            try:
                function().send(None)
            except StopIteration:
                continue

    return run


def _steps(function: Callable[[], Iterator[int]]) -> Callable[[], None]:
    def run() -> None:
        for _ in function():
            pass

    return run


_BLOCK: Final = measure("calibration")


def _blocks() -> None:
    for _ in range(_LOOP):
        with _BLOCK:
            pass


def _nothing() -> None:
    return None


def _per_call(total_ns: int) -> int:
    return max(_LEAST_NS, total_ns // _LOOP)


def _added(measured: Callable[[], None], bare: Callable[[], None]) -> int:
    return _per_call(_time(measured) - _time(bare))


def _time(run: Callable[[], None], rounds: int = _ROUNDS) -> int:
    times = []
    for _ in range(rounds):
        started_ns = time.thread_time_ns()
        run()
        times.append(time.thread_time_ns() - started_ns)
    return min(times)


def _inside(run: Callable[[], None]) -> int:
    """Return the time of the quickest of some runs, all inside one unit of work."""
    opened = _context.open_profile("calibration", to=_forget, cpu=False)
    try:
        return _time(run)
    finally:
        _context.restore(opened)
        _context.close_profile(opened)


def _best(run: Callable[[], None]) -> int:
    """Return the same where each run is a unit of work, whose opening and closing are timed too."""

    def unit() -> None:
        opened = _context.open_profile("calibration", to=_forget, cpu=False)
        try:
            run()
        finally:
            _context.restore(opened)
            _context.close_profile(opened)

    return _time(unit, _UNITS)


def _forget(_: Profile) -> None:
    pass
