"""The tap on Django's database connections, of every alias and vendor: statements, parameters, rows."""

from __future__ import annotations

from itertools import count
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, Final, final

from .. import _guard
from .._context import HOT
from ._patch import Unsupported, add, patch, require
from ._query import Origin, Query, begin_query, branch, end_query, fail_query
from ._rows import Rows

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ..protocols import Undo

_POINT: Final = "sources.django-db"
_ROWS: Final = "_manometer_rows"
_TRANSACTION: Final = "_manometer_transaction"
_LOWEST: Final = (4, 2)
_OWN_FRAMES: Final = 7
"""`begin_query` up to the function of Django's that executes: none of them is the application's."""
_SYSTEMS: Final = {
    "oracle": "oracle.db",
    "microsoft": "microsoft.sql_server",
    "mssql": "microsoft.sql_server",
}
"""Vendors that OpenTelemetry calls otherwise."""
_MAX_ORIGINS: Final = 256

_origins: Final[dict[tuple[Any, ...], Origin]] = {}
_transactions: Final = count(1)


@final
class DjangoDatabaseSource:
    """Django 4.2 to 6.x, through the cursor that every one of its connections hands out."""

    def install(self) -> Undo:
        """Patch `CursorWrapper`, which the debugging cursor and every backend's own build upon.

        Not `connection.execute_wrappers`: they know nothing of what is fetched, and an application that
        adds one while the connection is opened would take ours away with its own.

        Raises:
            Unsupported: An older Django, or one whose cursor works otherwise.
        """
        import django
        from django.db.backends.base.base import BaseDatabaseWrapper
        from django.db.backends.utils import CursorDebugWrapper, CursorWrapper

        if django.VERSION[:2] < _LOWEST:
            msg = f"Django {django.get_version()} is not supported (4.2 and later are)"
            raise Unsupported(msg)
        require(CursorWrapper.execute, "self", "sql", "params")
        require(CursorWrapper.executemany, "self", "sql", "param_list")
        require(BaseDatabaseWrapper.connect, "self")
        if "__getattr__" not in vars(CursorWrapper):
            msg = "CursorWrapper does not pass on to the driver's cursor"
            raise Unsupported(msg)
        undos = [
            patch(CursorWrapper, "execute", _execute),
            patch(CursorWrapper, "executemany", _executemany),
            # To write a statement into its log, the debugging cursor asks SQLite how to quote: part of the call.
            patch(CursorDebugWrapper, "execute", _execute),
            patch(CursorDebugWrapper, "executemany", _executemany),
            patch(CursorWrapper, "__iter__", _iterate),
            patch(BaseDatabaseWrapper, "connect", _connect),
            *(add(CursorWrapper, function.__name__, function) for function in _ADDED),
        ]

        def undo() -> None:
            for undo_one in undos:
                undo_one()
            _origins.clear()

        return undo


def _execute(wrapped: Callable[..., Any], cursor: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    return _run(wrapped, cursor, args, kwargs, False)


def _executemany(
    wrapped: Callable[..., Any], cursor: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    return _run(wrapped, cursor, args, kwargs, True)


def _run(
    wrapped: Callable[..., Any], cursor: Any, args: tuple[Any, ...], kwargs: dict[str, Any], many: bool
) -> Any:
    query: Query | None = _guard.call(_POINT, _begin, cursor, args, kwargs, many)
    if query is None:
        return wrapped(*args, **kwargs)
    try:
        found = wrapped(*args, **kwargs)
    except BaseException as error:
        _guard.call(_POINT, _fail, query, error, HOT["clock_"]())
        raise
    _guard.call(_POINT, _end, cursor, query, HOT["clock_"]())
    return found


def _begin(cursor: Any, args: tuple[Any, ...], kwargs: dict[str, Any], many: bool) -> Query | None:
    _finish(cursor)
    on = branch()
    if on is None or on.covered or (_guard.counts and _guard.is_off(_POINT)):
        return None
    text = args[0] if args else kwargs.get("sql")
    connection = cursor.db
    query = begin_query(on, text, _origin_of(connection), _OWN_FRAMES, needs_place=True)
    if query is None:
        return None
    query.cover(on)
    parameters = args[1] if len(args) > 1 else kwargs.get("param_list" if many else "params")
    query.parameters = () if parameters is None else parameters
    query.many = many
    query.call.frame.more().transaction = _transaction_of(connection)
    return query


def _end(cursor: Any, query: Query, ended_ns: int) -> None:
    query.uncover()
    parameters, query.parameters = query.parameters, ()
    if query.many:
        # An iterator of parameter sets is used up by now, and was not ours to look into.
        end_query(query, parameters, True, ended_ns, max(0, cursor.rowcount))
        return
    end_query(query, parameters, False, ended_ns)
    cursor.__dict__[_ROWS] = Rows(query.call)


def _fail(query: Query, error: BaseException, ended_ns: int) -> None:
    query.uncover()
    fail_query(query, error, query.parameters, ended_ns)


def _finish(cursor: Any) -> None:
    rows = cursor.__dict__.pop(_ROWS, None)
    if rows is not None:
        rows.finish()


def _transaction_of(connection: Any) -> int:
    """Return a number for the `atomic` block that *connection* is in, 0 outside; a new one for each block."""
    own = connection.__dict__
    if not own.get("in_atomic_block"):
        own.pop(_TRANSACTION, None)
        return 0
    found: int = own.get(_TRANSACTION) or next(_transactions)
    own[_TRANSACTION] = found
    return found


def _origin_of(connection: Any) -> Origin:
    """Return what *connection* talks to, without user or password; 0.5 us once known."""
    settings = connection.settings_dict
    own = connection.__dict__
    # A cached property that asks the server: only read where Django has done so.
    vendor = "mariadb" if own.get("mysql_is_mariadb") is True else connection.vendor
    key = (vendor, own.get("alias"), settings.get("NAME"), settings.get("HOST"), settings.get("PORT"))
    found = _origins.get(key)
    if found is None:
        if len(_origins) >= _MAX_ORIGINS:
            _origins.clear()
        found = _origins[key] = _describe(*key)
    return found


def _describe(vendor: Any, alias: Any, name: Any, host: Any, port: Any) -> Origin:
    import django

    if isinstance(name, PurePath) and type(name).__module__.startswith("pathlib"):
        name = str(name)
    # A file name may be a URI, and its query may hold a key.
    database = name.partition("?")[0] if type(name) is str else ""
    place = f"{host}:{port}" if host and port else host or ""
    target = f"{database}@{place}" if type(place) is str and place else database
    if alias != "default":
        target = f"{alias}:{target}"  # a replica may differ in its options only
    return Origin(_SYSTEMS.get(vendor, vendor), target, "django", django.get_version())


def _connect(wrapped: Callable[..., Any], _: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Connect; what Django asks the server at that, once for each connection, is no query of the application's."""
    on = _guard.call(_POINT, branch)
    if on is None or on.covered:
        return wrapped(*args, **kwargs)
    on.covered = True
    try:
        return wrapped(*args, **kwargs)
    finally:
        on.covered = False


# What Django passes on to the driver's cursor, one attribute look-up at a time.


def fetchone(self: Any, *args: Any, **kwargs: Any) -> Any:
    """Fetch one row, and count it."""
    fetch = self.__getattr__("fetchone")
    rows: Rows | None = self.__dict__.get(_ROWS)
    if rows is None:
        return fetch(*args, **kwargs)
    if not rows.is_timed():
        row = fetch(*args, **kwargs)
        if row is None:
            rows.finish()
        else:
            rows.count += 1
        return row
    started_ns = HOT["clock_"]()
    row = fetch(*args, **kwargs)
    rows.one(row, started_ns, HOT["clock_"]())
    return row


def fetchmany(self: Any, *args: Any, **kwargs: Any) -> Any:
    """Fetch some rows, and count them."""
    fetch = self.__getattr__("fetchmany")
    rows: Rows | None = self.__dict__.get(_ROWS)
    if rows is None:
        return fetch(*args, **kwargs)
    started_ns = HOT["clock_"]()
    found = fetch(*args, **kwargs)
    rows.many(found, started_ns, HOT["clock_"](), last=False)
    return found


def fetchall(self: Any, *args: Any, **kwargs: Any) -> Any:
    """Fetch all further rows, and count them."""
    fetch = self.__getattr__("fetchall")
    rows: Rows | None = self.__dict__.get(_ROWS)
    if rows is None:
        return fetch(*args, **kwargs)
    started_ns = HOT["clock_"]()
    found = fetch(*args, **kwargs)
    rows.many(found, started_ns, HOT["clock_"](), last=True)
    return found


def close(self: Any, *args: Any, **kwargs: Any) -> Any:
    """Close the cursor, and add up what was fetched."""
    rows = self.__dict__.pop(_ROWS, None)
    if rows is not None:
        rows.finish()
    return self.__getattr__("close")(*args, **kwargs)


_ADDED: Final = (fetchone, fetchmany, fetchall, close)


def _iterate(wrapped: Callable[..., Any], cursor: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    rows: Rows | None = cursor.__dict__.get(_ROWS)
    found = wrapped(*args, **kwargs)
    return found if rows is None else _counted(found, rows)


def _counted(found: Iterator[Any], rows: Rows) -> Iterator[Any]:
    started_ns = HOT["clock_"]()
    for row in found:
        rows.one(row, started_ns, HOT["clock_"]())
        yield row
        started_ns = HOT["clock_"]()
    rows.finish()
