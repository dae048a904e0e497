"""What manometer itself costs: calibrated once, counted always."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final, final

from . import _context
from ._measure import measure
from ._model import IO_KINDS, Frame, Profile

if TYPE_CHECKING:
    from collections.abc import Iterable

_LOOP: Final = 500
_TAP_NS: Final = 8_000
"""One call through a tap: call site, keys, rows (benchmarks/call.py measures 5-12 us)."""
_PROFILE_NS: Final = 10_000


@final
class Governor:
    """Estimates the cost on the application's threads and measures that of the background thread.

    Estimated = calibrated time of one measured call x calls + a constant per tapped call. It is a
    figure for the log, not for a bill: 30 % off is possible where the machine's speed changes.
    """

    def __init__(self) -> None:
        self.call_ns = 400
        self.host_ns = 0
        self.background_ns = 0
        self._process_ns = time.process_time_ns()

    def calibrate(self) -> None:
        """Measure what one measured call adds here; about 1 ms, once, at start."""

        def bare() -> None:
            return None

        measured = measure(bare)
        times = []
        for function in (measured, bare, measured, bare):
            opened = _context.open_profile("calibration", to=_forget)
            started_ns = time.perf_counter_ns()
            for _ in range(_LOOP):
                function()
            times.append(time.perf_counter_ns() - started_ns)
            _context.restore(opened)
            _context.close_profile(opened)
        added_ns = min(times[0], times[2]) - min(times[1], times[3])
        self.call_ns = max(50, added_ns // _LOOP)

    def cost_of(self, profile: Profile) -> int:
        """Return the estimated own cost inside *profile* in nanoseconds, and add it up."""
        calls = taps = 0
        frames: Iterable[Frame] = profile.root.walk()
        for frame in frames:
            if frame.callsite.kind in IO_KINDS:
                taps += frame.calls
            else:
                calls += frame.calls
        cost_ns = calls * self.call_ns + taps * _TAP_NS + _PROFILE_NS
        self.host_ns += cost_ns
        return cost_ns

    def share(self) -> float:
        """Return own cost divided by the CPU time of the process since the start, 0 to 1."""
        process_ns = time.process_time_ns() - self._process_ns
        return min(1.0, (self.host_ns + self.background_ns) / process_ns) if process_ns > 0 else 0.0


def _forget(_: Profile) -> None:
    pass
