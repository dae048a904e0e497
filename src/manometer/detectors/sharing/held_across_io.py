"""The rule held-across-io: a connection, transaction or lock that is held while something else is waited for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, final

from .._claims import Claims
from .._waits import make, site_of, spell

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..._detail import Place
    from ..._finding import Finding
    from ..._model import Callsite, Frame, Profile
    from ..._wait import Resource
    from ...protocols import HistoryView

RULE: Final = "held-across-io"
_QUICK_NS: Final = 5_000_000
"""A lookup in a cache that takes less is no longer than a statement."""
_SHARE: Final = 0.2
"""Share of the hold from which the call to somebody else is what it is held for."""
_STORES: Final = frozenset({"sqlalchemy", "psycopg", "django"})


@final
class _Across:
    """All holds of one resource, taken at one place, with the calls made meanwhile."""

    def __init__(self, resource: Resource, place: Place) -> None:
        self.resource = resource
        self.place = place
        self.calls: dict[Callsite, tuple[int, int]] = {}
        self.holds = self.held_ns = 0

    @property
    def spent_ns(self) -> int:
        return sum(spent_ns for _, spent_ns in self.calls.values())


def held_across_io(
    profile: Profile, _history: HistoryView, claims: Claims | None = None
) -> Iterator[Finding]:
    """Yield a finding for each connection, transaction or watched lock that was held across calls to somebody else.

    Exact: seen while it happened, on the thread or task that held it. Silent where those calls took
    less than a fifth of the hold, and about lookups in a cache that are as quick as a statement.
    """
    claims = claims or Claims(profile)
    found: dict[tuple[int, Place], _Across] = {}
    for held in profile.holds:
        resource = held.resource
        if resource.sort == "pool" and resource.library not in _STORES:
            continue  # a connection to a service is held for the very call that it makes
        across = found.get((id(resource), held.place))
        if across is None:
            across = found[id(resource), held.place] = _Across(resource, held.place)
        _add(across, held.crossed)
        across.holds += 1
        across.held_ns += held.until_ns - held.since_ns
    for across in found.values():
        if across.calls and across.spent_ns >= _SHARE * across.held_ns:
            yield _say(claims, across)


def _add(across: _Across, crossed: dict[Callsite, tuple[int, int]]) -> None:
    for callsite, (count, spent_ns) in crossed.items():
        if callsite.kind == "cache" and spent_ns < count * _QUICK_NS:
            continue
        before, before_ns = across.calls.get(callsite, (0, 0))
        across.calls[callsite] = (before + count, before_ns + spent_ns)


def _say(claims: Claims, across: _Across) -> Finding:
    resource = across.resource
    call = max(across.calls, key=lambda each: across.calls[each][1])
    frame = _frame_of(claims.profile, call)
    what = {"pool": "connection", "transaction": "transaction"}.get(resource.sort, "lock")
    evidence: dict[str, int | float | str] = {
        "resource": resource.name,
        "target": resource.target,
        "limit": resource.limit,
        "calls": sum(count for count, _ in across.calls.values()),
        "call": call.name,
        "total_ns": across.spent_ns,
        "held_ns": across.held_ns,
        "used_ns": 0,
        "holds": across.holds,
        "taken_at": spell(across.place),
        "waits_of_all": resource.waits,
    }
    return make(
        claims,
        frame,
        RULE,
        expect=_expect_of(frame),
        confidence="confirmed",
        evidence={name: value for name, value in evidence.items() if value not in ("", 0)},
        cost_ns=across.spent_ns,
        saving_ns=(0, 0),
        holder=site_of(across.place, resource.name),
        advice=f"Make the call before the {what} is taken at {spell(across.place)}, or after it is given back.",
        grave=across.spent_ns >= claims.profile.policy.saving_ns,
    )


def _expect_of(frame: Frame) -> tuple[tuple[str, str], ...]:
    found: list[tuple[str, str]] = []
    up: Frame | None = frame
    while up is not None:
        found += up.callsite.expect
        up = up.parent
    return tuple(found)


def _frame_of(profile: Profile, callsite: Callsite) -> Frame:
    """Return the frame of the calls, the costliest one; the root where they were dropped."""
    frames = [frame for frame in profile.root.walk() if frame.callsite is callsite]
    return max(frames, key=lambda frame: frame.covered_ns) if frames else profile.root
