"""The wrapper around a driver's cursors that the taps on drivers share, for cursors that are awaited."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from .. import _guard
from .._context import HOT
from ._dbapi import Driver, begin_on_cursor, end_on_cursor, fail, rows_of
from ._fetch import finish_single
from ._query import branch, carry, spot

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from ._patch import Wrapper
    from ._query import Spot
    from ._rows import Rows

_OWN_FRAMES: Final = 3
"""`begin_on_cursor` up to the coroutine that stands in the driver's place; the next one awaits it."""
_CALLED_FRAMES: Final = 5
"""`spot` up to the function that was called in the driver's place."""


def asked_here(driver: Driver) -> Spot | None:
    """Remember who makes a coroutine that may run on another stack (`asyncio.gather`)."""
    return None if branch() is None else _guard.call(driver.point, spot, _CALLED_FRAMES)


def named(made: Any, wrapped: Callable[..., Any]) -> Any:
    """Give a coroutine the name of the one it stands for: Python prints it when nobody awaits it."""
    made.__name__ = wrapped.__name__
    made.__qualname__ = wrapped.__qualname__
    return made


def carrying(driver: Driver) -> Wrapper:
    """Return the wrapper for a driver's coroutine function that awaits others of it, in its own words."""

    def tap(wrapped: Callable[..., Any], _: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        asked = asked_here(driver)
        inner = wrapped(*args, **kwargs)
        return inner if asked is None else named(carry(asked, inner), wrapped)

    return tap


def execute(driver: Driver, many: bool = False) -> Wrapper:
    """Return the wrapper for `execute`, or `executemany`, of an asynchronous cursor."""

    def tap(wrapped: Callable[..., Any], cursor: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        asked = asked_here(driver)
        return named(_run(driver, wrapped, cursor, args, kwargs, many, asked), wrapped)

    return tap


async def _run(
    driver: Driver,
    wrapped: Callable[..., Any],
    cursor: Any,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    many: bool,
    asked: Spot | None,
) -> Any:
    query = _guard.call(driver.point, begin_on_cursor, driver, cursor, args, kwargs, many, _OWN_FRAMES, asked)
    if query is None:
        return await wrapped(*args, **kwargs)
    try:
        found = await wrapped(*args, **kwargs)
    except BaseException as error:
        fail(driver, query, error, HOT["clock_"]())
        raise
    _guard.call(driver.point, end_on_cursor, driver, cursor, query, HOT["clock_"]())
    return found


def fetch(last: bool | None) -> Wrapper:
    """Return the wrapper for a coroutine that fetches.

    Args:
        last: Whether it fetches all there is; None when it fetches one row.
    """

    def tap(wrapped: Callable[..., Any], cursor: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        rows = rows_of.get(cursor)
        found = wrapped(*args, **kwargs)
        return found if rows is None else named(_fetched(cursor, rows, found, last), wrapped)

    return tap


async def _fetched(cursor: Any, rows: Rows, found: Any, last: bool | None) -> Any:
    started_ns = HOT["clock_"]()
    found = await found
    if last is None:
        _count(rows, found, started_ns)
        finish_single(cursor, rows)
    else:
        rows.many(found, started_ns, HOT["clock_"](), last)
    return found


def _count(rows: Rows, row: Any, started_ns: int) -> None:
    if rows.is_timed():
        rows.one(row, started_ns, HOT["clock_"]())
    elif row is None:
        rows.finish()
    else:
        rows.count += 1


def step(wrapped: Callable[..., Any], cursor: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Stand for `__anext__`."""
    rows = rows_of.get(cursor)
    found = wrapped(*args, **kwargs)
    return found if rows is None else named(_stepped(rows, found), wrapped)


async def _stepped(rows: Rows, following: Any) -> Any:
    started_ns = HOT["clock_"]()
    try:
        row = await following
    except StopAsyncIteration:
        rows.finish()
        raise
    _count(rows, row, started_ns)
    return row


def iterate(wrapped: Callable[..., Any], cursor: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Stand for `__aiter__` where it is an asynchronous generator function."""
    rows = rows_of.get(cursor)
    found = wrapped(*args, **kwargs)
    return found if rows is None or found is cursor else _iterated(rows, found)


async def _iterated(rows: Rows, inner: Any) -> AsyncIterator[Any]:
    try:
        while True:
            try:
                row = await _stepped(rows, inner.__anext__())
            except StopAsyncIteration:
                return
            yield row
    finally:
        await inner.aclose()
