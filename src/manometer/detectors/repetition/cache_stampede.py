"""The rule cache-stampede: one value computed by several at once, because none of them had stored it yet."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from .._caching import compute_alone, facts_about, tell

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..._finding import Finding
    from ..._model import Callsite, Frame, Profile
    from ...protocols import HistoryView
    from .._claims import Claims

RULE: Final = "cache-stampede"
_MANY: Final = 3
"""Computations at once from which it is one whatever they cost."""


def cache_stampede(
    profile: Profile, history: HistoryView, _claims: Claims | None = None
) -> Iterator[Finding]:
    """Yield a finding for each cache for one key of which several had begun to compute before one stored a value.

    Exact, and only of this process. Silent where those who missed asked again and were answered: a lock
    let one of them compute.
    """
    policy = profile.policy
    for found in history.cache_facts():
        stampedes = found.stampedes
        if not stampedes:
            continue
        at_once = max(each.at_once for each in stampedes)
        wasted_ns = sum(each.wasted_ns for each in stampedes)
        if not policy.strict and at_once < _MANY and wasted_ns < policy.saving_ns:
            continue
        loud = policy.strict or (at_once >= _MANY and wasted_ns >= policy.saving_ns)
        yield tell(
            profile,
            found.callsite,
            RULE,
            confidence="confirmed",
            severity="warning" if loud else "info",
            advice=compute_alone(found.callsite),
            evidence={
                **facts_about(found),
                "stampedes": len(stampedes),
                "at_once": at_once,
                "wasted_ns": wasted_ns,
            },
            cost_ns=wasted_ns,
            saving_ns=(wasted_ns, wasted_ns),
        )


def _computed_by(profile: Profile, asked: Callsite) -> str:
    """Return the measured function that took most of the time beside the read; empty where none is recorded."""
    beside: list[Frame] = []
    for frame in profile.root.walk():
        if asked in frame.children:
            beside += [child for child in frame.own_children() if child.callsite.kind == "call"]
    return max(beside, key=lambda frame: frame.covered_ns).callsite.name if beside else ""
