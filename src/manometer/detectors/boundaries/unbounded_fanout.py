"""The rule unbounded-fanout: as many calls at once as there is input, and no limit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ..._model import IO_KINDS
from .._bounds import warn
from .._claims import Claims

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..._finding import Finding
    from ..._model import Profile
    from ...protocols import HistoryView
    from .._claims import Group

RULE: Final = "unbounded-fanout"
MANY: Final = 24
"""Calls at once beyond which it is said without comparing units of work: limits that people set are lower."""
FIXED_AFTER: Final = 20
"""Units of work of a route that all do as much at once, from which it is a fixed number."""
_KINDS: Final = IO_KINDS | {"other"}
_ALL: Final = 0.9
"""Share of the calls that run at once where nothing holds any of them back."""
_FEW: Final = 8
_TWO: Final = 2
_SLOPE: Final = 0.5
_UNEXPLAINED: Final = 0.2


def unbounded_fanout(
    profile: Profile, history: HistoryView, claims: Claims | None = None
) -> Iterator[Finding]:
    """Yield a finding for each place whose calls all run at once, however many there are.

    Exact when more than 24 ran at once and nearly all of them did: a semaphore or a pool would have
    shown. With fewer, when the calls at once follow the number of calls over the profiles of a route;
    two are enough where no call waited in either. Silent for a fixed number of calls and for a limit
    that holds.
    """
    claims = claims or Claims(profile)
    for group in claims.groups(RULE, _KINDS):
        calls = group.calls + group.errors
        peak = group.peak_in_flight
        if peak < _FEW or peak < _ALL * calls:
            continue
        route = profile.route or profile.name
        line = history.peak_follows_calls(route, group.callsite)
        follows = (
            line is not None and line[2] <= _UNEXPLAINED and line[0] >= (_SLOPE if line[1] > _TWO else _ALL)
        )
        if not follows and (peak <= MANY or (line is None and _units(history, route, group) >= FIXED_AFTER)):
            continue
        evidence: dict[str, int | float | str] = {"calls": calls, "peak_in_flight": peak}
        if line is not None and follows:
            evidence |= {"profiles_compared": line[1], "at_once_per_call": round(line[0], 2)}
        yield warn(
            claims,
            group,
            RULE,
            confidence="confirmed" if follows else "likely",
            advice=_advice(group),
            evidence=evidence,
            takes=True,
        )


def _units(history: HistoryView, route: str, group: Group) -> int:
    """Return in how many units of work of this route the calls were made."""
    return sum(history.latency(route, group.callsite))


def _advice(group: Group) -> str:
    batch = " or ask for all of them in one call" if group.callsite.kind in IO_KINDS else ""
    return f"Put a limit around it: an asyncio.Semaphore, a pool of workers, chunks{batch}."
