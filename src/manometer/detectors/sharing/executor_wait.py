"""The rule executor-wait: time spent waiting for a worker of an executor."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from .._claims import Claims
from .._waits import told

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
    yield from told(claims or Claims(profile), RULE, _SORTS)
