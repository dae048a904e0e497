"""The tap on psycopg 3, synchronous and asynchronous, through the methods of its cursors."""

from __future__ import annotations

from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Any, Final, final

from .. import _guard
from .._context import HOT
from . import _dbapi, _dbapi_async, _fetch
from ._composed import Composer
from ._dbapi import Driver
from ._patch import Unsupported, patch, require
from ._stream import stream, stream_async

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from ..protocols import Undo
    from ._query import Origin, Query

_POINT: Final = "sources.psycopg"
_LOWEST: Final = (3, 1)
_OWN: Final = frozenset({"_fetch", "_fetch_async"})
"""Functions that look types up in the catalogue."""
_IDLE: Final = 0
_COPY_FRAMES: Final = 5
"""`begin_on_cursor` up to the `with` block: the two of contextlib are no application's."""


def _origin_for(version: str) -> Callable[[Any], Origin]:
    def origin(connection: Any) -> Origin:
        pgconn = connection.pgconn
        return _dbapi.origin("postgresql", pgconn.host, _text(pgconn.port), pgconn.db, "psycopg", version)

    return origin


def _text(text: Any) -> str:
    """Return bytes of libpq as text."""
    return str(_dbapi.plain_text(text) or "")


def _has_rows(cursor: Any) -> bool:
    result = cursor.pgresult
    return result is None or result.nfields > 0  # None in a pipeline: the rows are still to come


def _in_transaction(connection: Any) -> bool:
    return bool(connection.pgconn.transaction_status != _IDLE)


@final
class PsycopgSource:
    """psycopg 3.1 and later: every connection, pooled ones too, also those that are open already."""

    def install(self) -> Undo:
        """Patch the methods of its cursor classes; subclasses of them obey.

        Raises:
            Unsupported: An older or a later major version, or one that works otherwise.
        """
        import psycopg
        from psycopg import sql

        numbers = [int(part) for part in psycopg.__version__.split(".")[:2] if part.isdecimal()]
        if not (_LOWEST <= tuple(numbers) < (4,)):
            msg = f"psycopg {psycopg.__version__} is not supported (3.1 and later 3.x are)"
            raise Unsupported(msg)
        for cursor in (psycopg.Cursor, psycopg.AsyncCursor):
            require(cursor.execute, "self", "query", "params")
            require(cursor.executemany, "self", "query", "params_seq")
            require(cursor.stream, "self", "query", "params")
            require(cursor.copy, "self", "statement", "params")
        if getattr(sql.SQL("x"), "_obj", None) != "x":
            msg = f"psycopg {psycopg.__version__} composes statements otherwise"
            raise Unsupported(msg)
        driver = Driver(
            _POINT,
            "psycopg",
            _origin_for(psycopg.__version__),
            text=Composer(sql, lambda part: part._obj).text,
            has_rows=_has_rows,
            in_transaction=_in_transaction,
            own=_OWN,
        )
        undos = [*_patch_sync(driver, psycopg), *_patch_async(driver, psycopg)]

        def undo() -> None:
            for undo_one in undos:
                undo_one()

        return undo


def _patch_sync(driver: Driver, psycopg: Any) -> Iterator[Undo]:
    yield patch(psycopg.Transaction, "__enter__", _entered)
    for cursor in (psycopg.Cursor, psycopg.ServerCursor):
        yield patch(cursor, "execute", _dbapi.execute(driver))
        yield patch(cursor, "fetchone", _fetch.fetchone)
        yield patch(cursor, "fetchmany", _fetch.fetchmany)
        yield patch(cursor, "fetchall", _fetch.fetchall)
        yield patch(cursor, "close", _fetch.close)
        if "__next__" in vars(cursor):
            yield patch(cursor, "__next__", _fetch.step)
        else:
            yield patch(cursor, "__iter__", _fetch.iterate)
    yield patch(psycopg.Cursor, "executemany", _dbapi.execute(driver, many=True))
    yield patch(psycopg.Cursor, "stream", stream(driver))
    yield patch(psycopg.Cursor, "copy", _copies(driver))


def _patch_async(driver: Driver, psycopg: Any) -> Iterator[Undo]:
    yield patch(psycopg.AsyncConnection, "execute", _dbapi_async.carrying(driver))
    yield patch(psycopg.AsyncTransaction, "__aenter__", _entered)
    for cursor in (psycopg.AsyncCursor, psycopg.AsyncServerCursor):
        yield patch(cursor, "execute", _dbapi_async.execute(driver))
        yield patch(cursor, "fetchone", _dbapi_async.fetch(None))
        yield patch(cursor, "fetchmany", _dbapi_async.fetch(False))
        yield patch(cursor, "fetchall", _dbapi_async.fetch(True))
        yield patch(cursor, "close", _fetch.close)
        if "__anext__" in vars(cursor):
            yield patch(cursor, "__anext__", _dbapi_async.step)
        else:
            yield patch(cursor, "__aiter__", _dbapi_async.iterate)
    yield patch(psycopg.AsyncCursor, "executemany", _dbapi_async.execute(driver, many=True))
    yield patch(psycopg.AsyncCursor, "stream", stream_async(driver))
    yield patch(psycopg.AsyncCursor, "copy", _copies_async(driver))


def _entered(
    wrapped: Callable[..., Any], transaction: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    """Begin another number, unless this is a savepoint."""
    _guard.call(_POINT, _renumber, transaction.connection)
    return wrapped(*args, **kwargs)


def _renumber(connection: Any) -> None:
    link = _dbapi.links.get(connection)
    if link is not None and not _in_transaction(connection):
        link.transaction = 0


def _copies(driver: Driver) -> Any:
    """Return the wrapper for `copy`: one call as long as opening and closing it take, not what lies between."""

    @contextmanager
    def copied(wrapped: Any, cursor: Any, args: Any, kwargs: Any) -> Iterator[Any]:
        query = _begin_copy(driver, cursor, args, kwargs)
        try:
            with wrapped(*args, **kwargs) as copy:
                inside_ns = HOT["clock_"]()
                try:
                    yield copy
                finally:
                    if query is not None:
                        query.call.started_ns += HOT["clock_"]() - inside_ns
        except BaseException as error:
            if query is not None:
                _dbapi.fail(driver, query, error, HOT["clock_"]())
            raise
        _end_copy(driver, cursor, query)

    return copied


def _copies_async(driver: Driver) -> Any:
    """Return the same for an asynchronous cursor."""

    @asynccontextmanager
    async def copied(wrapped: Any, cursor: Any, args: Any, kwargs: Any) -> AsyncIterator[Any]:
        query = _begin_copy(driver, cursor, args, kwargs)
        try:
            async with wrapped(*args, **kwargs) as copy:
                inside_ns = HOT["clock_"]()
                try:
                    yield copy
                finally:
                    if query is not None:
                        query.call.started_ns += HOT["clock_"]() - inside_ns
        except BaseException as error:
            if query is not None:
                _dbapi.fail(driver, query, error, HOT["clock_"]())
            raise
        _end_copy(driver, cursor, query)

    return copied


def _begin_copy(driver: Driver, cursor: Any, args: Any, kwargs: Any) -> Query | None:
    return _guard.call(
        driver.point, _dbapi.begin_on_cursor, driver, cursor, args, kwargs, False, _COPY_FRAMES
    )


def _end_copy(driver: Driver, cursor: Any, query: Query | None) -> None:
    if query is None:
        return
    rows = cursor.rowcount
    query.many, query.parameters = type(rows) is int and rows > 0, None
    _guard.call(driver.point, _dbapi.end, driver, cursor.connection, query, HOT["clock_"](), rows)
