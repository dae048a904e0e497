"""The globals of every generated wrapper, and what in them may be replaced: the clock, and who an owner is."""

from __future__ import annotations

import time
from threading import get_ident
from typing import TYPE_CHECKING, Any, Final, Literal

if TYPE_CHECKING:
    from collections.abc import Callable

HOT: Final[dict[str, Any]] = {
    "__name__": "manometer._wrapper",
    "__tracebackhide__": True,
    "ident_": get_ident,
    "clock_": time.perf_counter_ns,
    "idle_": True,
    "blind_": False,
    "plain_": False,
    "level_": 0,
    "limit_": 100_000_000,
}
"""Globals of every generated wrapper; `_context`, `_plan` and `_compiled` add theirs.

A wrapper reads them as globals (5 ns each, the same as closure cells), so one assignment switches
all wrappers of the process at once. Clock and owner are assigned through `replace`. `idle_`: no unit
of work is opened. `blind_`: nothing inside one is recorded. `plain_`: nothing is fingerprinted. All
three follow from the level of detail and belong to `_level`.
"""

_listeners: Final[list[Callable[[], None]]] = []


def on_replaced(listener: Callable[[], None]) -> None:
    """Have *listener* called now and after each `replace`: the compiled core keeps a copy."""
    _listeners.append(listener)
    listener()


def replace(name: Literal["clock_", "ident_"], function: Callable[[], Any]) -> None:
    """Put another clock, or another way to tell owners apart, in the place of the current one."""
    HOT[name] = function
    for listener in _listeners:
        listener()


def now_ns() -> int:
    """Return the monotonic clock in nanoseconds (scripted in tests)."""
    return HOT["clock_"]()  # type: ignore[no-any-return]


def use_greenlets() -> None:
    """Make the greenlet part of a branch's owner, once greenlets are in the process.

    Under greenlets synchronous code *can* be switched half way. A greenlet is unique to its
    thread, so it alone identifies the owner. Branches opened before simply fork once.
    """
    if HOT["ident_"] is get_ident:
        from sys import modules

        greenlet = modules.get("greenlet")
        if greenlet is not None:
            replace("ident_", greenlet.getcurrent)
