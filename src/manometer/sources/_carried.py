"""Work on its way to another thread: to whom it belongs, who sent it, and how long it waited for a worker."""

from __future__ import annotations

from threading import get_ident
from typing import TYPE_CHECKING, Any, Final, final

from .. import _guard, _stacks, _waiting
from .._calls import begin, end
from .._context import HOT, MUTED, Branch, current, make_current, variable
from .._site import NOWHERE, callsite, read
from .._wait import SHORTEST_NS, Resource
from ._held import Held
from ._outgoing import around
from ._patch import nothing
from ._query import branch, is_covered

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType
    from typing import Literal

    from .._detail import Place
    from .._wait import Blame
    from ..protocols import Undo

_POINT: Final = "sources.executors"
_OWN_FRAMES: Final = 5
"""`place_here` up to the tap of the patch."""
_BLAMED: Final = 8
_SEEN: Final = 2
_OWN_NS: Final = 1_000_000
"""A wait that nobody else is to blame for is left out below it: a thread that starts."""
_busy: Final[dict[tuple[int, int], int]] = {}
"""Identity of the unit of work that a worker, by its pool and thread, works for now."""
_MAX_OPEN: Final = 64
"""Open branches of a unit of work that are looked through for one to reuse."""


@final
class Workers:
    """The pools of workers of one library, each with what is known about who uses it; held weakly.

    Args:
        describe: Makes the record of a pool that is seen for the first time.
    """

    def __init__(self, describe: Callable[[Any], Resource]) -> None:
        self._describe = describe
        self._known: Held[Resource] = Held()

    def of(self, pool: Any) -> Resource:
        """Return the record of *pool*, made on first sight; 0.1 us."""
        found = self._known.get(pool)
        if found is None:
            found = self._describe(pool)
            self._known.put(pool, found)
        return found

    def carry(self, pool: Any, function: Any) -> Job | None:
        """Return *function* as work of the current unit of work; None when nothing is recorded. Never raises.

        Application threads, at each submission; 3-6 us, most of it the walk up to the application.
        """
        found: Job | None = _guard.call(_POINT, self._carry, pool, function)
        return found

    def _carry(self, pool: Any, function: Any) -> Job | None:
        mine = carrier()
        if mine is None:
            return None
        if mine is MUTED:
            return Job(function, MUTED, NOWHERE, None, [])
        resource = self.of(pool)
        is_full = 0 < resource.limit <= len(resource.open)
        return Job(
            function,
            mine,
            _waiting.place_here(_OWN_FRAMES),
            resource,
            others(resource, mine.profile) if is_full else [],
        )

    def clear(self) -> None:
        """Forget all."""
        self._known.clear()


def carrier() -> Branch | Literal[False] | None:
    """Return the branch that work sent elsewhere belongs to; `MUTED` where it is not to be recorded, None for no matter.

    It is one for all work sent from the same frame, so that a worker's calls are counted together.
    Application threads; 0.5 us.
    """
    on = variable.get()
    if on is MUTED:
        return MUTED
    if on is None or on.profile.kind == "process" or on.profile.sealed or _guard.is_off(_POINT):
        return None
    on = branch()
    if on is None:
        return None
    if around() is not None or is_covered(on):
        return MUTED  # a part of a call that is recorded as a whole
    frame = on.frame
    if frame is on.base:
        return on
    if len(on.opened) < _MAX_OPEN:
        for known in tuple(on.opened):
            if known.base is frame and known.outer is on:
                return known
    found = Branch(frame, on.owner, on.profile, on)
    found.opened.add(found)
    return found


def others(resource: Resource, profile: Any) -> list[Blame]:
    """Return which other units of work keep the workers busy; a unit that fills a pool by itself waits for nobody."""
    now_ns = HOT["clock_"]()
    found: list[Blame] = []
    for ident, hold in list(resource.open.items()):
        if _busy.get((id(resource), ident)) == id(profile):
            continue
        doing = _stacks.doing(hold.owner) if len(found) < _SEEN else None
        found.append((hold.place, doing, now_ns - hold.since_ns))
        if len(found) >= _BLAMED:
            break
    return found


def note_wait(
    resource: Resource, on: Branch, place: Place, since_ns: int, now_ns: int, blamed: list[Blame]
) -> None:
    """Add up a wait from being sent to being run.

    Where no other unit of work held a worker, it is a wait of the unit's own making: a limit that
    holds. It is counted, and nobody is blamed for it.
    """
    waited_ns = now_ns - since_ns
    if blamed and waited_ns >= SHORTEST_NS:
        _waiting.waited(resource, on, place, since_ns, now_ns, blamed)
    elif waited_ns >= _OWN_NS:
        site = callsite(
            "wait", resource.name, resource.name, place, target=resource.target, library=resource.library
        )
        call = begin(on, site, since_ns)
        end(call, ended_ns=now_ns)
        call.frame.more().wait_ns += waited_ns


@final
class Job:
    """A function on its way to a worker, called there in place of it: with the same arguments, result and exception."""

    __slots__ = ("_blamed", "_carrier", "_place", "_resource", "_since_ns", "function")

    def __init__(
        self,
        function: Any,
        carried: Branch | Literal[False],
        place: Place,
        resource: Resource | None,
        blamed: list[Blame],
    ) -> None:
        self.function = function
        self._carrier = carried
        self._place = place
        self._resource = resource
        self._blamed = blamed
        self._since_ns = HOT["clock_"]()

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        """Run it as part of the unit of work that sent it, and leave the worker's context as it was."""
        before = variable.get()
        _guard.call(_POINT, self._enter)
        try:
            return self.function(*args, **kwargs)
        finally:
            _guard.call(_POINT, self._leave, before)

    def _enter(self) -> None:
        make_current(self._carrier)
        resource, since_ns = self._resource, self._since_ns
        if not self._carrier or resource is None or self._carrier.profile.sealed:
            return
        on = current()
        if on is None:
            return
        if since_ns:
            now_ns = HOT["clock_"]()
            self._since_ns = 0  # a pool may call one function for many items: only the first one waits
            note_wait(resource, on, self._place, since_ns, now_ns, self._blamed)
        ident = get_ident()  # of many workers each may run it
        # Of no unit of work: to work, and to wait for others meanwhile, is what a worker is held for.
        _waiting.taken(resource, ident, None, self._place)
        _busy[id(resource), ident] = id(on.profile)

    def _leave(self, before: Any) -> None:
        resource = self._resource
        if resource is not None:
            ident = get_ident()
            _busy.pop((id(resource), ident), None)
            _waiting.given_back(resource, ident)
        make_current(before)


_code: Final = Job.__call__.__code__


def _sender(frame: FrameType) -> Place:
    """Return who sent what runs on this thread, where *frame* is the end of its own stack; 1 us."""
    job = frame.f_locals.get("self") if frame.f_code is _code else None
    return job._place if type(job) is Job else NOWHERE


_named: Final[list[Undo]] = []
_users: Final[list[None]] = []
"""One for each source that wants senders named."""


def name_senders() -> Undo:
    """Let the stack of a worker go on at the line that sent its work, until each who asked has undone it."""
    _users.append(None)
    if len(_users) == 1:
        _named.append(read(_sender, _code.co_filename, apart=True))

    def undo() -> None:
        if _users:
            _users.pop()
        if not _users and _named:
            _named.pop()()

    return undo


def with_senders(undo_patch: Undo, workers: Workers) -> Undo:
    """Name the senders of work for *workers* too, and return what takes back that and the patch."""
    if undo_patch is nothing:
        return nothing
    unread = name_senders()

    def undo() -> None:
        undo_patch()
        unread()
        workers.clear()

    return undo
