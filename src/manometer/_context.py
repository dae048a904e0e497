"""The current branch: in which frame is this thread or task, and to which profile does it belong?"""

from __future__ import annotations

import time
from contextvars import Context, ContextVar, copy_context
from random import random
from typing import TYPE_CHECKING, Any, Final, Literal, final

from . import _cpu, _guard, _hot, _limits
from ._cpu import ThreadCpu
from ._forks import forks_of
from ._model import ACTIVE_WATCHED, IO_KINDS, NO_CHILDREN, Callsite, Frame, Policy, Profile, ProfileKind
from ._native import core, in_c
from ._untie import tie

if TYPE_CHECKING:
    from collections.abc import Callable

    from ._model import Kind

absent = False
"""`MANOMETER=0`: `measure` returns the function itself."""

_ROOT: Final = Callsite(name="(root)", kind="root")
_OTHER: Final[dict[str, Callsite]] = {}
FOLDED: Final = "(other)"
"""Name of the callsites into which calls beyond the bound of frames fold."""
OUTSIDE: Final = Callsite(name="(late)", kind="other")
"""Frame of the rolling profile under which calls of an already sealed profile are counted."""


@final
class Branch:
    """A mutable pointer to the current frame, owned by one thread, greenlet or task.

    A synchronous function cannot be suspended half way, so it may move the pointer and move it back;
    whatever can be suspended while open opens a branch of its own. A branch met by another owner forks
    into a private subtree, merged when the profile is sealed, so that nobody needs a lock.
    """

    __slots__ = (
        "again",
        "base",
        "covered",
        "ended_ns",
        "forks",
        "frame",
        "opened",
        "outer",
        "owner",
        "profile",
        "since_ns",
    )

    since_ns: int  # start of the call or block that opened it; others do not set it

    def __init__(self, frame: Frame, owner: Any, profile: Profile, outer: Branch | None) -> None:
        self.opened: set[Branch] = set() if outer is None else outer.opened  # all open ones of the profile
        self.frame = frame
        self.owner = owner  # None: the profile is sealed, or a roll is due; the next call takes the slow path
        self.profile = profile
        self.outer = outer
        self.base = frame
        self.again = False  # opened inside a recursion
        self.ended_ns = 0  # end of the last tapped call
        self.covered = False  # a tap above describes the call in progress; a tap below stays silent
        self.forks: dict[Any, Branch] | None = None


if core is not None:
    Branch = in_c(Branch)  # type: ignore[misc]

MUTED: Final[Literal[False]] = False
"""Value of the variable inside a unit of work that is not profiled (excluded, sampled out)."""

variable: Final[ContextVar[Branch | Literal[False] | None]] = ContextVar("manometer", default=None)

live: Final[dict[int, Profile]] = {}  # those in flight by identity; atomic operations only

closing: Callable[[Profile], None] | None = None
"""Told of a unit of work that is about to end, while event loops are watched; never raises."""
sample = 1.0
max_frames = _limits.MAX_FRAMES
sink: Callable[[Profile], None] | None = None  # where sealed profiles go; set by the runtime
version = ""


def no_outside() -> None:
    """Record nothing outside a unit of work: manometer is dormant."""


def no_roll(branch: Branch, owner: Any) -> Branch:
    """Let go of a rolling branch that outlived `stop()`: this context is empty from now on."""
    make_current(None)
    return Branch(Frame(branch.base.callsite, None), owner, branch.profile, None)


def new_frame(branch: Branch, parent: Frame, callsite: Callsite) -> Frame:
    """Make the child of *parent* for *callsite*, or fold into a frame that stands for it.

    A callsite that is already open further up (recursion, mutual recursion too) folds into that frame:
    never 2^depth frames. Beyond the bound calls fold into one frame per kind under the root. 0.6 us.
    """
    up: Frame | None = parent
    for _ in range(_limits.MAX_RECURSION_WALK):
        if up is None:
            break
        if up.callsite is callsite:
            _adopt(parent, callsite, up)
            return up
        up = up.parent
    profile = branch.profile
    if profile.frames >= max_frames:
        return _folded(profile, callsite.kind)
    profile.frames += _limits.IO_FRAME_WEIGHT if callsite.kind in IO_KINDS else 1
    frame = Frame(callsite, parent)
    plan = callsite.plan
    if plan is not None and plan.looks_at_all(profile.policy.strict):
        plan.probed = False
        frame.active = ACTIVE_WATCHED
    return _adopt(parent, callsite, frame)


def _adopt(parent: Frame, callsite: Callsite, child: Frame) -> Frame:
    """Enter *child* below *parent*; a destructor, run by a collection on the way, may have made that frame: it counts."""
    if parent.children is NO_CHILDREN:
        children: dict[Callsite, Frame] = {}
        if parent.children is NO_CHILDREN:
            parent.children = children
    return parent.children.setdefault(callsite, child)


def _folded(profile: Profile, kind: Kind) -> Frame:
    callsite = _OTHER.get(kind)
    if callsite is None:
        callsite = _OTHER[kind] = Callsite(name=FOLDED, kind=kind)
    profile.drop("frames")
    frame = profile.root.children.get(callsite)
    if frame is None:
        frame = _adopt(profile.root, callsite, Frame(callsite, profile.root))
    return frame


def fork(branch: Branch) -> Branch:
    """Return the branch to use where *branch* is not this owner's (slow path of every entry).

    Another owner gets a private subtree below the frame where *branch* was opened; a sealed profile
    sends its late calls to the rolling profile; a due roll is done here.
    """
    owner = HOT["ident_"]()
    profile = branch.profile
    if profile.kind == "process":
        return HOT["roll_"](branch, owner)  # type: ignore[no-any-return]
    if profile.sealed:
        return _late(branch, owner)
    forks = branch.forks
    if forks is None:
        forks = branch.forks = {}
    found = forks.get(owner)
    if found is None:
        if len(forks) >= _limits.MAX_FORKS:
            profile.drop("forks")
            found = forks[next(iter(forks))]
            return Branch(Frame(found.base.callsite, None), owner, profile, branch)
        found = Branch(Frame(branch.base.callsite, None), owner, profile, branch)
        forks[owner] = found
        branch.opened.update((branch, found))
    return found


def _late(branch: Branch, owner: Any) -> Branch:
    outside = HOT["outside_"]()
    if outside is None:
        make_current(None)
        return Branch(Frame(OUTSIDE, None), owner, branch.profile, None)
    base = outside.base
    frame = base.children.get(OUTSIDE) or new_frame(outside, base, OUTSIDE)
    late = Branch(frame, owner, outside.profile, outside)
    late.opened.add(late)
    make_current(late)
    drops["late"] = drops.get("late", 0) + 1
    return late


def _no_branch(branch: Branch, *_: Any) -> Branch:
    return Branch(Frame(branch.base.callsite, None), HOT["ident_"](), branch.profile, None)


drops: Final[dict[str, int]] = {}  # what the process dropped, by reason; profiles carry their own

HOT: Final = _hot.HOT
HOT.update(
    get_=variable.get,  # `_level` may put another in its place
    own_=variable.get,
    new_=_guard.shield("context.frame", new_frame, lambda _b, _p, site: Frame(site, None)),
    fork_=_guard.shield("context.branch", fork, _no_branch),
    outside_=no_outside,
    roll_=no_roll,
    made_=lambda _: None,
    Branch_=Branch,
)
use_greenlets: Final = _hot.use_greenlets


def current() -> Branch | None:
    """Return the branch that a tap writes to now, or None when nothing is recorded; 0.2 us."""
    branch: Branch | None = HOT["get_"]()  # or False: not profiled
    if not branch:
        if HOT["idle_"] or branch is not None:
            return None
        branch = HOT["outside_"]()
        if branch is None:
            return None
    if branch.owner != HOT["ident_"]():
        branch = fork(branch)
    return branch


@final
class OpenProfile:
    """A profile in progress: what `open_profile` gives and `close_profile` takes."""

    __slots__ = ("branch", "cpu", "previous", "profile", "sink")

    def __init__(self, profile: Profile | None, branch: Branch | Literal[False]) -> None:
        self.profile = profile
        self.branch = branch
        self.previous: Branch | Literal[False] | None = None
        self.cpu: ThreadCpu | None = None
        self.sink: Callable[[Profile], None] | None = None

    def end_cpu(self) -> int:
        cpu, self.cpu = self.cpu, None
        return -1 if cpu is None else cpu.end()


def make_profile(name: str, kind: ProfileKind) -> Profile:
    """Return a profile that starts now, with its root frame."""
    profile = Profile(name=name[: _limits.MAX_NAME], kind=kind, root=Frame(_ROOT, None))
    profile.started_ns = HOT["clock_"]()
    profile.started_unix_ns = time.time_ns()
    profile.version = version
    profile.level, profile.plain = HOT["level_"], HOT["plain_"]
    profile.root.calls = 1
    tie(profile)
    HOT["made_"](profile)
    return profile


def open_profile(
    name: str,
    kind: ProfileKind = "block",
    *,
    cpu: bool = True,
    policy: Policy | None = None,
    to: Callable[[Profile], None] | None = None,
    muted: bool = False,
) -> OpenProfile:
    """Begin a unit of work in the current context.

    Args:
        name: Low-cardinality name; may be replaced until the profile is closed.
        kind: What sort of unit it is.
        cpu: Whether the thread's CPU time belongs to this unit (never for asyncio).
        policy: Thresholds; chosen by *kind* when None.
        to: Receives the sealed profile; the pipeline when None.
        muted: Nothing inside is recorded (an excluded route).

    Application threads; about 5 us.
    """
    if to is None and (HOT["idle_"] or muted or (sample < 1.0 and random() >= sample)):  # noqa: S311 - a share, no secret
        opened = OpenProfile(None, MUTED)
        opened.previous = variable.get()
        make_current(MUTED)
        return opened
    use_greenlets()
    profile = make_profile(name, kind)
    if policy is not None:
        profile.policy = policy
    if len(live) >= _limits.MAX_LIVE_PROFILES:
        _evict()
    branch = Branch(profile.root, HOT["ident_"](), profile, None)
    opened = OpenProfile(profile, branch)
    opened.sink = to
    opened.previous = variable.get()
    try:
        live[id(profile)] = profile
        profile.branches = branch.opened
        branch.opened.add(branch)
        if cpu:
            opened.cpu = ThreadCpu(branch.owner)
        make_current(branch)
    except BaseException:
        live.pop(id(profile), None)
        opened.end_cpu()
        restore(opened)
        raise
    return opened


def make_current(value: Branch | Literal[False] | None) -> None:
    """Set the variable, and keep what it replaces alive meanwhile; 0.2 us.

    Up to Python 3.11 a collection inside `set` may run a destructor that sets it too, and the interpreter
    goes on to read the mapping that the inner one let go. Copying a context has the same fault where it
    allocates; just after a context was let go it does not.
    """
    Context()
    _kept = copy_context()
    variable.set(value)


if core is not None:
    core.bind_set(variable.set)
    make_current = core.make_current  # with no collection meanwhile
HOT.update(set_=variable.set if core is None else make_current, empty_=Context, copy_=copy_context)


def restore(opened: OpenProfile) -> None:
    """Put back what was current before, but for somebody else's; a block left by force inside is left as well."""
    current = variable.get()
    if current is opened.branch or (current and current.profile is opened.profile):
        try:
            make_current(opened.previous)
        except RecursionError:  # its frame was one too many at the end of the stack
            variable.set(opened.previous)
        except Exception as error:
            variable.set(opened.previous)
            _guard.failed("context.restore", error)


def close_profile(opened: OpenProfile, error: str = "") -> None:
    """Seal the profile and hand it on. Does not touch the context (see `restore`); never raises.

    Args:
        opened: What `open_profile` returned; closing it twice is ignored.
        error: Type of the exception that ended it.

    Application threads; takes no lock: merging costs 1 us a forked frame.
    """
    profile, branch = opened.profile, opened.branch
    if profile is None or branch is MUTED:
        return
    if closing is not None:
        closing(profile)
    concurrency = len(live)
    live.pop(id(profile), None)
    cpu_ns = opened.end_cpu()  # also where `disable` has sealed it
    if profile.sealed:
        return
    profile.cpu_ns, profile.concurrency = cpu_ns, concurrency
    seal(profile, branch.opened, error)
    deliver = opened.sink or sink
    if deliver is not None:
        deliver(profile)


def seal(profile: Profile, branches: set[Branch], error: str = "") -> None:
    """End *profile* now: close its branches, merge private subtrees, fix its duration."""
    profile.sealed = True
    profile.level, profile.plain = max(profile.level, HOT["level_"]), profile.plain or HOT["plain_"]
    if error:
        profile.outcome = error
    opened = list(branches)
    for branch in opened:
        branch.owner = None  # late calls find it closed
    for fork in forks_of(opened):
        merge(fork.outer.base, fork.base, profile)
        fork.outer.forks = None  # they know each other: a cycle
    branches.clear()
    profile.duration_ns = max(0, HOT["clock_"]() - profile.started_ns)
    root = profile.root
    root.total_ns = root.union_ns = profile.duration_ns
    root.errors = 0 if profile.outcome == "ok" else 1


def merge(into: Frame, other: Frame, profile: Profile) -> None:
    """Add what a private subtree counted to the tree it belongs to."""
    from ._merge import merge_subtree  # only where threads met a branch of another

    profile.late += merge_subtree(into, other)


def _evict() -> None:
    """Forget the oldest unit that was opened and never closed."""
    try:
        live.pop(next(iter(live)))
    except (StopIteration, RuntimeError, KeyError):
        return
    drops["evicted"] = drops.get("evicted", 0) + 1


def after_fork() -> None:
    """Forget, in a child, what belongs to the parent: it reports its units of work itself."""
    for profile in list(live.values()):
        profile.sealed = True
    live.clear()
    _cpu.after_fork()
    drops.clear()
