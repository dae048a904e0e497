"""The rolling profile: what is measured outside any unit of work, one per thread, a minute long."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from . import _context, _guard, _limits
from ._context import HOT, Branch
from ._merge import snapshot
from ._model import Frame

if TYPE_CHECKING:
    from collections.abc import Callable

    from ._model import Profile

_branches: Final[dict[Any, Branch]] = {}
"""Owner, with its rolling branch. Taking an entry out is atomic: whoever gets it may seal it."""
_due_ns: Final[dict[Any, int]] = {}
_GRACE_NS: Final = 1_000_000_000

finish: Callable[..., object] | None = None
"""Hands on all that is finished, within two seconds or those given; set by the runtime, for servers that run no exit handler."""

end: Callable[[], object] | None = None
"""Does what is done at exit, within two seconds; set by the runtime, for what is about to end this process without that."""


def install() -> None:
    """Send calls outside any unit of work to the rolling profile from now on."""
    HOT["outside_"] = _outside
    HOT["roll_"] = roll


def uninstall() -> None:
    """Stop that; what was collected is sealed and handed on."""
    HOT["outside_"] = _context.no_outside
    HOT["roll_"] = _context.no_roll
    flush()


def cut() -> None:
    """Stop that at once; what was collected is let go. Any thread."""
    HOT["outside_"] = _context.no_outside
    HOT["roll_"] = _context.no_roll
    for branch in list(_branches.values()):
        branch.owner = None
    after_fork()


def outside() -> Branch | None:
    """Return the rolling branch of this thread and make it current in this context.

    Application threads, once per context; 3 us, 0.5 us when the thread has one already.
    """
    owner = HOT["ident_"]()
    branch = _branches.get(owner)
    if branch is None:
        if len(_branches) >= _limits.MAX_ROLLING_THREADS:
            _context.drops["unattributed"] = _context.drops.get("unattributed", 0) + 1
            return None
        profile = _context.make_profile("process", "process")
        branch = _branches[owner] = Branch(profile.root, owner, profile, None)
        branch.opened.add(branch)
    elif branch.owner is None:
        branch = roll(branch, owner)
    _context.make_current(branch)
    return branch


def roll(branch: Branch, owner: Any) -> Branch:
    """Continue on the owner's thread with a rolling branch that is due or is another thread's.

    A branch with other branches open below it, or met by a foreign owner, stays as it is: the
    foreign owner has a rolling profile of its own.
    """
    mine = _branches.get(owner)
    if mine is not branch:
        found = outside()
        return (
            found
            if found is not None
            else Branch(Frame(branch.base.callsite, None), owner, branch.profile, None)
        )
    if _branches.pop(owner, None) is branch:
        _deliver(branch, owner)
        _branches[owner] = branch
    return branch


def _deliver(branch: Branch, owner: Any) -> None:
    """Hand on what was collected and let *branch* go on empty."""
    _due_ns.pop(owner, None)
    profile = branch.profile
    fresh = _context.make_profile("process", "process")
    branch.opened.discard(branch)
    if branch.frame is profile.root and not branch.opened:
        branch.profile = fresh
        branch.base = branch.frame = fresh.root
        _context.seal(profile, {branch})
    else:
        fresh.root, profile.root = profile.root, snapshot(profile.root)[0]
        fresh.tie.root, profile.tie.root = fresh.root, profile.root
        fresh.frames = profile.frames
        branch.profile = fresh
        for inner in branch.opened:
            inner.profile = fresh
        _context.seal(profile, set())
    branch.opened.add(branch)
    branch.owner = owner
    _send(profile)


def _send(profile: Profile) -> None:
    if profile.root.children and _context.sink is not None:
        _context.sink(profile)


def in_flight() -> list[Profile]:
    """Return the rolling profiles of all threads. Any thread."""
    return [branch.profile for branch in list(_branches.values())]


def tick() -> None:
    """Mark old rolling profiles as due, and take those whose thread came to rest. Background thread.

    The owner seals its own at its next call. A thread that makes none within a second is at
    rest: no call is open on its branch, and its next one will take the slow path, where it loses
    the race for the entry and starts afresh.
    """
    now_ns = HOT["clock_"]()
    for owner, branch in list(_branches.items()):
        if getattr(owner, "dead", False) is True:
            _take(owner)  # a greenlet that ended: it is the host's, and may hold what it returned
            continue
        if now_ns - branch.profile.started_ns < _limits.ROLLING_S * 1e9:
            continue
        due_ns = _due_ns.get(owner)
        if due_ns is None:
            _due_ns[owner] = now_ns
            branch.owner = None
        elif now_ns - due_ns > _GRACE_NS and branch.frame is branch.profile.root and len(branch.opened) <= 1:
            _take(owner)


def _take(owner: Any) -> None:
    branch = _branches.pop(owner, None)
    _due_ns.pop(owner, None)
    if branch is not None:
        _context.seal(branch.profile, branch.opened)
        _send(branch.profile)


def flush() -> None:
    """Seal and hand on every rolling profile, at exit or stop; calls still open are left out."""
    for owner in list(_branches):
        branch = _branches.pop(owner, None)
        if branch is None:
            continue
        profile = branch.profile
        if branch.frame is not profile.root:
            profile.tie.root = profile.root = snapshot(profile.root)[0]
        _context.seal(profile, branch.opened)
        _send(profile)
    _due_ns.clear()


_outside: Final = _guard.shield("context.outside", outside, _context.no_outside)


def after_fork() -> None:
    """Forget, in a child, the parent's rolling profiles."""
    _branches.clear()
    _due_ns.clear()
