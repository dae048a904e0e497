"""Whether the rows of a query are the product of what it joins: each child of one sort with each of another."""

from __future__ import annotations

import re
from itertools import combinations, permutations
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from .._limits import MAX_JOINED_READS, MAX_JOINED_ROWS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from .._calls import Call

_Row = tuple[Any, ...]
_COLUMNS: Final = 24
_FREE: Final = 10
"""Columns, of those that vary beside the first one, of which any two are compared."""
_SHORT: Final = 64
_LEAST: Final = 12
_TIMES: Final = 1.5
"""Rows for each one needed, from which a product is worth a word."""
_JOIN: Final = re.compile(r"\bJOIN\b", re.IGNORECASE)
_known: Final[dict[int, tuple[Any, bool]]] = {}
_MOST: Final = 4_000


def joins(call: Call) -> bool:
    """Tell whether the rows of *call* are worth a comparison: a read of three tables and more, not seen too often yet.

    Application threads; 0.2 us.
    """
    callsite = call.callsite
    known = _known.get(id(callsite))
    if known is None:
        if len(_known) >= _MOST:
            _known.clear()
        several = callsite.operation == "read" and _tables(callsite.template) > 2
        known = _known[id(callsite)] = (callsite, several)
    if not known[1]:
        return False
    seen = call.branch.profile.multiplied.get(callsite)
    return seen is None or seen[0] < MAX_JOINED_READS


def _tables(shape: str) -> int:
    """Return about how many tables a statement reads together."""
    found = len(_JOIN.findall(shape)) + 1
    _, _, rest = shape.partition(" FROM ")
    listed = re.split(r"\b(?:WHERE|JOIN|LEFT|INNER|ORDER|GROUP|LIMIT)\b", rest, maxsplit=1)[0]
    return found + listed.count(",")


def add_joined(kept: list[_Row], rows: Iterable[Any]) -> None:
    """Keep what can be compared of some rows: hashes of numbers, short texts and UUIDs, as long as there is room.

    Application threads; 0.1 us a value.
    """
    for row in rows:
        if len(kept) > MAX_JOINED_ROWS:
            return
        if type(row) is tuple or type(row) is list:
            kept.append(tuple([_mark(value) for value in row[:_COLUMNS]]))


def _mark(value: Any) -> int | None:
    kind = type(value)
    if kind is int or kind is UUID or (kind is str and len(value) <= _SHORT):
        return hash(value)
    return None


def judge_joined(call: Call, rows: list[_Row]) -> None:
    """Note in the profile whether these rows are a product; 1 us a row and pair of columns, at most 20 ms."""
    profile = call.branch.profile
    if profile.sealed or len(rows) < _LEAST:
        return
    needed = needed_of(rows, whole=len(rows) <= MAX_JOINED_ROWS)
    seen, count, before = profile.multiplied.get(call.callsite, (0, 0, 0))
    if needed and len(rows) >= _TIMES * needed:
        count, before = count + len(rows), before + needed
    profile.multiplied[call.callsite] = (seen + 1, count, before)


def needed_of(rows: Sequence[_Row], *, whole: bool = True) -> int:
    """Return how many rows the same children would take, each sort for itself; 0 where the rows are no product.

    Args:
        rows: Hashed values; None where a value cannot be compared.
        whole: They are all rows there are; else the last parent may have more.

    They are a product where, for each parent (equal in the first column), every value of one column
    comes with every value of another one, and no column has a value of its own for each row.
    """
    width = len(rows[0])
    if any(len(row) != width for row in rows):
        return 0
    groups = _groups(rows, whole=whole)
    if not groups:
        return _needed_of_part(rows, width)
    free = [at for at in range(1, width) if any(len({row[at] for row in group}) > 1 for group in groups)]
    for one, other in combinations(_different(groups, free)[:_FREE], 2):
        needed = _product(groups, one, other, width)
        if needed:
            return needed
    return 0


def _needed_of_part(rows: Sequence[_Row], width: int) -> int:
    """The same for one parent that has more rows than are kept: without the last, unfinished value of a column."""
    varying = [at for at in range(1, width) if len({row[at] for row in rows}) > 1]
    for one, other in permutations(_different([list(rows)], varying)[:_FREE], 2):
        part = [row for row in rows if row[one] != rows[-1][one]]
        needed = _product([part], one, other, width) if len(part) >= _LEAST else 0
        if needed:
            return needed + len(rows) - len(part)
    return 0


def _groups(rows: Sequence[_Row], *, whole: bool) -> list[list[_Row]]:
    groups: dict[Any, list[_Row]] = {}
    for row in rows:
        groups.setdefault(row[0], []).append(row)
    if not whole:
        groups.pop(rows[-1][0], None)
    return list(groups.values())


def _different(groups: list[list[_Row]], columns: list[int]) -> list[int]:
    """Leave out columns that say no more than an earlier one: the name of what has an id as well."""
    found: dict[tuple[tuple[int, ...], ...], int] = {}
    for at in columns:
        pattern = tuple(tuple(_pattern(group, at)) for group in groups)
        found.setdefault(pattern, at)
    return list(found.values())


def _pattern(group: list[_Row], at: int) -> Iterator[int]:
    order: dict[Any, int] = {}
    for row in group:
        yield order.setdefault(row[at], len(order))


def _product(groups: list[list[_Row]], one: int, other: int, width: int) -> int:
    needed = multiplied = total = 0
    for group in groups:
        ones, others = {row[one] for row in group}, {row[other] for row in group}
        if len(ones) * len(others) != len(group) or len({(row[one], row[other]) for row in group}) != len(
            group
        ):
            return 0
        total += len(group)
        if len(ones) > 1 and len(others) > 1:
            if any(len({row[at] for row in group}) == len(group) for at in range(width)):
                return 0  # each row is somebody of its own
            multiplied += len(group)
            needed += len(ones) + len(others)
        else:
            needed += len(group)
    return needed if 2 * multiplied >= total > 0 else 0
