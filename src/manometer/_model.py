"""The record of what ran: callsites, frames, profiles; no clock, no I/O, no lock."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal, final

from ._detail import FrameDetail
from ._native import core, in_c

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ._stall import Stall
    from ._wait import Held, Hold


Kind = Literal[
    "call", "db", "http", "cache", "queue", "template", "wait", "lock", "root", "expected", "other"
]
ProfileKind = Literal["request", "job", "task", "block", "process"]
Operation = Literal["", "read", "write", "locking", "control"]

IO_KINDS: Final = frozenset({"db", "http", "cache", "queue"})
"""Kinds that cross a boundary of the process: each call pays a round trip."""


@final
@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Callsite:
    """One measured place in the program, made once and compared by identity.

    Attributes:
        name: What a reader calls it: `shop.pricing.quote`, `SELECT users`, `GET /users/{id}`.
        function: Qualified name of the application function it is in, or is.
        kind: What sort of work a call is.
        file: Source file of the application's place; empty when unknown.
        line: Line in that file, for display only; 0 when unknown.
        template: Shape of the statement, URL or key, without any value; empty for functions.
        operation: Whether a call reads, writes, locks or only controls.
        system: Product called, as OpenTelemetry names it (`sqlite`, `postgresql`, `redis`).
        target: Database and host, so that shards stay apart.
        library: Library through which the call went (`sqlalchemy`), which words the advice.
        version: That library's version.
        slow_ns: Own threshold of a slow call in nanoseconds; None takes the configuration's.
        expect: `(rule, reason)` pairs that the programmer stated; the rule `*` means all.
        plan: How to fingerprint a call of a measured function; None for everything else.
    """

    name: str
    function: str = ""
    kind: Kind = "call"
    file: str = ""
    line: int = 0
    template: str = ""
    operation: Operation = ""
    system: str = ""
    target: str = ""
    library: str = ""
    version: str = ""
    slow_ns: int | None = None
    expect: tuple[tuple[str, str], ...] = ()
    plan: Any = None


NO_CHILDREN: Final[dict[Callsite, Frame]] = {}

ACTIVE_OPEN: Final = 1
"""Bit of `Frame.active`: a call is open, an inner one is recursion and adds no time."""
ACTIVE_WATCHED: Final = 2
"""Bit of `Frame.active`: arguments are fingerprinted."""
MARK_NS: Final = 160_000
"""First total of a frame at which it is looked at: eight calls of 20 us (see `_plan`)."""
OPEN_CALL: Final = 4
"""What one open call adds to `Frame.active` where calls of a frame may overlap."""


@final
class Frame:
    """All calls through one callsite under one parent frame inside one profile: an aggregate, not an event.

    Written by one thread at a time (see `_context`), read by the background thread once sealed.
    A child whose `parent` is another frame is a recursive call folded into the frame already open.
    """

    __slots__ = (
        "active", "calls", "callsite", "children", "detail", "errors", "mark_ns", "parent", "since_ns", "total_ns", "union_ns",
        "untimed",
    )  # fmt: skip

    def __init__(self, callsite: Callsite, parent: Frame | None) -> None:
        self.callsite = callsite
        self.parent = parent
        self.children = NO_CHILDREN  # shared and empty until the first child: halves the cost of a leaf
        self.calls = 0
        self.active = 0  # bits ACTIVE_*, above them the number of open calls that may overlap
        self.errors = 0
        self.total_ns = 0
        self.mark_ns = MARK_NS  # total from which the next call is looked at more closely
        self.union_ns = 0  # wall time covered, kept for frames whose calls may overlap
        self.since_ns = 0
        self.untimed = 0  # calls that were counted only; `_sampled.scale` adds their time
        self.detail: FrameDetail | None = None

    def more(self) -> FrameDetail:
        """Return the detail of this frame, made on first use."""
        detail = self.detail
        if detail is None:
            detail = self.detail = FrameDetail()
        return detail

    def own_children(self) -> Iterator[Frame]:
        """Yield the children that are really below this frame (recursion folds upwards)."""
        untied = self.parent is None
        for child in list(self.children.values()):
            # A private subtree has no parent above its top either, and recursion may fold into that top.
            if child.parent is self or (untied and child.parent is None and child is not self):
                yield child

    def untie(self) -> None:
        """Cut all references that lead upwards below this frame, so that no cycle is left for the collector."""
        for frame in list(self.walk()):
            if frame.detail is not None:
                frame.detail.flow = {}
            folded = [site for site, child in frame.children.items() if child.parent is not frame]
            for site in folded:
                del frame.children[site]
        for frame in list(self.walk()):
            frame.parent = None

    def walk(self) -> Iterator[Frame]:
        """Yield this frame and all below it, parents first."""
        stack = [self]
        while stack:
            frame = stack.pop()
            yield frame
            stack.extend(frame.own_children())

    @property
    def self_ns(self) -> int:
        """Time not spent in children, in nanoseconds; never negative."""
        return max(0, self.total_ns - sum(child.covered_ns for child in self.own_children()))

    @property
    def covered_ns(self) -> int:
        """Wall time covered by at least one call: the total, unless calls overlapped."""
        detail = self.detail
        if detail is not None and detail.peak_in_flight > 1:
            return min(self.total_ns, self.union_ns)
        return self.total_ns

    def path(self) -> tuple[Callsite, ...]:
        """Return the callsites from the root down to this frame."""
        up: list[Callsite] = []
        frame: Frame | None = self
        while frame is not None and len(up) < 64:
            up.append(frame.callsite)
            frame = frame.parent
        return tuple(reversed(up))

    def __repr__(self) -> str:
        return f"<Frame {self.callsite.name} calls={self.calls} total_ns={self.total_ns}>"


if core is not None:
    Frame = in_c(Frame)  # type: ignore[misc]
    core.bind_frame(NO_CHILDREN, MARK_NS)


@final
@dataclass(frozen=True, slots=True)
class Policy:
    """From when on repeated work is worth a finding, and from when on a warning.

    Attributes:
        repeats: Calls of one group from which a detector looks at it.
        saving_ns: Low bound of the saving from which a finding is a warning at once.
        many: Repeats which, together with `share`, make a warning without that saving.
        share: Share of the unit of work that those repeats must cost.
        strict: Tests: everything found is a warning, and a call site is required.
    """

    repeats: int = 5
    saving_ns: int = 10_000_000
    many: int = 20
    share: float = 0.05
    strict: bool = False


PRODUCTION: Final = Policy()
JOB: Final = Policy(saving_ns=100_000_000)
"""Jobs have ten times the floor: nobody waits for them."""
STRICT: Final = Policy(repeats=2, saving_ns=0, many=2, share=0.0, strict=True)


@final
@dataclass(slots=True, eq=False)
class Read:
    """The hashed values that one reading frame returned lately: whose rows fed later calls?

    Attributes:
        frame: The frame.
        values: What it returned.
        rows: How many rows.
        asked: The keys it asked for, several a call.
    """

    frame: Frame
    values: set[int] = field(default_factory=set)
    rows: int = 0
    asked: set[int] = field(default_factory=set)


class _Referable:
    """Gives a slotted dataclass weak references, which `weakref_slot` does from 3.11 on."""

    __slots__ = ("__weakref__",)


@final
@dataclass(slots=True, eq=False, kw_only=True)
class Profile(_Referable):
    """The record of one unit of work: a request, a job, a task, a block, or a minute of the process.

    Attributes:
        name: Low-cardinality name, `GET /orders/{id}`; never a raw path.
        route: The same without method, for grouping; the name when there is none.
        kind: What sort of unit of work it is.
        status: Status code of the response; empty when there is none.
        outcome: `ok`, or the type of the exception that ended it.
        framework: Which source opened it.
        trace_id: 32 hex digits of the surrounding trace; empty when there is none.
        version: The application's version (`service.version`); empty when unknown.
        started_unix_ns: Wall-clock start, for display.
        started_ns: Monotonic start.
        duration_ns: Monotonic duration.
        cpu_ns: CPU time of the thread, -1 where it would not be true.
        concurrency: Profiles in flight when this one ended, itself included.
        root: The frame of the whole.
        frames: Frames made, the root included; one of a tapped call counts for four (see `_limits`).
        keys: Argument fingerprints kept in all frames.
        returned: Hashed values of the last reads, by reading frame.
        write_epoch: Writes seen so far.
        dropped: What reached a bound, by reason.
        late: Calls that ended after the profile was sealed.
        not_judged: Rule, with the reason it could not judge.
        readings: Samples of probes that fell into the window.
        expected: Rules suppressed for the whole unit, with the reason.
        slow_ns: Duration from which this unit is worth a line; None takes the configuration's.
        policy: Thresholds for findings about this unit.
        deadline_ns: Monotonic instant until which somebody waits for it; 0 when unknown.
        left_ns: Monotonic instant at which nobody waited any more; 0 while somebody does.
        holds: What it took from others and gave back, in the order of giving back.
        taken: What it holds now.
        overlaps: Calls marked exclusive that met somebody inside: their callsite and the other one's, how often.
        multiplied: Of queries whose joins multiply: results looked at, rows in them, rows they needed.
        stalls: Moments in which its event loop stood still.
        first_byte_ns: Time from the start to the first byte of the response; 0 when unknown.
        branches: Its open branches, for the kill switch; empty once it is sealed.
        tie: What takes its tree apart once it is gone (see `_untie`).
        sealed: Whether it has ended; nothing changes after that.
        self_ns: Estimated own cost of measuring it.
        level: Highest level of detail it met, see `_level`; above 0 something was not recorded.
        time_error: Relative standard error of the times of functions timed on a sample; 0 where there are none.
        plain: Whether arguments, parameters and rows were left unfingerprinted meanwhile.
        spans: What it has to do with a trace (`_spans.Spans`); None when nothing.
    """

    name: str
    root: Frame
    route: str = ""
    kind: ProfileKind = "block"
    status: str = ""
    outcome: str = "ok"
    framework: str = ""
    trace_id: str = ""
    version: str = ""
    started_unix_ns: int = 0
    started_ns: int = 0
    duration_ns: int = 0
    cpu_ns: int = -1
    concurrency: int = 1
    frames: int = 1
    keys: int = 0
    returned: dict[Frame, Read] = field(default_factory=dict)
    write_epoch: int = 0
    dropped: dict[str, int] = field(default_factory=dict)
    late: int = 0
    not_judged: dict[str, str] = field(default_factory=dict)
    readings: tuple[Any, ...] = ()
    expected: dict[str, str] = field(default_factory=dict)
    slow_ns: int | None = None
    policy: Policy = PRODUCTION
    deadline_ns: int = 0
    left_ns: int = 0
    holds: list[Held] = field(default_factory=list)
    taken: dict[int, Hold] = field(default_factory=dict)
    overlaps: dict[tuple[Callsite, Callsite], int] = field(default_factory=dict)
    multiplied: dict[Callsite, tuple[int, int, int]] = field(default_factory=dict)
    stalls: list[Stall] = field(default_factory=list)
    first_byte_ns: int = 0
    sealed: bool = False
    branches: set[Any] = field(default_factory=set)
    tie: Any = None
    self_ns: int = 0
    level: int = 0
    plain: bool = False
    time_error: float = 0.0
    spans: Any = None

    def reason(self, rule: str) -> str:
        """Return why findings of *rule* are expected in this unit of work; "" where they are not. 0.1 us."""
        return self.expected.get(rule) or self.expected.get("*", "")

    def drop(self, reason: str, count: int = 1) -> None:
        """Count what a bound kept out."""
        self.dropped[reason] = self.dropped.get(reason, 0) + count
