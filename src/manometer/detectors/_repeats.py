"""How often the same was asked again: the uses of one argument fingerprint, on one frame or on several."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Final, NamedTuple

from .._calls import RUN_GAP_NS

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from .._detail import KeyUse
    from .._model import Policy

ENOUGH: Final = 3
"""Equal calls in one run from which they are looked at, unless the policy asks for fewer."""


class Repeats(NamedTuple):
    """What was asked again, within runs without a write, a failure or a minute in between.

    Attributes:
        repeats: Calls beyond the first of their run.
        repeat_ns: Time they took, in nanoseconds.
        equal: Repeats that are known to have returned the same.
        keys: Distinct arguments that were repeated.
    """

    repeats: int = 0
    repeat_ns: int = 0
    equal: int = 0
    keys: int = 0


def enough(found: Repeats, policy: Policy) -> bool:
    """Tell whether that is often enough: three equal calls, or what a stricter policy asks for."""
    return found.repeats >= max(1, min(policy.repeats, ENOUGH) - 1)


def repeats_of(uses_by_key: Iterable[Sequence[KeyUse]]) -> Repeats:
    """Add up the repeats of several arguments, each with its uses on all frames.

    Arguments whose latest result was another one (polling), or whose results differed as often as
    they agreed, are no repetition: each call learned something.
    """
    repeats = repeat_ns = equal = keys = 0
    for uses in uses_by_key:
        found = _of_one(uses)
        if found is not None:
            repeats += found.repeats
            repeat_ns += found.repeat_ns
            equal += found.equal
            keys += 1
    return Repeats(repeats, repeat_ns, equal, keys)


def _of_one(uses: Sequence[KeyUse]) -> Repeats | None:
    if len(uses) == 1 and not uses[0].repeats:
        return None
    in_order = sorted((use for use in uses if use.calls), key=lambda use: use.last_ended_ns)
    repeats = sum(use.repeats for use in in_order)
    repeat_ns = sum(use.repeat_ns for use in in_order)
    equal = sum(use.equal for use in in_order)
    changed = sum(use.changed for use in in_order)
    last_changed = any(use.last_changed for use in in_order)
    for earlier, later in pairwise(in_order):
        if (
            earlier.write_epoch != later.write_epoch
            or later.last_ended_ns - earlier.last_ended_ns > RUN_GAP_NS
        ):
            continue
        repeats += 1  # another place asked the same
        repeat_ns += later.total_ns // later.calls
        if earlier.result is not None and later.result is not None:
            if earlier.result == later.result:
                equal += 1
            else:
                changed += 1
                last_changed = True
    if not repeats or last_changed or (changed and changed >= equal):
        return None
    return Repeats(repeats, repeat_ns, min(equal, repeats))
