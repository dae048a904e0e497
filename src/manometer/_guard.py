"""The error boundary: what fails inside manometer is counted here and goes no further."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Any, Final, TypeVar

from . import _limits

if TYPE_CHECKING:
    from collections.abc import Callable

_log: Final = logging.getLogger("manometer")
_T = TypeVar("_T")

name_of: Final[Callable[[type], str]] = type.__dict__["__name__"].__get__
"""The name of a type, without asking its metaclass, which is the application's: `name_of(type(error))`."""

counts: Final[dict[str, int]] = {}
"""Failures by point since the start of the process."""
_said_ns: Final[dict[str, int]] = {}
_pending: Final[dict[str, str]] = {}
_SAY_EVERY_NS: Final = 60 * 1_000_000_000

DEPTH: Final = ".depth"
"""Ends the name of a point where the application's own recursion ended: no reason to switch anything off."""

strict = False
"""Tests set it: a failure inside manometer is then raised where it happens."""


def failed(point: str, error: Exception) -> None:
    """Count a failure at *point*; the background thread reports it later.

    Args:
        point: Name of the place, a bounded set of literals in our own code.
        error: What was caught. Only its type and message are kept, never the object.

    Raises:
        Exception: The error itself, in strict mode only.

    Called on any thread; takes no lock, does no I/O.
    """
    if strict:
        raise error
    if type(error) is RecursionError:
        point += DEPTH
    counts[point] = counts.get(point, 0) + 1
    if len(_pending) < _limits.MAX_OUTCOMES * 8:
        _pending[point] = type(error).__name__


def call(point: str, function: Callable[..., _T], *args: Any) -> _T | None:
    """Call *function*; what it raises is counted at *point* and answered with None.

    Never encloses application code: `BaseException` passes untouched.
    """
    try:
        return function(*args)
    except Exception as error:
        failed(point, error)
        return None


def shield(point: str, function: Callable[..., Any], otherwise: Callable[..., Any]) -> Callable[..., Any]:
    """Return *function* as the generated wrappers may call it, right beside application code.

    Args:
        point: Where a failure is counted; after `MAX_FAILURES` of them *function* is not called any more.
        function: Ours.
        otherwise: Called with the same arguments in its place where it failed or is switched off.

    Adds 0.1 us, so only to slow paths.
    """
    deep = point + DEPTH

    def shielded(*args: Any) -> Any:
        if counts.get(point, 0) < _limits.MAX_FAILURES:
            try:
                return function(*args)
            except RecursionError:
                # Nothing of ours is called here: a second error would become the context of the host's.
                counts[deep] = counts.get(deep, 0) + 1
            except Exception as error:
                failed(point, error)
        return otherwise(*args)

    return shielded


def is_off(point: str) -> bool:
    """Tell whether *point* failed so often that it is switched off for the process."""
    return counts.get(point, 0) >= _limits.MAX_FAILURES


def total() -> int:
    """Return the number of failures since the start of the process."""
    return sum(counts.values())


def report() -> None:
    """Log the failures that are new, one line a point and minute; background thread only."""
    while _pending:
        try:
            point, kind = _pending.popitem()
        except KeyError:
            return
        now_ns = time.monotonic_ns()
        if now_ns - _said_ns.get(point, -_SAY_EVERY_NS) < _SAY_EVERY_NS:
            continue
        _said_ns[point] = now_ns
        off = " and is now switched off" if is_off(point) else ""
        _log.error(
            "internal error at=%s type=%s count=%d: this part of manometer failed%s; the service is not affected",
            point,
            kind,
            counts.get(point, 0),
            off,
        )


def clear() -> None:
    """Forget every count (after a fork, and between tests)."""
    counts.clear()
    _said_ns.clear()
    _pending.clear()
