"""The tap on the standard library's sqlite3, beneath whatever classes the application made of it."""

from __future__ import annotations

import sqlite3
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, Final, final

from .. import _guard
from .._context import HOT
from ._beneath import beneath, disguise
from ._patch import patch
from ._query import Origin, Query, begin_query, branch, end_query, fail_query
from ._rows import Rows

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..protocols import Undo

_POINT: Final = "sources.sqlite3"
_FACTORY_AT: Final = 5
"""Place of `factory` among the positional arguments of `sqlite3.connect`."""
_OWN_FRAMES: Final = 5
"""`begin_query` up to the `execute` of the tap."""

# Bound once: the classes below stand right above these in every method resolution order.
_execute: Final = sqlite3.Cursor.execute
_executemany: Final = sqlite3.Cursor.executemany
_executescript: Final = sqlite3.Cursor.executescript
_fetchone: Final = sqlite3.Cursor.fetchone
_fetchmany: Final = sqlite3.Cursor.fetchmany
_fetchall: Final = sqlite3.Cursor.fetchall
_next: Final = sqlite3.Cursor.__next__
_close: Final = sqlite3.Cursor.close
_cursor: Final = sqlite3.Connection.cursor


class _TappedCursor(sqlite3.Cursor):
    """Stands between `sqlite3.Cursor` and the application's own cursor class, if it has one."""

    _manometer_rows: Rows | None = None

    def execute(self, *args: Any) -> Any:
        return _run(self, _execute, args)

    def executemany(self, *args: Any) -> Any:
        return _run(self, _executemany, args)

    def executescript(self, *args: Any) -> Any:
        return _run(self, _executescript, args)

    def fetchone(self) -> Any:
        rows = self._manometer_rows
        if rows is None:
            return _fetchone(self)
        if not rows.is_timed():
            row = _fetchone(self)
            if row is None:
                rows.finish()
            else:
                rows.count += 1
            return row
        started_ns = HOT["clock_"]()
        row = _fetchone(self)
        rows.one(row, started_ns, HOT["clock_"]())
        return row

    def fetchmany(self, *args: Any, **kwargs: Any) -> Any:
        rows = self._manometer_rows
        if rows is None:
            return _fetchmany(self, *args, **kwargs)
        started_ns = HOT["clock_"]()
        found = _fetchmany(self, *args, **kwargs)
        rows.many(found, started_ns, HOT["clock_"](), last=False)
        return found

    def fetchall(self) -> Any:
        rows = self._manometer_rows
        if rows is None:
            return _fetchall(self)
        started_ns = HOT["clock_"]()
        found = _fetchall(self)
        rows.many(found, started_ns, HOT["clock_"](), last=True)
        return found

    def __next__(self) -> Any:
        rows = self._manometer_rows
        if rows is None:
            return _next(self)
        timed = rows.is_timed()
        started_ns = HOT["clock_"]() if timed else 0
        try:
            row = _next(self)
        except StopIteration:
            now_ns = HOT["clock_"]()
            rows.one(None, now_ns, now_ns)
            raise
        if timed:
            rows.one(row, started_ns, HOT["clock_"]())
        else:
            rows.count += 1
        return row

    def close(self) -> None:
        _finish(self)
        _close(self)

    def __del__(self) -> None:
        # Nobody closes the cursor of `connection.execute(...).fetchone()`.
        _finish(self)


class _TappedConnection(sqlite3.Connection):
    """Stands between `sqlite3.Connection` and the application's own connection class, if it has one."""

    _manometer_origin = Origin("sqlite", "", "sqlite3", sqlite3.sqlite_version)

    def cursor(self, *args: Any, **kwargs: Any) -> Any:
        if not args and not kwargs:
            return _cursor(self, _TappedCursor)
        if len(args) == 1 and not kwargs:
            return _cursor(self, beneath(args[0], sqlite3.Cursor, _TappedCursor))
        if not args and len(kwargs) == 1 and "factory" in kwargs:
            return _cursor(self, beneath(kwargs["factory"], sqlite3.Cursor, _TappedCursor))
        return _cursor(self, *args, **kwargs)


class _DirectConnection(_TappedConnection):
    """The same where `execute` and its like make a plain cursor without asking `cursor()`."""

    def execute(self, *args: Any) -> Any:
        return _cursor(self, _TappedCursor).execute(*args)

    def executemany(self, *args: Any) -> Any:
        return _cursor(self, _TappedCursor).executemany(*args)

    def executescript(self, *args: Any) -> Any:
        return _cursor(self, _TappedCursor).executescript(*args)


def _asks_cursor() -> bool:
    """Tell whether `Connection.execute` calls `cursor()`: Python 3.10 does, 3.11 does not."""
    asked = []

    class Probe(sqlite3.Connection):
        def cursor(self, *args: Any, **kwargs: Any) -> Any:
            asked.append(1)
            return super().cursor(*args, **kwargs)

    probe = Probe(":memory:")
    probe.execute("SELECT 1")
    probe.close()
    return bool(asked)


_TAPPED_CONNECTION: Final = _TappedConnection if _asks_cursor() else _DirectConnection

disguise(_TappedCursor, sqlite3.Cursor)
disguise(_TAPPED_CONNECTION, sqlite3.Connection)


def _run(cursor: Any, function: Callable[..., Any], args: tuple[Any, ...]) -> Any:
    """Execute as the driver does, as one call of the current frame."""
    # Not through `_guard.call`: each of its calls is a twentieth of what this costs.
    query: Query | None = None
    try:
        query = _begin(cursor, args)
    except Exception as error:
        _guard.failed(_POINT, error)
    if query is None:
        return function(cursor, *args)
    parameters = args[1] if len(args) > 1 else ()
    try:
        found = function(cursor, *args)
    except BaseException as error:
        _guard.call(_POINT, fail_query, query, error, parameters, HOT["clock_"]())
        raise
    ended_ns = HOT["clock_"]()
    try:
        _end(cursor, query, parameters, function is _executemany, ended_ns)
    except Exception as error:
        _guard.failed(_POINT, error)
    return found


def _begin(cursor: Any, args: tuple[Any, ...]) -> Query | None:
    if cursor._manometer_rows is not None:
        _finish(cursor)
    on = branch()
    if on is None or on.covered or not args or (_guard.counts and _guard.is_off(_POINT)):
        return None
    connection = cursor.connection
    if not isinstance(connection, _TappedConnection):
        return None
    return begin_query(on, args[0], connection._manometer_origin, _OWN_FRAMES, needs_place=True)


def _end(cursor: Any, query: Query, parameters: Any, many: bool, ended_ns: int) -> None:
    # An iterator of parameter sets is used up by now, and was not ours to look into.
    end_query(query, parameters, many, ended_ns, max(0, cursor.rowcount) if many else 0)
    if cursor.description is not None:
        cursor._manometer_rows = Rows(query.call)


def _finish(cursor: Any) -> None:
    rows = cursor._manometer_rows
    if rows is not None:
        cursor._manometer_rows = None
        rows.finish()


def _connect(wrapped: Callable[..., Any], _: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    args, kwargs = _guard.call(_POINT, _with_tap, args, kwargs) or (args, kwargs)
    connection = wrapped(*args, **kwargs)
    if isinstance(connection, _TappedConnection):
        _guard.call(_POINT, _describe, connection, args[0] if args else kwargs.get("database"))
    return connection


def _describe(connection: _TappedConnection, database: Any) -> None:
    if isinstance(database, PurePath) and type(database).__module__.startswith("pathlib"):
        database = str(database)
    if type(database) is str:
        target = database.partition("?")[0]  # the query of a URI may hold a key
        connection._manometer_origin = Origin("sqlite", target, "sqlite3", sqlite3.sqlite_version)


def _with_tap(args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    if len(args) > _FACTORY_AT:
        factory = beneath(args[_FACTORY_AT], sqlite3.Connection, _TAPPED_CONNECTION)
        return (*args[:_FACTORY_AT], factory, *args[_FACTORY_AT + 1 :]), kwargs
    factory = beneath(kwargs.get("factory", sqlite3.Connection), sqlite3.Connection, _TAPPED_CONNECTION)
    return args, {**kwargs, "factory": factory}


@final
class SQLiteSource:
    """sqlite3, through `sqlite3.connect`: connections made from now on, whatever their factory."""

    def install(self) -> Undo:
        """Patch `connect` where it is looked up; connections opened before are not seen."""
        import sqlite3.dbapi2

        undos = [patch(module, "connect", _connect) for module in (sqlite3, sqlite3.dbapi2)]

        def undo() -> None:
            for undo_one in undos:
                undo_one()

        return undo
