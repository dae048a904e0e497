"""Adding frames up: private subtrees into their tree, and a live tree out into a finished one."""

from __future__ import annotations

from . import _limits
from ._boundary import boundary_of
from ._detail import MISSING_NS, FrameDetail, KeyUse
from ._model import NO_CHILDREN, Frame
from ._wait import Waits

_SUMS = (
    "bytes_sum", "cancelled", "cpu_ns", "keys_more", "results", "rows_calls", "rows_sum", "single_row_calls",
    "unkeyed", "wait_ns", "batch_sum",
)  # fmt: skip
_MAXIMA = (
    "bytes_max", "last_ended_ns", "max_ns", "peak_in_flight", "rows_max", "batch_max", "distinct",
    "write_epoch_last", "transaction",
)  # fmt: skip


def merge_subtree(into: Frame, other: Frame) -> int:
    """Add everything below *other* to the same places below *into*, and calls that folded into *other* to *into*.

    Returns:
        Calls that were still open, which can no longer be counted.

    Any thread, after both trees came to rest; 1 us a frame, at most `MAX_FRAMES` of them.
    """
    # Recursion inside *other* folded into its top. Its time is a part of the call that made the subtree.
    into.calls += other.calls
    into.errors += other.errors
    into.untimed += other.untimed
    open_calls = 0
    pending = [(into, other)]
    while pending:
        target_parent, source_parent = pending.pop()
        for source in source_parent.own_children():
            target = target_parent.children.get(source.callsite)
            if target is None:
                if target_parent.children is NO_CHILDREN:
                    target_parent.children = {}
                target = target_parent.children[source.callsite] = Frame(source.callsite, target_parent)
            open_calls += (source.active & 1) + (source.active >> 2)
            add(target, source)
            pending.append((target, source))
    return open_calls


def add(target: Frame, source: Frame) -> None:
    """Add what *source* counted to *target*; children are not touched."""
    target.calls += source.calls
    target.errors += source.errors
    target.untimed += source.untimed
    target.total_ns += source.total_ns
    target.union_ns += source.union_ns or source.total_ns
    if source.detail is not None:
        _add_detail(target.more(), source.detail)


def _add_detail(target: FrameDetail, source: FrameDetail) -> None:
    first = target.first_started_ns
    for name in _SUMS:
        setattr(target, name, getattr(target, name) + getattr(source, name))
    for name in _MAXIMA:
        setattr(target, name, max(getattr(target, name), getattr(source, name)))
    target.min_ns = min(target.min_ns, source.min_ns)
    target.lead_min_ns = min(target.lead_min_ns, source.lead_min_ns)
    target.batch_min = min(target.batch_min, source.batch_min) if target.batch_min else source.batch_min
    target.first_started_ns = min(first, source.first_started_ns) if first else source.first_started_ns
    target.write_epoch_first = min(target.write_epoch_first, source.write_epoch_first)
    if source.boundary is not None:
        boundary_of(target).add(source.boundary)
    target.holder = source.holder or target.holder
    target.first_values = target.first_values or source.first_values
    target.course = target.course or source.course
    if source.waits is not None:
        _add_waits(target, source.waits)
    if source.pairs:
        target.pairs = [*(target.pairs or ()), *source.pairs][-_limits.MAX_PAIRS_PER_FRAME :]
    target.exemplars = (target.exemplars + source.exemplars)[: _limits.MAX_EXEMPLARS]
    for key, use in source.keys.items():
        _add_key(target, key, use)
    target.distinct = max(target.distinct, len(target.keys))
    for outcome, count in source.outcomes.items():
        if outcome in target.outcomes or len(target.outcomes) < _limits.MAX_OUTCOMES:
            target.outcomes[outcome] = target.outcomes.get(outcome, 0) + count
    for callers, count in source.callers.items():
        if callers in target.callers or len(target.callers) < _limits.MAX_CALLERS_PER_FRAME:
            target.callers[callers] = target.callers.get(callers, 0) + count
    for frame, count in source.flow.items():
        target.flow[frame] = target.flow.get(frame, 0) + count
    for frame, count in source.again.items():
        target.again[frame] = target.again.get(frame, 0) + count
    if source.histogram is not None:
        mine = target.histogram or [0] * len(source.histogram)
        target.histogram = [a + b for a, b in zip(mine, source.histogram, strict=True)]


def _add_waits(target: FrameDetail, waits: Waits) -> None:
    if target.waits is None:
        target.waits = Waits(waits.resource)
    target.waits.merge(waits)


def _add_key(target: FrameDetail, key: int, use: KeyUse) -> None:
    mine = target.keys.get(key)
    if mine is None:
        if len(target.keys) >= _limits.MAX_KEYS_PER_FRAME:
            target.keys_more += use.calls
            return
        target.keys[key] = KeyUse(**{name: getattr(use, name) for name in KeyUse.__slots__})
        return
    if use.calls and mine.calls and use.write_epoch == mine.write_epoch:
        mine.repeats += 1  # two owners asked the same without a write in between
        mine.repeat_ns += use.total_ns // use.calls
        mine.longest += use.longest
    mine.calls += use.calls
    mine.repeats += use.repeats
    mine.repeat_ns += use.repeat_ns
    mine.total_ns += use.total_ns
    mine.equal += use.equal
    mine.changed += use.changed
    mine.retries += use.retries
    mine.quick += use.quick
    mine.unsure += use.unsure
    mine.last_changed = mine.last_changed or use.last_changed
    mine.last_ended_ns = max(mine.last_ended_ns, use.last_ended_ns)


def snapshot(live: Frame) -> tuple[Frame, int]:
    """Copy a tree that is in use and set its counters back to zero.

    Returns:
        The copy, and the number of frames in it.

    The owner's thread only; 2 us a frame, once a minute, only while a call is open.
    """
    copy = Frame(live.callsite, None)
    copies = {id(live): copy}
    pending = [live]
    while pending:
        frame = pending.pop()
        mine = copies[id(frame)]
        for child in frame.own_children():
            twin = Frame(child.callsite, mine)
            if mine.children is NO_CHILDREN:
                mine.children = {}
            mine.children[child.callsite] = twin
            copies[id(child)] = twin
            twin.calls, child.calls = child.calls, 0
            twin.errors, child.errors = child.errors, 0
            twin.untimed, child.untimed = child.untimed, 0
            twin.total_ns, child.total_ns = child.total_ns, 0
            twin.union_ns, child.union_ns = child.union_ns, 0
            twin.detail, child.detail = child.detail, None
            pending.append(child)
    for twin in copies.values():
        detail = twin.detail
        if detail is not None and (detail.flow or detail.again):
            detail.flow = {copies.get(id(frame), frame): count for frame, count in detail.flow.items()}
            detail.again = {copies.get(id(frame), frame): count for frame, count in detail.again.items()}
    return copy, len(copies)


__all__ = ["MISSING_NS", "add", "merge_subtree", "snapshot"]
