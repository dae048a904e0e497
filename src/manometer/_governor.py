"""What manometer costs, counted always, and the level of detail that keeps the cost within its budget."""

from __future__ import annotations

import time
import weakref
from collections import deque
from typing import TYPE_CHECKING, Final, NamedTuple, final

from . import _context, _level, _limits, _rolling
from ._cost import Costs, Tally, tally
from ._hot import now_ns
from ._level import FULL, NAMES, OFF, PLAIN, SAMPLED, UNITS
from ._sampled import RATE, Wrappers

if TYPE_CHECKING:
    from collections.abc import Callable

    from ._model import Callsite, Profile

BUDGET: Final = 0.01
HARD: Final = 5
"""Hard limit as a multiple of the budget."""
HOT_CALLS_PER_S: Final = 10_000
"""Calls a second from which a function's calls are timed on a sample."""
WINDOW_S: Final = 5.0
_SHORTEST_S: Final = 1.0
_SHORT_S: Final = 2.0
"""The same after a step down, so that a hot loop is within the budget soon."""
_TICK_S: Final = 0.9
_FLOOR: Final = 0.01
"""Share of one processor below which nobody minds, however idle the rest of the process is."""
WARM_UP_S: Final = 60.0
"""At first only functions called very often count: a process that just began shall show what it does."""
_WARM_UP_BLIND: Final = 3
"""Multiple of the budget from which nothing inside units is recorded, meanwhile."""
PATIENCE_S: Final = 60.0
"""Time between two steps up; doubled each time that a step up had to be taken back."""
_MAX_PATIENCE_S: Final = 960.0
_SAYS: Final = (
    "everything is recorded",
    "arguments, parameters and rows are no longer fingerprinted",
    f"functions called more than {HOT_CALLS_PER_S:,} times a second are counted, and timed on a sample",
    "only units of work are recorded, nothing inside them",
    "nothing is recorded",
)


@final
class Change(NamedTuple):
    """A change of the level of detail: from, to, and the share of the process's CPU that measuring took."""

    before: int
    after: int
    share: float

    def __str__(self) -> str:
        way = "lowered" if self.after > self.before else "raised"
        return (
            f"level of detail {way} from {NAMES[self.before]} to {NAMES[self.after]}: measuring took "
            f"{self.share:.1%} of the process's CPU; {_SAYS[self.after]}; the application is not affected"
        )


class _Mark(NamedTuple):
    """Sums at one instant, in nanoseconds."""

    now_ns: int
    process_ns: int
    own_ns: int
    hot_ns: int


@final
class Governor:
    """Counts own cost and lowers the level of detail while it is above the budget.

    On the application's threads cost is an estimate, calibrated time of one event x events; that of
    the background thread is its CPU time. Good for a figure in a log, not for a bill: it may be 30 %
    off where the machine's speed changes. All of it runs on the background thread, without a lock.

    Args:
        budget: Share of the process's CPU that measuring may take.
        clock_ns: Monotonic clock.
        cpu_ns: CPU time of the process.

    Attributes:
        costs: What one event of each sort adds.
        host_ns: Cost on the application's threads since the start.
        background_ns: CPU time of the background thread since the start.
        changes: Changes of the level since the start.
    """

    def __init__(
        self,
        budget: float = BUDGET,
        clock_ns: Callable[[], int] = time.monotonic_ns,
        cpu_ns: Callable[[], int] = time.process_time_ns,
    ) -> None:
        self.costs = Costs()
        self.changes = 0
        self._budget = budget
        self._clock_ns = clock_ns
        self._cpu_ns = cpu_ns
        self._wrappers = Wrappers()
        self._patience_s = PATIENCE_S
        self._raised_ns = -1
        self._begin()

    def _begin(self) -> None:
        self.host_ns = self.background_ns = self._hot_ns = 0
        self._process_ns = self._cpu_ns()
        self._started_ns = self._changed_ns = self._clock_ns()
        self._marks: deque[_Mark] = deque(maxlen=16)
        self._seen: dict[int, tuple[weakref.ref[Profile], Tally]] = {}
        self._calls: dict[Callsite, tuple[int, int]] = {}
        self._mark()

    @property
    def call_ns(self) -> int:
        """What one call of a measured function adds, in nanoseconds."""
        return self.costs.call_ns

    @property
    def level(self) -> int:
        """The level of detail."""
        return _level.current_level()

    def calibrate(self) -> None:
        """Time what one event of each sort adds here; about 10 ms, once, at start."""
        self.costs.calibrate()

    def cost_of(self, profile: Profile) -> int:
        """Return the estimated own cost inside a sealed *profile* in nanoseconds, and count it."""
        _, before = self._seen.pop(id(profile), (None, None))
        whole = tally(profile, self.costs)
        self._count(whole.minus(before))
        return whole.cost_ns

    def _count(self, more: Tally) -> None:
        self.host_ns += more.cost_ns
        for site, (calls, cost_ns) in more.leaves.items():
            known = self._calls.get(site)
            if known is not None:
                self._calls[site] = (known[0] + calls, known[1] + cost_ns)
            elif len(self._calls) < _limits.MAX_HISTORY_SITES:
                self._calls[site] = (calls, cost_ns)

    def share(self) -> float:
        """Return own cost divided by the CPU time of the process since the start, 0 to 1."""
        process_ns = self._cpu_ns() - self._process_ns
        return min(1.0, (self.host_ns + self.background_ns) / process_ns) if process_ns > 0 else 0.0

    def tick(self) -> Change | None:
        """Look at units in progress, and change the level where that is due; at most once a second.

        Returns:
            The change, for the log; None where there is none.
        """
        elapsed_ns = self._clock_ns() - self._marks[-1].now_ns
        if elapsed_ns < _TICK_S * 1e9:
            return None
        self._look()
        least = HOT_CALLS_PER_S * elapsed_ns / 1e9
        hot = {site: calls for site, (calls, _) in self._calls.items() if calls >= least}
        self._hot_ns += sum(self._calls[site][1] for site in hot)
        self._calls.clear()
        self._mark()
        change = self._decide(hot)
        if self.level >= SAMPLED:
            for site in hot:
                self._wrappers.add(site, self.level)
        return change

    def close(self) -> None:
        """Take everything back."""
        self._wrappers.put_level(FULL)
        _level.set_level(FULL)

    def after_fork(self) -> None:
        """Count anew in a child; what was calibrated, and the level, stay."""
        self._begin()

    def _look(self) -> None:
        """Count what units that last have cost up to now: they may last for hours."""
        room = _limits.MAX_FRAMES_LOOKED_AT
        old_ns = now_ns() - int(_TICK_S * 1e9)
        for profile in (*list(_context.live.values()), *_rolling.in_flight()):
            room -= profile.frames
            if room < 0:
                break
            if profile.started_ns <= old_ns and not profile.sealed:
                known = self._seen.get(id(profile))
                now = tally(profile, self.costs)
                self._count(now.minus(known[1] if known is not None and known[0]() is profile else None))
                self._seen[id(profile)] = weakref.ref(profile), now
        for key, (reference, _) in list(self._seen.items()):
            if reference() is None:
                del self._seen[key]

    def _mark(self) -> None:
        own_ns = self.host_ns + self.background_ns
        self._marks.append(_Mark(self._clock_ns(), self._cpu_ns(), own_ns, self._hot_ns))

    def _share(self, window_s: float, spared_ns: int = 0) -> float | None:
        """Return the share over the last *window_s* seconds since the last change; None where they are not over.

        What would have been spared is left out.
        """
        last = self._marks[-1]
        for first in reversed(self._marks):
            elapsed_ns = last.now_ns - first.now_ns
            if elapsed_ns >= window_s * 0.9e9:
                break
        else:
            return None
        own_ns = last.hot_ns - first.hot_ns if self._is_warming_up() else last.own_ns - first.own_ns
        own_ns -= spared_ns
        if own_ns < _FLOOR / 2 * elapsed_ns:
            return 0.0
        share = min(1.0, own_ns / max(1, last.process_ns - first.process_ns))
        return share if own_ns >= _FLOOR * elapsed_ns else min(share, self._budget)

    def _is_warming_up(self) -> bool:
        return self._marks[-1].now_ns - self._started_ns < WARM_UP_S * 1e9

    def _decide(self, hot: dict[Callsite, int]) -> Change | None:
        level, budget = self.level, self._budget
        latest, share = self._share(_SHORTEST_S), self._share(WINDOW_S if level == FULL else _SHORT_S)
        if level < OFF and latest is not None and latest > HARD * budget:
            return self._change(self._after_burst(level, hot), latest)
        if self._is_warming_up():
            if level == FULL and latest is not None and latest > budget:
                return self._change(SAMPLED, latest)
            if level == SAMPLED and share is not None and share > _WARM_UP_BLIND * budget:
                return self._change(UNITS, share)
        elif level < OFF and share is not None and share > budget:
            return self._change(level + 1, share)
        lasted_s = (self._marks[-1].now_ns - self._changed_ns) / 1e9
        if level > FULL and lasted_s >= self._patience_s and share is not None and share < budget / 2:
            return self._change(level - 1, share)
        if level == FULL and lasted_s >= 2 * self._patience_s:
            self._patience_s = PATIENCE_S
        return None

    def _after_burst(self, level: int, hot: dict[Callsite, int]) -> int:
        """Off at once, unless functions alone are the reason and timing a sample of them is enough."""
        if level < SAMPLED:
            kept_ns = self.costs.skip_ns + self.costs.call_ns // RATE
            spared_ns = sum(hot.values()) * max(0, self.costs.call_ns - kept_ns)
            share = self._share(_SHORTEST_S, spared_ns)
            if spared_ns and share is not None and share <= HARD * self._budget:
                return SAMPLED
        return UNITS if level < UNITS and self._is_warming_up() else OFF

    def _change(self, level: int, share: float) -> Change:
        before, now = self.level, self._clock_ns()
        if level < before:
            self._raised_ns = now
        elif self._raised_ns >= 0 and now - self._raised_ns < 2 * self._patience_s * 1e9:
            self._patience_s = min(_MAX_PATIENCE_S, 2 * self._patience_s)
            self._raised_ns = -1
        _level.set_level(level, fingerprints=level == SAMPLED and self._is_warming_up())
        self._wrappers.put_level(level)
        self.changes += 1
        self._changed_ns = now
        last = self._marks[-1]
        self._marks.clear()
        self._marks.append(last)
        return Change(before, level, share)


__all__ = ["BUDGET", "FULL", "HARD", "OFF", "PLAIN", "SAMPLED", "UNITS", "Change", "Governor"]
