"""Running detectors over one profile: in order, each behind the guard, the costliest finding first."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

from .. import _guard, _limits
from ._claims import Claims

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable

    from .._finding import Finding
    from .._model import Profile
    from ..protocols import Detector, HistoryView

    Rule = Callable[[Profile, HistoryView, Claims | None], Iterable[Finding]]


def run(
    rules: Iterable[tuple[str, Rule]],
    profile: Profile,
    history: HistoryView,
    disabled: Collection[str] = frozenset(),
    extra: Iterable[Detector] = (),
) -> tuple[Finding, ...]:
    """Judge *profile* with *rules*, which share their claims, and with *extra* detectors.

    A detector that fails is counted; what it found until then stays; after `MAX_FAILURES` it is
    switched off for the process.
    """
    claims = Claims(profile)
    found: list[Finding] = []
    if profile.dropped.get("frames"):
        for name, _ in rules:
            claims.skip(name, "the profile reached its bound of frames")
    for name, rule in rules:
        if name not in disabled:
            _try(name, found, rule, profile, history, claims)
    for detector in extra:
        name = getattr(detector, "__name__", None) or type(detector).__name__
        if name not in disabled:
            _try(name, found, detector, profile, history)
    found = [finding for finding in found if finding.rule not in disabled]
    found.sort(key=lambda finding: (-finding.cost_ns, finding.rule, finding.id))
    more = len(found) - _limits.MAX_FINDINGS_PER_PROFILE
    if more > 0:
        profile.drop("findings", more)
    return tuple(found[: _limits.MAX_FINDINGS_PER_PROFILE])


def _try(
    name: str, found: list[Finding], detector: Callable[..., Iterable[Finding]], *arguments: object
) -> None:
    point = f"detectors.{name}"
    if not _guard.is_off(point):
        _guard.call(point, _collect, found, detector, arguments)


def _collect(
    found: list[Finding], detector: Callable[..., Iterable[Finding]], arguments: tuple[object, ...]
) -> None:
    # One more than may be reported, so that the drop is counted; a detector that never ends is cut off.
    for finding in islice(detector(*arguments), _limits.MAX_FINDINGS_PER_PROFILE + 1):
        found.append(finding)  # noqa: PERF402 - what was found before a failure stays
