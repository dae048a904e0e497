"""The callsites of one profile with their time, and how a finding about one of them is worded as numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING, final

from .._finding import Finding
from ._evidence import is_material

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .._finding import Confidence, Move
    from .._model import Callsite, Frame, Profile
    from ._claims import Claims

Expect = tuple[tuple[str, str], ...]


@final
class Place:
    """All frames of one callsite in a profile, whatever kind it is.

    Attributes:
        callsite: Theirs.
        frames: In the order of the tree.
        expect: `(rule, reason)` pairs that hold for the first of them.
        covered_ns: Time during which at least one call was running.
        calls: Calls of all.
    """

    __slots__ = ("calls", "callsite", "covered_ns", "expect", "frames")

    def __init__(self, callsite: Callsite, expect: Expect) -> None:
        self.callsite = callsite
        self.expect = expect
        self.frames: list[Frame] = []
        self.covered_ns = self.calls = 0

    def reason(self, rule: str) -> str:
        """Return why a finding of *rule* is wanted here; empty when it is not."""
        return next((reason for name, reason in self.expect if name in (rule, "*")), "")


def places(profile: Profile) -> list[Place]:
    """Return every callsite that was called, callers before callees. Cost: 1 us a frame."""
    found: dict[Callsite, Place] = {}
    stack: list[tuple[Frame, Expect]] = [(profile.root, ())]
    while stack:
        frame, expect = stack.pop()
        callsite = frame.callsite
        if callsite.expect:
            expect = callsite.expect + expect
        if frame.calls and callsite.kind not in ("root", "expected"):
            place = found.get(callsite)
            if place is None:
                place = found[callsite] = Place(callsite, expect)
            place.frames.append(frame)
            place.covered_ns += frame.covered_ns
            place.calls += frame.calls
        stack.extend([(child, expect) for child in frame.own_children()])
    return list(found.values())


def say(
    claims: Claims,
    place: Place,
    rule: str,
    *,
    confidence: Confidence,
    cost_ns: int,
    saving_ns: tuple[int, int],
    advice: str,
    evidence: Mapping[str, int | float | str],
    move: Move = "restructure",
    grave: bool = False,
    only_info: bool = False,
) -> Finding:
    """Make a finding of the question of size; it claims no calls, for how they grow is a fact of its own.

    Args:
        claims: Of the profile.
        place: Where.
        rule: Which rule speaks.
        confidence: How sure it is.
        cost_ns: Time it takes per unit of work.
        saving_ns: What a fix saves, low and high bound.
        advice: One imperative sentence.
        evidence: Facts.
        move: Which of the four moves fixes it.
        grave: It is a warning even though little is saved today, because of what comes.
        only_info: It is told, and never a warning.
    """
    profile = claims.profile
    share = claims.share(cost_ns)
    expected = place.reason(rule) or profile.reason(rule)
    many = profile.policy.many if grave else 0
    quiet = only_info or bool(expected) or not is_material(profile.policy, saving_ns[0], many, share)
    return Finding(
        rule=rule,
        question="size",
        severity="info" if quiet else "warning",
        confidence=confidence,
        callsite=place.callsite,
        path=max(place.frames, key=lambda frame: frame.covered_ns).path() if place.frames else (),
        evidence=evidence,
        cost_ns=cost_ns,
        share=share,
        saving_ns=saving_ns,
        move=move,
        advice=advice,
        expected=expected,
    )
