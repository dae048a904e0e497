"""The way of a finished profile: a bounded queue, one daemon thread, detectors, exporters."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from dataclasses import replace
from queue import Empty
from typing import TYPE_CHECKING, Any, Final, Literal, final

from . import _caches, _context, _guard, _limits, _queues, _real, _rolling, _spans
from ._expect import Expectations, is_like
from ._finding import Finding, Report, Status
from ._governor import Governor
from ._history import History
from ._ledger import Ledger
from ._level import NAMES, UNITS
from ._mute import muted
from ._sampled import scale
from ._untie import untie

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from queue import SimpleQueue

    from ._config import Config
    from ._model import Profile

Reading = tuple[int, "dict[str, float]"]
"""Monotonic instant, with what a probe read then."""

_log: Final = logging.getLogger("manometer")
_TICK_S: Final = 1.0
_STOP: Final = object()
_STATISTICAL: Final = frozenset({"superlinear", "slowing-call", "growing-container", "slower-under-load"})
_ON_FINGERPRINTS: Final = frozenset(
    {
        "cache-ineffective",
        "cache-stale",
        "cache-stampede",
        "cache-would-pay",
        "duplicate-read",
        "repeated-call",
        "retry-amplification",
        "serial-independents",
        "wasted-eager-load",
    }
)
"""Rules that take calls for different where arguments are unknown, or one value for another."""
_ON_ALL_CALLS: Final = frozenset({"superlinear", "slowing-call", "slower-under-load", "repeated-setup"})
"""Rules that compare sums, which mean nothing where only a part of the calls was recorded."""


def _unsure(profile: Profile) -> frozenset[str]:
    """Return the rules that would judge what the level of detail left out of *profile*, and note why they do not."""
    found: frozenset[str] = frozenset()
    reason = f"level of detail {NAMES[profile.level]}, measuring cost too much"
    if profile.plain:
        found |= _ON_FINGERPRINTS
        profile.not_judged["rules-on-arguments"] = reason
    if profile.level >= UNITS:
        found |= _ON_ALL_CALLS
        profile.not_judged["rules-on-sums"] = reason
    return found


@final
class Pipeline:
    """Takes sealed profiles from application threads and does everything else off them.

    Args:
        config: Bounds and intervals.
        judge: Runs the detectors: `judge(profile, history, disabled, extra)`.
        exporters: `(name, exporter)` pairs that receive reports.
        extra: Further detectors of the user's.
        sources: Returns the active and the missing sources, for the heartbeat.
        version: Manometer's version.
        ask: Returns the page of the four questions and their answers, for the exporters at exit.
        probe: Reads what the process is doing.
    """

    def __init__(
        self,
        config: Config,
        judge: Callable[..., tuple[Finding, ...]],
        exporters: Iterable[tuple[str, Any]],
        extra: tuple[Any, ...] = (),
        sources: Callable[[], tuple[tuple[str, ...], dict[str, str]]] | None = None,
        version: str = "",
        pid: int = 0,
        ask: Callable[[], tuple[str, list[dict[str, Any]]]] | None = None,
        probe: Callable[[], dict[str, float]] | None = None,
    ) -> None:
        self._ask = ask
        self._probe = probe
        self.readings: deque[Reading] = deque(maxlen=_limits.MAX_READINGS)
        self._config = config
        self._judge = judge
        self._exporters = tuple(exporters)
        self._extra = extra
        self._sources = sources
        self._version = version
        self._pid = pid
        self.history = History()
        self.history.caches.begin()
        self.ledger = Ledger(config, self.history.profiles)
        self.expectations = Expectations(config.expect)
        self.governor = Governor(config.max_overhead)
        self.drops: dict[str, int] = {}
        self._begin()

    def _begin(self) -> None:
        # The interpreter's own: gevent's would wake greenlets, and this one is read by a real thread.
        self._queue: SimpleQueue[Any] = _real.original("queue", "SimpleQueue")()
        self._thread: threading.Thread | _real.Thread | None = None
        self._stopping = False
        self._started_ns = self._beat_ns = self._looked_ns = time.monotonic_ns()
        self._busy = False
        self.units = self.new = self.late = 0
        self.not_judged: dict[str, str] = {}

    def put(self, profile: Profile) -> None:
        """Take a sealed profile; never blocks, never raises. A full queue drops it and counts.

        Application threads; 1 us. `SimpleQueue` because its put may be re-entered from a
        destructor during a collection, where the lock of `queue.Queue` would hang.
        """
        if self._queue.qsize() >= self._config.max_queue:
            self.drops["queue"] = self.drops.get("queue", 0) + 1
            return
        self._queue.put(profile)
        if self._thread is None and not self._stopping:
            self.start_thread()

    def start_thread(self) -> None:
        """Start the daemon thread; at the interpreter's end, where none can start, go on without."""
        thread: threading.Thread | _real.Thread
        if _real.is_patched():
            thread = _real.Thread(self._run)
        else:
            thread = threading.Thread(target=self._run, name="manometer", daemon=True)
        self._thread = thread
        try:
            thread.start()
        except RuntimeError:
            self._thread = None
            self._stopping = True

    def _run(self) -> None:
        queue = self._queue
        _context.make_current(_context.MUTED)  # for the life of this thread
        while queue is self._queue:
            try:
                item = queue.get(timeout=_TICK_S)
            except Empty:
                item = None
            if item is _STOP:
                return
            self._busy = True
            began_ns = time.thread_time_ns()
            if item is not None:
                _guard.call("pipeline", self.handle, item)
            item = None
            _guard.call("pipeline.untie", untie)
            _guard.call("pipeline.tick", self.tick)
            self.governor.background_ns += time.thread_time_ns() - began_ns
            self._busy = False

    def handle(self, profile: Profile) -> Report:
        """Judge one profile and give it to the exporters. Background thread, or the caller of `flush`."""
        self.units += profile.kind != "process"
        _spans.tally(profile)
        self.late += profile.late
        profile.self_ns = self.governor.cost_of(profile)
        profile.time_error = scale(profile)
        profile.slow_ns = self._threshold(profile)
        for reason, count in profile.dropped.items():
            self.drops[reason] = self.drops.get(reason, 0) + count
        profile.readings = self._within(profile)
        if profile.level < UNITS:
            self.history.add(profile)  # what was recorded in part would teach it wrong
        found = self._judge(profile, self.history, self._config.disable | _unsure(profile), self._extra)
        self.not_judged.update(profile.not_judged)  # bounded by the number of rules
        report = self._report(profile, [self.expectations.apply(finding, profile) for finding in found])
        for name, exporter in self._exporters:
            self._export(name, exporter, "export", report)
        return report

    def _within(self, profile: Profile) -> tuple[Reading, ...]:
        """Return the readings of the process that were taken while a unit of work was in progress."""
        ended_ns = profile.started_ns + profile.duration_ns
        return tuple(each for each in self.readings if profile.started_ns <= each[0] <= ended_ns)

    def read(self) -> None:
        """Read what the process is doing, if it is time."""
        now_ns = _context.HOT["clock_"]()
        if self._probe is None or (
            self.readings and now_ns - self.readings[-1][0] < self._config.probe_interval_s * 1e9
        ):
            return
        found = _guard.call("probes.process", self._probe)
        if found:
            self.readings.append((now_ns, found))

    def _threshold(self, profile: Profile) -> int | None:
        """Return the duration from which this route is slow, in nanoseconds; None for the general one."""
        if profile.slow_ns is not None:
            return profile.slow_ns
        for pattern, slow_ms in self._config.routes:
            if is_like(profile.name, pattern) or is_like(profile.route, pattern):
                return int(slow_ms * 1e6)
        return None

    def _report(self, profile: Profile, found: list[Finding]) -> Report:
        findings, speaking, held_back = [], set(), {}
        now_ns = time.monotonic_ns()
        for finding in found:
            exact = finding.rule not in _STATISTICAL
            sighting = self.ledger.sight(finding, profile, now_ns, exact=exact)
            self.new += sighting.new
            if sighting.speak:
                speaking.add(finding.id)
                held_back[finding.id] = sighting.held_back
            findings.append(
                replace(
                    finding,
                    seen=sighting.seen,
                    first_seen_unix_ns=sighting.first_seen_unix_ns,
                    version=profile.version,
                )
            )
        return Report(profile, tuple(findings), frozenset(speaking), held_back)

    def _export(self, name: str, exporter: Any, method: str, *arguments: Any) -> None:
        point = f"exporters.{name}"
        function = getattr(exporter, method, None)
        if function is None:
            return
        if _guard.is_off(point):
            self.drops[f"export_{name}"] = self.drops.get(f"export_{name}", 0) + 1
            return
        with muted():
            _guard.call(point, function, *arguments)

    def tick(self) -> None:
        """Do what is due once a second."""
        _rolling.tick()
        _queues.sample()
        _caches.fold()
        self.read()
        _guard.report()
        change = self.governor.tick()
        if change is not None:
            self.say(str(change))
        now_ns = time.monotonic_ns()
        if now_ns - self._looked_ns >= _limits.CONTAINERS_S * 1e9:
            self._looked_ns = now_ns
            self.look()
        beat_ns = int(self._config.heartbeat_s * 1e9)
        if beat_ns and now_ns - self._beat_ns >= beat_ns:
            self.heartbeat("running")
        for name, exporter in self._exporters:
            self._export(name, exporter, "tick")
        for finding in self.ledger.resolved(now_ns):
            for name, exporter in self._exporters:
                self._export(name, exporter, "resolved", finding)

    def say(self, text: str) -> None:
        """Tell the operator something in one line of the log."""
        for name, exporter in self._exporters:
            if hasattr(exporter, "warning"):
                self._export(name, exporter, "warning", text)
                return
        _log.warning(text)

    def look(self) -> None:
        """Look at the containers and caches of the application; what there is to say of them is said of the process."""
        self.history.containers.sample(self.units)
        self.history.caches.look()
        profile = _context.make_profile("process", "process")
        _context.seal(profile, set())
        if self._judge(profile, self.history, self._config.disable):
            self.handle(profile)
        self.history.caches.told()

    def heartbeat(self, state: Literal["start", "running", "stop"]) -> None:
        """Say how manometer is doing: the cure for "is it silent or blind?"."""
        self._beat_ns = time.monotonic_ns()
        if state != "start":  # the first one is written on the application's thread
            self.read()
        status = self.status(state)
        self.new = 0
        self.not_judged = {}
        for name, exporter in self._exporters:
            self._export(name, exporter, "heartbeat", status)

    def status(self, state: Literal["start", "running", "stop"] = "running") -> Status:
        """Return how manometer is doing since the start."""
        sources, missing = self._sources() if self._sources is not None else ((), {})
        dropped = dict(self.drops)
        for reason, count in _context.drops.items():
            dropped[reason] = dropped.get(reason, 0) + count
        for _, exporter in self._exporters:
            dropped |= getattr(exporter, "drops", {})
        dropped |= {
            reason: count
            for reason, count in (("lines", self.ledger.suppressed), ("findings", self.ledger.evicted))
            if count
        }
        governor = self.governor
        return Status(
            version=self._version,
            pid=self._pid,
            uptime_s=(time.monotonic_ns() - self._started_ns) / 1e9,
            units=self.units,
            findings=len(self.ledger),
            new=self.new,
            sources=sources,
            missing=missing,
            overhead_share=governor.share(),
            self_ms=(governor.host_ns + governor.background_ns) / 1e6,
            level=NAMES[governor.level],
            level_changes=governor.changes,
            dropped=dropped,
            late=self.late,
            not_judged=self.history.not_judged() | self.not_judged | _spans.not_seen(),
            internal_errors=_guard.total(),
            resources=self.readings[-1][1] if self.readings else {},
            unused_expected=tuple(self.expectations.unused()),
            state=state,
        )

    def flush(self, timeout_s: float = _limits.FLUSH_S) -> bool:
        """Wait until everything put so far is exported.

        Returns:
            Whether that was reached in time. Blocks at most *timeout_s* seconds.
        """
        deadline_s = time.monotonic() + timeout_s
        while time.monotonic() < deadline_s:
            if not self._queue.qsize() and not self._busy:
                return True
            if self._thread is None or not self._thread.is_alive():
                return self._drain(deadline_s)
            time.sleep(0.005)
        return not self._queue.qsize() and not self._busy

    def _drain(self, deadline_s: float) -> bool:
        while time.monotonic() < deadline_s:
            try:
                item = self._queue.get_nowait()
            except Empty:
                return True
            if item is not _STOP:
                _guard.call("pipeline", self.handle, item)
        return False

    def stop(self, timeout_s: float = _limits.FLUSH_S) -> None:
        """Export what is there, say goodbye, end the thread; at most *timeout_s* seconds.

        Starts no thread: at the interpreter's end none can be started.
        """
        self._stopping = True
        began_s = time.monotonic()
        reached = self.flush(timeout_s)
        thread, self._thread = self._thread, None
        if thread is not None:
            self._queue.put(_STOP)
            if thread is not threading.current_thread():
                thread.join(max(0.0, timeout_s - (time.monotonic() - began_s)))
        if reached:
            _guard.call("pipeline.look", self.look)
        left = self._queue.qsize()
        if left:
            self.drops["unsent_at_exit"] = self.drops.get("unsent_at_exit", 0) + left
        if self._ask is not None:
            page, answers = self._ask()
            for name, exporter in self._exporters:
                self._export(name, exporter, "questions", page, answers)
        self.heartbeat("stop")
        _guard.report()
        self.governor.close()
        for name, exporter in self._exporters:
            self._export(name, exporter, "shutdown")

    def after_fork(self, pid: int) -> None:
        """Begin anew in a child: the thread is not there, and the queue is the parent's to send."""
        self._pid = pid
        self.drops = {}
        self.governor.after_fork()
        self._begin()
