"""The rule write-loop: one write for each item, where one statement could write them all."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ..._model import IO_KINDS
from .. import _advice
from .._claims import Claims
from .._evidence import batch_saving_ns, speak

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..._finding import Finding
    from ..._model import Profile
    from ...protocols import HistoryView

RULE: Final = "write-loop"


def write_loop(profile: Profile, _history: HistoryView, claims: Claims | None = None) -> Iterator[Finding]:
    """Yield a finding for each write that runs once for each item.

    Not for `executemany` and statements with several rows, and only from twice as many calls as
    make a repetition: a form that saves three objects is no loop.
    """
    claims = claims or Claims(profile)
    for group in claims.groups(RULE, IO_KINDS):
        if group.callsite.operation != "write" or group.batched or group.looped < 2 * profile.policy.repeats:
            continue
        yield speak(
            claims,
            group,
            RULE,
            confidence="likely" if group.known else "possible",
            repeats=group.calls,
            cost_ns=group.covered_ns + group.client_ns(group.calls - 1),
            saving_ns=batch_saving_ns(group),
            advice=_advice.batch_writes(group.callsite),
            evidence={},
        )
