"""The rule growing-container: a list, dict, set or cache of the application that only ever grows."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Final

from ... import _limits
from ..._finding import Finding
from ..._model import Callsite
from .. import _advice

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..._model import Profile
    from ...protocols import HistoryView
    from .._claims import Claims

RULE: Final = "growing-container"
_WARN_FROM: Final = 1_000
_callsites: Final[OrderedDict[str, Callsite]] = OrderedDict()


def growing_container(
    profile: Profile, history: HistoryView, _claims: Claims | None = None
) -> Iterator[Finding]:
    """Yield a finding for each container whose length followed the units of work for 24 minutes, and never shrank.

    Belongs to no unit of work: said of the profile `process` only. The memory of the process plays
    no part: it grows in healthy services too.
    """
    if profile.kind != "process":
        return
    for grown in history.growing_containers():
        expected = profile.reason(RULE)
        loud = not expected and (profile.policy.strict or grown.length >= _WARN_FROM)
        yield Finding(
            rule=RULE,
            question="size",
            severity="warning" if loud else "info",
            confidence="confirmed",
            callsite=_callsite(grown.name, grown.file),
            evidence={
                "length": grown.length,
                "added": grown.added,
                "per_unit": round(grown.added / max(1, grown.units), 3),
                "units_compared": grown.units,
                "samples": grown.samples,
            },
            move="bound",
            advice=_advice.bound_container(),
            expected=expected,
        )


def _callsite(name: str, file: str) -> Callsite:
    found = _callsites.get(name)
    if found is None:
        if len(_callsites) >= _limits.MAX_CONTAINERS:
            _callsites.popitem(last=False)
        found = _callsites[name] = Callsite(name=name[: _limits.MAX_NAME], kind="other", file=file)
    return found
