"""The event loops that run, when each last came round, and the thread that looks at those that do not."""

from __future__ import annotations

import os
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, final

from . import _context, _guard, _limits, _stacks
from ._context import HOT, live
from ._cpus import Cpus, queued_ns
from ._real import is_patched
from ._site import is_application, place_of
from ._stall import BLOCK_NS, Stall
from ._wait import see

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

    from ._detail import Place
    from ._model import Profile

_OURS: Final = os.path.dirname(__file__) + os.sep
LOOK_S: Final = 0.02
"""How often the watching thread looks while a loop runs: 0.1 % of a core."""
_SAMPLE_NS: Final = 25_000_000
"""A callback that runs for longer is looked into."""
_LATE_NS: Final = 8_000_000
"""The watching thread itself wakes later than that only where it cannot have the interpreter, or the machine is full."""
_SURE: Final = 2
"""Looks at the same line after which a full machine is no excuse."""
_OTHERS: Final = 0.15
"""Share of the time for which other threads must have been on a CPU to be the reason."""
_HOG_LOOKS: Final = 100
"""Looks after a starved moment during which threads are asked for their CPU time: 2 s."""
_HOG_SHARE: Final = 0.4
"""Share of the time for which one thread must have been on a CPU to be named."""


@final
class Watched:
    """One running loop. Written by its own thread, but for `seen` and `late_ns`.

    Attributes:
        thread: Identity of its thread.
        since_ns: When it came back from waiting for events; 0 while it waits.
        cpu_ns: CPU time of its thread then.
        seen: Lines of the application it was seen in since then, and how often.
        late_ns: By how much the watching thread was late meanwhile.
        queued_ns: For how long its thread had waited for a CPU then.
        process_ns: CPU time of the whole process when it was last seen coming round in time.
    """

    __slots__ = (
        "cpu_ns",
        "late_ns",
        "native_id",
        "process_ns",
        "queued_ns",
        "seen",
        "since_ns",
        "thread",
        "undo",
    )

    def __init__(self) -> None:
        self.thread = threading.get_ident()
        self.since_ns = self.cpu_ns = self.late_ns = 0
        self.process_ns = time.process_time_ns()
        self.native_id = threading.get_native_id()
        self.queued_ns = queued_ns(self.native_id)
        self.seen: dict[Place, int] = {}
        self.undo: Callable[[], None] | None = None

    def stood_still(self, since_ns: int, now_ns: int) -> None:
        """Note that it did not come round from one instant to the other. Its own thread; 10 us."""
        duration_ns, cpu_ns = now_ns - since_ns, time.thread_time_ns() - self.cpu_ns
        if self.is_starved(duration_ns, cpu_ns):
            _watch.starved(self, duration_ns, cpu_ns)
            return
        if self.is_sure(duration_ns, cpu_ns):
            note(self.thread, Stall("blocked", self.place(), "", duration_ns, cpu_ns))

    def is_sure(self, duration_ns: int, cpu_ns: int) -> bool:
        """Tell whether the loop's own thread kept it: it had a CPU, and computed, or others could run, or was seen twice."""
        if duration_ns - (queued_ns(self.native_id) - self.queued_ns) < BLOCK_NS:
            return False  # the machine is full
        return (
            cpu_ns >= duration_ns // 2
            or self.late_ns < duration_ns // 4
            or max(dict(self.seen).values(), default=0) >= _SURE
        )

    def is_starved(self, duration_ns: int, cpu_ns: int) -> bool:
        """Tell whether other threads had the interpreter meanwhile: nobody else could run, and they were on a CPU.

        A long call of C in a callback makes the watching thread late, too, but the CPU time is its own;
        and on a machine that is full nobody's CPU time grows.
        """
        others_ns = time.process_time_ns() - self.process_ns - cpu_ns
        late = self.late_ns >= duration_ns // 2
        return late and others_ns >= max(int(_OTHERS * duration_ns), 2 * cpu_ns)

    def place(self) -> Place | None:
        """Return the line it was seen in most since it came round."""
        seen = dict(self.seen)
        return max(seen, key=lambda each: seen[each]) if seen else None

    def look(self, now_ns: int) -> None:
        """See what it does, if it has been doing it for long. The watching thread; 20 us then."""
        since_ns = self.since_ns
        if not since_ns or now_ns - since_ns < _SAMPLE_NS:
            self.late_ns, self.process_ns = 0, time.process_time_ns()
            self.queued_ns = queued_ns(self.native_id)
            return
        if _stacks.may_read_others():
            self._see(_stacks.frame_of(self.thread), since_ns)
        else:
            self._see_measured(since_ns)

    def _see(self, frame: FrameType | None, since_ns: int) -> None:
        if frame is not None and frame.f_code.co_filename.startswith(_OURS):
            return  # judged in the loop's thread, which only tests do
        for _ in range(_limits.MAX_STACK_WALK):
            if frame is None or self.since_ns != since_ns:
                return
            if is_application(frame.f_code.co_filename):
                see(self.seen, place_of(frame))
                return
            frame = frame.f_back

    def _see_measured(self, since_ns: int) -> None:
        """Take the measured function that is open, where there is just one: no stack may be read here."""
        open_ones = {
            branch.frame.callsite
            for profile in list(live.values())
            for branch in list(profile.branches)
            if branch.frame is not profile.root and branch.frame.callsite.kind == "call"
        }
        if len(open_ones) == 1 and self.since_ns == since_ns:
            site = open_ones.pop()
            see(self.seen, (site.file, site.line, site.function))


def closing(profile: Profile) -> None:
    """Note for a unit of work that is about to end how long its loop has been standing still. Never raises; 0.5 us."""
    watched = _watch.loops.get(threading.get_ident())
    if watched is not None and watched.since_ns:
        _guard.call("loops", _closing, profile, watched)


def _closing(profile: Profile, watched: Watched) -> None:
    duration_ns = HOT["clock_"]() - max(watched.since_ns, profile.started_ns)
    if duration_ns >= BLOCK_NS:
        cpu_ns = min(duration_ns, time.thread_time_ns() - watched.cpu_ns)
        if watched.is_sure(duration_ns, cpu_ns) and not watched.is_starved(duration_ns, cpu_ns):
            profile.stalls.append(Stall("blocked", watched.place(), "", duration_ns, cpu_ns))


def note(thread: int, stall: Stall) -> None:
    """Give a stall to the units of work that had to wait: those with work in progress on that thread."""
    for profile in list(live.values()):
        if profile.sealed or not any(
            branch.owner == thread or type(branch.owner) is not int for branch in list(profile.branches)
        ):
            continue
        if len(profile.stalls) < _limits.MAX_STALLS_PER_PROFILE:
            profile.stalls.append(stall)
        else:
            profile.drop("stalls")


@final
class _Watch:
    """The watching thread; sleeps for good while no loop runs."""

    def __init__(self) -> None:
        self.loops: dict[int, Watched] = {}
        self._thread: threading.Thread | None = None
        self._wake = threading.Event()
        self._stopping = False
        self._cpus: Cpus | None = None
        self._looks = 0

    def add(self, loop: Watched) -> None:
        """Begin to watch a loop that begins to run. Its thread; 1 us, and 100 us for the first one."""
        if len(self.loops) >= _limits.MAX_LOOPS or is_patched():
            return
        self.loops[loop.thread] = loop
        if self._thread is None or not self._thread.is_alive():
            self._stopping = False
            self._thread = threading.Thread(target=self._run, name="manometer-loops", daemon=True)
            with suppress(RuntimeError):  # at the interpreter's end none can start
                self._thread.start()
        self._wake.set()

    def remove(self, thread: int) -> Watched | None:
        """End watching the loop of a thread."""
        return self.loops.pop(thread, None)

    def stop(self) -> None:
        """End the thread; waits for it at most 0.2 s."""
        self._stopping = True
        self._wake.set()
        thread, self._thread = self._thread, None
        if thread is not None and thread.is_alive():
            thread.join(0.2)

    def starved(self, loop: Watched, duration_ns: int, cpu_ns: int) -> None:
        """Note that a loop could not have the interpreter, and look for the thread that had it."""
        hog = self._cpus.hog if self._cpus is not None else None
        if hog is None:
            self._looks = _HOG_LOOKS
        thread, place = hog or ("", None)
        note(loop.thread, Stall("starved", place, thread, duration_ns, cpu_ns))

    def _run(self) -> None:
        from ._context import MUTED, make_current

        make_current(MUTED)
        while not self._stopping:
            if not self.loops:
                self._cpus, self._looks = None, 0
                self._wake.clear()
                if not self.loops and not self._stopping:
                    self._wake.wait()
                continue
            before_ns = HOT["clock_"]()
            time.sleep(LOOK_S)
            now_ns = HOT["clock_"]()
            _guard.call("loops", self._look, now_ns, now_ns - before_ns - int(LOOK_S * 1e9))

    def _look(self, now_ns: int, late_ns: int) -> None:
        for loop in list(self.loops.values()):
            loop.look(now_ns)
            if late_ns >= _LATE_NS:
                loop.late_ns += late_ns
                self._looks = max(self._looks, _HOG_LOOKS)
        if self._looks:
            self._looks -= 1
            if self._cpus is None:
                self._cpus = Cpus(_HOG_SHARE)
            self._cpus.look(now_ns, set(self.loops))
        elif self._cpus is not None:
            self._cpus = None


_watch: Final = _Watch()


def begin(loop: Any) -> None:
    """Watch *loop*, which begins to run on this thread; does nothing where its selector cannot be followed."""
    selector: Any = getattr(loop, "_selector", None)
    select = getattr(selector, "select", None)
    if select is None or threading.get_ident() in _watch.loops:
        return
    watched = Watched()
    clock, cpu = HOT["clock_"], time.thread_time_ns

    def follow(*args: Any) -> Any:
        now_ns, since_ns = clock(), watched.since_ns
        watched.since_ns = 0
        if since_ns and now_ns - since_ns >= BLOCK_NS:
            _guard.call("loops", watched.stood_still, since_ns, now_ns)
        if watched.seen:
            watched.seen = {}
        found = select(*args)
        watched.cpu_ns = cpu()
        watched.since_ns = clock()
        late_ns = (
            watched.since_ns - now_ns - (int(args[0] * 1e9) if args and args[0] is not None else 1 << 62)
        )
        if late_ns >= BLOCK_NS:
            _guard.call("loops", _woke_late, watched, late_ns)
        return found

    try:
        selector.select = follow
    except AttributeError:  # it has no room for it
        return

    def undo() -> None:
        if selector.__dict__.get("select") is follow:
            del selector.select

    watched.undo = undo
    watched.since_ns, watched.cpu_ns = clock(), cpu()
    _watch.add(watched)
    _context.closing = closing


def _woke_late(watched: Watched, late_ns: int) -> None:
    """Note that a loop was ready and could not go on: it waited for the interpreter."""
    if watched.late_ns >= late_ns // 2 or _watch._looks:
        watched.late_ns = 0
        _watch.starved(watched, late_ns, 0)


def end() -> None:
    """Watch the loop of this thread no longer; its last callback counts."""
    watched = _watch.remove(threading.get_ident())
    if watched is not None:
        now_ns = HOT["clock_"]()
        if watched.since_ns and now_ns - watched.since_ns >= BLOCK_NS:
            watched.stood_still(watched.since_ns, now_ns)
        if watched.undo is not None:
            watched.undo()


def stop() -> None:
    """Watch no loop any longer."""
    for thread in list(_watch.loops):
        watched = _watch.remove(thread)
        if watched is not None and watched.undo is not None:
            watched.undo()
    _context.closing = None
    _watch.stop()


def after_fork() -> None:
    """Forget, in a child, the loops of threads it does not have; that of its own thread is watched when it runs again."""
    for watched in _watch.loops.values():
        if watched.undo is not None:
            watched.undo()
    _watch.loops.clear()
    _watch.__init__()  # its thread and its event belong to the parent
    _context.closing = None
