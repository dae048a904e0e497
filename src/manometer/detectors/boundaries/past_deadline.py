"""The rule past-deadline: work for somebody who waits no more, or a wait longer than anybody waits for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ..._model import IO_KINDS
from .._bounds import edge_of, warn
from .._claims import Claims

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..._finding import Finding
    from ..._model import Profile
    from ...protocols import HistoryView
    from .._claims import Group

RULE: Final = "past-deadline"


def past_deadline(profile: Profile, _history: HistoryView, claims: Claims | None = None) -> Iterator[Finding]:
    """Yield a finding for calls whose time limit is longer than what the unit of work had left, and for work after its end.

    Judged only where the deadline is known (`profile(deadline_ms=)`, a header), or the client was seen to leave.
    """
    claims = claims or Claims(profile)
    if not profile.deadline_ns and not profile.left_ns:
        return
    over_ns = _over_ns(profile)
    late: Group | None = None
    for group in claims.groups(RULE, IO_KINDS):
        edge = edge_of(group)
        if edge.past_deadline:
            yield warn(
                claims,
                group,
                RULE,
                confidence="confirmed",
                advice="Give the call no more time than its caller has left: pass the deadline on.",
                evidence={"calls_past_deadline": edge.past_deadline, "limit_ns": edge.timeout_ns},
            )
        if over_ns >= profile.policy.saving_ns and (late is None or _end(group) > _end(late)):
            late = group
    if late is not None and over_ns > 0 and _end(late) > _last(profile):
        yield warn(
            claims,
            late,
            RULE,
            confidence="confirmed",
            advice="Stop when nobody waits any more: cancel the work with the client, or check the deadline.",
            evidence={"worked_on_ns": over_ns},
            cost_ns=over_ns,
            saving_ns=(over_ns, over_ns),
        )


def _last(profile: Profile) -> int:
    """Return the instant from which nobody waits."""
    return min(instant for instant in (profile.deadline_ns, profile.left_ns) if instant)


def _over_ns(profile: Profile) -> int:
    return max(0, profile.started_ns + profile.duration_ns - _last(profile))


def _end(group: Group) -> int:
    return max(frame.detail.last_ended_ns for frame in group.frames if frame.detail is not None)
