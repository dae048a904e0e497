"""The tap on asyncpg, through the methods of its connections, prepared statements and cursors."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final, final

from .. import _guard
from .._context import HOT
from . import _dbapi
from ._dbapi import Driver
from ._dbapi_async import asked_here, carrying, named
from ._patch import Unsupported, patch, require
from ._rows import Rows

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ..protocols import Undo
    from ._patch import Wrapper
    from ._query import Origin, Query, Spot

_POINT: Final = "sources.asyncpg"
_LOWEST: Final = (0, 27)
_OWN: Final = frozenset({"_mogrify", "reset"})
"""Quoting by the server, and what a pool does to a connection that is given back."""
_OWN_FRAMES: Final = 4
"""`begin` up to the coroutine that stands in the driver's place."""
_POOLED: Final = ("execute", "executemany", "fetch", "fetchval", "fetchrow", "fetchmany")
_MAX_PORTALS: Final = 256
"""Open server-side cursors whose rows are counted."""

_portals: Final[dict[str, Rows]] = {}


@final
class AsyncpgSource:
    """asyncpg 0.27 and later: every connection, pooled ones too, also those that are open already.

    Not `add_query_logger`: it knows neither rows nor who asked, and hears of a query too late.
    """

    def install(self) -> Undo:
        """Patch the methods of its classes; subclasses of them obey.

        Raises:
            Unsupported: An older version, or one that works otherwise.
        """
        import asyncpg
        from asyncpg import connection, cursor, pool, prepared_stmt, transaction

        numbers = tuple(int(part) for part in asyncpg.__version__.split(".")[:2] if part.isdecimal())
        if numbers < _LOWEST:
            msg = f"asyncpg {asyncpg.__version__} is not supported (0.27 and later are)"
            raise Unsupported(msg)
        require(connection.Connection.fetch, "self", "query", "args")
        require(connection.Connection.executemany, "self", "command", "args")
        require(connection.Connection._copy_in, "self", "copy_stmt", "source")
        require(connection.Connection._copy_out, "self", "copy_stmt", "output")
        require(cursor.BaseCursor._bind_exec, "self", "n", "timeout")
        require(cursor.BaseCursor._bind, "self", "timeout")
        require(cursor.BaseCursor._exec, "self", "n", "timeout")
        driver = Driver(
            _POINT,
            "asyncpg",
            partial(_origin, asyncpg.__version__),
            in_transaction=lambda connection: bool(connection.is_in_transaction()),
            own=_OWN,
        )
        undos = [
            *_patch_connection(driver, connection.Connection),
            *_patch_statement(driver, prepared_stmt.PreparedStatement),
            patch(cursor.BaseCursor, "_bind_exec", _call(driver, _of_cursor, "portal")),
            patch(cursor.BaseCursor, "_bind", _call(driver, _of_cursor, "bound")),
            patch(cursor.BaseCursor, "_exec", _more),
            patch(transaction.Transaction, "start", _started),
            *(patch(pool.Pool, name, carrying(driver)) for name in _POOLED if hasattr(pool.Pool, name)),
        ]

        def undo() -> None:
            for undo_one in undos:
                undo_one()
            _portals.clear()

        return undo


def _patch_connection(driver: Driver, connection: Any) -> Iterator[Undo]:
    for name in ("fetch", "fetchrow", "fetchval"):
        yield patch(connection, name, _call(driver, _of_connection, name))
    yield patch(connection, "execute", _call(driver, _of_connection, ""))
    for name in ("executemany", "fetchmany"):
        if hasattr(connection, name):
            yield patch(connection, name, _call(driver, _sets_of_connection, "many"))
    for name in ("_copy_in", "_copy_out"):
        yield patch(connection, name, _call(driver, _copy_of_connection, "copied"))
    yield patch(connection, "copy_records_to_table", _call(driver, _records_of_connection, "copied"))


def _patch_statement(driver: Driver, prepared: Any) -> Iterator[Undo]:
    for name in ("fetch", "fetchrow", "fetchval"):
        yield patch(prepared, name, _call(driver, _of_statement, name))
    for name in ("executemany", "fetchmany"):
        if hasattr(prepared, name):
            yield patch(prepared, name, _call(driver, _sets_of_statement, "many"))


def _origin(version: str, connection: Any) -> Origin:
    address = connection._addr
    host, port = address if type(address) is tuple and len(address) == 2 else (address, None)
    return _dbapi.origin("postgresql", host, port, connection._params.database, "asyncpg", version)


# What is executed: of what a method belongs to, and its arguments, the connection, the text, the parameters.


def _of_connection(connection: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, Any, Any]:
    return (connection, args[0], args[1:]) if args else (connection, kwargs.get("query"), ())


def _sets_of_connection(
    connection: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[Any, Any, Any]:
    text = _dbapi.given(args, kwargs, 0, ("command", "query"))
    return connection, text, _dbapi.given(args, kwargs, 1, ("args",))


def _copy_of_connection(
    connection: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[Any, Any, Any]:
    return connection, _dbapi.given(args, kwargs, 0, ("copy_stmt",)), ()


def _records_of_connection(
    connection: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[Any, Any, Any]:
    table = _dbapi.plain_text(_dbapi.given(args, kwargs, 0, ("table_name",)))
    return connection, None if table is None else f"COPY {table} FROM STDIN", ()


def _of_statement(statement: Any, args: tuple[Any, ...], _: dict[str, Any]) -> tuple[Any, Any, Any]:
    return statement._connection, statement._query, args


def _sets_of_statement(statement: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, Any, Any]:
    return statement._connection, statement._query, _dbapi.given(args, kwargs, 0, ("args",))


def _of_cursor(cursor: Any, _args: tuple[Any, ...], _kwargs: dict[str, Any]) -> tuple[Any, Any, Any]:
    return cursor._connection, cursor._query, cursor._args


def _call(driver: Driver, read: Callable[..., tuple[Any, Any, Any]], kind: str) -> Wrapper:
    """Return the wrapper for a method that executes.

    Args:
        driver: The driver.
        read: Says what it executes, from its owner and its arguments.
        kind: What it returns: the name of the method, `many`, `portal`, `bound`, `copied`, or nothing.
    """

    def tap(wrapped: Callable[..., Any], owner: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        asked = asked_here(driver)
        return named(_run(driver, wrapped, owner, args, kwargs, read, kind, asked), wrapped)

    return tap


async def _run(
    driver: Driver,
    wrapped: Callable[..., Any],
    owner: Any,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    read: Callable[..., tuple[Any, Any, Any]],
    kind: str,
    asked: Spot | None,
) -> Any:
    query = _guard.call(driver.point, _begin, driver, read, owner, args, kwargs, kind == "many", asked)
    asked = None
    if query is None:
        return await wrapped(*args, **kwargs)
    try:
        found = await wrapped(*args, **kwargs)
    except BaseException as error:
        _dbapi.fail(driver, query, error, HOT["clock_"]())
        raise
    _guard.call(
        driver.point, _end, driver, read(owner, args, kwargs)[0], owner, query, kind, found, HOT["clock_"]()
    )
    return found


def _begin(
    driver: Driver,
    read: Callable[..., tuple[Any, Any, Any]],
    owner: Any,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    many: bool,
    asked: Spot | None,
) -> Query | None:
    connection, text, parameters = read(owner, args, kwargs)
    return _dbapi.begin(driver, connection, text, parameters, many, _OWN_FRAMES, asked)


def _end(
    driver: Driver, connection: Any, owner: Any, query: Query, kind: str, found: Any, ended_ns: int
) -> None:
    sets = 0
    if kind == "copied":
        sets = _copied(found)
        query.many, query.parameters = sets > 0, None
    _dbapi.end(driver, connection, query, ended_ns, sets)
    if kind in ("portal", "bound"):
        _keep_portal(owner, query, found, ended_ns)
    elif kind.startswith("fetch"):
        rows = Rows(query.call)
        rows.many(_rows(kind, found), ended_ns, ended_ns, last=True)


def _rows(kind: str, found: Any) -> Any:
    """Return what a method returned as rows."""
    if kind == "fetch":
        return found
    if found is None:
        return ()
    return [found] if kind == "fetchrow" else [(found,)]


def _copied(status: Any) -> int:
    """Return how many rows `COPY 12` says were copied."""
    if type(status) is not str:
        return 0
    number = status.rpartition(" ")[2]
    return int(number) if number.isdecimal() else 0


def _keep_portal(cursor: Any, query: Query, found: Any, ended_ns: int) -> None:
    rows = Rows(query.call)
    if type(found) is list:
        rows.many(found, ended_ns, ended_ns, last=cursor._exhausted)
    if cursor._exhausted:
        return
    if len(_portals) >= _MAX_PORTALS:
        _portals.pop(next(iter(_portals))).finish()
    _portals[cursor._portal_name] = rows


def _more(wrapped: Callable[..., Any], cursor: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    rows = _portals.get(cursor._portal_name)
    inner = wrapped(*args, **kwargs)
    return inner if rows is None else named(_fetch_more(rows, cursor, inner), wrapped)


async def _fetch_more(rows: Rows, cursor: Any, inner: Any) -> Any:
    started_ns, portal = HOT["clock_"](), cursor._portal_name
    found = await inner
    last = bool(cursor._exhausted) or not found
    rows.many(found, started_ns, HOT["clock_"](), last)
    if last:
        _portals.pop(portal, None)
    return found


def _started(
    wrapped: Callable[..., Any], transaction: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    """Begin another number, unless this is a savepoint."""
    _guard.call(_POINT, _renumber, transaction._connection)
    return wrapped(*args, **kwargs)


def _renumber(connection: Any) -> None:
    link = _dbapi.links.get(connection)
    if link is not None and not connection.is_in_transaction():
        link.transaction = 0
