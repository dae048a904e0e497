"""The level of detail: what is switched off for what it costs, and whether anything is on at all."""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final, Literal

from . import _context, _rolling
from ._context import HOT
from ._native import core

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ._model import Profile

FULL: Final = 0
PLAIN: Final = 1
"""No fingerprints of arguments, parameters and rows."""
SAMPLED: Final = 2
"""Functions called very often are timed on some of their calls; all are counted."""
UNITS: Final = 3
"""Nothing inside a unit of work is recorded; how long it took and how it ended is."""
OFF: Final = 4
NAMES: Final = ("full", "plain", "sampled", "units", "off")

_nobody: Final[ContextVar[Literal[False]]] = ContextVar("manometer_nobody", default=False)
"""Never set: what wrappers read in the place of the current branch while they record nothing."""
_allowed = False


def allow(on: bool) -> None:
    """Let units of work be opened, or no more: what the user decides, whatever the level. Any thread."""
    global _allowed
    _allowed = on
    _apply()


def set_level(level: int, fingerprints: bool = False) -> None:
    """Put the level of detail, from `FULL` to `OFF`; units in flight are marked with the highest they meet.

    Args:
        level: The level.
        fingerprints: They stay even above `FULL`.

    Calls that are open end as they began. Any thread; never blocks.
    """
    plain = level > FULL and not fingerprints
    if (level, plain) == (HOT["level_"], HOT["plain_"]):
        return
    HOT["level_"], HOT["plain_"] = level, plain
    _apply()
    for profile in _in_flight():
        profile.level, profile.plain = max(profile.level, level), profile.plain or plain


def current_level() -> int:
    """Return the level of detail."""
    level: int = HOT["level_"]
    return level


def _apply() -> None:
    level = HOT["level_"]
    blind = level >= UNITS
    HOT["idle_"] = not _allowed or level >= OFF
    HOT["blind_"] = blind
    # One assignment silences every wrapper of the process, at no cost to any while they are not silent.
    HOT["get_"] = _nobody.get if blind else HOT["own_"]
    compiled: Any = core
    if compiled is not None:
        compiled.blind(blind)


def _in_flight() -> Iterator[Profile]:
    yield from list(_context.live.values())
    yield from _rolling.in_flight()
