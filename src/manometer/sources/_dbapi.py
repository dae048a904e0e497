"""The wrapper around a driver's cursors that the taps on drivers share, for plain cursors."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from itertools import count
from typing import TYPE_CHECKING, Any, Final, final

from .. import _guard
from .._context import HOT
from ._held import Held
from ._query import Origin, Query, begin_query, branch, end_query, fail_query, is_covered
from ._rows import Rows

if TYPE_CHECKING:
    from collections.abc import Callable

    from ._patch import Wrapper
    from ._query import Spot

_TEXT: Final = ("query", "operation", "statement")
_PARAMETERS: Final = ("params", "args", "vars", "params_seq", "vars_list")
_OWN_FRAMES: Final = 5
"""`begin_on_cursor` up to the function that was called in the driver's place; the next one called it."""
_MAX_ORIGINS: Final = 256

_origins: Final[dict[tuple[str, str, str, str], Origin]] = {}
_numbers: Final = count(1)


@final
class Link:
    """One connection: which database it leads to, and the number of its transaction, 0 outside of one."""

    __slots__ = ("origin", "transaction")

    def __init__(self, origin: Origin) -> None:
        self.origin = origin
        self.transaction = 0


links: Final[Held[Link]] = Held()
rows_of: Final[Held[Rows]] = Held(Rows.finish)


def plain_text(text: Any) -> Any:
    """Return a statement as exact `str`, whatever a driver takes; None for what is not known."""
    if type(text) is str:
        return text
    if issubclass(type(text), str):
        return str.__str__(text)
    if type(text) is bytes or type(text) is bytearray:
        return text.decode("utf-8", "replace")
    return None


def describes_columns(cursor: Any) -> bool:
    """Tell whether the statement just executed returns rows."""
    return cursor.description is not None


def never(_: Any) -> bool:
    """Tell of no connection that it is in a transaction: the driver does not know."""
    return False


@dataclass(frozen=True, slots=True)
class Driver:
    """What the shared wrapper must know of one driver. None of the functions may touch the server.

    Attributes:
        point: Name for the guard.
        package: Top module of the driver.
        origin: Which database a connection leads to.
        text: Turns what is executed into text.
        has_rows: Whether what a cursor just executed returns rows.
        in_transaction: Whether a connection is inside a transaction.
        own: Functions of the driver whose queries are not the application's.
    """

    point: str
    package: str
    origin: Callable[[Any], Origin]
    text: Callable[[Any], Any] = plain_text
    has_rows: Callable[[Any], bool] = describes_columns
    in_transaction: Callable[[Any], bool] = never
    own: frozenset[str] = field(default_factory=frozenset)


def origin(system: str, host: Any, port: Any, database: Any, library: str, version: str) -> Origin:
    """Return the one origin for these names; anything but text and numbers is left out."""
    name = plain_text(database) or ""
    place = plain_text(host) or ""
    if place and not place.startswith("/") and str(port).isdecimal():
        place = f"{place}:{port}"
    key = (system, f"{name}@{place}" if place else name, library, version)
    found = _origins.get(key)
    if found is None:
        found = Origin(*key)
        if len(_origins) < _MAX_ORIGINS:
            _origins[key] = found
    return found


def link_of(driver: Driver, connection: Any) -> Link:
    """Return what is known about a connection, found out on first sight."""
    link = links.get(connection)
    if link is None:
        try:
            link = Link(driver.origin(connection))
        except Exception:  # it is closed, say: the driver's own error is yet to come
            return Link(Origin("other_sql", "", driver.package, ""))
        links.put(connection, link)
    return link


def is_in_transaction(driver: Driver, connection: Any) -> bool:
    """Ask the driver; a connection that does not know is in none."""
    try:
        return driver.in_transaction(connection)
    except Exception:
        return False


def begin(
    driver: Driver,
    connection: Any,
    text: Any,
    parameters: Any,
    many: bool,
    skip: int,
    asked: Spot | None = None,
) -> Query | None:
    """Open the call for a statement, or return None for what is no query of the application's.

    Args:
        driver: The driver.
        connection: What it is sent through.
        text: As given to the driver.
        parameters: As given to the driver.
        many: They are sets of parameters.
        skip: Stack frames, this one included, up to the one that was called in the driver's place.
        asked: From `spot`, where another stack may run the call.
    """
    on = branch()
    if on is None or is_covered(on) or (_guard.counts and _guard.is_off(driver.point)):
        return None
    if many and (type(parameters) is list or type(parameters) is tuple) and not parameters:
        return None  # drivers send nothing
    if driver.own and _is_own(driver, sys._getframe(skip - 1).f_back):
        return None
    text = driver.text(text)
    if text == "":
        return None  # a ping
    link = link_of(driver, connection)
    if link.transaction and not is_in_transaction(driver, connection):
        link.transaction = 0
    query = begin_query(on, text, link.origin, skip + 1, True, asked)
    if query is not None:
        query.parameters = () if parameters is None else parameters
        query.many = many
    return query


def _is_own(driver: Driver, caller: Any) -> bool:
    if caller is None or caller.f_code.co_name not in driver.own:
        return False
    name = caller.f_globals.get("__name__")
    return type(name) is str and name.partition(".")[0] == driver.package


def end(driver: Driver, connection: Any, query: Query, ended_ns: int, sets: int = 0) -> None:
    """Add up a statement that succeeded, and note in which transaction."""
    end_query(query, query.parameters, query.many, ended_ns, sets)
    link = links.get(connection)
    if link is None:
        return
    if not is_in_transaction(driver, connection):
        link.transaction = 0
    elif not link.transaction:
        link.transaction = next(_numbers)
    query.call.frame.more().transaction = link.transaction


def fail(driver: Driver, query: Query, error: BaseException, ended_ns: int) -> None:
    """Add up a statement that raised. Never raises."""
    _guard.call(driver.point, fail_query, query, error, query.parameters, ended_ns)


def given(args: tuple[Any, ...], kwargs: dict[str, Any], at: int, names: tuple[str, ...]) -> Any:
    """Return the argument at a position, or by any of its names; None when it is not given."""
    if len(args) > at:
        return args[at]
    for name in names:
        if name in kwargs:
            return kwargs[name]
    return None


def begin_on_cursor(
    driver: Driver,
    cursor: Any,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    many: bool,
    skip: int,
    asked: Spot | None = None,
) -> Query | None:
    """Open the call for what `execute` and its like are given; what the cursor held before is done with."""
    finish(cursor)
    text, parameters = given(args, kwargs, 0, _TEXT), given(args, kwargs, 1, _PARAMETERS)
    connection = cursor.connection
    if connection is None:
        return None  # the cursor is closed, as the driver will say
    return begin(driver, connection, text, parameters, many, skip + 1, asked)


def end_on_cursor(driver: Driver, cursor: Any, query: Query, ended_ns: int) -> None:
    """Add up what a cursor executed, and count the rows that will be fetched."""
    sets = 0
    if query.many:  # an iterator of parameter sets is used up by now, and was not ours to look into
        affected = cursor.rowcount
        sets = max(0, affected) if type(affected) is int else 0
    end(driver, cursor.connection, query, ended_ns, sets)
    if not query.many and driver.has_rows(cursor):
        rows_of.put(cursor, Rows(query.call))


def finish(cursor: Any) -> None:
    """Add up the rows fetched from a cursor; never raises."""
    rows = rows_of.pop(cursor)
    if rows is not None:
        rows.finish()


def run(
    driver: Driver,
    wrapped: Callable[..., Any],
    cursor: Any,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    many: bool = False,
    frames: int = _OWN_FRAMES,
) -> Any:
    """Execute as the driver does, as one call of the current frame."""
    query = _guard.call(driver.point, begin_on_cursor, driver, cursor, args, kwargs, many, frames)
    if query is None:
        return wrapped(*args, **kwargs)
    query.cover(query.call.branch)  # an `executemany` may be a loop over `execute`
    try:
        found = wrapped(*args, **kwargs)
    except BaseException as error:
        query.uncover()
        fail(driver, query, error, HOT["clock_"]())
        raise
    ended_ns = HOT["clock_"]()
    query.uncover()
    _guard.call(driver.point, end_on_cursor, driver, cursor, query, ended_ns)
    return found


def execute(driver: Driver, many: bool = False) -> Wrapper:
    """Return the wrapper for `execute`, or `executemany`, of a plain cursor."""

    def tap(wrapped: Callable[..., Any], cursor: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        return run(driver, wrapped, cursor, args, kwargs, many)

    return tap


def procedure(args: tuple[Any, ...], kwargs: dict[str, Any], verb: str) -> tuple[Any, Any]:
    """Return what `callproc` comes to: a statement without its arguments, and them."""
    name = plain_text(given(args, kwargs, 0, ("procname",)))
    parameters = given(args, kwargs, 1, ("args", "parameters", "vars"))
    return None if name is None else f"{verb} {name}(...)", parameters


def call_procedure(driver: Driver, verb: str) -> Wrapper:
    """Return the wrapper for `callproc` of a plain cursor."""

    def tap(wrapped: Callable[..., Any], cursor: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        def called(*_: Any) -> Any:
            return wrapped(*args, **kwargs)

        return run(driver, called, cursor, procedure(args, kwargs, verb), {})

    return tap


def another_transaction(
    wrapped: Callable[..., Any], connection: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    """Stand for a method that begins or ends a transaction without a cursor."""
    link = links.get(connection)
    if link is not None:
        link.transaction = 0
    return wrapped(*args, **kwargs)
