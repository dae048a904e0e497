"""The part of a frame that only taps, fingerprints and slow calls fill in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, final

from ._native import core, in_c

if TYPE_CHECKING:
    from ._boundary import Boundary
    from ._course import Course
    from ._wait import Waits

MISSING_NS: Final = 1 << 62


@final
@dataclass(slots=True, eq=False)
class KeyUse:
    """What happened to one argument fingerprint on one frame.

    Attributes:
        calls: Successful calls with it.
        run: Calls of the current run: no error, write or minute of silence in between.
        longest: Calls of the longest run.
        repeats: Calls that asked again within a run.
        repeat_ns: Time those repeats took, in nanoseconds.
        total_ns: Time of all calls with this fingerprint, in nanoseconds.
        write_epoch: Number of writes the profile had seen at the last call.
        result: Keyed hash of the last result; None when it was not seen.
        equal: Repeats whose result was equal to the one before.
        changed: Repeats whose result was another one.
        last_changed: Whether the latest known result differed from the one before (polling).
        failed: Whether the last call ended in an error (the next one is then a retry).
        retries: Calls that followed a failed one.
        quick: Of those, the ones within 10 ms of it.
        timed_out: Whether the last call ended at a time limit, so that it may have been done after all.
        unsure: Calls that followed such a one.
        last_ended_ns: Monotonic end of the last call, in nanoseconds.
    """

    calls: int = 0
    run: int = 0
    longest: int = 0
    repeats: int = 0
    repeat_ns: int = 0
    total_ns: int = 0
    write_epoch: int = 0
    result: int | None = None
    equal: int = 0
    changed: int = 0
    last_changed: bool = False
    failed: bool = False
    retries: int = 0
    quick: int = 0
    timed_out: bool = False
    unsure: int = 0
    last_ended_ns: int = 0


@dataclass(frozen=True, slots=True)
class Exemplar:
    """One call worth keeping: monotonic start and end in nanoseconds, span id, whether it failed."""

    started_ns: int
    ended_ns: int
    span_id: str = ""
    error: str = ""


Place = tuple[str, int, str]
"""File, line and qualified function of one Python frame of the application."""


Pair = tuple[int, int, int]
"""Size of one call, its duration and its CPU time in nanoseconds; -1 where the CPU time was not taken."""


class FrameDetail:
    """The part of a frame that only taps, keys and slow calls need; made on first use.

    A frame of a plain measured function never has one: it costs 400 bytes and 0.6 us to make.
    """

    __slots__ = (
        "again",
        "batch_max",
        "batch_min",
        "batch_sum",
        "boundary",
        "bytes_max",
        "bytes_sum",
        "callers",
        "cancelled",
        "course",
        "cpu_ns",
        "distinct",
        "exemplars",
        "first_started_ns",
        "first_values",
        "flow",
        "histogram",
        "holder",
        "keys",
        "keys_more",
        "last_ended_ns",
        "lead_min_ns",
        "max_ns",
        "min_ns",
        "outcomes",
        "pairs",
        "peak_in_flight",
        "results",
        "rows_calls",
        "rows_max",
        "rows_sum",
        "single_row_calls",
        "transaction",
        "unkeyed",
        "wait_ns",
        "waits",
        "write_epoch_first",
        "write_epoch_last",
    )  # fmt: skip

    def __init__(self) -> None:
        self.min_ns = MISSING_NS  # the round-trip floor
        self.lead_min_ns = (
            MISSING_NS  # least time since the tapped call before: what the library and the loop need
        )
        self.max_ns = 0
        self.first_started_ns = 0
        self.last_ended_ns = 0
        self.peak_in_flight = 0
        self.cpu_ns = 0
        self.wait_ns = 0
        self.holder: Any = None  # the callsite that held what was waited for
        self.waits: Waits | None = None  # for what is shared: who held it
        self.cancelled = 0
        self.outcomes: dict[str, int] = {}
        self.histogram: list[int] | None = None  # log2 of the duration in ns; slow calls only in pure Python
        self.keys: dict[int, KeyUse] = {}
        self.keys_more = 0  # calls whose fingerprint found no place
        self.distinct = 0  # at least this many distinct fingerprints
        self.unkeyed = 0  # calls whose arguments could not be read
        self.results = 0  # calls that repeated a fingerprint and returned an equal result
        self.rows_sum = 0
        self.rows_max = 0
        self.rows_calls = 0  # calls whose rows were counted
        self.single_row_calls = 0  # of those, calls that returned one row at most
        self.bytes_sum = 0
        self.bytes_max = 0
        self.batch_sum = 0  # values in IN lists, or parameter sets of executemany
        self.batch_max = self.batch_min = 0
        self.write_epoch_first = self.write_epoch_last = 0
        self.transaction = 0  # number of the transaction the last call ran in; 0 when none
        self.boundary: Boundary | None = None  # calls that leave the process
        self.exemplars: list[Exemplar] = []
        self.callers: dict[tuple[Place, ...], int] = {}  # innermost first, the callsite's own place left out
        self.first_values: tuple[int, ...] | None = None  # of the first call, until a second one differs
        self.course: Course | None = None  # how the duration changes with the number of the call
        self.pairs: list[Pair] | None = None  # size and cost of the latest calls that have a size
        self.flow: dict[Any, int] = {}  # reading frame -> distinct arguments that it had returned
        self.again: dict[Any, int] = {}  # batch read -> distinct arguments that it had asked for


if core is not None:
    FrameDetail = in_c(FrameDetail)  # type: ignore[misc]
    KeyUse = in_c(KeyUse)  # type: ignore[misc]
