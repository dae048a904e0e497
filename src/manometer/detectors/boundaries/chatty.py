"""The rule chatty: a unit of work with very many calls that no other finding explains."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ..._model import IO_KINDS
from .._bounds import warn
from .._claims import Claims

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..._finding import Finding
    from ..._model import Profile
    from ...protocols import HistoryView
    from .._claims import Group

RULE: Final = "chatty"
MANY: Final = 100
"""Calls of one request; jobs and tasks may make ten times as many."""
_UNEXPLAINED: Final = 0.5
_NAMED: Final = 3


def chatty(profile: Profile, _history: HistoryView, claims: Claims | None = None) -> Iterator[Finding]:
    """Yield one finding for a unit of work that talks too much, where no rule before says why.

    Runs last: what other findings explain does not count, and nothing is said when they explain half.
    A minute of a process is no unit of work.
    """
    claims = claims or Claims(profile)
    if profile.kind == "process":
        return
    many = MANY * (10 if profile.kind in ("job", "task") else 1)
    left = list(claims.groups(RULE, IO_KINDS))
    calls = sum(_calls(group) for group in left)
    if calls <= many or calls < _UNEXPLAINED * _all_calls(profile):
        return
    left.sort(key=lambda group: (-_calls(group), group.callsite.file, group.callsite.line))
    first = left[0]
    cost_ns = sum(group.covered_ns for group in left)
    yield warn(
        claims,
        first,
        RULE,
        confidence="possible",
        advice="Fetch what belongs together in one call: this unit of work makes too many of them.",
        evidence={
            "calls": calls,
            "places": len(left),
            "most": ", ".join(f"{group.callsite.name} x{_calls(group)}" for group in left[:_NAMED]),
        },
        cost_ns=cost_ns,
        saving_ns=(0, cost_ns),
        move="restructure",
        only_info=cost_ns < profile.policy.saving_ns,
    )


def _calls(group: Group) -> int:
    return group.calls + group.errors


def _all_calls(profile: Profile) -> int:
    return sum(frame.calls for frame in profile.root.walk() if frame.callsite.kind in IO_KINDS)
