"""The wrappers for a driver's generators that execute a statement and yield its rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, final

from .. import _guard
from .._context import HOT
from ._dbapi import Driver, begin_on_cursor, end, fail
from ._rows import Rows

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from ._patch import Wrapper
    from ._query import Query

_OWN_FRAMES: Final = 3
"""`begin_on_cursor` up to the generator that stands in the driver's place; the next one asks for a row."""


@final
class _Streamed:
    """A statement whose call ends with its first row."""

    def __init__(self, driver: Driver, cursor: Any, query: Query) -> None:
        self._driver = driver
        self._connection = cursor.connection
        self._query = query
        self._rows: Rows | None = None

    def got(self, row: Any, started_ns: int) -> None:
        """Count a row, None for the end. Never raises."""
        _guard.call(self._driver.point, self._got, row, started_ns, HOT["clock_"]())

    def _got(self, row: Any, started_ns: int, ended_ns: int) -> None:
        rows = self._rows
        if rows is None:
            end(self._driver, self._connection, self._query, ended_ns)
            rows = self._rows = Rows(self._query.call)
            started_ns = ended_ns  # its time is the call's
        if rows.is_timed():
            rows.one(row, started_ns, ended_ns)
        elif row is not None:
            rows.count += 1

    def failed(self, error: BaseException) -> None:
        """Count an error before the first row. Never raises."""
        if self._rows is None:
            fail(self._driver, self._query, error, HOT["clock_"]())

    def finish(self) -> None:
        """Add up what was yielded."""
        if self._rows is not None:
            self._rows.finish()


def stream(driver: Driver) -> Wrapper:
    """Return the wrapper for `stream` of a plain cursor."""

    def streamed(cursor: Any, inner: Any, args: Any, kwargs: Any) -> Iterator[Any]:
        query = _guard.call(driver.point, begin_on_cursor, driver, cursor, args, kwargs, False, _OWN_FRAMES)
        if query is None:
            yield from inner
            return
        this = _Streamed(driver, cursor, query)
        try:
            while True:
                started_ns = HOT["clock_"]()
                try:
                    row = next(inner)
                except StopIteration:
                    this.got(None, started_ns)
                    return
                except BaseException as error:
                    this.failed(error)
                    raise
                this.got(row, started_ns)
                yield row
        finally:
            this.finish()
            inner.close()

    def tap(wrapped: Callable[..., Any], cursor: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        return streamed(cursor, wrapped(*args, **kwargs), args, kwargs)

    return tap


def stream_async(driver: Driver) -> Wrapper:
    """Return the wrapper for `stream` of an asynchronous cursor."""

    async def streamed(cursor: Any, inner: Any, args: Any, kwargs: Any) -> AsyncIterator[Any]:
        query = _guard.call(driver.point, begin_on_cursor, driver, cursor, args, kwargs, False, _OWN_FRAMES)
        this = None if query is None else _Streamed(driver, cursor, query)
        try:
            while True:
                started_ns = HOT["clock_"]()
                try:
                    row = await inner.__anext__()
                except StopAsyncIteration:
                    if this is not None:
                        this.got(None, started_ns)
                    return
                except BaseException as error:
                    if this is not None:
                        this.failed(error)
                    raise
                if this is not None:
                    this.got(row, started_ns)
                yield row
        finally:
            if this is not None:
                this.finish()
            await inner.aclose()

    def tap(wrapped: Callable[..., Any], cursor: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        return streamed(cursor, wrapped(*args, **kwargs), args, kwargs)

    return tap
