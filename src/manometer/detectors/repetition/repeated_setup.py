"""The rule repeated-setup: what is meant to be made once is made for each request, or for each call."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from ..._finding import Finding
from ..._setups import SETUPS, SYSTEM, Setup
from .._claims import Claims
from .._evidence import speak
from .._repeats import repeats_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..._model import Profile
    from ...protocols import HistoryView
    from .._claims import Group

RULE: Final = "repeated-setup"
_FLOOR_NS: Final = 1_000_000
"""Time of a loop below which nothing is said, in tests too, but of what is a mistake whatever it takes."""
_LONG_NS: Final = 10_000_000
_EACH_NS: Final = 5_000_000
"""The same for what each request makes once."""
_SHARE: Final = 0.05
_UNITS: Final = 3
"""Units of work of one route from which it is no coincidence that each of them makes it."""
_EACH: Final = 0.8
_UNKNOWN: Final = Setup("", "", "", "Make it once, when the program starts, and pass it on.")


def repeated_setup(profile: Profile, history: HistoryView, claims: Claims | None = None) -> Iterator[Finding]:
    """Yield a finding for each place that makes again what is expensive to make and meant to be kept.

    In a loop of one unit of work, or once in nearly each unit of a route. Silent below a floor of time,
    but for what costs more elsewhere than where it is made (an engine, a client with threads of its
    own), and where the calls made with it are a finding already.
    """
    claims = claims or Claims(profile)
    told: set[tuple[str, int]] = set()
    made = [group for group in claims.groups(RULE, ("other",)) if group.callsite.system == SYSTEM]
    for group in sorted(made, key=lambda each: -each.covered_ns):
        setup = SETUPS.get(group.callsite.template, _UNKNOWN)
        place = (group.callsite.file, group.callsite.line)
        times, cost_ns = _again(group, setup)
        seen, units = _units(profile, history, group)
        looped = times >= profile.policy.repeats
        each_unit = not looped and profile.kind != "process" and units >= _UNITS and seen >= _EACH * units
        if place in told or not (looped or each_unit) or _explained(claims, place):
            continue
        if each_unit:
            times, cost_ns = group.calls, group.covered_ns
        if not setup.always and not _is_worth(claims, cost_ns, looped):
            continue
        told.add(place)
        yield _say(claims, group, setup, times, cost_ns, (seen, units) if each_unit else None)


def _again(group: Group, setup: Setup) -> tuple[int, int]:
    """Return how often it was made, and the time of all but the first; of the same only, where that alone is wrong."""
    if setup.same:
        found = repeats_of(group.keys.values())
        return (found.repeats + found.keys if found.repeats else 0), found.repeat_ns
    return group.calls, group.covered_ns * max(0, group.calls - 1) // max(1, group.calls)


def _units(profile: Profile, history: HistoryView, group: Group) -> tuple[int, int]:
    route = profile.route or profile.name
    return sum(history.latency(route, group.callsite)), history.profiles(route)


def _is_worth(claims: Claims, cost_ns: int, looped: bool) -> bool:
    if looped and cost_ns >= _LONG_NS:
        return True
    return cost_ns >= (_FLOOR_NS if looped else _EACH_NS) and cost_ns >= _SHARE * claims.whole_ns


def _explained(claims: Claims, place: tuple[str, int]) -> bool:
    """Tell whether the calls made at that line are a finding already: whoever fixes it makes less as well."""
    return any(
        claims.explains(group.frames)
        for group in claims.all
        if (group.callsite.file, group.callsite.line) == place and group.callsite.system != SYSTEM
    )


def _say(
    claims: Claims, group: Group, setup: Setup, times: int, cost_ns: int, each: tuple[int, int] | None
) -> Finding:
    evidence: dict[str, int | float | str] = {"made": times, "what": group.callsite.name}
    if each is not None:
        evidence |= {"units_that_made_it": each[0], "units_of_work": each[1]}
    finding = speak(
        claims,
        group,
        RULE,
        confidence="confirmed" if setup.always or group.distinct <= 1 else "likely",
        repeats=times,
        cost_ns=cost_ns,
        saving_ns=(cost_ns // 2, cost_ns),
        advice=setup.remedy,
        evidence=evidence,
    )
    if setup.always and not finding.expected:
        return replace(finding, severity="warning")  # most of what it costs is not to be seen here
    return finding
