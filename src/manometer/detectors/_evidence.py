"""What a finding needs beside its rule: a saving as a range, its weight, its facts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from .._finding import Finding

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .._finding import Confidence
    from .._model import Callsite, Policy
    from ._claims import Claims, Group


_NAMED: Final = 4
"""Functions told of those that led to a call."""


_BETWEEN: Final = 5
_WIDEST: Final = 4


def batch_saving_ns(group: Group, needed: int = 1) -> tuple[int, int]:
    """Return what *needed* calls instead of all of them save, low and high bound in nanoseconds.

    At least the round trips that fall away, each as short as the shortest call, and half of what
    the object layer needs around them (it still makes an object of each row); at most all the time
    covered but that of the calls that remain, each as long as the longest one, and all of the
    object layer's. Calls that overlapped already share their waiting, so the low bound never
    exceeds the high one. What lies between the calls of a loop is mostly made for them, too: it counts
    for the high bound, as far as it is no more than a few times the least of it. A range wider
    than one to four would say nothing.
    """
    fewer = max(0, group.calls - needed)
    high_ns = max(0, group.covered_ns - needed * group.max_ns)
    client_ns = group.client_ns(fewer)
    low_ns = min(fewer * group.min_ns, high_ns) + client_ns // 2
    usual_ns = high_ns + client_ns
    high_ns += max(client_ns, min(group.between_ns, _BETWEEN * fewer * group.lead_ns) * 5 // 4)
    if client_ns:
        return max(low_ns, high_ns // _WIDEST), high_ns
    return low_ns, max(usual_ns, min(high_ns, _WIDEST * low_ns))


def is_material(policy: Policy, saving_ns: int, repeats: int, share: float) -> bool:
    """Tell whether a finding is worth a warning; see `Policy`."""
    return (
        policy.strict or saving_ns >= policy.saving_ns or (repeats >= policy.many and share >= policy.share)
    )


def facts_of(group: Group) -> dict[str, int | float | str]:
    """Return what was counted about a group of calls, units in the names."""
    facts: dict[str, int | float | str] = {
        "calls": group.calls,
        "distinct": group.distinct,
        "total_ns": group.covered_ns,
        "round_trip_ns": group.min_ns,
        "longest_ns": group.max_ns,
        "kind": group.callsite.kind,
        "operation": group.callsite.operation,
        "shape": group.callsite.template,
        "target": group.callsite.target,
        "errors": group.errors,
    }
    if group.rows_calls:
        facts["rows"] = group.rows_sum
    chain = called_from(group) if group.callsite.kind not in ("db", "call") else ""
    if " < " in chain:
        facts["called_from"] = chain
    if group.keys_more:
        facts["keys_not_kept"] = group.keys_more
    if group.peak_in_flight > 1:
        facts["peak_in_flight"] = group.peak_in_flight
    return {
        name: value for name, value in facts.items() if value not in ("", 0) or name in ("calls", "total_ns")
    }


def called_from(group: Group) -> str:
    """Return the functions that lead to the calls, innermost first: `Client.post < Sdk.create < answer`."""
    chains: dict[tuple[str, ...], int] = {}
    for frame in group.frames:
        for chain, count in frame.detail.callers.items() if frame.detail is not None else ():
            names = tuple(place[2] for place in chain)
            chains[names] = chains.get(names, 0) + count
    best = max(chains, key=lambda names: (chains[names], names)) if chains else ()
    shown = [name for name in (group.callsite.function, *best) if name]
    return " < ".join(shown[:_NAMED])


def speak(
    claims: Claims,
    group: Group,
    rule: str,
    *,
    confidence: Confidence,
    repeats: int,
    cost_ns: int,
    saving_ns: tuple[int, int],
    advice: str,
    evidence: Mapping[str, int | float | str],
    source: Callsite | None = None,
    only_info: bool = False,
) -> Finding:
    """Make a finding about *group* and claim its calls.

    Args:
        claims: Of the profile.
        group: The calls it explains.
        rule: Which rule speaks.
        confidence: How sure it is.
        repeats: Calls that count for the policy's `many`.
        cost_ns: Time it takes per unit of work.
        saving_ns: What a fix saves, low and high bound.
        advice: One imperative sentence.
        evidence: Facts, beside those every group has.
        source: Whose result supplied the arguments.
        only_info: It is told, and never a warning.
    """
    claims.take(group)
    profile = claims.profile
    share = claims.share(cost_ns)
    expected = group.reason(rule) or profile.reason(rule)
    quiet = only_info or bool(expected) or not is_material(profile.policy, saving_ns[0], repeats, share)
    return Finding(
        rule=rule,
        question="repetition",
        severity="info" if quiet else "warning",
        confidence=confidence,
        callsite=group.callsite,
        source=source,
        path=group.heaviest.path(),
        evidence={**facts_of(group), **evidence},
        cost_ns=cost_ns,
        share=share,
        saving_ns=saving_ns,
        move="remove",
        advice=advice,
        expected=expected,
    )
