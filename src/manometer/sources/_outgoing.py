"""One call to another service from a tap's point of view: begun, tried, ended with what it was given."""

from __future__ import annotations

import os
import sys
from contextvars import ContextVar
from secrets import token_bytes
from typing import TYPE_CHECKING, Any, Final, final

from .. import _guard, _site
from .._boundary import boundary_of
from .._calls import add_rows, begin, count_result, end
from .._context import HOT
from .._fingerprint import key_of
from .._limits import MAX_KEYS_PER_FRAME, MAX_STACK_WALK
from .._waiting import crossed
from ._query import branch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from types import FrameType

    from .._boundary import Boundary
    from .._calls import Call
    from .._context import Branch
    from .._detail import Place
    from .._model import Kind, Operation, Profile

_CANCELLED: Final = frozenset({"CancelledError", "GreenletExit", "GeneratorExit", "KeyboardInterrupt"})
_MAX_DIGITS: Final = 18
_SALT: Final = token_bytes(16)
"""Python's own hash of text is keyed too, unless somebody fixed its seed."""
_SHORT: Final = 4_096
_VALUES_KEPT: Final = 80
"""Items of one frame after which the values of further answers are not looked at: a frame keeps 32 arguments."""
_CHAINS: Final = 16
"""Calls of one frame whose callers are looked at; they rarely differ."""
_LOOPS: Final = tuple(
    os.path.join(*parts)
    for parts in (
        ("asyncio", "events.py"),
        ("asyncio", "base_events.py"),
        ("asyncio", "runners.py"),
        ("uvloop", "__init__.py"),
    )
)
_POINT: Final = "sources.outgoing"
_current: Final[ContextVar[Outgoing | None]] = ContextVar("manometer_outgoing", default=None)
"""The call of this thread or task; a task may have copied it, so whether it is still active is asked as well."""

_asked: Final[ContextVar[Place | None]] = ContextVar("manometer_asked", default=None)


def here(point: str) -> Branch | None:
    """Return the branch that a call made now belongs to.

    Args:
        point: The tap's name at the guard.

    None when nothing is recorded, when a tap above describes this call already, or when the tap
    failed too often. Application threads; 0.3 us.
    """
    on = branch()
    if on is None or on.covered or on.profile.sealed or _guard.is_off(point):
        return None
    return None if around() is not None else on


def around() -> Outgoing | None:
    """Return the call that the library is making now, for a tap on one of its tries; 50 ns."""
    found = _current.get()
    return found if found is not None and found.active else None


def asked_here(skip: int = 1) -> Place | None:
    """Return the line that makes a coroutine which another stack may run; None when nothing is recorded.

    Args:
        skip: Stack frames of the caller that are surely not the application's.

    Application threads; 2 us.
    """
    if branch() is None:
        return None
    found, _ = _site.nearest(skip + 1)
    return None if found is None or _is_below_loop(found) else _site.place_of(found)


async def asking(place: Place, wrapped: Callable[..., Any], args: Any, kwargs: Any) -> Any:
    """Await *wrapped* so that calls below know who asked, where no line of the application is on their stack."""
    before = _asked.get()
    _asked.set(place)
    try:
        return await wrapped(*args, **kwargs)
    finally:
        _asked.set(before)


def _is_below_loop(found: FrameType | None) -> bool:
    """Tell whether *found* only runs the event loop, and did not ask for what a task of its own does now; 2 us."""
    frame: FrameType | None = sys._getframe(2)
    for _ in range(MAX_STACK_WALK):
        if frame is None or frame is found:
            break
        if frame.f_code.co_filename.endswith(_LOOPS):
            return True
        frame = frame.f_back
    return found is None


def version_of(module: object) -> str:
    """Return the version that a library says it has."""
    found = getattr(module, "__version__", "")
    return found if type(found) is str else ""


def add_part(parts: list[object], text: str) -> None:
    """Add what may be a key: a number both as text and as a number, whoever returned it may have had it as either."""
    if text:
        parts.append(text)
        if len(text) <= _MAX_DIGITS and text.isascii() and text.isdigit():
            parts.append(int(text))


def quick_key(parts: tuple[object, ...]) -> int | None:
    """Return the keyed hash of what is asked, at a tenth of the price where all of it is plain and short; else `key_of`."""
    for part in parts:
        kind = type(part)
        if kind is str or kind is bytes:
            if len(part) > _SHORT:  # type: ignore[arg-type]
                return key_of(parts)
        elif kind is not int and part is not None:
            return key_of(parts)
    return hash((_SALT, *parts))


def limit_ns(limit: object) -> int:
    """Return a time limit given in seconds as nanoseconds: 0 for none, -1 when it cannot be read."""
    if limit is None:
        return 0
    if type(limit) is float or type(limit) is int:
        return int(limit * 1e9) if limit > 0 else 0
    return -1


@final
class Outgoing:
    """A call in progress. Taps below stay silent in its thread or task until it ends.

    Attributes:
        call: What `_calls` knows.
        key: Keyed hash of everything asked; None when it could not be read.
        values: Keyed hashes of the key-like parts, found when needed.
        retries: Tries beyond the first that the library made by itself.
        depth: Tries open right now.
        entries: Tries that were not made inside another try.
        timeout_ns: Its time limit; 0 for none, -1 when unknown.
        batch: Commands or items that it carries; 0 where that has no meaning.
        idempotent: Repeating it does no harm, whatever its method.
        active: Whether it is still going on.
    """

    __slots__ = (
        "_before", "_callers", "active", "batch", "call", "depth", "entries", "idempotent", "key", "retries",
        "timeout_ns", "values",
    )  # fmt: skip

    def __init__(self, call: Call, callers: tuple[Place, ...]) -> None:
        self.call = call
        self.key: int | None = None
        self.values: Callable[[], tuple[int, ...]] | None = None
        self.retries = self.depth = self.entries = self.batch = 0
        self.timeout_ns = -1
        self.idempotent = False
        self.active = False
        self._callers = callers
        self._before: Outgoing | None = None

    def cover(self) -> None:
        """Silence the taps below in this thread or task until `finish`; 0.3 us."""
        self._before = _current.get()
        self.active = True
        _current.set(self)

    def finish(self, error: str = "", *, result: int | None = None, awaited: bool = False) -> None:
        """Add the call up; the first call counts. Never raises; 3 us.

        Args:
            error: Type of the exception, or the status that means failure; empty for success.
            result: Keyed hash of what came back, where the library gives it for nothing.
            awaited: The call was awaited, so that others could have run beside it.
        """
        ended_ns = HOT["clock_"]()
        if self.active:
            self.active = False
            if _current.get() is self:
                _current.set(self._before)
            _guard.call(_POINT, self._finish, error, result, awaited, ended_ns)

    def fail(self, error: BaseException, *, awaited: bool = False) -> None:
        """Add the call up with an exception, of which only the type is kept. Never raises."""
        self.finish(type(error).__name__, awaited=awaited)

    def _finish(self, error: str, result: int | None, awaited: bool, ended_ns: int) -> None:
        call, profile = self.call, self.call.branch.profile
        if profile.sealed:
            end(call)  # counted as late
            return
        detail = call.frame.more()
        boundary = boundary_of(detail)
        boundary.awaited = boundary.awaited or awaited
        boundary.retries_inside += self.retries
        boundary.idempotent_calls += self.idempotent
        self._note_timeout(boundary)
        known = detail.keys
        is_new = self.key is not None and self.key not in known and len(known) < MAX_KEYS_PER_FRAME
        end(
            call,
            key=self.key,
            values=self.values() if is_new and self.values is not None else (),
            batch=self.batch,
            error=error,
            cancelled=error in _CANCELLED,
            callers=self._callers,
            ended_ns=ended_ns,
        )
        if call.use is not None:
            count_result(detail, call.use, result)
        crossed(profile, call.callsite, call.started_ns, ended_ns)

    def _note_timeout(self, boundary: Boundary) -> None:
        limit_ns, profile = self.timeout_ns, self.call.branch.profile
        if limit_ns < 0:
            return
        boundary.without_timeout += not limit_ns
        boundary.timeout_ns = max(boundary.timeout_ns, limit_ns)
        if profile.deadline_ns:
            left_ns = profile.deadline_ns - self.call.started_ns
            boundary.past_deadline += not limit_ns or limit_ns > left_ns

    def wants_values(self) -> bool:
        """Tell whether values of further answers are worth hashing; 0.1 us."""
        read = self.call.branch.profile.returned.get(self.call.frame)
        return read is None or read.rows < _VALUES_KEPT

    def returned(self, rows: int, values: Iterable[int], result: int | None = None) -> None:
        """Remember what came back: how many items, and the key-like values in them.

        Args:
            rows: Items in it.
            values: Keyed hashes of values that later calls may be made with.
            result: Keyed hash of the whole.
        """
        add_rows(self.call, rows, values, result)

    def body(self, spent_ns: int, length: int) -> None:
        """Add the reading of a response body to the call it belongs to; 0.2 us."""
        frame, profile = self.call.frame, self.call.branch.profile
        if profile.sealed:
            return
        frame.total_ns += spent_ns
        frame.union_ns += spent_ns
        detail = frame.more()
        detail.bytes_sum += length
        detail.bytes_max = max(detail.bytes_max, length)


def begin_outgoing(
    on: Branch,
    kind: Kind,
    name: str,
    template: str,
    *,
    operation: Operation,
    system: str,
    target: str,
    library: str,
    version: str,
    skip: int = 1,
    refine: Callable[[str, Place, str, Profile], str] | None = None,
) -> Outgoing | None:
    """Open a call to another service.

    Args:
        on: From `here`.
        kind: What sort of call it is.
        name: What a reader calls it.
        template: Its shape, without any value.
        operation: Whether it reads or writes.
        system: Product called, as OpenTelemetry names it.
        target: Host and port, database, region.
        library: Library that asks.
        version: Its version.
        skip: Stack frames of the caller that are surely not the application's.
        refine: Makes name and template of the template, the place, the target and the unit of work.

    Returns:
        The call; None for what no line of the application asks for outside a unit of work: an
        exporter, a client's own heartbeat.

    Application threads; 3-6 us.
    """
    found, greenlet = _site.nearest(skip + 1)
    asked = _asked.get()
    if asked is not None and _is_below_loop(found):
        found, place = None, asked
    else:
        place = _site.NOWHERE if found is None else _site.place_of(found)
    if place is _site.NOWHERE and on.profile.kind == "process":
        return None
    if refine is not None:
        name = template = refine(template, place, target, on.profile)
    callsite = _site.callsite(
        kind,
        name,
        template,
        place,
        operation=operation,
        system=system,
        target=target,
        library=library,
        version=version,
    )
    call = begin(on, callsite)
    callers: tuple[Place, ...] = ()
    if found is not None and call.frame.calls < _CHAINS:
        callers = _site.above(found, greenlet)
        call.started_ns = HOT["clock_"]()
    return Outgoing(call, callers)
