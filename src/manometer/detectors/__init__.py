"""The rules, by question, and the function that judges a profile with them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from . import _judge
from .boundaries.chatty import chatty
from .boundaries.no_timeout import no_timeout
from .boundaries.past_deadline import past_deadline
from .boundaries.retry_amplification import retry_amplification
from .boundaries.serial_independents import serial_independents
from .boundaries.unbounded_fanout import unbounded_fanout
from .boundaries.unbounded_queue import unbounded_queue
from .repetition.cache_ineffective import cache_ineffective
from .repetition.cache_stale import cache_stale
from .repetition.cache_stampede import cache_stampede
from .repetition.cache_would_pay import cache_would_pay
from .repetition.chunk_too_small import chunk_too_small
from .repetition.duplicate_read import duplicate_read
from .repetition.n_plus_one import n_plus_one
from .repetition.repeated_call import repeated_call
from .repetition.repeated_setup import repeated_setup
from .repetition.wasted_eager_load import wasted_eager_load
from .repetition.write_loop import write_loop
from .sharing.executor_wait import executor_wait
from .sharing.gil_contention import gil_contention
from .sharing.held_across_io import held_across_io
from .sharing.lock_wait import lock_wait
from .sharing.loop_blocked import loop_blocked
from .sharing.overlapping_calls import overlapping_calls
from .sharing.pool_wait import pool_wait
from .sharing.slower_under_load import slower_under_load
from .size.growing_container import growing_container
from .size.row_explosion import row_explosion
from .size.slowing_call import slowing_call
from .size.superlinear import superlinear
from .size.unbounded_result import unbounded_result

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from .._finding import Finding
    from .._model import Profile
    from ..protocols import Detector, HistoryView
    from ._judge import Rule

DEFAULT: Final[tuple[tuple[str, Rule], ...]] = (
    ("no-timeout", no_timeout),
    ("past-deadline", past_deadline),
    ("retry-amplification", retry_amplification),
    ("unbounded-fanout", unbounded_fanout),
    ("n-plus-one", n_plus_one),
    ("wasted-eager-load", wasted_eager_load),
    ("chunk-too-small", chunk_too_small),
    ("write-loop", write_loop),
    ("duplicate-read", duplicate_read),
    ("cache-ineffective", cache_ineffective),
    ("repeated-call", repeated_call),
    ("repeated-setup", repeated_setup),
    ("serial-independents", serial_independents),
    ("chatty", chatty),
    ("cache-stampede", cache_stampede),
    ("cache-stale", cache_stale),
    ("cache-would-pay", cache_would_pay),
    ("unbounded-queue", unbounded_queue),
    ("overlapping-calls", overlapping_calls),
    ("pool-wait", pool_wait),
    ("lock-wait", lock_wait),
    ("executor-wait", executor_wait),
    ("loop-blocked", loop_blocked),
    ("gil-contention", gil_contention),
    ("held-across-io", held_across_io),
    ("slower-under-load", slower_under_load),
    ("superlinear", superlinear),
    ("slowing-call", slowing_call),
    ("row-explosion", row_explosion),
    ("unbounded-result", unbounded_result),
    ("growing-container", growing_container),
)
"""Rule and detector, from most to least precise: the first to explain a call claims it."""


def judge(
    profile: Profile,
    history: HistoryView,
    disabled: Collection[str] = frozenset(),
    extra: Iterable[Detector] = (),
) -> tuple[Finding, ...]:
    """Return what there is to say about a finished profile, the costliest finding first.

    Args:
        profile: Sealed. `not_judged` and, beyond the bound of findings, `dropped` are filled in.
        history: Of the process, this profile included.
        disabled: Rules that stay off.
        extra: Further detectors; they see all calls and claim none.

    Background thread, or the thread that closes a profile in tests. Never raises for a detector's
    failure. Cost: about 1 us a frame and 10 us a callsite of a tap, 50 us a finding.
    """
    return _judge.run(DEFAULT, profile, history, disabled, extra)


__all__ = ["DEFAULT", "judge"]
