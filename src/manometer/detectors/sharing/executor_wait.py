"""The rule executor-wait: time spent waiting for a worker of an executor."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from .._claims import Claims
from .._waits import is_long, say, waited

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..._finding import Finding
    from ..._model import Profile
    from ...protocols import HistoryView

RULE: Final = "executor-wait"
_SORTS: Final = frozenset({"executor"})


def executor_wait(profile: Profile, _history: HistoryView, claims: Claims | None = None) -> Iterator[Finding]:
    """Yield a finding for each one that this unit of work waited for, with who held it and what that was doing.

    Exact: only waits that were measured count, and one of 10 ms, or of 5 % of the unit from 1 ms on, is
    worth a word, in tests too.
    """
    claims = claims or Claims(profile)
    for each in waited(profile, _SORTS):
        if is_long(claims, each.total_ns):
            yield say(claims, each, RULE)
