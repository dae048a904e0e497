"""The rule unbounded-queue: a queue without a limit that fills faster than it is emptied."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from ..._finding import Finding
from ..._model import Callsite
from ..._queues import filling

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..._detail import Place
    from ..._model import Profile
    from ...protocols import HistoryView
    from .._claims import Claims

RULE: Final = "unbounded-queue"
_MOST: Final = 256
_callsites: Final[dict[tuple[str, Place], Callsite]] = {}


def unbounded_queue(
    profile: Profile, _history: HistoryView, _claims: Claims | None = None
) -> Iterator[Finding]:
    """Yield a finding for each queue without a limit whose shortest length rose from one quarter of a minute to the next.

    Belongs to no unit of work: said of the profile `process` only. Without a limit alone nothing is
    said: a queue that is emptied now and then is healthy.
    """
    if profile.kind != "process":
        return
    for found in filling():
        expected = profile.reason(RULE)
        yield Finding(
            rule=RULE,
            question="boundaries",
            severity="info" if expected else "warning",
            confidence="confirmed",
            callsite=_callsite(found.name, found.place),
            evidence={"length": found.length, "added": found.added, "windows": found.windows},
            move="bound",
            advice="Give it a maxsize, so that whoever fills it waits or is refused, and add workers that empty it.",
            expected=expected,
        )


def _callsite(name: str, place: Place) -> Callsite:
    known = _callsites.get((name, place))
    if known is None:
        if len(_callsites) >= _MOST:
            _callsites.clear()
        file, line, function = place
        known = _callsites[name, place] = Callsite(
            name=name, kind="other", file=os.path.abspath(file), line=line, function=function
        )
    return known
