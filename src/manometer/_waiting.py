"""Taking, giving back and waiting for what is shared, as taps and watched locks report it."""

from __future__ import annotations

from threading import get_ident
from typing import TYPE_CHECKING, Any, Final
from weakref import ref

from . import _limits, _stacks, _watching
from ._calls import begin, end
from ._context import HOT, drops
from ._site import NOWHERE, callsite, nearest, place_of
from ._wait import Held, Hold, Waits

if TYPE_CHECKING:
    from ._context import Branch
    from ._detail import Place
    from ._model import Callsite, Kind, Profile
    from ._wait import Blame, Resource

_KINDS: Final[dict[str, Kind]] = {"pool": "wait", "executor": "wait", "queue": "wait"}
_BLAMED: Final = 8
"""Holders that a waiter looks at."""
_LONG_NS: Final = 1_000_000
"""Mean wait from which holders are looked at meanwhile, and not only when it begins."""
_SEEN: Final = 2
"""Of those, the ones whose stack it looks at: they were there first."""


_locks: Final[dict[int, ref[Any]]] = {}
"""Locks of threads that are watched, by identity: which one does a thread hold?"""


def watch(lock: Any) -> None:
    """Ask *lock*, when a call leaves the process, whether the caller holds it; beyond the bound it is left out."""
    if len(_locks) >= _limits.MAX_WATCHED_LOCKS:
        drops["locks"] = drops.get("locks", 0) + 1
        return
    key = id(lock)
    _locks[key] = ref(lock, lambda _: _locks.pop(key, None))


def crossed(profile: Profile, callsite: Callsite, started_ns: int, ended_ns: int) -> None:
    """Note what the caller held while it made a call to somebody else.

    Application threads, once a call that left the process; 0.1 us, and 0.2 us for each thing held.
    """
    if profile.taken:
        me = _stacks.me()
        for hold in list(profile.taken.values()):
            if hold.since_ns <= started_ns and hold.owner == me:
                hold.cross(callsite, ended_ns - started_ns)
    if not _locks or len(profile.holds) >= _limits.MAX_HOLDS_PER_PROFILE:
        return
    thread = get_ident()
    for each in list(_locks.values()):
        lock = each()
        if lock is not None and lock.is_mine(thread):
            hold = Hold((callsite.file, callsite.line, callsite.function), started_ns, None, None)
            hold.cross(callsite, ended_ns - started_ns)
            profile.holds.append(Held(lock.resource, hold, ended_ns))


def place_here(skip: int = 1) -> Place:
    """Return the line of the application that asks now; 1-5 us."""
    found, _ = nearest(skip + 1)
    return NOWHERE if found is None else place_of(found)


def taken(resource: Resource, key: int, on: Branch | None, place: Place) -> Hold:
    """Note that somebody took *resource*.

    Args:
        resource: What.
        key: Identity of what was taken: a connection.
        on: The branch it was taken on; None outside.
        place: The line of the application that took it.

    Application threads; 0.6 us.
    """
    hold = Hold(place, HOT["clock_"](), _stacks.me(), None if on is None else on.profile)
    held = resource.open
    if len(held) >= _limits.MAX_HELD_AT_ONCE and key not in held:
        drops["holds"] = drops.get("holds", 0) + 1
        return hold
    held[key] = hold
    if on is not None and not on.profile.sealed and len(on.profile.taken) < _limits.MAX_HOLDS_PER_PROFILE:
        on.profile.taken[id(hold)] = hold
    return hold


def given_back(resource: Resource, key: int) -> None:
    """Note that it was given back, before anybody else can take it. Any thread; 0.6 us."""
    hold = resource.open.pop(key, None)
    if hold is not None:
        ended(resource, hold, HOT["clock_"]())


def ended(resource: Resource, hold: Hold, until_ns: int) -> None:
    """Add a hold up that has ended; its unit of work remembers the longest ones."""
    held_ns = max(0, until_ns - hold.since_ns)
    holder = resource.holder(hold.place)
    if holder is not None:
        holder.add(held_ns, hold)
    profile = hold.profile
    if profile is None:
        return
    profile.taken.pop(id(hold), None)
    if profile.sealed:
        return
    holds = profile.holds
    if len(holds) < _limits.MAX_HOLDS_PER_PROFILE:
        holds.append(Held(resource, hold, until_ns))
    else:
        profile.drop("holds")


def blame(resource: Resource) -> list[Blame]:
    """Return who holds *resource* now, as somebody sees it who is about to wait for it.

    Application threads, only where they must wait; 1 us, and 5-20 us for each of two stacks.
    """
    now_ns = HOT["clock_"]()
    found: list[Blame] = []
    for hold in list(resource.open.values())[:_BLAMED]:
        doing = _stacks.doing(hold.owner) if len(found) < _SEEN else None
        found.append((hold.place, doing, now_ns - hold.since_ns))
    if resource.waited_ns >= resource.waits * _LONG_NS:
        _watching.watch(resource)
    resource.waiting.add(id(found))
    return found


def no_longer(resource: Resource, blamed: list[Blame]) -> None:
    """Note that the caller waits no longer; after each `blame`. 0.1 us."""
    resource.waiting.discard(id(blamed))


def waited(
    resource: Resource,
    on: Branch,
    place: Place,
    started_ns: int,
    ended_ns: int,
    blamed: list[Blame],
    error: str = "",
) -> None:
    """Add up that somebody waited.

    Args:
        resource: For what.
        on: The branch that waited.
        place: The line of the application that asked.
        started_ns: Monotonic start of the wait.
        ended_ns: Its end.
        blamed: Who held it, from `blame`; empty where nobody knows.
        error: Type of the exception that ended the wait; empty for success.

    Application threads, after a wait; 3 us.
    """
    resource.waits += 1
    resource.waited_ns += ended_ns - started_ns
    kind = _KINDS.get(resource.sort, "lock")
    site = callsite(
        kind,
        resource.name,
        resource.name,
        place,
        system=resource.system,
        target=resource.target,
        library=resource.library,
    )
    call = begin(on, site, started_ns)
    end(call, error=error, ended_ns=ended_ns)
    if on.profile.sealed:
        return
    detail = call.frame.more()
    detail.wait_ns += max(0, ended_ns - started_ns)
    waits = detail.waits
    if waits is None:
        waits = detail.waits = Waits(resource)
    waits.add(max(0, ended_ns - started_ns), blamed, failed=bool(error))
