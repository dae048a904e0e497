"""The rule cache-would-pay: a function that is asked the same from one unit of work to the next, and answers the same."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ..._model import IO_KINDS
from .._caching import remember, tell
from .._evidence import is_material

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..._finding import Finding
    from ..._model import Callsite, Profile
    from ...protocols import HistoryView
    from .._claims import Claims

RULE: Final = "cache-would-pay"
_CALLS: Final = 500
_REUSED: Final = 50
_EQUAL: Final = 16
_RATIO: Final = 0.3
_LOOKUP_NS: Final = 1_000


def cache_would_pay(
    profile: Profile, history: HistoryView, _claims: Claims | None = None
) -> Iterator[Finding]:
    """Yield a finding for each measured function of 200 us and more that a cache would answer for often enough.

    Estimated from a sample of its arguments, each counted once a unit of work: what repeats within one is
    the affair of repeated-call. Silent after one result that differed for equal arguments, where a call
    writes or returns nothing, and below 500 calls.
    """
    for found in history.memoizable():
        if found.calls < _CALLS or found.reused < _REUSED or found.equal < _EQUAL or found.ratio < _RATIO:
            continue
        saving_ns = int(found.ratio * max(0, found.mean_ns - _LOOKUP_NS) * found.per_unit)
        material = is_material(profile.policy, saving_ns, 0, 0.0)
        yield tell(
            profile,
            found.callsite,
            RULE,
            confidence="likely",
            severity="warning" if material else "info",
            advice=remember(found.size, _has_io(profile, found.callsite)),
            evidence={
                "calls": found.calls,
                "reused": found.reused,
                "distinct": found.distinct,
                "equal_results": found.equal,
                "size": found.size,
                "hit_ratio": round(found.ratio, 3),
                "mean_ns": found.mean_ns,
                "total_ns": int(found.mean_ns * found.per_unit),
            },
            cost_ns=int(found.mean_ns * found.per_unit),
            saving_ns=(saving_ns // 2, saving_ns),
            move="remove",
        )


def _has_io(profile: Profile, callsite: Callsite) -> bool:
    return any(
        below.callsite.kind in IO_KINDS
        for frame in profile.root.walk()
        if frame.callsite is callsite
        for below in frame.walk()
    )
