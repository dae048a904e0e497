"""One database call from a tap's point of view: begun where it is current, ended with what it was given."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, final

from .. import _site
from .._calls import begin, end
from .._context import HOT, fork, variable
from .._fingerprint import key_of, values_of
from .._statement import statement

if TYPE_CHECKING:
    from .._calls import Call
    from .._context import Branch
    from .._model import Operation, Place
    from .._statement import Statement

_CANCELLED: Final = frozenset({"CancelledError", "GreenletExit", "GeneratorExit", "KeyboardInterrupt"})
_OWN_FRAMES: Final = 3


def branch() -> Branch | None:
    """Return the branch to write to now, or None when nothing is recorded.

    Unlike `_context.current` it does not fork for a greenlet that the owner started and waits for:
    SQLAlchemy's async engine runs every statement in a new one, and a call that never moves the
    pointer needs no branch of its own. Application threads; 0.2 us.
    """
    found = variable.get()
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


@final
class Query:
    """A statement in execution."""

    __slots__ = ("_before", "_covers", "call", "callers", "many", "parameters", "statement", "text")

    def __init__(self, call: Call, known: Statement, callers: tuple[Place, ...], text: Any) -> None:
        self.call = call
        self.statement = known
        self.callers = callers
        self.text = hash(text) if type(text) is str else None
        self.parameters: Any = ()
        self.many = False
        self._covers: Branch | None = None
        self._before = False

    def cover(self, on: Branch) -> None:
        """Silence the taps below on *on* until `uncover`: the driver's call is this one."""
        self._covers, self._before = on, on.covered
        on.covered = True

    def uncover(self) -> None:
        """Put back what was before."""
        if self._covers is not None:
            self._covers.covered = self._before


def begin_query(
    on: Branch, text: Any, *, system: str, target: str, library: str, version: str, needs_place: bool = False
) -> Query | None:
    """Open the call for a statement, or return None for what is no query (transactions, settings, pings).

    Args:
        on: From `branch`.
        text: The statement as it goes to the driver.
        system: Product, as OpenTelemetry names it.
        target: Database and host.
        library: Library that asks.
        version: Its version.
        needs_place: Outside a unit of work, leave out what no line of the application asks for: a
            library's own use of the database.

    Application threads; 3-6 us.
    """
    known = statement(text)
    if known.operation == "control":
        return None
    found = _site.places(_OWN_FRAMES)
    if needs_place and not found and on.profile.kind == "process":
        return None
    operation: Operation = known.operation  # type: ignore[assignment]
    callsite = _site.callsite(
        "db",
        known.summary or known.verb or "SQL",
        known.shape,
        found[0] if found else _site.NOWHERE,
        operation=operation,
        system=system,
        target=target,
        library=library,
        version=version,
    )
    return Query(begin(on, callsite), known, found[1:], text)


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
    # The text is in the key too: values written into it are arguments as well.
    key = None if query.text is None else key_of((query.text, parameters))
    end(
        query.call,
        key=key,
        values=values_of(parameters),
        batch=batch,
        callers=query.callers,
        ended_ns=ended_ns,
    )


def fail_query(query: Query, error: BaseException, parameters: Any, ended_ns: int) -> None:
    """Add up a statement that raised; only the type of the exception is kept. Application threads; 3 us."""
    name = type(error).__name__
    key = None if query.text is None else key_of((query.text, parameters))
    end(
        query.call,
        key=key,
        error=name,
        cancelled=name in _CANCELLED,
        callers=query.callers,
        ended_ns=ended_ns,
    )
