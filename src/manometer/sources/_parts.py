"""The parts of a request that lasts: what it recorded is handed on once a minute, and it goes on empty."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from .. import _context, _guard, _limits
from .._context import HOT, live, make_profile, merge, seal, variable
from .._detail import MISSING_NS
from .._forks import forks_of
from .._merge import snapshot

if TYPE_CHECKING:
    from .._context import Branch
    from .._model import Profile
    from ._request import Request

_POINT: Final = "sources.parts"


def hand_on_if_due(request: Request) -> None:
    """Seal what *request* recorded in its last minute, hand it on, and let the request go on.

    Called at the boundary of a message, on the owner's thread; 0.1 us, once a minute 20 us and 2 us
    for each frame that is in use. Calls that are still open count in the part in which they end.
    """
    profile = request.opened.profile
    if profile is None or request.done or profile.sealed:
        return
    if HOT["clock_"]() - profile.started_ns >= _limits.PART_S * 1e9:
        _guard.call(_POINT, _hand_on, request, profile)


def never_slow(request: Request) -> None:
    """Note that *request* is meant to last: its duration alone is not worth a line."""
    if request.opened.profile is not None:
        request.opened.profile.slow_ns = MISSING_NS


def _hand_on(request: Request, profile: Profile) -> None:
    branch = request.opened.branch
    if branch is False or branch.owner != HOT["ident_"]():
        return
    request.describe(profile)
    profile.concurrency = len(live)
    fresh = make_profile(request.method, "request")
    fresh.trace_id, fresh.policy, fresh.slow_ns = profile.trace_id, profile.policy, profile.slow_ns
    live[id(fresh)] = fresh
    fresh.branches = branch.opened
    live.pop(id(profile), None)
    request.opened.profile = fresh
    request.parts += 1
    _merge_forks(branch, profile)
    if variable.get() is branch and branch.frame is profile.root and _is_at_rest(branch):
        owner = branch.owner
        seal(profile, branch.opened)
        branch.base = branch.frame = fresh.root
        branch.profile, branch.forks, branch.owner = fresh, None, owner
        branch.opened.add(branch)
    else:
        fresh.root, profile.root = profile.root, snapshot(profile.root)[0]
        profile.root.calls = 1
        fresh.frames = profile.frames
        for inner in tuple(branch.opened):
            inner.profile = fresh
        seal(profile, set())
    deliver = request.opened.sink or _context.sink
    if deliver is not None:
        deliver(profile)


def _merge_forks(branch: Branch, profile: Profile) -> None:
    """Add what other threads recorded below the request, where they came to rest."""
    for fork in forks_of(branch.opened):
        outer = fork.outer
        if outer is None or fork.frame is not fork.base:
            continue
        for owner, other in list((outer.forks or {}).items()):
            if other is fork and outer.forks is not None:
                outer.forks.pop(owner, None)
        branch.opened.discard(fork)
        fork.owner = None
        merge(outer.base, fork.base, profile)


def _is_at_rest(branch: Branch) -> bool:
    """Tell whether no call is open anywhere below the request."""
    return branch.opened <= {branch} and not any(frame.active >> 2 for frame in branch.profile.root.walk())
