"""The rule cache-ineffective: a cache that never answers, or costs more than it saves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from .._caching import facts_about, make_it_hit, tell
from .._claims import Claims
from .._evidence import facts_of, is_material
from .._memo import memo_of
from .._repeats import repeats_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..._cache_facts import CacheFacts
    from ..._finding import Finding
    from ..._model import Profile
    from ...protocols import HistoryView
    from .._claims import Group
    from .._memo import Memo
    from .._repeats import Repeats

RULE: Final = "cache-ineffective"
_GETS: Final = 100
_STRICT_GETS: Final = 8
_RARELY: Final = 0.2
"""Hit ratio below which a cache is looked into."""
_HALF: Final = 0.5
_NEW: Final = 0.8
_SHOWN: Final = 0.1
"""Share of the first call's time that a repeat must take where the source shows two keys already."""
_SURE_GETS: Final = 1_000
_FILLED: Final = 20
_WORTH_NS: Final = 10_000


def cache_ineffective(
    profile: Profile, history: HistoryView, claims: Claims | None = None
) -> Iterator[Finding]:
    """Yield a finding for each cache that is asked and hardly ever answers, where it can be told why.

    Silent while a cache is merely being filled: what was never asked before cannot be answered. A measured
    function that keeps results itself, and takes as long for arguments it knows, is one too.
    """
    claims = claims or Claims(profile)
    for found in history.cache_facts():
        why = _why(found, profile.policy.strict)
        if why:
            yield _say(profile, found, why)
    for group in claims.groups(RULE, ("call",)):
        repeats = repeats_of(group.keys.values())
        memo = _memo(group, repeats, profile.policy.repeats)
        if memo is not None:
            claims.blame(group)
            yield _say_memo(claims, group, repeats, memo)


def _why(found: CacheFacts, strict: bool) -> str:
    """Return why a cache is of no use; empty when it is of use, or when it cannot be told."""
    counts = found.counts
    gets = counts.gets
    if gets < (_STRICT_GETS if strict else _GETS):
        return ""
    if counts.hits >= _RARELY * gets:
        return "costs more than it saves" if _costs_more(found) else ""
    if found.callsite.library == "functools":
        thrown_out = counts.again >= max(_GETS, 2 * found.maxsize)
        return "evicted" if found.maxsize and thrown_out else "new keys" if _always_new(found) else ""
    if counts.filled < _HALF * counts.misses:
        return ""  # nobody computes what is missed: no cache, or nothing to keep
    if counts.other_key >= _HALF * counts.filled:
        return "other key"
    if counts.again >= _HALF * counts.misses:
        if counts.nothing and counts.nothing >= _HALF * counts.sets:
            return "reads back as a miss"
        return "expired" if counts.expired >= _HALF * counts.again else "evicted"
    if counts.known_value >= _HALF * counts.filled:
        return "key differs"
    return "new keys" if _always_new(found) else ""


def _costs_more(found: CacheFacts) -> bool:
    counts = found.counts
    if counts.gets < _SURE_GETS or counts.filled < _FILLED:
        return False
    return counts.hits * counts.compute_ns // counts.filled < counts.get_ns


def _always_new(found: CacheFacts) -> bool:
    counts = found.counts
    return found.lasted and counts.gets >= _SURE_GETS and not counts.hits


def _say(profile: Profile, found: CacheFacts, why: str) -> Finding:
    counts = found.counts
    cost_ns = counts.get_ns + (0 if why == "costs more than it saves" else counts.compute_ns)
    loud = is_material(profile.policy, cost_ns, 0, 0.0) or counts.gets >= _SURE_GETS
    evidence = facts_about(found)
    if why == "evicted" and counts.again:
        evidence["thrown_out"] = round(counts.again)
    if why == "expired" and counts.again:
        evidence["asked_again_after_ns"] = int(counts.again_ns / counts.again)
    return tell(
        profile,
        found.callsite,
        RULE,
        confidence="likely" if why in ("new keys", "evicted") else "confirmed",
        severity="warning" if loud else "info",
        advice=make_it_hit(found, why),
        evidence={**evidence, "why": why},
        cost_ns=cost_ns,
        saving_ns=(cost_ns // 2, cost_ns),
    )


def _memo(group: Group, repeats: Repeats, least: int) -> Memo | None:
    """Return the cache that a function keeps and that does not answer; None where it does, or where there is none.

    What it calls, where that is recorded, says so by its count: as often as the function itself. Else the time says it.
    """
    if (
        repeats.repeats < least
        or repeats.equal < repeats.repeats
        or repeats.repeat_ns < repeats.repeats * _WORTH_NS
    ):
        return None
    memo = memo_of(group.callsite)
    if memo is None:
        return None
    total_ns = sum(use.total_ns for uses in group.keys.values() for use in uses)
    calls = sum(use.calls for uses in group.keys.values() for use in uses)
    first_ns = (total_ns - repeats.repeat_ns) / max(1, calls - repeats.repeats)
    again_ns = repeats.repeat_ns / repeats.repeats
    below = sum(max((child.calls for child in frame.own_children()), default=0) for frame in group.frames)
    computed = below >= _NEW * group.calls
    return memo if computed or again_ns >= first_ns * (_SHOWN if memo.differs else _HALF) else None


def _say_memo(claims: Claims, group: Group, repeats: Repeats, memo: Memo) -> Finding:
    profile = claims.profile
    saving_ns = min(repeats.repeat_ns, group.covered_ns)
    share = claims.share(saving_ns)
    expected = group.reason(RULE)
    loud = is_material(profile.policy, saving_ns, repeats.repeats, share) and not expected
    where = f"Line {memo.read_line} asks {memo.name} for another key than line {memo.store_line} stores under: use one key."
    return tell(
        profile,
        group.callsite,
        RULE,
        confidence="confirmed" if memo.differs else "likely",
        severity="warning" if loud else "info",
        advice=where
        if memo.differs
        else f"Look at the key of {memo.name} at line {memo.store_line}: the same arguments make another one each time, or something empties it.",
        evidence={
            **facts_of(group),
            "cache": memo.name,
            "gets": group.calls,
            "hits": 0,
            "repeats": repeats.repeats,
            "equal_results": repeats.equal,
            "why": "other key" if memo.differs else "key differs",
        },
        cost_ns=saving_ns,
        saving_ns=(saving_ns, saving_ns),
    )
