"""The rule n-plus-one: one call for each row of an earlier result, where one call could serve them all."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ..._model import IO_KINDS
from .. import _advice
from .._claims import Claims
from .._eager import bypassed
from .._evidence import batch_saving_ns, speak
from .._flow import Origin, is_paging, origin_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..._finding import Confidence, Finding
    from ..._model import Callsite, Profile
    from ...protocols import HistoryView
    from .._claims import Group

RULE: Final = "n-plus-one"
BOUNDED_AFTER: Final = 20
"""Profiles over which a constant number of calls, while the rows vary, is a bounded loop."""
_SLOPE: Final = 0.2
_UNEXPLAINED: Final = 0.1
_FEW: Final = 2
_ROWS_SEEN: Final = 3
"""Distinct numbers of rows from which a few calls a page are told from chance."""


def n_plus_one(profile: Profile, history: HistoryView, claims: Claims | None = None) -> Iterator[Finding]:
    """Yield a finding for each statement, request or lookup that is repeated with other arguments.

    Not for calls that carry several values each (`chunk-too-small`), that lock, write or control,
    that follow one another (the next page, the parent of the parent), or whose arguments all come
    from single rows, so that the text of the program bounds them.
    """
    claims = claims or Claims(profile)
    for group in claims.groups(RULE, IO_KINDS):
        if group.callsite.operation in ("", "read") and not group.batched:
            yield from _look(claims, group, history)


def _look(claims: Claims, group: Group, history: HistoryView) -> Iterator[Finding]:
    profile = claims.profile
    fit = _fit(profile, history, group.callsite)
    follows = fit is not None and fit[1] >= _SLOPE and fit[3] <= _UNEXPLAINED
    # A page of four rows is no repetition by itself; that the calls follow the rows from page to page is.
    by_count = group.looped >= _FEW and follows
    if group.looped < profile.policy.repeats and not (
        by_count and _rows_seen(profile, history, group.callsite) >= _ROWS_SEEN
    ):
        return
    if not group.known:
        claims.skip(RULE, "the arguments of some calls could not be read")
        origin = Origin()
    elif group.distinct < max(2, group.keyed / 2):
        return
    else:
        origin = origin_of(group)
        if origin.single or origin.chain or is_paging(group, origin.source):
            return
    bounded = fit is not None and fit[2] >= BOUNDED_AFTER and fit[1] == 0.0 and fit[3] == 0.0
    confidence: Confidence = "likely" if group.known else "possible"
    if bounded:
        confidence = "possible"
    elif origin.source is not None or follows:
        confidence = "confirmed"
    yield speak(
        claims,
        group,
        RULE,
        confidence=confidence,
        repeats=group.calls,
        cost_ns=group.covered_ns + group.client_ns(group.calls - 1),
        saving_ns=batch_saving_ns(group),
        advice=_advise(claims, group, origin),
        evidence=_facts(group, origin, fit if bounded or follows else None, bounded),
        source=origin.source,
        only_info=bounded,
    )


def _facts(
    group: Group, origin: Origin, fit: tuple[float, float, int, float] | None, bounded: bool
) -> dict[str, int | float | str]:
    evidence: dict[str, int | float | str] = dict(origin.facts)
    if group.client_ns(1):
        evidence["client_ns"] = group.client_ns(1)
    if fit is not None:
        evidence |= {"profiles_compared": fit[2], "calls_per_source_row": round(fit[1], 2)}
    if bounded:
        evidence["bounded"] = "the number of calls stays the same while the rows vary"
    return evidence


def _advise(claims: Claims, group: Group, origin: Origin) -> str:
    if not group.known:
        return _advice.check_repeats()
    load = bypassed(claims, group)
    if load is not None:
        return _advice.use_what_is_loaded(load.callsite)
    return _advice.batch_reads(group, origin.source)


def _rows_seen(profile: Profile, history: HistoryView, callsite: Callsite) -> int:
    return history.rows_seen(profile.route or profile.name, callsite)


def _fit(
    profile: Profile, history: HistoryView, callsite: Callsite
) -> tuple[float, float, int, float] | None:
    return history.counts_follow_rows(profile.route or profile.name, callsite)
