"""The waits of one profile by what was waited for, and how a finding about them is worded."""

from __future__ import annotations

import os
from collections import OrderedDict
from typing import TYPE_CHECKING, Final, final

from .. import _limits
from .._finding import Finding
from .._model import Callsite
from .._wait import Place, Waits
from ._evidence import is_material

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from .._finding import Confidence, Move
    from .._model import Frame, Profile
    from .._wait import Holder, Resource
    from ._claims import Claims

Expect = tuple[tuple[str, str], ...]
FLOOR_NS: Final = 1_000_000
"""Waits below which nothing is said, in tests too: every lock is busy now and then."""
SHARE: Final = 0.05
"""Share of the unit of work from which a wait is worth a word."""
LONG_NS: Final = 10_000_000
"""Wait that is worth a word whatever its share is."""
SURE: Final = 3
"""Waits for one resource from which it is no coincidence."""
_NOWHERE: Final[Place] = ("", 0, "")
_UNUSED: Final = 0.5
"""Share of its hold that a holder did not use, from which it kept others waiting for nothing."""
_SERVICES: Final = {
    "aiohttp": "TCPConnector(limit=...)",
    "httpx": "Limits(max_connections=...)",
    "redis": "max_connections=...",
    "urllib3": "maxsize=... (HTTPAdapter(pool_maxsize=...) of requests)",
}
"""Libraries whose connection is held for the very call that it makes, with where their limit is set."""
_callsites: Final[OrderedDict[tuple[Place, str], Callsite]] = OrderedDict()


@final
class Waited:
    """All waits of one profile for one resource."""

    __slots__ = ("expect", "frames", "resource", "total_ns", "waits")

    def __init__(self, resource: Resource, expect: Expect) -> None:
        self.resource = resource
        self.expect = expect
        self.frames: list[Frame] = []
        self.total_ns = 0
        self.waits = Waits(resource)

    @property
    def calls(self) -> int:
        """How often it waited."""
        return sum(frame.calls for frame in self.frames)

    @property
    def heaviest(self) -> Frame:
        """The frame that waited longest."""
        return max(self.frames, key=lambda frame: frame.covered_ns)

    def holder(self) -> tuple[Place | None, Holder | None]:
        """Return where the one that made others wait longest had taken it, and what is known of that place."""
        blamed: dict[Place, int] = {}
        for (place, _), (_, waited_ns) in self.waits.blamed.items():
            if place == _NOWHERE:
                continue  # a lock tells it when it is given back
            blamed[place] = blamed.get(place, 0) + waited_ns
        holders = dict(self.resource.holders)
        if not blamed:
            blamed = {place: holder.held_ns for place, holder in holders.items()}
        if not blamed:
            return None, None
        place = max(blamed, key=lambda each: (blamed[each], each))
        return place, holders.get(place)

    def doing(self, place: Place | None, holder: Holder | None) -> Place | None:
        """Return the line at which that holder was seen most while somebody waited."""
        seen: dict[Place, int] = dict(holder.doing) if holder is not None else {}
        if not seen:
            for (taken, doing), (count, _) in self.waits.blamed.items():
                if doing is not None and taken in (place, _NOWHERE):
                    seen[doing] = seen.get(doing, 0) + count
        return max(seen, key=lambda each: (seen[each], each)) if seen else None


def waited(profile: Profile, sorts: Collection[str]) -> list[Waited]:
    """Return the waits for resources of these sorts. Cost: 0.3 us a frame."""
    found: dict[int, Waited] = {}
    stack: list[tuple[Frame, Expect]] = [(profile.root, ())]
    while stack:
        frame, expect = stack.pop()
        if frame.callsite.expect:
            expect = frame.callsite.expect + expect
        waits = frame.detail.waits if frame.detail is not None else None
        if waits is not None and waits.resource.sort in sorts and frame.calls:
            each = found.get(id(waits.resource))
            if each is None:
                each = found[id(waits.resource)] = Waited(waits.resource, expect)
            each.frames.append(frame)
            each.total_ns += frame.covered_ns
            each.waits.merge(waits)
        stack.extend([(child, expect) for child in frame.own_children()])
    return list(found.values())


def told(claims: Claims, rule: str, sorts: frozenset[str]) -> Iterator[Finding]:
    """Yield a finding of *rule* for each resource of these sorts that the unit of work waited long for."""
    for each in waited(claims.profile, sorts):
        if is_long(claims, each.total_ns):
            yield say(claims, each, rule)


def is_long(claims: Claims, waited_ns: int) -> bool:
    """Tell whether a wait is worth a word."""
    return waited_ns >= FLOOR_NS and (waited_ns >= LONG_NS or waited_ns >= SHARE * claims.whole_ns)


def say(claims: Claims, waited: Waited, rule: str, *, advice: str = "") -> Finding:
    """Make the finding that something was waited for, with its holder and what that was doing."""
    resource = waited.resource
    place, holder = waited.holder()
    doing = waited.doing(place, holder)
    saving_ns = _saving_ns(waited, holder)
    evidence: dict[str, int | float | str] = {
        "resource": resource.name,
        "waits": waited.calls,
        "total_ns": waited.total_ns,
        "longest_ns": waited.waits.longest_ns,
        "limit": resource.limit,
        "target": resource.target,
        "failed": waited.waits.failed,
        "waits_of_all": resource.waits,
    }
    if place is not None:
        evidence["taken_at"] = spell(place)
    if doing is not None:
        evidence["holder_was_at"] = spell(doing)
    if holder is not None and holder.holds:
        evidence["held_mean_ns"] = holder.held_ns // holder.holds
        evidence["used_mean_ns"] = holder.used_ns // holder.holds
    return make(
        claims,
        waited.heaviest,
        rule,
        expect=waited.expect,
        confidence="confirmed" if resource.waits >= SURE and place is not None else "likely",
        evidence={name: value for name, value in evidence.items() if value not in (0, "") or name == "waits"},
        cost_ns=min(waited.total_ns, claims.profile.duration_ns or waited.total_ns),
        saving_ns=saving_ns,
        holder=None if place is None else site_of(doing or place, resource.name),
        advice=advice or advise(resource, place, doing, holder),
    )


def _saving_ns(waited: Waited, holder: Holder | None) -> tuple[int, int]:
    high_ns = waited.total_ns
    if holder is None or not holder.held_ns or not holder.used_ns:
        return high_ns // 3, high_ns
    unused = 1.0 - min(1.0, holder.used_ns / holder.held_ns)
    return int(high_ns * max(0.3, 0.8 * unused)), high_ns


def advise(resource: Resource, place: Place | None, doing: Place | None, holder: Holder | None) -> str:
    """Say how others can be kept from waiting, in the words of what they wait for."""
    where = "" if place is None else f" at {spell(place)}"
    idle = holder is not None and holder.held_ns and holder.used_ns < (1 - _UNUSED) * holder.held_ns
    elsewhere = doing is not None and place is not None and doing[2] != place[2]
    if resource.sort == "pool" and resource.library in _SERVICES:
        return f"Make fewer calls at once, or allow more connections: {_SERVICES[resource.library]}."
    if resource.sort == "pool":
        if (idle and holder is not None and holder.used_ns) or elsewhere:
            what = "" if doing is None or not elsewhere else f" before {doing[2]}"
            return f"Give the connection taken{where} back{what}; a larger pool only moves the wall."
        return (
            f"Hold the connection taken{where} for less time, or give the pool a connection for each worker."
        )
    if resource.sort == "executor":
        return "Give the executor more workers, or send it less work; whatever blocks for long needs one of its own."
    if resource.sort == "queue":
        return (
            "Let the consumer do more at a time, or start more of them; a larger queue only delays the wait."
        )
    what = f", and {doing[2]} behind it" if elsewhere and doing is not None else ""
    return f"Do less while holding it{where}: only what it protects{what}."


def make(
    claims: Claims,
    frame: Frame,
    rule: str,
    *,
    confidence: Confidence,
    evidence: Mapping[str, int | float | str],
    cost_ns: int,
    saving_ns: tuple[int, int],
    advice: str,
    expect: Expect = (),
    holder: Callsite | None = None,
    callsite: Callsite | None = None,
    move: Move = "restructure",
    only_info: bool = False,
    grave: bool = False,
) -> Finding:
    """Make a finding of the question of sharing.

    Args:
        claims: Of the profile.
        frame: Where.
        rule: Which rule speaks.
        confidence: How sure it is.
        evidence: Facts.
        cost_ns: Time it takes per unit of work.
        saving_ns: What a fix saves, low and high bound.
        advice: One imperative sentence.
        expect: `(rule, reason)` pairs that hold there.
        holder: Who held what was waited for.
        callsite: The place to change, where it is not that of *frame*.
        move: Which of the four moves fixes it.
        only_info: It is told, and never a warning.
        grave: It is a warning whatever it costs here: others pay.
    """
    profile = claims.profile
    share = claims.share(cost_ns)
    reason = next((text for name, text in expect if name in (rule, "*")), "")
    expected = reason or profile.reason(rule)
    loud = grave or is_material(profile.policy, saving_ns[0], 0, share)
    return Finding(
        rule=rule,
        question="sharing",
        severity="info" if only_info or expected or not loud else "warning",
        confidence=confidence,
        callsite=callsite or frame.callsite,
        holder=holder,
        path=frame.path(),
        evidence=evidence,
        cost_ns=cost_ns,
        share=share,
        saving_ns=saving_ns,
        move=move,
        advice=advice,
        expected=expected,
    )


def spell(place: Place) -> str:
    """Write a place for a reader: `quote (views.py:41)`."""
    file, line, function = place
    return f"{function or 'module'} ({os.path.basename(file)}:{line})" if file else "a library"


def site_of(place: Place, name: str) -> Callsite:
    """Return the callsite that stands for a holder's place."""
    found = _callsites.get((place, name))
    if found is None:
        if len(_callsites) >= _limits.MAX_RESOURCES:
            _callsites.popitem(last=False)
        file, line, function = place
        file = os.path.abspath(file) if file and not file.startswith("<") else file
        found = _callsites[place, name] = Callsite(
            name=(function or name)[: _limits.MAX_NAME], kind="other", file=file, line=line, function=function
        )
    return found
