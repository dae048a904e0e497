"""Where the arguments of repeated calls come from: the proof by data flow."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .._model import Callsite
    from ._claims import Group

COVERED: Final = 0.9
"""Share of the distinct arguments that a source must have returned."""
_PAGES: Final = ("page=", "page_token", "pagetoken", "cursor=", "offset=", "continuation")


class Origin(NamedTuple):
    """Where arguments come from.

    Attributes:
        source: The read that returned at least 90 % of them, with several rows.
        facts: Evidence for that.
        single: They come from reads of a single row each.
        chain: Each call needs what the one before returned.
    """

    source: Callsite | None = None
    facts: Mapping[str, int | float | str] = {}
    single: bool = False
    chain: bool = False


class _Read:
    """What one reading callsite supplied to a group."""

    __slots__ = ("calls", "hits", "is_counted", "rows")

    def __init__(self) -> None:
        self.hits = self.rows = self.calls = 0
        self.is_counted = False  # whether its rows are known

    @property
    def is_single(self) -> bool:
        return self.is_counted and self.rows <= 1


def origin_of(group: Group) -> Origin:
    """Say which earlier reads returned the arguments of *group*.

    Only arguments that were kept count, on frames with at least two of them: what does not vary
    proves nothing.
    """
    reads, judged = _reads(group)
    if judged < 2 or judged * 2 < group.distinct:
        return Origin()
    own = reads.pop(group.callsite, None)
    needed = COVERED * judged
    several = [(site, read) for site, read in reads.items() if read.hits >= needed and not read.is_single]
    if several:
        # Of several tables that count from one, the one with as many rows as there were calls is meant.
        site, read = min(
            several, key=lambda item: (-min(item[1].hits, judged), abs(item[1].rows - group.calls))
        )
        facts: dict[str, int | float | str] = {
            "source_calls": read.calls,
            "arguments_judged": judged,
            "arguments_from_source": min(read.hits, judged),
        }
        if read.is_counted:
            facts["source_rows"] = read.rows
        return Origin(site, facts)
    if sum(read.hits for read in reads.values() if read.is_single) >= needed:
        return Origin(single=True)
    if own is not None and own.hits >= max(2, COVERED * (judged - 1)):
        return Origin(chain=True)
    return Origin()


def _reads(group: Group) -> tuple[dict[Callsite, _Read], int]:
    """Return what each reading callsite supplied, and how many arguments could be judged."""
    reads: dict[Callsite, _Read] = {}
    seen = set()
    judged = 0
    for frame in group.frames:
        detail = frame.detail
        if detail is None or len(detail.keys) < 2:
            continue
        judged += len(detail.keys)
        for source, hits in detail.flow.items():
            read = reads.setdefault(source.callsite, _Read())
            read.hits += hits
            if source not in seen:
                seen.add(source)
                read.calls += source.calls
                if source.detail is not None and source.detail.rows_calls:
                    read.is_counted = True
                    read.rows += source.detail.rows_sum
    return reads, judged


def is_paging(group: Group, source: Callsite | None) -> bool:
    """Tell whether the calls walk through the pages of one result.

    An OFFSET alone says nothing (SQLAlchemy writes one for `first()` on SQLite); with several rows
    a call and no known source of the arguments it does.
    """
    if source is not None:
        return False
    template = group.callsite.template.lower()
    if group.callsite.kind == "http":
        return any(word in template for word in _PAGES)
    return "offset" in template and (group.rows_max > 1 or not group.rows_calls)
