"""The tap on pools of processes: each piece of work is a call of the unit that sent it, with its wait for a worker."""

from __future__ import annotations

from collections import deque
from functools import partial
from types import FunctionType
from typing import TYPE_CHECKING, Any, Final, final

from .. import _guard
from .._calls import begin, end
from .._context import HOT, MUTED, drops, fork
from .._limits import MAX_HELD
from .._site import callsite
from .._wait import Resource
from .._waiting import place_here
from ._carried import carrier, note_wait
from ._held import Held
from ._patch import nothing, patch, require

if TYPE_CHECKING:
    from collections.abc import Callable

    from .._context import Branch
    from .._detail import Place
    from .._model import Callsite
    from .._wait import Blame
    from ..protocols import Undo

_POINT: Final = "sources.process_pools"
_OWN_FRAMES: Final = 4
_BLAMED: Final = 8
_LIBRARY: Final = "concurrent.futures"


@final
class ProcessPoolsSource:
    """`ProcessPoolExecutor`: what is sent is pickled as it is, so that nothing of ours gets into a worker.

    A worker that runs manometer itself records what it does as its own.
    """

    def install(self) -> Undo:
        """Patch `submit`, in which `map` ends as well.

        Raises:
            Unsupported: It has another signature.
        """
        from concurrent.futures.process import ProcessPoolExecutor

        require(ProcessPoolExecutor.submit, "self", "fn")
        undo_patch = patch(ProcessPoolExecutor, "submit", _submit)
        if undo_patch is nothing:
            return nothing

        def undo() -> None:
            undo_patch()
            _lines.clear()

        return undo


@final
class _Line:
    """Who is served and who waits, as far as the parent can tell: workers take the work in the order it was sent."""

    __slots__ = ("resource", "running", "waiting")

    def __init__(self, pool: Any) -> None:
        limit = getattr(pool, "_max_workers", 0)
        self.resource = Resource(
            "executor", "ProcessPoolExecutor", limit=limit if type(limit) is int else 0, library=_LIBRARY
        )
        self.running: dict[int, _Work] = {}
        self.waiting: deque[_Work] = deque()

    def enter(self, work: _Work) -> None:
        if 0 < self.resource.limit <= len(self.running) and len(self.waiting) < MAX_HELD:
            profile = work.branch.profile
            work.blamed = [
                (each.place, None, work.sent_ns - each.started_ns)
                for each in list(self.running.values())[:_BLAMED]
                if each.branch.profile is not profile
            ]
            self.waiting.append(work)
        else:
            self.running[id(work)] = work
            work.started_ns = work.sent_ns

    def leave(self, work: _Work, now_ns: int) -> None:
        if self.running.pop(id(work), None) is None:
            try:
                self.waiting.remove(work)  # cancelled before its turn
            except ValueError:
                return
            return
        try:
            following = self.waiting.popleft()
        except IndexError:
            return
        following.started_ns = now_ns
        self.running[id(following)] = following


_lines: Final[Held[_Line]] = Held()


@final
class _Work:
    """One piece of work on its way."""

    __slots__ = ("blamed", "branch", "callsite", "line", "place", "sent_ns", "started_ns")

    def __init__(self, branch: Branch, site: Callsite, place: Place, line: _Line) -> None:
        self.branch = branch
        self.callsite = site
        self.place = place
        self.line = line
        self.blamed: list[Blame] = []
        self.started_ns = 0
        self.sent_ns = HOT["clock_"]()


def _submit(wrapped: Callable[..., Any], pool: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    work = _guard.call(_POINT, _prepare, pool, args[0]) if args else None
    future = wrapped(*args, **kwargs)
    if work is not None:
        _guard.call(_POINT, _follow, work, future)
    return future


def _prepare(pool: Any, function: Any) -> _Work | None:
    on = carrier()
    if on is None or on is MUTED:
        return None
    place = place_here(_OWN_FRAMES)
    name = f"process pool {_name_of(function)}".rstrip()
    line = _lines.get(pool)
    if line is None:
        line = _Line(pool)
        _lines.put(pool, line)
    return _Work(on, callsite("other", name, name, place, system="process", library=_LIBRARY), place, line)


def _name_of(function: Any, depth: int = 4) -> str:
    while depth and type(function) is partial:
        # `map` sends the function it was given inside one of its own.
        own = type(function.func) is FunctionType and function.func.__module__ == "concurrent.futures.process"
        function = function.args[0] if own and function.args else function.func
        depth -= 1
    return function.__qualname__ if type(function) is FunctionType else ""


def _follow(work: _Work, future: Any) -> None:
    work.line.enter(work)
    held = [work]  # a future remembers its callbacks for good

    def ended(future: Any) -> None:
        if held:
            _guard.call(_POINT, _done, held.pop(), future)

    future.add_done_callback(ended)


def _done(work: _Work, future: Any) -> None:
    """Add it up on whatever thread hears of its end: that has a subtree of its own."""
    now_ns = HOT["clock_"]()
    work.line.leave(work, now_ns)
    if work.branch.profile.sealed:
        drops["late"] = drops.get("late", 0) + 1
        return
    on = work.branch if work.branch.owner == HOT["ident_"]() else fork(work.branch)
    cancelled = future.cancelled()
    failure = None if cancelled else future.exception()
    started_ns = min(now_ns, work.started_ns or now_ns)
    note_wait(work.line.resource, on, work.place, work.sent_ns, started_ns, work.blamed)
    error = "CancelledError" if cancelled else "" if failure is None else type(failure).__name__
    end(begin(on, work.callsite, started_ns), error=error, cancelled=cancelled, ended_ns=now_ns)
