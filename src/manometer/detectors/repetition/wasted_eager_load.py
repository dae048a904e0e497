"""The rule wasted-eager-load: rows loaded for many keys at once, and then read again for one key after the other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from .. import _advice
from .._claims import Claims
from .._eager import bypassed, is_eager_load, repeats_after
from .._evidence import speak

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..._finding import Finding
    from ..._model import Profile
    from ...protocols import HistoryView
    from .._claims import Group

RULE: Final = "wasted-eager-load"


def wasted_eager_load(
    profile: Profile, _history: HistoryView, claims: Claims | None = None
) -> Iterator[Finding]:
    """Yield a finding for each eager load whose rows are asked for again, key by key.

    A filter, an ordering or a slice of what was prefetched is a new query: the load brought rows that
    nobody looked at, and the reads that it was to replace are still there. Not where something was
    written in between, and not for other keys, another column or another table.
    """
    claims = claims or Claims(profile)
    readers: dict[int, list[Group]] = {}
    for group in claims.all:
        site = group.callsite
        if site.kind != "db" or site.operation != "read" or group.batched:
            continue
        load = bypassed(claims, group) if group.looped >= profile.policy.repeats else None
        if load is not None and repeats_after(load, group):
            readers.setdefault(id(load), []).append(group)
    if not readers:
        return
    for load in claims.groups(RULE, ("db",)):
        if is_eager_load(load) and id(load) in readers:
            yield _say(claims, load, readers[id(load)])


def _say(claims: Claims, load: Group, readers: list[Group]) -> Finding:
    reader = max(readers, key=lambda group: group.calls)
    cost_ns = load.covered_ns
    return speak(
        claims,
        load,
        RULE,
        confidence="confirmed",
        repeats=sum(group.calls for group in readers),
        cost_ns=cost_ns,
        saving_ns=(cost_ns, cost_ns + load.client_ns(load.calls)),
        advice=_advice.use_what_is_loaded(load.callsite, reader.callsite),
        evidence={
            "values": load.batch_sum,
            "reads": sum(group.calls for group in readers),
            "read_at": ", ".join(
                f"{group.callsite.file}:{group.callsite.line} x{group.calls}" for group in readers[:_NAMED]
            ),
        },
    )


_NAMED: Final = 5
