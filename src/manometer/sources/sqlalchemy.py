"""The tap on SQLAlchemy, sync and async, through the public events of `Engine`."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING, Any, Final, final
from weakref import WeakKeyDictionary

from .. import _guard
from .._calls import extend
from .._context import HOT
from .._statement import statement
from . import _sqlalchemy_pools
from ._counting import CountingCursor
from ._patch import Unsupported, nothing
from ._query import Origin, Query, begin_query, branch, end_query, fail_query
from ._rows import Rows

if TYPE_CHECKING:
    from ..protocols import Undo

_POINT: Final = "sources.sqlalchemy"
_RUNNING: Final = "_manometer_query"
_PARTS: Final = "_manometer_parts"
_ORIGIN: Final = "_manometer_origin"
_TRANSACTION: Final = "_manometer_transaction"
_OWN_FRAMES: Final = 6
"""`begin_query` up to the function of SQLAlchemy's that dispatches the event, and one more of its own."""
_SYSTEMS: Final = {
    "mssql": "microsoft.sql_server",
    "oracle": "oracle.db",
    "redshift": "aws.redshift",
}
"""Dialects that OpenTelemetry calls otherwise."""

_numbers: Final = count(1)
_origins: WeakKeyDictionary[Any, Origin] = WeakKeyDictionary()
_version = ""
_installed = False


@final
class SQLAlchemySource:
    """SQLAlchemy 1.4 and 2.x: statements, parameters, rows and the application's line that asked."""

    def install(self) -> Undo:
        """Listen on the class `Engine`, which every engine of the process obeys.

        Raises:
            Unsupported: Another major version.
        """
        global _installed, _version
        import sqlalchemy
        from sqlalchemy import event
        from sqlalchemy.engine import Engine

        _version = sqlalchemy.__version__
        if not _version.startswith(("1.4.", "2.")):
            msg = f"SQLAlchemy {_version} is not supported (1.4 and 2.x are)"
            raise Unsupported(msg)
        if _installed:
            return nothing
        # Ours is the first to hear of an end, so that other listeners do not count as database time.
        listeners: list[tuple[str, Any, bool]] = [
            ("before_cursor_execute", _before, False),
            ("after_cursor_execute", _after, True),
            ("handle_error", _failed, True),
            ("begin", _began, False),
            ("commit", _ended, False),
            ("rollback", _ended, False),
        ]
        for name, listener, first in listeners:
            options = {"insert": True} if first and not _version.startswith("1.4.") else {}
            event.listen(Engine, name, listener, **options)
        _installed = True

        def undo() -> None:
            global _installed
            if not event.contains(Engine, "before_cursor_execute", _before):
                return
            _installed = False
            for name, listener, _ in listeners:
                event.remove(Engine, name, listener)

        return undo


def _before(connection: Any, _cursor: Any, text: Any, parameters: Any, context: Any, many: bool) -> None:
    _guard.call(_POINT, _begin, connection, text, parameters, context, many)


def _after(_connection: Any, cursor: Any, _text: Any, _parameters: Any, context: Any, _many: bool) -> None:
    _guard.call(_POINT, _end, cursor, context, HOT["clock_"]())


def _failed(failure: Any) -> None:
    _guard.call(_POINT, _fail, failure, HOT["clock_"]())


def _began(connection: Any) -> None:
    _guard.call(_POINT, setattr, connection, _TRANSACTION, next(_numbers))


def _ended(connection: Any) -> None:
    _guard.call(_POINT, setattr, connection, _TRANSACTION, 0)


def _begin(connection: Any, text: Any, parameters: Any, context: Any, many: bool) -> None:
    on = branch()
    if on is None or context is None or (_guard.counts and _guard.is_off(_POINT)):
        return
    if context.execution_options.get("skip_user_error_events"):
        return  # a dialect's own probe: its failure would never be told
    query = getattr(context, _PARTS, None)
    if query is not None and query.statement.shape == statement(text).shape:
        # An INSERT that SQLAlchemy sends in parts, on SQLite one row at a time: it is one call.
        query.part_ns = HOT["clock_"]()
        _cover(query, on, getattr(connection, _ORIGIN))
        setattr(context, _RUNNING, query)
        return
    origin = getattr(connection, _ORIGIN, None)
    if origin is None:
        origin = _origins.get(connection.engine) or _describe(connection.engine)
        setattr(connection, _ORIGIN, origin)
        _sqlalchemy_pools.name(connection.engine, origin)
    query = begin_query(on, text, origin, _OWN_FRAMES)
    if query is None:
        return
    query.call.frame.more().transaction = getattr(connection, _TRANSACTION, 0)
    _cover(query, on, origin)
    # Not asked for again at the end: SQLAlchemy 2.0 gives all sets of a batched INSERT to each batch there.
    query.parameters = parameters
    query.many = many
    setattr(context, _RUNNING, query)


def _cover(query: Query, on: Any, origin: Origin) -> None:
    if origin.covers:
        query.cover(on)
    else:
        query.cover_task()


def _end(cursor: Any, context: Any, ended_ns: int) -> None:
    query = _take(context)
    if query is None:
        return
    if query.part_ns:
        extend(query.call, query.part_ns, ended_ns, max(1, query.statement.in_list))
        return
    parameters, many = query.parameters, query.many
    are_sets = many and _are_sets(parameters)
    end_query(query, parameters, are_sets, ended_ns)
    _sqlalchemy_pools.used(context.root_connection, ended_ns - query.call.started_ns)
    if many and not are_sets:
        setattr(context, _PARTS, query)
    # INSERT and UPDATE keep their cursor: their contexts hand it on to drivers' own functions.
    if many or query.statement.operation == "write" or context.cursor is not cursor:
        return
    if cursor.description is not None:
        context.cursor = CountingCursor(cursor, Rows(query.call))


def _are_sets(parameters: Any) -> bool:
    """Tell sets of parameters from the one flat set of a batched INSERT, which has its rows in its text."""
    if (type(parameters) is not list and type(parameters) is not tuple) or not parameters:
        return False
    return type(parameters[0]) in (tuple, dict, list)


def _fail(failure: Any, ended_ns: int) -> None:
    query = _take(failure.execution_context)
    if query is not None and query.part_ns:
        extend(query.call, query.part_ns, ended_ns, 0, type(failure.original_exception).__name__)
    elif query is not None:
        fail_query(query, failure.original_exception, query.parameters, ended_ns)


def _take(context: Any) -> Query | None:
    """Return the statement that *context* executes, which ends now."""
    query: Query | None = getattr(context, _RUNNING, None)
    if query is not None:
        setattr(context, _RUNNING, None)
        query.uncover()
    return query


def _describe(engine: Any) -> Origin:
    """Return what an engine talks to: the product, and `database@host` without user or password."""
    name, url = engine.dialect.name, engine.url
    database = url.database if type(url.database) is str else ""
    host = url.host if type(url.host) is str else ""
    if type(url.port) is int:
        host = f"{host}:{url.port}"
    # A file name may be a URI, and its query may hold a key.
    database = database.partition("?")[0]
    target = f"{database}@{host}" if host else database
    # An async driver works while other tasks go on with this branch: covered in its own task only.
    covers = not engine.dialect.is_async
    found = Origin(_SYSTEMS.get(name, name), target, "sqlalchemy", _version, covers=covers)
    _origins[engine] = found
    return found
