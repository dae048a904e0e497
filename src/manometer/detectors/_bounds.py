"""What the rules about missing boundaries share: saying one, and facts about calls that leave the process."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .._boundary import Boundary
from .._finding import Finding
from ._evidence import facts_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from .._finding import Confidence, Move
    from .._model import Frame
    from ._claims import Claims, Group


def boundaries_in(group: Group) -> Iterator[tuple[Frame, Boundary]]:
    """Yield the frames of a group with what is known about their time limits and tries."""
    for frame in group.frames:
        if frame.detail is not None and frame.detail.boundary is not None:
            yield frame, frame.detail.boundary


def edge_of(group: Group) -> Boundary:
    """Return time limits and tries of all frames of a group, added up."""
    total = Boundary()
    for _, boundary in boundaries_in(group):
        total.add(boundary)
    return total


def warn(
    claims: Claims,
    group: Group,
    rule: str,
    *,
    confidence: Confidence,
    advice: str,
    evidence: Mapping[str, int | float | str],
    cost_ns: int = 0,
    saving_ns: tuple[int, int] = (0, 0),
    move: Move = "bound",
    only_info: bool = False,
    takes: bool = False,
) -> Finding:
    """Make a finding about a missing boundary. It is a warning whatever it costs today: the risk is what counts.

    Args:
        claims: Of the profile.
        group: The calls that cross it.
        rule: Which rule speaks.
        confidence: How sure it is.
        advice: One imperative sentence.
        evidence: Facts, beside those every group has.
        cost_ns: Time it takes per unit of work; 0 when it is about risk alone.
        saving_ns: What a fix saves, low and high bound.
        move: Which of the four moves fixes it.
        only_info: It is told, and never a warning.
        takes: It explains the calls: no later rule shall.
    """
    if takes:
        claims.take(group)
    profile = claims.profile
    expected = group.reason(rule) or profile.reason(rule)
    return Finding(
        rule=rule,
        question="boundaries",
        severity="info" if only_info or expected else "warning",
        confidence=confidence,
        callsite=group.callsite,
        path=group.heaviest.path(),
        evidence={**facts_of(group), **evidence},
        cost_ns=cost_ns,
        share=claims.share(cost_ns),
        saving_ns=saving_ns,
        move=move,
        advice=advice,
        expected=expected,
    )
