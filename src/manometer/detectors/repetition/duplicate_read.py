"""The rule duplicate-read: the same read, with the same arguments, more than once in one unit of work."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ..._statement import statement
from .. import _advice
from .._claims import Claims
from .._evidence import speak
from .._repeats import enough, repeats_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ..._detail import KeyUse
    from ..._finding import Finding
    from ..._model import Profile
    from ...protocols import HistoryView
    from .._claims import Group
    from .._repeats import Repeats

RULE: Final = "duplicate-read"
_KINDS: Final = ("db", "http", "cache")
_PLACES_NAMED: Final = 5


def duplicate_read(
    profile: Profile, _history: HistoryView, claims: Claims | None = None
) -> Iterator[Finding]:
    """Yield a finding for each read that asks for what the unit of work already knows.

    The same statement at several places is one finding that names them. Silent where arguments are
    unknown, results differ, the last result is another one (polling), a write, a failure or a
    minute lies in between, or the statement locks or is volatile by itself.
    """
    claims = claims or Claims(profile)
    alike: dict[tuple[object, ...], list[Group]] = {}
    for group in claims.groups(RULE, _KINDS):
        site = group.callsite
        if site.operation not in ("", "read"):
            continue
        if not group.known and group.calls > 1:
            claims.skip(RULE, "the arguments of some calls could not be read")
        same = (site.kind, site.system, site.target, site.template or site.name, group.expect)
        alike.setdefault(same, []).append(group)
    for groups in alike.values():
        found = repeats_of(_uses(groups))
        if enough(found, profile.policy) and not _is_volatile(groups[0]):
            yield _say(claims, groups, found)


def _is_volatile(group: Group) -> bool:
    return group.callsite.kind == "db" and statement(group.callsite.template).volatile


def _uses(groups: Sequence[Group]) -> list[list[KeyUse]]:
    by_key: dict[int, list[KeyUse]] = {}
    for group in groups:
        for key, uses in group.keys.items():
            by_key.setdefault(key, []).extend(uses)
    return list(by_key.values())


def _say(claims: Claims, groups: list[Group], found: Repeats) -> Finding:
    # The place with most calls is named; equal ones in the order of the text, so that the id stays.
    groups.sort(key=lambda group: (-group.keyed, group.callsite.file, group.callsite.line))
    first = groups[0]
    for group in groups:
        claims.take(group)
    cost_ns = min(found.repeat_ns, sum(group.covered_ns for group in groups))
    client_ns = first.client_ns(found.repeats)
    cost_ns += client_ns
    evidence: dict[str, int | float | str] = {
        "calls": sum(group.calls for group in groups),
        "repeats": found.repeats,
        "repeated_arguments": found.keys,
        "equal_results": found.equal,
        "total_ns": sum(group.covered_ns for group in groups),
    }
    if len(groups) > 1:
        evidence["places"] = len(groups)
        evidence["sites"] = ", ".join(
            f"{group.callsite.file}:{group.callsite.line} x{group.calls}" for group in groups[:_PLACES_NAMED]
        )
    return speak(
        claims,
        first,
        RULE,
        confidence="confirmed" if found.equal >= found.repeats else "likely",
        repeats=found.repeats,
        cost_ns=cost_ns,
        saving_ns=((cost_ns - client_ns // 2) * 4 // 5, cost_ns * 5 // 4),
        advice=_advice.read_once(first.callsite, len(groups)),
        evidence=evidence,
    )
