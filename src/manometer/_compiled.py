"""Hands the compiled core, where there is one, what it needs of the parts in Python."""

from __future__ import annotations

import time
from types import BuiltinFunctionType
from typing import Any, Final

from . import _context, _plan  # noqa: F401 - `_plan` completes HOT
from ._context import HOT
from ._hot import on_replaced
from ._model import JOB, PRODUCTION
from ._native import core


def _bind(core: Any) -> None:
    core.bind(HOT["own_"], HOT["new_"], HOT["slow_"], vars(_context), (PRODUCTION, JOB))
    HOT.update(
        tuple_=tuple,
        begin_=core.begin,
        end_=core.end,
        skip_=core.skip,
        resume_=core.resume,
        pause_=core.pause,
        open_=core.open,
        close_=core.close,
    )
    on_replaced(_replaced)


def _replaced() -> None:
    """Tell the core which clock and owner count; it reads the system's where they are the genuine ones."""
    clock, ident = HOT["clock_"], HOT["ident_"]
    # gevent puts a function of its own in the place of `get_ident`.
    genuine = type(ident) is BuiltinFunctionType and ident.__name__ == "get_ident"
    core.replace(clock, clock is time.perf_counter_ns, ident, genuine)  # type: ignore[union-attr]


ready: Final = core is not None
"""Whether wrappers may call the compiled core."""
if core is not None:
    _bind(core)
