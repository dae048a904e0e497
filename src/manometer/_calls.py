"""One call as a tap sees it: begun, ended, its arguments, its rows, added to the frame it belongs to."""

from __future__ import annotations

from time import perf_counter_ns
from types import FrameType
from typing import TYPE_CHECKING, Final, final

from . import _limits
from ._boundary import NO_BACK_OFF_NS, is_timeout
from ._context import HOT, Branch, drops, new_frame
from ._course import FIRST, Course
from ._detail import Exemplar, KeyUse
from ._fingerprint import values_of
from ._model import OPEN_CALL, Read
from ._native import core, in_c

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ._detail import FrameDetail, Place
    from ._model import Callsite, Frame, Profile

RUN_GAP_NS: Final = 60_000_000_000
"""Equal reads further apart are not a repetition: whoever polls once a minute wants fresh values."""


@final
class Call:
    """A call in progress; made by `begin`, finished by `end`, used by one owner."""

    __slots__ = ("branch", "callsite", "frame", "started_ns", "use", "write_epoch")

    def __init__(self, branch: Branch, callsite: Callsite, frame: Frame, started_ns: int) -> None:
        self.branch = branch
        self.callsite = callsite
        self.frame = frame
        self.started_ns = started_ns
        self.write_epoch = branch.profile.write_epoch
        self.use: KeyUse | None = None


def begin(branch: Branch, callsite: Callsite, started_ns: int = 0) -> Call:
    """Open a call through *callsite* below the current frame of *branch*.

    Args:
        branch: What `_context.current` returned; the same owner ends the call.
        callsite: The tap's callsite.
        started_ns: Monotonic start; now when 0.

    Application threads; 0.5 us.
    """
    parent = branch.frame
    frame = parent.children.get(callsite)
    if frame is None:
        frame = new_frame(branch, parent, callsite)
    call = Call(branch, callsite, frame, started_ns or HOT["clock_"]())
    if frame.active:
        detail = frame.more()
        detail.peak_in_flight = max(detail.peak_in_flight, (frame.active >> 2) + 1)
    else:
        frame.since_ns = call.started_ns
    frame.active += OPEN_CALL
    return call


def end(
    call: Call,
    *,
    key: int | None = None,
    values: tuple[int, ...] = (),
    arguments: object = None,
    batch: int = 0,
    error: str = "",
    cancelled: bool = False,
    callers: tuple[Place, ...] = (),
    ended_ns: int = 0,
) -> None:
    """Close *call* and add it up.

    Args:
        call: From `begin`.
        key: Keyed hash of all arguments; None when they could not be read.
        values: Keyed hashes of the key-like ones among them.
        arguments: Instead of them the arguments themselves, which are read only where they are new.
        batch: Values of an IN list, or parameter sets of an `executemany`; 0 when there is none.
        error: Type of the exception; empty for success.
        cancelled: The error is a cancellation.
        callers: Application frames above the call site, innermost first.
        ended_ns: Monotonic end; now when 0.

    Application threads; 1-2 us.
    """
    frame, profile = call.frame, call.branch.profile
    if profile.sealed:
        drops["late"] = drops.get("late", 0) + 1  # the background thread reads it by now
        return
    ended_ns = ended_ns or HOT["clock_"]()
    duration_ns = max(0, ended_ns - call.started_ns)
    frame.active -= OPEN_CALL
    if frame.active < OPEN_CALL:
        frame.union_ns += max(0, ended_ns - frame.since_ns)
    frame.calls += 1
    frame.total_ns += duration_ns
    detail = frame.more()
    branch = call.branch
    if branch.ended_ns and call.started_ns - branch.ended_ns < detail.lead_min_ns:
        detail.lead_min_ns = max(0, call.started_ns - branch.ended_ns)
    branch.ended_ns = ended_ns
    detail.peak_in_flight = detail.peak_in_flight or 1
    if not detail.first_started_ns:
        detail.first_started_ns = call.started_ns
        detail.write_epoch_first = call.write_epoch
    if ended_ns > detail.last_ended_ns:
        detail.last_ended_ns = ended_ns
    detail.write_epoch_last = call.write_epoch
    _add_duration(frame.calls, detail, call.started_ns, ended_ns, error)
    if error:
        _add_error(frame, detail, error, cancelled)
    if batch:
        detail.batch_sum += batch
        detail.batch_max = max(detail.batch_max, batch)
        detail.batch_min = min(detail.batch_min, batch) if detail.batch_min else batch
    if callers:
        _add_callers(detail, callers)
    if key is None:
        detail.unkeyed += 1
    else:
        if arguments is not None and key not in detail.keys and len(detail.keys) < _limits.MAX_KEYS_PER_FRAME:
            values = values_of(arguments)
        _add_key(call, detail, profile, key, values, duration_ns, ended_ns, error)
    if call.callsite.operation == "write":
        profile.write_epoch += 1


def extend(call: Call, started_ns: int, ended_ns: int, batch: int, error: str = "") -> None:
    """Add a further part to a call that ended: a library sends one batch in several statements.

    Args:
        call: From `begin`, ended.
        started_ns: Monotonic start of the part.
        ended_ns: Its end.
        batch: Parameter sets in it.
        error: Type of the exception; empty for success.

    Application threads; 0.5 us.
    """
    frame, profile = call.frame, call.branch.profile
    if profile.sealed:
        return
    duration_ns = max(0, ended_ns - started_ns)
    frame.total_ns += duration_ns
    frame.union_ns += duration_ns
    call.branch.ended_ns = ended_ns
    detail = frame.more()
    detail.last_ended_ns = max(detail.last_ended_ns, ended_ns)
    detail.batch_sum += batch
    detail.batch_max = max(detail.batch_max, batch)
    if error:
        _add_error(frame, detail, error, cancelled=False)


def _add_duration(number: int, detail: FrameDetail, started_ns: int, ended_ns: int, error: str) -> None:
    duration_ns = ended_ns - started_ns
    if number >= FIRST and not error:
        course = detail.course
        if course is None:
            course = detail.course = Course()
        course.add(number, duration_ns)
    if duration_ns < detail.min_ns and not error:
        detail.min_ns = duration_ns
    if duration_ns > detail.max_ns:
        detail.max_ns = duration_ns
        if duration_ns > HOT["limit_"] or error:
            keep(detail, Exemplar(started_ns, ended_ns, "", error))


def keep(detail: FrameDetail, exemplar: Exemplar) -> None:
    """Keep one of the slowest calls of a frame."""
    exemplars = detail.exemplars
    if len(exemplars) >= _limits.MAX_EXEMPLARS:
        exemplars.pop(0)
    exemplars.append(exemplar)


def _add_error(frame: Frame, detail: FrameDetail, error: str, cancelled: bool) -> None:
    if cancelled:
        detail.cancelled += 1
    else:
        frame.errors += 1
    outcomes = detail.outcomes
    if error in outcomes or len(outcomes) < _limits.MAX_OUTCOMES:
        outcomes[error] = outcomes.get(error, 0) + 1


def _add_callers(detail: FrameDetail, callers: tuple[Place, ...]) -> None:
    known = detail.callers
    if callers in known or len(known) < _limits.MAX_CALLERS_PER_FRAME:
        known[callers] = known.get(callers, 0) + 1
    else:
        known[()] = known.get((), 0) + 1  # further chains, kept apart so that the sum stays exact


def find_key(detail: FrameDetail, profile: Profile, key: int) -> KeyUse | None:
    """Return what is known about *key* on a frame, made on first sight; None beyond the bounds."""
    use = detail.keys.get(key)
    if use is None:
        if len(detail.keys) >= _limits.MAX_KEYS_PER_FRAME or profile.keys >= _limits.MAX_KEYS_PER_PROFILE:
            detail.keys_more += 1
            return None
        use = detail.keys[key] = KeyUse()
        profile.keys += 1
        detail.distinct += 1
    return use


def count_use(use: KeyUse, epoch: int, started_ns: int, ended_ns: int, error: str = "") -> None:
    """Add one call to what is known about its arguments.

    A call right after a failed one is a retry, not a repetition; a write or a minute in between
    begins a new run.
    """
    duration_ns = max(0, ended_ns - started_ns)
    if use.failed:
        use.retries += 1
        use.quick += started_ns - use.last_ended_ns < NO_BACK_OFF_NS
        use.unsure += use.timed_out
    use.timed_out = bool(error) and is_timeout(error)
    if error:
        use.failed = True
        use.run = 0
    else:
        same_run = use.run and use.write_epoch == epoch and started_ns - use.last_ended_ns <= RUN_GAP_NS
        if same_run and not use.failed:
            use.repeats += 1
            use.repeat_ns += duration_ns
            use.run += 1
        else:
            use.run = 1
        use.failed = False
        use.calls += 1
        use.longest = max(use.longest, use.run)
        use.total_ns += duration_ns
    use.write_epoch = epoch
    use.last_ended_ns = max(use.last_ended_ns, ended_ns)


def count_result(detail: FrameDetail, use: KeyUse, result: int | None) -> None:
    """Compare a result with the one before for the same arguments."""
    if result is None:
        return
    if use.result is not None:
        use.last_changed = use.result != result
        if use.last_changed:
            use.changed += 1
        else:
            use.equal += 1
            detail.results += 1
    use.result = result


def _add_key(
    call: Call,
    detail: FrameDetail,
    profile: Profile,
    key: int,
    values: tuple[int, ...],
    duration_ns: int,
    ended_ns: int,
    error: str,
) -> None:
    new = key not in detail.keys
    use = find_key(detail, profile, key)
    if use is None:
        return
    call.use = use
    count_use(use, call.write_epoch, ended_ns - duration_ns, ended_ns, error)
    if new and not error and values:
        _add_flow(detail, profile, values)


def _add_flow(detail: FrameDetail, profile: Profile, values: tuple[int, ...]) -> None:
    """Note which earlier reads had returned the arguments that differ between the calls.

    An argument that stays the same (a tenant, a flag) proves nothing, so the first call is only
    judged once a second one shows what varies.
    """
    first = detail.first_values
    if first is None:
        detail.first_values = values
        return
    if not profile.returned:
        return
    varying = [at for at, value in enumerate(values) if at >= len(first) or value != first[at]]
    if detail.distinct == 2:
        _count_flow(detail, profile, [first[at] for at in varying if at < len(first)])
    _count_flow(detail, profile, [values[at] for at in varying])


def _count_flow(detail: FrameDetail, profile: Profile, values: list[int]) -> None:
    # The frame itself counts too: calls that each need what the one before returned cannot be batched.
    for source, read in list(profile.returned.items()):
        if not read.values.isdisjoint(values):
            detail.flow[source] = detail.flow.get(source, 0) + 1
        if read.asked and not read.asked.isdisjoint(values):
            detail.again[source] = detail.again.get(source, 0) + 1


def add_rows(
    call: Call, rows: int, values: Iterable[int] = (), result: int | None = None, fetch_ns: int = 0
) -> None:
    """Add what a finished call returned, at fetch.

    Args:
        call: From `begin`, already ended.
        rows: Rows fetched in all.
        values: Keyed hashes of key-like values in them, at most 64 a column.
        result: Keyed hash of the whole, to tell an equal result from another one.
        fetch_ns: Time spent fetching, in nanoseconds; added to the call.

    Application threads; 0.5 us and 0.05 us a value.
    """
    frame, profile = call.frame, call.branch.profile
    if profile.sealed:
        return
    detail = frame.more()
    frame.total_ns += fetch_ns
    frame.union_ns += fetch_ns
    if fetch_ns:
        call.branch.ended_ns = HOT["clock_"]()
    detail.rows_calls += 1
    detail.rows_sum += rows
    detail.rows_max = max(detail.rows_max, rows)
    if detail.course is not None:
        detail.course.add_rows(frame.calls, rows)
    if rows <= 1:
        detail.single_row_calls += 1
    if call.use is not None:
        count_result(detail, call.use, result)
    add_returned(profile, frame, rows, values)


def add_returned(profile: Profile, frame: Frame, rows: int, values: Iterable[int]) -> None:
    """Remember values that *frame* returned, so that later calls can be seen to use them."""
    read = _latest(profile, frame)
    read.rows += rows
    if len(read.values) < _limits.MAX_VALUES_PER_FRAME:
        read.values.update(values)


def add_asked(call: Call, values: Iterable[int]) -> None:
    """Remember the keys that a call asked for all at once, so that asking for them one by one can be seen.

    Args:
        call: From `begin`, already ended.
        values: Keyed hashes of them.

    Application threads; 0.5 us and 0.05 us a value.
    """
    profile = call.branch.profile
    if profile.sealed:
        return
    read = _latest(profile, call.frame)
    if len(read.asked) < _limits.MAX_VALUES_PER_FRAME:
        read.asked.update(values)


def _latest(profile: Profile, frame: Frame) -> Read:
    """Return what is remembered of *frame*, which is the most recent reader by now."""
    returned = profile.returned
    read = returned.pop(frame, None)
    if read is None:
        if len(returned) >= _limits.MAX_READS:
            returned.pop(next(iter(returned)))
        read = Read(frame)
    returned[frame] = read  # the most recent stands last
    return read


def _keep_slow(detail: FrameDetail, started_ns: int, ended_ns: int, error: str | None) -> None:
    keep(detail, Exemplar(started_ns, ended_ns, "", error or ""))


def _count_late() -> None:
    drops["late"] = drops.get("late", 0) + 1


if core is not None:
    core.bind_taps(
        HOT, perf_counter_ns, FrameType, _add_error, _keep_slow, Course, is_timeout, Read, _count_late
    )
    # The same in C; a test gives both the same calls.
    Call = in_c(Call)  # type: ignore[misc]
    begin = core.begin_call
    end = core.end_call
    add_rows = core.add_rows
    add_returned = core.add_returned
    count_result = core.count_result
