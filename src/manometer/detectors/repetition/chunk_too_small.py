"""The rule chunk-too-small: many calls with a few values each, where fewer could carry more."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ..._model import IO_KINDS
from .. import _advice
from .._claims import Claims
from .._evidence import batch_saving_ns, speak
from .._flow import origin_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..._finding import Confidence, Finding
    from ..._model import Profile
    from ...protocols import HistoryView

RULE: Final = "chunk-too-small"
SMALL: Final = 50
"""Values of a call, on average, below which a chunk is small."""
LARGE: Final = 500
"""Values that one call carries easily, with every database we know."""


def chunk_too_small(
    profile: Profile, _history: HistoryView, claims: Claims | None = None
) -> Iterator[Finding]:
    """Yield a finding for each statement that runs again and again with a short list of values.

    Reads with an IN list and writes with several rows alike, from twice as many calls as make a
    repetition: the last chunk of a stream is always short, and two chunks may be two lists.
    """
    claims = claims or Claims(profile)
    for group in claims.groups(RULE, IO_KINDS):
        if group.callsite.operation not in ("", "read", "write") or not group.batched:
            continue
        mean = group.batch_sum / group.calls
        if group.looped < 2 * profile.policy.repeats or mean >= SMALL:
            continue
        if group.known and group.distinct < max(2, group.keyed / 2):
            continue  # the same list again: another rule says that better
        reads = group.callsite.operation != "write"
        origin = origin_of(group) if reads and group.known else None
        source = origin.source if origin is not None else None
        confidence: Confidence = "likely" if group.known else "possible"
        yield speak(
            claims,
            group,
            RULE,
            confidence="confirmed" if source is not None else confidence,
            repeats=group.calls,
            cost_ns=group.covered_ns,
            saving_ns=batch_saving_ns(group, -(-group.batch_sum // LARGE)),
            advice=_advice.larger_chunks(group.callsite),
            evidence={
                "values": group.batch_sum,
                "values_per_call": round(mean, 1),
                "largest_batch": group.batch_max,
                **(origin.facts if origin is not None else {}),
            },
            source=source,
        )
