"""A pool from a tap's point of view: who takes a connection, who gives it back, who has to wait for one."""

from __future__ import annotations

from threading import get_ident
from typing import TYPE_CHECKING, Any, Final, final

from .. import _guard, _waiting, _watching
from .._context import HOT
from .._wait import SHORTEST_NS, Resource
from ._held import Held
from ._outgoing import around
from ._query import branch

if TYPE_CHECKING:
    from collections.abc import Callable

    from .._context import Branch
    from .._detail import Place
    from .._wait import Blame, Hold
    from ._query import Origin


@final
class Pools:
    """The pools of one library, each with what is known about who uses it; held weakly.

    Args:
        point: Name of the tap at the guard.
        describe: Makes the record of a pool that is seen for the first time.
    """

    def __init__(self, point: str, describe: Callable[[Any], Resource]) -> None:
        self.point = point
        self._describe = describe
        self._known: Held[Resource] = Held()

    def of(self, pool: Any) -> Resource:
        """Return the record of *pool*, made on first sight; 0.1 us."""
        found = self._known.get(pool)
        if found is None:
            found = self._describe(pool)
            self._known.put(pool, found)
        return found

    def alias(self, pool: Any, other: Any) -> None:
        """Let *other*, which is a part of *pool*, stand for it. Never raises; 0.2 us."""
        if self._known.get(other) is None:
            _guard.call(self.point, self._alias, pool, other)

    def _alias(self, pool: Any, other: Any) -> None:
        self._known.put(other, self.of(pool))

    def call(self, function: Callable[[Any], None], thing: Any) -> None:
        """Call a function of the tap behind its guard."""
        if not _guard.is_off(self.point):
            _guard.call(self.point, function, thing)

    def name(self, pool: Any, origin: Origin) -> None:
        """Say which database is behind *pool*; 0.2 us."""
        known = self._known.get(pool)
        if known is not None and not known.target:
            known.system, known.target = origin.system, origin.target

    def took(self, pool: Any, key: object) -> None:
        """Note that the caller took *key* from *pool*. Never raises; 3 us, most of it the walk up to the application."""
        _guard.call(self.point, self._took, pool, key)

    def _took(self, pool: Any, key: object) -> None:
        resource = self.of(pool)
        on = branch()
        if on is not None and id(key) not in resource.open:
            _waiting.taken(resource, id(key), on, _place())

    def gave_back(self, pool: Any, key: object) -> None:
        """Note that *key* is back; before anybody else can take it. Never raises; 1 us."""
        _guard.call(self.point, self._gave_back, pool, key)

    def _gave_back(self, pool: Any, key: object) -> None:
        known = self._known.get(pool)
        if known is not None:
            _waiting.given_back(known, id(key))

    def waiter(self, pool: Any) -> Waiter | None:
        """Return what adds up the wait that may begin now; None when nothing is recorded. Never raises."""
        if _guard.is_off(self.point):
            return None
        return _guard.call(self.point, self._waiter, pool)

    def known_waiter(self, part: Any) -> Waiter | None:
        """Return the same for a part of a pool (see `alias`); None for what is none."""
        return None if self._known.get(part) is None else self.waiter(part)

    def _waiter(self, pool: Any) -> Waiter | None:
        on = branch()
        return None if on is None or on.profile.sealed else Waiter(self.point, self.of(pool), on)

    def gave_some_back(self, pool: Any) -> None:
        """Note that the calling thread gave back whatever it took last. Never raises; 1 us."""
        _guard.call(self.point, self._gave_some_back, pool)

    def _gave_some_back(self, pool: Any) -> None:
        known = self._known.get(pool)
        if known is None:
            return
        mine = get_ident()
        for key, hold in reversed(list(known.open.items())):
            if hold.owner[0] == mine:
                _waiting.given_back(known, key)
                return

    def hold(self, pool: Any, key: object) -> Hold | None:
        """Return the hold on *key*; None when it is not known. 0.2 us."""
        known = self._known.get(pool)
        return None if known is None else known.open.get(id(key))

    def clear(self) -> None:
        """Forget all."""
        self._known.clear()


@final
class Waiter:
    """Somebody who may have to wait: made just before, told just after."""

    __slots__ = ("_blamed", "_on", "_point", "_resource", "_started_ns")

    def __init__(self, point: str, resource: Resource, on: Branch) -> None:
        self._point = point
        self._resource = resource
        self._on = on
        self._blamed: list[Blame] = _waiting.blame(resource)
        self._started_ns = HOT["clock_"]()

    def done(self, error: BaseException | None = None) -> None:
        """Add the wait up if it was one. Never raises; 0.1 us where nobody waited."""
        ended_ns = HOT["clock_"]()
        _waiting.no_longer(self._resource, self._blamed)
        if ended_ns - self._started_ns >= SHORTEST_NS:
            _guard.call(self._point, self._done, ended_ns, error)

    def _done(self, ended_ns: int, error: BaseException | None) -> None:
        name = "" if error is None else _guard.name_of(type(error))
        _waiting.waited(self._resource, self._on, _place(), self._started_ns, ended_ns, self._blamed, name)
        outer = around()
        if outer is not None:  # the wait is a call of its own, and no time of the service's
            outer.call.started_ns += ended_ns - self._started_ns


def _place() -> Place:
    outer = around()
    if outer is None:
        return _waiting.place_here(_OWN_FRAMES)
    site = outer.call.callsite
    return site.file, site.line, site.function


_OWN_FRAMES: Final = 3


def wait(waiter: Waiter | None, wrapped: Callable[..., Any], args: Any, kwargs: Any) -> Any:
    """Call *wrapped*, which may block, for *waiter*."""
    if waiter is None:
        return wrapped(*args, **kwargs)
    try:
        result = wrapped(*args, **kwargs)
    except BaseException as error:
        waiter.done(error)
        raise
    waiter.done()
    return result


async def wait_async(waiter: Waiter | None, wrapped: Callable[..., Any], args: Any, kwargs: Any) -> Any:
    """Await *wrapped*, which may be suspended, for *waiter*."""
    if waiter is None:
        return await wrapped(*args, **kwargs)
    try:
        result = await wrapped(*args, **kwargs)
    except BaseException as error:
        waiter.done(error)
        raise
    waiter.done()
    return result


def undo_all(undos: list[Callable[[], None]], pools: Pools) -> Callable[[], None]:
    """Return what takes all patches back, the last first, and forgets the pools."""

    def undo() -> None:
        for each in reversed(undos):
            each()
        _watching.stop()
        pools.clear()

    return undo
