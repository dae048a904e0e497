"""One database call from a tap's point of view: begun where it is current, ended with what it was given."""

from __future__ import annotations

import secrets
import sys
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final, NamedTuple, final

from .. import _statement
from .._calls import add_asked, begin, end
from .._context import HOT, fork
from .._fingerprint import key_of, values_of
from .._limits import MAX_ASKED, MAX_VALUES_PER_FRAME
from .._native import core, in_c
from .._site import (
    NOWHERE,
    _is_application,
    above,
    callsite as make_callsite,
    is_application,
    nearest,
    place_of,
    quick,
    read_place,
)
from .._statement import statement

if TYPE_CHECKING:
    from types import FrameType

    from .._calls import Call
    from .._context import Branch
    from .._detail import Place
    from .._model import Callsite, Operation
    from .._statement import Statement

_SALT: Final = secrets.randbits(62)
_FEW: Final = 8
_SHORT: Final = 256
_PRIME: Final = (1 << 61) - 1
_CANCELLED: Final = frozenset({"CancelledError", "GreenletExit", "GeneratorExit", "KeyboardInterrupt"})
_MAX_QUICK: Final = 4_000
_CHAINS: Final = 16
"""Calls of one frame whose callers are looked at; a call costs 3 us less without, and they rarely differ."""


def branch() -> Branch | None:
    """Return the branch to write to now, or None when nothing is recorded.

    Unlike `_context.current` it does not fork for a greenlet that the owner started and waits for:
    SQLAlchemy's async engine runs every statement in a new one, and a call that never moves the
    pointer needs no branch of its own. Application threads; 0.2 us.
    """
    found: Branch | None = HOT["get_"]()  # or False: not profiled
    if found and found.owner == HOT["ident_"]():
        return found
    return _other(found)


def _other(found: Branch | None) -> Branch | None:
    """Return what stands for a branch that is none, or not this owner's."""
    if not found:
        if HOT["idle_"] or found is not None:
            return None
        found = HOT["outside_"]()
        if found is None:
            return None
    owner = HOT["ident_"]()
    if found.owner == owner:
        return found
    if found.owner is not None and getattr(owner, "parent", None) is found.owner:
        mine = None if found.forks is None else found.forks.get(owner)
        return found if mine is None else mine
    return fork(found)


if core is not None:
    core.bind_branch(_other)
    branch = core.own_branch


@final
class Origin:
    """Which database is asked, and through which library; made once and compared by identity."""

    __slots__ = ("covers", "library", "system", "target", "version")

    def __init__(self, system: str, target: str, library: str, version: str, *, covers: bool = False) -> None:
        self.system = system
        self.target = target
        self.library = library
        self.version = version
        self.covers = covers


@final
class _Cover:
    """Whether the call it stands for is still in progress: a task may have copied the context meanwhile."""

    __slots__ = ("active",)

    def __init__(self) -> None:
        self.active = True


_covering: Final[ContextVar[_Cover | None]] = ContextVar("manometer_covering", default=None)


def is_covered(on: Branch) -> bool:
    """Tell whether a tap above describes the call that a tap below just met; 40 ns."""
    if on.covered:
        return True
    cover = _covering.get()
    return cover is not None and cover.active


@final
class Query:
    """A statement in execution."""

    __slots__ = (
        "_before", "_cover", "_covers", "call", "callers", "many", "parameters", "part_ns", "statement", "text"
    )  # fmt: skip

    def __init__(self, call: Call, known: Statement, callers: tuple[Place, ...], text: Any) -> None:
        self.call = call
        self.statement = known
        self.callers = callers
        self.text = text
        self.parameters: Any = ()
        self.many = False
        self.part_ns = 0  # start of a further part of the same call
        self._covers: Branch | None = None
        self._cover: _Cover | None = None
        self._before: Any = False

    def cover(self, on: Branch) -> None:
        """Silence the taps below on *on* until `uncover`: the driver's call is this one."""
        self._covers, self._before = on, on.covered
        on.covered = True

    def cover_task(self) -> None:
        """Silence the taps below in this task only: others go on with the same branch. 0.5 us."""
        self._before = _covering.get()
        self._cover = _Cover()
        _covering.set(self._cover)

    def uncover(self) -> None:
        """Put back what was before."""
        if self._covers is not None:
            self._covers.covered = self._before
        elif self._cover is not None:
            self._cover.active = False
            if _covering.get() is self._cover:
                _covering.set(self._before)


class Spot(NamedTuple):
    """Who asked for a call that another stack may run: a frame of the application, and its line then."""

    frame: FrameType
    greenlet: Any
    line: int


_carried: Final[ContextVar[list[Spot] | None]] = ContextVar("manometer_carried", default=None)


def spot(skip: int) -> Spot | None:
    """Remember who makes a coroutine: below an event loop its stack no longer says it. 0.5 us.

    Args:
        skip: Stack frames, this one included, that are surely not the application's.

    Returns:
        What `begin_query` takes; to be let go of once the coroutine runs, for it holds a frame.
    """
    cell = _carried.get()
    if cell:
        return cell[0]
    frame, greenlet = nearest(skip)
    return None if frame is None else Spot(frame, greenlet, frame.f_lineno)


async def carry(asked: Spot | None, inner: Any) -> Any:
    """Await a driver's coroutine that makes further ones, which are to be blamed on who made this one."""
    if asked is None:
        return await inner
    cell, before = [asked], _carried.get()
    del asked
    _carried.set(cell)
    try:
        return await inner
    finally:
        cell.clear()  # a task that copied the context outlives it
        if _carried.get() is cell:
            _carried.set(before)


def begin_query(
    on: Branch,
    text: Any,
    origin: Origin,
    skip: int,
    needs_place: bool = False,
    asked: Spot | None = None,
    known: Statement | None = None,
) -> Query | None:
    """Open the call for a statement, or return None for what is no query (transactions, settings, pings).

    Args:
        on: From `branch`.
        text: The statement as it goes to the driver.
        origin: Which database, through which library.
        skip: Stack frames, this one included, that are surely not the application's.
        needs_place: Outside a unit of work, leave out what no line of the application asks for: a
            library's own use of the database.
        asked: Who asked, where this may be another stack.
        known: What the text says, where it is no SQL.

    Application threads; 3-6 us, most of it the walk up to the application's frame.
    """
    if known is None:
        if asked is None and core is not None:
            quickly = core.begin_query(on, text, origin)
            if quickly is not NotImplemented:
                return quickly  # type: ignore[no-any-return]
            _judge(sys._getframe(), skip)
        known = statement(text)
    if known.operation == "control":
        return None
    frame, greenlet = (asked.frame, asked.greenlet) if asked is not None else nearest(skip)
    callers: tuple[Place, ...] = ()
    if frame is None:
        if needs_place and on.profile.kind == "process":
            return None
        callsite = _make(known, origin, NOWHERE)
    else:
        callsite = _find(frame, frame.f_lineno if asked is None else asked.line, known, origin)
        seen = on.frame.children.get(callsite)
        if seen is None or seen.calls < _CHAINS:
            callers = above(frame, greenlet)
    return Query(begin(on, callsite), known, callers, text)


def _judge(frame: FrameType | None, skip: int) -> None:
    """Find out about the files of the frames that are skipped: the compiled core walks past them."""
    for _ in range(skip):
        if frame is None:
            return
        is_application(frame.f_code.co_filename)
        frame = frame.f_back


def _find(frame: FrameType, line: int, known: Statement, origin: Origin) -> Callsite:
    code = frame.f_code
    # By identity: hashing a code object takes longer than all of this. The entry keeps them alive.
    key = (id(code), line, id(known), id(origin))
    entry = quick.get(key)
    if entry is None:
        place = read_place(frame)
        if place is not None:
            return _make(known, origin, place)  # one code object stands for many places
        if len(quick) >= _MAX_QUICK:
            quick.clear()
        file, _, function = place_of(frame)
        entry = quick[key] = (_make(known, origin, (file, line, function)), code, known, origin)
    return entry[0]


def _make(known: Statement, origin: Origin, place: Place) -> Callsite:
    operation: Operation = known.operation  # type: ignore[assignment]
    return make_callsite(
        "db",
        known.summary or "SQL",
        known.shape,
        place,
        operation=operation,
        system=origin.system,
        target=origin.target,
        library=origin.library,
        version=origin.version,
    )


def end_query(query: Query, parameters: Any, many: bool, ended_ns: int, sets: int = 0) -> None:
    """Add up a statement that succeeded.

    Args:
        query: From `begin_query`.
        parameters: As given to the driver; exact built-in types are hashed, nothing else is touched.
        many: They are sets of parameters, and so many calls in one.
        ended_ns: Monotonic end in nanoseconds.
        sets: How many sets, where the parameters do not tell.

    Application threads; 3-5 us.
    """
    batch = query.statement.in_list
    if many:
        batch = len(parameters) if type(parameters) is list or type(parameters) is tuple else sets
    end(
        query.call,
        key=_key(query.text, parameters),
        arguments=parameters,
        batch=batch,
        callers=query.callers,
        ended_ns=ended_ns,
    )
    asks_for_many = batch > 1 and not many and query.statement.operation == "read"
    if asks_for_many and query.call.frame.more().batch_sum <= MAX_VALUES_PER_FRAME:
        add_asked(query.call, values_of(parameters, MAX_ASKED))


def fail_query(query: Query, error: BaseException | str, parameters: Any, ended_ns: int) -> None:
    """Add up a statement that raised; only the name of the error is kept. Application threads; 3 us."""
    name = error if isinstance(error, str) else type(error).__name__
    end(
        query.call,
        key=_key(query.text, parameters),
        error=name,
        cancelled=name in _CANCELLED,
        callers=query.callers,
        ended_ns=ended_ns,
    )


def _key(text: Any, parameters: Any) -> int | None:
    """Fingerprint the parameters with the text: values written into it are arguments as well."""
    if type(text) is not str or HOT["plain_"]:
        return None
    if type(parameters) is tuple and len(parameters) <= _FEW:
        for value in parameters:
            kind = type(value)
            # Beyond that two numbers may have one hash: -1 and -2.
            if not (0 <= value < _PRIME if kind is int else kind is str and len(value) <= _SHORT):
                break
        else:
            return hash((_SALT, text, parameters))  # the common case at a fifth of the price
    key = key_of(parameters)
    return None if key is None else hash((_SALT, text, key))


if core is not None:
    core.bind_queries(vars(_statement), quick, _is_application, above)
    Query = in_c(Query)  # type: ignore[misc]
    _key = core.query_key
