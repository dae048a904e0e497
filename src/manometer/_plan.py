"""How to fingerprint and size one call of a measured function, decided at decoration."""

from __future__ import annotations

from collections import deque
from time import thread_time_ns
from typing import TYPE_CHECKING, Any, Final, final

from . import _guard, _limits, _spans
from ._calls import count_result, count_use, find_key
from ._context import HOT
from ._detail import Exemplar
from ._fingerprint import key_of
from ._guard import name_of
from ._model import ACTIVE_OPEN, ACTIVE_WATCHED, NO_CHILDREN, OPEN_CALL, Frame

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ._context import Branch
    from ._detail import FrameDetail

Seen = Any
"""What was seen of a call when it began: the key of its arguments (or None, or SKIPPED), or key, size and CPU clock."""
SKIPPED: Final = object()
"""Key of a call whose arguments were not worth looking at."""
NOTHING: Final = object()
"""Result of a call that has none: it raised."""
_LENGTHS: Final = frozenset({str, bytes, bytearray, list, tuple, dict, set, frozenset, range, deque})
WATCH_FROM: Final = 8
"""Calls of one frame after which its arguments are looked at without being asked."""
_WATCH_MEAN_NS: Final = 20_000
"""A fingerprint costs 1-2 us: below 20 us a call it would be a tenth of what it observes."""


@final
class Plan:
    """What of a call makes its key and its size.

    Args:
        parameters: Names in the order in which the wrapper passes them.
        key: Names, or a function of the call's arguments; None takes all arguments.
        size: A name, or a function of the call's arguments; None for no size.
        method: The first parameter is the instance or class: it counts by identity.
        forward: Calls a function of the user's with the arguments of the call.
        kind: Kind of the function, as `_template.kind_of` tells it.

    Attributes:
        sync: A call runs on one thread from its start to its end, so that CPU time can be taken.
        wanted: Every call is looked at.
        probed: The calls of the next frame are looked at: the history asks, and so does whoever takes it.
        rewritable: Where its code may give way to a lighter one: a weak reference to the wrapper, and its shape.
        timed: Calls are long enough to take their CPU time, which costs 1 us; the history says so.
        size_name: What the size is called for a reader; empty when there is none.
    """

    __slots__ = (
        "_forward", "_has_key", "_key", "_size", "kind", "method", "parameters", "positions", "probed", "rewritable", "size_at",
        "size_name", "sync", "timed", "wanted",
    )  # fmt: skip

    def __init__(
        self,
        parameters: Sequence[str],
        key: Sequence[str] | Callable[..., object] | None,
        size: str | Callable[..., object] | None,
        method: bool,
        forward: Callable[[Callable[..., object], tuple[Any, ...]], object],
        kind: str = "sync",
    ) -> None:
        self.probed = self.timed = False
        self.rewritable: tuple[Any, Any] | None = None
        self.kind = kind
        self.sync = kind == "sync"
        self._has_key = key is not None
        self.size_name = size if isinstance(size, str) else "size(...)" if size is not None else ""
        self.parameters = tuple(parameters)
        self.wanted = key is not None or size is not None
        self.method = method
        self._forward = forward
        self._key = key if callable(key) else None
        self.positions: tuple[int, ...] | None = None
        if key is not None and not callable(key):
            self.positions = tuple(_position(name, self.parameters, "key") for name in key)
        self._size = size if callable(size) else None
        self.size_at = _position(size, self.parameters, "size") if isinstance(size, str) else -1

    def looks_at_all(self, strict: bool) -> bool:
        """Tell whether a new frame's calls are looked at from the first one on; 0.2 us."""
        if HOT["plain_"] and not self.size_name:
            return False
        return self.wanted or self.probed or strict

    @property
    def tells_arguments(self) -> bool:
        """Whether equal keys mean equal arguments from one unit of work to the next: an instance's identity does not last."""
        return self._has_key or not self.method

    def follow(self, on: bool) -> None:
        """Look at every call from the next frame on, or only where somebody asked for it. Background thread."""
        self.wanted = on or self._has_key or self._size is not None or self.size_at >= 0

    def key(self, arguments: tuple[Any, ...]) -> int | None:
        """Return the keyed hash of a call's arguments; None when they cannot be read.

        Application threads; 1-2 us. Only exact built-in types are looked at; nothing of the
        user's runs, unless `key=` gave a function, which is guarded.
        """
        if HOT["plain_"]:
            return None
        if self._key is not None:
            return key_of(_guard.call("measure.key", self._forward, self._key, arguments))
        if self.positions is not None:
            return key_of(tuple([arguments[at] for at in self.positions]))
        if self.method and arguments:
            return key_of((id(arguments[0]), *arguments[1:]))
        return key_of(arguments)

    def wants_key(self, frame: Frame, active: int) -> bool:
        """Tell whether the next call's key is worth its 1-2 us: asked for, few calls, long ones, or recursion."""
        if self._has_key or not self.size_name or frame.calls < WATCH_FROM or active & ACTIVE_OPEN:
            return True
        return frame.total_ns >= frame.calls * _WATCH_MEAN_NS

    def size(self, arguments: tuple[Any, ...]) -> int:
        """Return the size of a call's input; -1 when it has none that is safe to read."""
        if self._size is not None:
            value = _guard.call("measure.size", self._forward, self._size, arguments)
        elif self.size_at >= 0:
            value = arguments[self.size_at]
        else:
            return -1
        kind = type(value)
        if kind is int:
            return value if value >= 0 else -1  # type: ignore[operator, return-value]
        return len(value) if kind in _LENGTHS or _has_plain_length(kind) else -1  # type: ignore[arg-type]


def _has_plain_length(kind: type) -> bool:
    """Whether a subclass of a built-in container kept its length: `defaultdict` did, a lazy query set has its own.

    Only the classes' own dictionaries are read, so that nothing of the user's runs.
    """
    for base in type.__dict__["__mro__"].__get__(kind):
        if "__len__" in type.__dict__["__dict__"].__get__(base):
            return base in _LENGTHS
    return False


def _position(name: object, parameters: tuple[str, ...], option: str) -> int:
    if name not in parameters:
        allowed = ", ".join(parameters) or "(none)"
        msg = f"measure: {option}={name!r} is not a parameter of the function; it has {allowed}"
        raise ValueError(msg)
    return parameters.index(name)


def enter(frame: Frame, arguments: tuple[Any, ...]) -> Seen:
    """Open a call on a frame that is watched or already open; returns what `leave` needs to know."""
    active = frame.active
    frame.active = active | ACTIVE_OPEN
    plan = frame.callsite.plan
    if not active & ACTIVE_WATCHED or plan is None:
        return None
    return _look(frame, plan, arguments, active)


def _look(frame: Frame, plan: Plan, arguments: tuple[Any, ...], active: int) -> Seen:
    try:
        if not plan.size_name:
            return plan.key(arguments)
        key = plan.key(arguments) if plan.wants_key(frame, active) else SKIPPED
        size = plan.size(arguments)
        if size < 0:
            return key
        detail = frame.more()
        detail.rows_calls += 1
        detail.rows_sum += size
        detail.rows_max = max(detail.rows_max, size)
        return key, size, thread_time_ns() if plan.timed and plan.sync else -1
    except RecursionError:
        raise  # the application's own: one frame further down it would have met the limit itself
    except Exception as error:
        _guard.failed("measure.key", error)
        return None


def leave(
    branch: Branch, frame: Frame, active: int, key: Seen, started_ns: int, duration_ns: int, result: object
) -> None:
    """Close a call on a frame that was watched or already open when the call began."""
    if not active & ACTIVE_OPEN:
        frame.total_ns += duration_ns
        if frame.total_ns > frame.mark_ns:
            slow(frame, started_ns, duration_ns)
    if active & ACTIVE_WATCHED:
        count(branch, frame, key, started_ns, duration_ns, result)
        if HOT["plain_"] and not frame.callsite.plan.size_name:
            frame.active &= ~ACTIVE_WATCHED


def count(branch: Branch, frame: Frame, key: Seen, started_ns: int, duration_ns: int, result: object) -> None:
    """Add one call of a measured function that was looked at to its frame."""
    try:
        detail = frame.more()
        if type(key) is tuple:
            key, size, cpu_ns = key
            if result is not NOTHING:
                _add_pair(detail, size, duration_ns, cpu_ns)
        if key is SKIPPED:
            return
        if type(key) is not int:
            detail.unkeyed += 1
            return
        profile = branch.profile
        use = find_key(detail, profile, key)
        if use is None:
            return
        failed = result is NOTHING
        count_use(use, profile.write_epoch, started_ns, started_ns + duration_ns, "error" if failed else "")
        if not failed:
            count_result(detail, use, key_of(result))
    except Exception as error:
        _guard.failed("measure.key", error)


def _add_pair(detail: FrameDetail, size: int, duration_ns: int, cpu_ns: int) -> None:
    pairs = detail.pairs
    if pairs is None:
        pairs = detail.pairs = []
    pair = (size, duration_ns, thread_time_ns() - cpu_ns if cpu_ns >= 0 else -1)
    if len(pairs) < _limits.MAX_PAIRS_PER_FRAME:
        pairs.append(pair)
    else:
        pairs[detail.rows_calls % _limits.MAX_PAIRS_PER_FRAME] = pair


def enter_async(
    branch: Branch, inner: Branch, frame: Frame, parent: Frame, arguments: tuple[Any, ...]
) -> Seen:
    """Open a call that overlaps another one of its frame, recurses, or is watched.

    Marks *inner* as recursing where the frame is already open in the same chain of calls: its
    time is then inside the outer one's.
    """
    active = frame.active - OPEN_CALL  # the wrapper has counted this call already
    if frame.parent is not parent or (branch.again and _is_open(branch, frame)):
        inner.again = True
    elif active >= OPEN_CALL:
        detail = frame.more()
        detail.peak_in_flight = max(detail.peak_in_flight, frame.active >> 2)
    if active < OPEN_CALL:
        frame.since_ns = HOT["clock_"]()
    plan = frame.callsite.plan
    if active & ACTIVE_WATCHED and plan is not None:
        return _look(frame, plan, arguments, 0)
    return None


def _is_open(branch: Branch | None, frame: Frame) -> bool:
    for _ in range(64):
        if branch is None:
            return False
        if branch.base is frame:
            return True
        branch = branch.outer
    return False


def fail(frame: Frame, error: BaseException) -> None:
    """Count how a call ended other than by returning: cancelled and closed are no errors."""
    kind = type(error)
    name = name_of(kind)
    detail = frame.more()
    if kind is GeneratorExit or name == "CancelledError":
        detail.cancelled += 1
    else:
        frame.errors += 1
        if _spans.promoting:
            _spans.failed(frame, name)
    outcomes = detail.outcomes
    if name in outcomes or len(outcomes) < _limits.MAX_OUTCOMES:
        outcomes[name] = outcomes.get(name, 0) + 1


def slow(frame: Frame, started_ns: int, duration_ns: int) -> None:
    """Look at a frame whose total passed its mark: keep a slow call, begin to watch a repeated one.

    The mark is the one comparison on the hot path that serves both. Called again at each call of
    20 us and more until the eighth, then at most once per slow call or `limit_` of total time.
    """
    callsite = frame.callsite
    limit_ns = HOT["limit_"] if callsite.slow_ns is None else callsite.slow_ns
    if frame.calls < WATCH_FROM:
        frame.mark_ns = frame.total_ns
    else:
        watched = frame.active & (ACTIVE_WATCHED | ACTIVE_OPEN)
        if (
            not watched
            and callsite.plan is not None
            and not HOT["plain_"]
            and frame.total_ns >= frame.calls * _WATCH_MEAN_NS
        ):
            frame.active |= ACTIVE_WATCHED
        frame.mark_ns = frame.total_ns + limit_ns
    if duration_ns > limit_ns:
        detail = frame.more()
        if duration_ns >= detail.max_ns:
            detail.max_ns = duration_ns
            exemplars = detail.exemplars
            if len(exemplars) >= _limits.MAX_EXEMPLARS:
                exemplars.pop(0)
            exemplars.append(Exemplar(started_ns, started_ns + duration_ns))
    if _spans.promoting:
        _spans.closed(frame, started_ns, duration_ns, duration_ns > limit_ns)


def items(frame: Frame, count: int) -> None:
    """Count what a generator yielded in its life: its size, for questions of growth."""
    detail = frame.more()
    detail.rows_calls += 1
    detail.rows_sum += count
    detail.rows_max = max(detail.rows_max, count)


def late(branch: Branch) -> None:
    """Count a call whose profile was sealed while it was open."""
    branch.profile.late += 1


def _nothing(*_: object) -> None:
    """Stand in for what failed or is switched off."""


HOT.update(
    enter_=_guard.shield("measure.enter", enter, _nothing),
    leave_=_guard.shield("measure.leave", leave, _nothing),
    enter_async_=_guard.shield("measure.enter", enter_async, _nothing),
    count_=_guard.shield("measure.count", count, _nothing),
    fail_=_guard.shield("measure.fail", fail, _nothing),
    slow_=_guard.shield("measure.slow", slow, _nothing),
    late_=_guard.shield("measure.late", late, _nothing),
    items_=_guard.shield("measure.items", items, _nothing),
    nothing_=NOTHING,
    leaf_=NO_CHILDREN,
)
