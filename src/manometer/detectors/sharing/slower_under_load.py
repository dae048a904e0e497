"""The rule slower-under-load: the same work takes longer the more there is of it at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from .._claims import Claims
from .._waits import make, site_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..._finding import Finding
    from ..._model import Callsite, Frame, Profile
    from ...protocols import HistoryView

RULE: Final = "slower-under-load"
_SLOW: Final = 1.5
"""Times the duration with few at once from which a unit shows it."""


def slower_under_load(
    profile: Profile, history: HistoryView, claims: Claims | None = None
) -> Iterator[Finding]:
    """Yield a finding for a route whose units take twice as long with many at once, and name the wait that grew.

    A symptom: told where a measured wait, or computing in threads, explains half of it. Silent where
    other services are what is slow, or where the units do not do the same. Never a warning where
    the wait itself is a finding.
    """
    name = profile.route or profile.name
    slower = history.slower(name)
    if slower is None or profile.concurrency < slower.many or profile.duration_ns < _SLOW * slower.few_ns:
        return
    claims = claims or Claims(profile)
    frame = _frame_of(profile, slower.wait)
    cost_ns = max(0, profile.duration_ns - slower.few_ns)
    yield make(
        claims,
        frame,
        RULE,
        callsite=_site(frame, name),
        confidence="likely",
        evidence={
            "wait": slower.wait,
            "wait_grown_ns": slower.wait_ns,
            "at_once_few": slower.few,
            "at_once_many": slower.many,
            "few_ns": slower.few_ns,
            "many_ns": slower.many_ns,
            "times_slower": round(slower.many_ns / max(1, slower.few_ns), 1),
            "units_compared": slower.units,
        },
        cost_ns=cost_ns,
        saving_ns=(min(cost_ns, slower.wait_ns) // 2, cost_ns),
        advice=f"Look at what is shared, {slower.wait} first: that wait grows with the number of units at once.",
        only_info=frame.detail is not None and frame.detail.waits is not None,
    )


def _frame_of(profile: Profile, wait: str) -> Frame:
    """Return the frame of that wait; the root where there is none."""
    for frame in profile.root.walk():
        waits = frame.detail.waits if frame.detail is not None else None
        if waits is not None and waits.resource.name == wait:
            return frame
    return profile.root


def _site(frame: Frame, name: str) -> Callsite:
    return frame.callsite if frame.parent is not None else site_of(("", 0, ""), name)
