"""The rule repeated-call: the same function, with the same arguments, computed again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from .. import _advice
from .._claims import Claims
from .._evidence import speak
from .._repeats import enough, repeats_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..._finding import Finding
    from ..._model import Profile
    from ...protocols import HistoryView

RULE: Final = "repeated-call"
WORTH_NS: Final = 10_000
"""A call below 10 us is not worth keeping: looking its result up costs a tenth of that."""


def repeated_call(profile: Profile, _history: HistoryView, claims: Claims | None = None) -> Iterator[Finding]:
    """Yield a finding for each measured function that computed equal results from equal arguments.

    The outermost such function is named. Silent where most of its time is a finding of its own (the
    same query again, say), where results differ, and where a call costs no more than a lookup.
    """
    claims = claims or Claims(profile)
    blamed_first = sorted(claims.groups(RULE, ("call",)), key=lambda group: not claims.is_blamed(group))
    for group in blamed_first:
        found = repeats_of(group.keys.values())
        if not enough(found, profile.policy) or claims.inside(group):
            continue
        if 0 < found.repeat_ns < found.repeats * WORTH_NS:
            continue
        if group.covered_ns and claims.explained_ns(group) * 2 >= group.covered_ns:
            continue
        cost_ns = min(found.repeat_ns, group.covered_ns)
        is_known = found.equal >= found.repeats and not group.errors
        yield speak(
            claims,
            group,
            RULE,
            confidence="confirmed" if is_known else "likely",
            repeats=found.repeats,
            cost_ns=cost_ns,
            saving_ns=(cost_ns * 4 // 5, cost_ns * 5 // 4),
            advice=_advice.compute_once("." in group.callsite.function.replace("<locals>.", "")),
            evidence={
                "repeats": found.repeats,
                "repeated_arguments": found.keys,
                "equal_results": found.equal,
            },
        )
