"""The rule cache-stale: answers that are out of date more often than was promised."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from .._caching import facts_about, keep_fresh, tell

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..._finding import Finding
    from ..._model import Profile
    from ...protocols import HistoryView
    from .._claims import Claims

RULE: Final = "cache-stale"
_REFRESHES: Final = 30
_CHANGED: Final = 5
_ERROR: Final = 1.4
"""The estimate is at most so many times the truth."""
_SPEAKS_FROM: Final = 0.1
"""Share of stale answers worth a word where nobody said how stale they may be."""


def cache_stale(profile: Profile, history: HistoryView, _claims: Claims | None = None) -> Iterator[Finding]:
    """Yield a finding for each cache whose answers are out of date more often than `stale_ok` says, or than one in ten.

    Compared are values stored again with what had been stored before, at the age they had then; nothing is
    computed for it. Needs 30 such refreshes, and five of them changed.
    """
    for found in history.cache_facts():
        if found.stale_share < 0 or found.refreshes < _REFRESHES or found.changed < _CHANGED:
            continue
        promised = found.stale_ok >= 0
        if found.stale_share <= (found.stale_ok if promised else _SPEAKS_FROM):
            continue
        sure = promised and found.stale_share / _ERROR > found.stale_ok
        loud = profile.policy.strict or promised
        evidence = {
            **facts_about(found),
            "stale_share": round(found.stale_share, 3),
            "refreshes": found.refreshes,
            "changed": found.changed,
            "age_p95_ns": found.oldest_ns,
        }
        if promised:
            evidence["stale_ok"] = found.stale_ok
            evidence["promise"] = "broken"
        yield tell(
            profile,
            found.callsite,
            RULE,
            confidence="confirmed" if sure else "likely" if promised else "possible",
            severity="warning" if loud else "info",
            advice=keep_fresh(found.callsite),
            evidence=evidence,
            move="bound",
        )
