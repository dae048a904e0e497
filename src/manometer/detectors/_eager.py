"""Eager loads that are bypassed: rows loaded for many keys at once, and read again for one key after the other."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from .._statement import statement

if TYPE_CHECKING:
    from ._claims import Claims, Group

ORMS: Final = frozenset({"django", "sqlalchemy"})
"""Libraries that load eagerly with a query of their own; with a driver, an IN list is the program's."""
COVERED: Final = 0.5
"""Share of the arguments that the load must have asked for: of a long list only some keys are remembered."""
_NAME: Final = r"([\w.$]+)"
_LIST: Final = re.compile(_NAME + r" IN \(\?\)")
_EQUAL: Final = re.compile(_NAME + r" = \?")
_EQUAL_TURNED: Final = re.compile(r"\? = " + _NAME)


def is_eager_load(group: Group) -> bool:
    """Tell whether these are queries of an ORM that each load the rows of several keys."""
    site = group.callsite
    return site.kind == "db" and site.operation == "read" and site.library in ORMS and group.batched


def bypassed(claims: Claims, group: Group) -> Group | None:
    """Return the eager load that had already asked for what the calls of *group* ask for one by one.

    The same table by the same column, and at least half of the arguments that were judged.
    """
    again: dict[object, int] = {}
    judged = 0
    for frame in group.frames:
        detail = frame.detail
        if detail is None or len(detail.keys) < 2:
            continue
        judged += len(detail.keys)
        for source, count in detail.again.items():
            again[source.callsite] = again.get(source.callsite, 0) + count
    if not again:
        return None
    loads = [load for load in claims.all if load is not group and is_eager_load(load)]
    fitting = [
        load
        for load in loads
        if again.get(load.callsite, 0) >= max(2, COVERED * judged) and _ask_alike(load, group)
    ]
    return max(fitting, key=lambda load: again[load.callsite]) if fitting else None


def _ask_alike(load: Group, group: Group) -> bool:
    loading, reading = load.callsite, group.callsite
    if loading.target != reading.target:
        return False
    if statement(loading.template).table != statement(reading.template).table:
        return False
    wanted = set(_LIST.findall(loading.template))
    given = _EQUAL.findall(reading.template) + _EQUAL_TURNED.findall(reading.template)
    return not wanted.isdisjoint(given)


def repeats_after(load: Group, group: Group) -> bool:
    """Tell whether *group* began before anything was written since *load*: later its rows may be other ones."""
    loaded = max(_epochs(load, "write_epoch_last"), default=0)
    return min(_epochs(group, "write_epoch_first"), default=0) <= loaded


def _epochs(group: Group, name: str) -> list[int]:
    return [getattr(frame.detail, name) for frame in group.frames if frame.detail is not None]
