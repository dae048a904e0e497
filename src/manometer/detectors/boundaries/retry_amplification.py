"""The rule retry-amplification: one call became many, because several layers retry it or one never stops."""

from __future__ import annotations

from math import sqrt
from typing import TYPE_CHECKING, Final

from ..._model import IO_KINDS
from .._bounds import edge_of, warn
from .._claims import Claims
from .._tries import Tries, layers_of, most_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..._finding import Finding
    from ..._model import Profile
    from ...protocols import HistoryView
    from .._claims import Group

RULE: Final = "retry-amplification"
FEW: Final = 3
"""Attempts of one call that are good practice: more need a reason."""
BUDGET: Final = 0.1
"""Share of all attempts that may be retries."""
_ENOUGH: Final = 100
_AT_ONCE: Final = 5
"""Retries of one unit of work within 10 ms of the failure from which there is no back-off."""
_Z: Final = 1.96
_NOT_IDEMPOTENT: Final = ("POST ", "PATCH ")


def retry_amplification(
    profile: Profile, history: HistoryView, claims: Claims | None = None
) -> Iterator[Finding]:
    """Yield a finding for each call that was made again and again after it had failed.

    A retry is the same call again after a failure; without one it is a repetition, which other rules
    judge. Speaks from four attempts of one logical call; when a call that may have been done was
    sent again; when retries do not wait; and when more than a tenth of many attempts are retries.
    """
    claims = claims or Claims(profile)
    for group in claims.groups(RULE, IO_KINDS):
        tries = Tries(group)
        if tries.retries <= 0:
            continue
        reasons = _reasons(group, tries, history.tries(profile.route or profile.name, group.callsite))
        if reasons:
            yield _say(claims, group, tries, reasons)


def _reasons(group: Group, tries: Tries, lately: tuple[int, int]) -> dict[str, int | float | str]:
    found: dict[str, int | float | str] = {}
    if tries.most > FEW:
        found["attempts_per_call"] = most_of(tries)
    if tries.unsure and _may_do_twice(group):
        found["sent_again_after_timeout"] = tries.unsure
    if tries.quick >= _AT_ONCE:
        found["retries_without_back_off"] = tries.quick
    attempts, retries = max(lately, (tries.attempts, tries.retries))
    if attempts >= _ENOUGH and _at_least(retries, attempts) > BUDGET:
        found["retry_share"] = round(retries / attempts, 2)
    return found


def _may_do_twice(group: Group) -> bool:
    """Tell whether repeating the call may do its work twice: no read, no PUT, no key that says it is the same."""
    if group.callsite.kind == "http" and not group.callsite.name.startswith(_NOT_IDEMPOTENT):
        return False
    if group.callsite.operation != "write":
        return False
    return edge_of(group).idempotent_calls < sum(frame.calls for frame in group.frames)


def _at_least(hits: int, of: int) -> float:
    """Return the low end of Wilson's interval for a share."""
    share, z = hits / of, _Z * _Z / of
    return (share + z / 2 - _Z * sqrt(share * (1 - share) / of + z / (4 * of))) / (1 + z)


def _say(claims: Claims, group: Group, tries: Tries, reasons: dict[str, int | float | str]) -> Finding:
    layers = layers_of(group, tries)
    needed = min(tries.attempts, FEW * tries.logical)
    cost_ns = group.covered_ns * tries.retries // tries.attempts
    saving_ns = group.covered_ns * (tries.attempts - needed) // tries.attempts
    outcomes: dict[str, int] = {}
    for frame in group.frames:
        for name, count in frame.detail.outcomes.items() if frame.detail is not None else ():
            outcomes[name] = outcomes.get(name, 0) + count
    return warn(
        claims,
        group,
        RULE,
        confidence="confirmed",
        advice=_advice(reasons, len(layers)),
        evidence={
            "calls": tries.attempts,
            "logical_calls": tries.logical,
            "retries": tries.retries,
            **reasons,
            "layers": " x ".join(map(str, layers)),
            "answers": " ".join(f"{name}:{count}" for name, count in sorted(outcomes.items())),
        },
        cost_ns=cost_ns,
        saving_ns=(min(saving_ns, cost_ns), cost_ns),
        takes=tries.logical * 2 <= tries.attempts,
    )


def _advice(reasons: dict[str, int | float | str], layers: int) -> str:
    if "sent_again_after_timeout" in reasons:
        return "Send an idempotency key with it, or do not retry it after a timeout: it may have been done already."
    if "attempts_per_call" in reasons and layers > 1:
        return "Retry in one layer only, three attempts at most, with back-off and jitter; switch the others off."
    if "attempts_per_call" in reasons:
        return "Stop after three attempts, with back-off and jitter, and give all retries a budget."
    if "retries_without_back_off" in reasons:
        return "Wait between attempts, longer each time and with jitter; obey Retry-After."
    return "Give retries a budget of a tenth of the calls, and fail fast beyond it."
