"""The rule serial-independents: calls one after the other that need nothing of one another."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ..._model import IO_KINDS
from .._bounds import boundaries_in, warn
from .._claims import Claims

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..._finding import Finding
    from ..._model import Frame, Profile
    from ...protocols import HistoryView
    from .._claims import Group

RULE: Final = "serial-independents"
LEAST: Final = 3
"""Calls in a row from which it is worth to let them run at once."""
FLOOR_NS: Final = 100_000_000
_SHARE: Final = 0.1
_GAP: Final = 0.5
"""Share of its time that a chain may spend on work of its own between the calls."""
_NAMED: Final = 6


def serial_independents(
    profile: Profile, _history: HistoryView, claims: Claims | None = None
) -> Iterator[Finding]:
    """Yield a finding for the longest row of different reads that could have run at once.

    Only where each call was made once, with arguments that no earlier call of the row returned, and
    no write lies between. Calls to one database share a connection and are left out. The floor of
    100 ms and a tenth of the unit holds in tests too: below it there is nothing to say.
    """
    claims = claims or Claims(profile)
    if profile.kind == "process":
        return
    by_parent: dict[Frame | None, list[Group]] = {}
    for group in claims.groups(RULE, IO_KINDS - {"db"}):
        frame = group.frames[0]
        if (
            len(group.frames) == 1
            and frame.calls == 1
            and not group.errors
            and group.callsite.operation == "read"
        ):
            by_parent.setdefault(frame.parent, []).append(group)
    for groups in by_parent.values():
        row = _longest_row(profile, sorted(groups, key=_start))
        total_ns = sum(group.covered_ns for group in row)
        saving_ns = total_ns - max((group.covered_ns for group in row), default=0)
        if len(row) >= LEAST and saving_ns >= max(FLOOR_NS, _SHARE * profile.duration_ns):
            yield _say(claims, row, total_ns, saving_ns)


def _say(claims: Claims, row: list[Group], total_ns: int, saving_ns: int) -> Finding:
    first = max(row, key=lambda group: group.covered_ns)
    awaited = all(boundary.awaited for group in row for _, boundary in boundaries_in(group))
    known = all(_is_known(claims.profile, group) for group in row)
    return warn(
        claims,
        first,
        RULE,
        confidence="likely" if awaited and known else "possible",
        advice="Let them run at once: asyncio.gather or a TaskGroup."
        if awaited
        else "Let them run at once, in a pool of threads, if none needs another's result.",
        evidence={
            "calls": len(row),
            "row": ", ".join(group.callsite.name for group in row[:_NAMED]),
            "total_ns": total_ns,
        },
        cost_ns=saving_ns,
        saving_ns=(saving_ns // 2, saving_ns),
        move="restructure",
        only_info=not (awaited and known),
    )


def _longest_row(profile: Profile, groups: list[Group]) -> list[Group]:
    """Return the longest run of groups in time in which none overlaps, feeds or changes another."""
    best: list[Group] = []
    row: list[Group] = []
    for group in groups:
        if row and not _may_follow(profile, row, group):
            best, row = max(best, row, key=len), []
        row.append(group)
    return max(best, row, key=len)


def _may_follow(profile: Profile, row: list[Group], group: Group) -> bool:
    last = row[-1]
    gap_ns = _start(group) - _end(last)
    if gap_ns < 0 or gap_ns > _GAP * (last.covered_ns + group.covered_ns):
        return False
    if group.callsite in {other.callsite for other in row}:
        return False
    if _epoch(group) != _epoch(last):
        return False  # a write lies between
    return not any(_feeds(profile, earlier, group) for earlier in row)


def _feeds(profile: Profile, earlier: Group, later: Group) -> bool:
    """Tell whether a value that *earlier* returned is an argument of *later*."""
    read = profile.returned.get(earlier.frames[0])
    detail = later.frames[0].detail
    values = detail.first_values if detail is not None else None
    return read is not None and bool(values) and not read.values.isdisjoint(values or ())


def _is_known(profile: Profile, group: Group) -> bool:
    """Tell whether what a call returned was seen: else nobody knows whom it fed."""
    return group.frames[0] in profile.returned


def _start(group: Group) -> int:
    detail = group.frames[0].detail
    return detail.first_started_ns if detail is not None else 0


def _end(group: Group) -> int:
    detail = group.frames[0].detail
    return detail.last_ended_ns if detail is not None else 0


def _epoch(group: Group) -> int:
    detail = group.frames[0].detail
    return detail.write_epoch_last if detail is not None else 0
