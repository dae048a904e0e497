"""The wrappers that count what a driver's plain cursor is asked to fetch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .._context import HOT
from ._dbapi import finish, rows_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ._rows import Rows


def fetchone(wrapped: Callable[..., Any], cursor: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Stand for `fetchone`."""
    rows = rows_of.get(cursor)
    if rows is None:
        return wrapped(*args, **kwargs)
    if not rows.is_timed():
        row = wrapped(*args, **kwargs)
        if row is None:
            rows.finish()
        else:
            rows.count += 1
        return row
    started_ns = HOT["clock_"]()
    row = wrapped(*args, **kwargs)
    rows.one(row, started_ns, HOT["clock_"]())
    finish_single(cursor, rows)
    return row


def finish_single(cursor: Any, rows: Rows) -> None:
    """Add up a row that is known to be the only one: nobody may ask for the end, or close the cursor in time."""
    if rows.count == 1:
        known = cursor.rowcount
        if type(known) is int and known == 1:
            rows.finish()


def fetchmany(wrapped: Callable[..., Any], cursor: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Stand for `fetchmany`."""
    rows = rows_of.get(cursor)
    if rows is None:
        return wrapped(*args, **kwargs)
    started_ns = HOT["clock_"]()
    found = wrapped(*args, **kwargs)
    rows.many(found, started_ns, HOT["clock_"](), last=False)
    return found


def fetchall(wrapped: Callable[..., Any], cursor: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Stand for `fetchall`."""
    rows = rows_of.get(cursor)
    if rows is None:
        return wrapped(*args, **kwargs)
    started_ns = HOT["clock_"]()
    found = wrapped(*args, **kwargs)
    rows.many(found, started_ns, HOT["clock_"](), last=True)
    return found


def step(wrapped: Callable[..., Any], cursor: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Stand for `__next__`."""
    rows = rows_of.get(cursor)
    if rows is None:
        return wrapped(*args, **kwargs)
    return stepped(rows, wrapped)


def stepped(rows: Rows, following: Callable[[], Any]) -> Any:
    """Take one row and count it.

    Raises:
        StopIteration: There is none.
    """
    timed = rows.is_timed()
    started_ns = HOT["clock_"]() if timed else 0
    try:
        row = following()
    except StopIteration:
        rows.finish()
        raise
    if timed:
        rows.one(row, started_ns, HOT["clock_"]())
    else:
        rows.count += 1
    return row


def iterate(wrapped: Callable[..., Any], cursor: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Stand for `__iter__` where it returns something else than the cursor."""
    rows = rows_of.get(cursor)
    found = wrapped(*args, **kwargs)
    return found if rows is None or found is cursor else iterated(rows, found)


def iterated(rows: Rows, inner: Any) -> Iterator[Any]:
    """Pass on what an iterator yields, and count it."""
    try:
        while True:
            try:
                row = stepped(rows, inner.__next__)
            except StopIteration:
                return
            yield row
    finally:
        if hasattr(inner, "close"):
            inner.close()


def close(wrapped: Callable[..., Any], cursor: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Stand for `close`: no more rows will come."""
    finish(cursor)
    return wrapped(*args, **kwargs)
