"""`watch_lock`: a lock, semaphore or queue of the application's own, of which waits are told with their holder."""

from __future__ import annotations

import asyncio
import queue
import threading
from threading import get_ident
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast, final

from . import _context, _guard, _waiting
from ._context import HOT
from ._site import NOWHERE
from ._wait import SHORTEST_NS, Hold, Resource

if TYPE_CHECKING:
    from types import TracebackType

    from ._context import Branch
    from ._wait import Blame

_T = TypeVar("_T")
_POINT: Final = "watch_lock"
_OWN_FRAMES: Final = 4
_LOCK: Final = type(threading.Lock())
_RLOCK: Final = type(threading.RLock())


def watch_lock(lock: _T, name: str) -> _T:
    """Tell who waits for a lock, semaphore or queue of yours, for how long, and who held it meanwhile.

    Args:
        lock: A `Lock`, `RLock`, `Semaphore` or `BoundedSemaphore` of `threading` or `asyncio`, or a
            bounded `Queue` of `queue` or `asyncio`, of which only waiting for room counts.
        name: What to call it in findings.

    Returns:
        What to use in its place: it behaves as the lock does. Nothing is patched but this one.

    Raises:
        TypeError: Something else, a subclass, or no name.

    Uncontended it adds 0.2 us; the clock tells the length of a wait only where there is one. For
    `multiprocessing` there is nothing: who holds it is another process.
    """
    if type(name) is not str or not name:
        msg = f"watch_lock: name must be a non-empty str, not {name!r}"
        raise TypeError(msg)
    kind = type(lock)
    make = _MAKERS.get(kind)
    if make is None:
        msg = f"watch_lock: {kind.__module__}.{kind.__qualname__} cannot be watched"
        raise TypeError(msg)
    return lock if _context.absent else cast("_T", make(lock, name))


def _branch() -> Branch | None:
    on = _context.current()
    return None if on is None or on.profile.sealed or _guard.is_off(_POINT) else on


@final
class _Wait:
    """One wait: made before, told after."""

    __slots__ = ("blamed", "on", "resource", "started_ns")

    def __init__(self, resource: Resource, on: Branch) -> None:
        self.resource = resource
        self.on = on
        self.blamed: list[Blame] = _waiting.blame(resource)
        self.started_ns = HOT["clock_"]()

    def done(self, error: str) -> None:
        ended_ns = HOT["clock_"]()
        _waiting.no_longer(self.resource, self.blamed)
        if ended_ns - self.started_ns >= SHORTEST_NS:
            place = _waiting.place_here(_OWN_FRAMES)
            _waiting.waited(self.resource, self.on, place, self.started_ns, ended_ns, self.blamed, error)


def _begin(resource: Resource) -> _Wait | None:
    on = _branch()
    return None if on is None else _Wait(resource, on)


def _done(wait: _Wait | None, error: str = "") -> None:
    if wait is not None:
        _guard.call(_POINT, wait.done, error)


class _Watched:
    """A lock of `threading` and what is known about it; anything else is asked of the lock itself."""

    __slots__ = ("__weakref__", "_depth", "_lock", "_open", "_owner", "_release", "_resource", "_try")

    def __init__(self, lock: Any, name: str) -> None:
        self._lock = lock
        self._try = lock.acquire
        self._release = lock.release
        self._resource = Resource("lock", name, limit=1)
        self._open = self._resource.open
        self._owner = self._depth = 0
        _waiting.watch(self)

    @property
    def resource(self) -> Resource:
        """What is known about it."""
        return self._resource

    def is_mine(self, thread: int) -> bool:
        """Tell whether *thread* holds it now; 0.1 us."""
        return self._owner == thread and not self._try_would_succeed()

    def _try_would_succeed(self) -> bool:
        return not self._lock.locked()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._lock, name)

    def __repr__(self) -> str:
        return repr(self._lock)

    def __enter__(self) -> bool:
        if not self._try(False):
            self._wait((), {})
        self._owner = get_ident()
        return True

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._open:
            _guard.call(_POINT, self._ended)
        self._release()

    def acquire(self, *args: Any, **kwargs: Any) -> bool:
        if not self._try(False):
            if (args and not args[0]) or not kwargs.get("blocking", True):
                return bool(self._try(*args, **kwargs))  # what it says of wrong arguments
            if not self._wait(args, kwargs):
                return False
        self._owner = get_ident()
        return True

    def release(self) -> None:
        if self._open:
            _guard.call(_POINT, self._ended)
        self._release()

    def _wait(self, args: Any, kwargs: Any) -> bool:
        wait = _guard.call(_POINT, self._blame)
        try:
            got = bool(self._try(*args, **kwargs))
        except BaseException as error:
            _done(wait, _guard.name_of(type(error)))
            raise
        _done(wait, "" if got else "timeout")
        if got and self._resource.waiting:
            _guard.call(_POINT, self._show)
        return got

    def _blame(self) -> _Wait | None:
        if not self._open and self._owner:
            self._open[0] = Hold(NOWHERE, HOT["clock_"](), (self._owner, None), None)
        return _begin(self._resource)

    def _show(self) -> None:
        """Let those who still wait see who holds it now."""
        self._open[0] = Hold(NOWHERE, HOT["clock_"](), (get_ident(), None), None)

    def _ended(self) -> None:
        hold = self._open.pop(0, None)
        if hold is None or hold.owner[0] != get_ident():
            return
        on = _branch()
        hold.profile = None if on is None else on.profile
        hold.place = _waiting.place_here(_OWN_FRAMES)
        _waiting.ended(self._resource, hold, HOT["clock_"]())


@final
class WatchedLock(_Watched):
    """A `threading.Lock` that is watched."""

    __slots__ = ()


@final
class WatchedRLock(_Watched):
    """A `threading.RLock` that is watched: the outermost hold counts."""

    __slots__ = ()

    def _try_would_succeed(self) -> bool:
        return not self._lock._is_owned()

    def __enter__(self) -> bool:
        return self.acquire()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.release()

    def acquire(self, *args: Any, **kwargs: Any) -> bool:
        if self._owner == get_ident():
            got = bool(self._try(*args, **kwargs))
            self._depth += got
            return got
        return super().acquire(*args, **kwargs)

    def release(self) -> None:
        if self._owner == get_ident():
            if self._depth:
                self._depth -= 1
            else:
                if self._open:
                    _guard.call(_POINT, self._ended)
                self._owner = 0
        self._release()


@final
class WatchedSemaphore(_Watched):
    """A semaphore of `threading` that is watched: several may hold it."""

    __slots__ = ()

    def __init__(self, lock: Any, name: str) -> None:
        super().__init__(lock, name)
        self._resource = Resource("semaphore", name, limit=lock._value)
        self._open = self._resource.open

    def __enter__(self) -> bool:
        return self.acquire()

    def acquire(self, *args: Any, **kwargs: Any) -> bool:
        if not self._try(False):
            if (args and not args[0]) or not kwargs.get("blocking", True):
                return bool(self._try(*args, **kwargs))
            if not self._wait(args, kwargs):
                return False
        _guard.call(_POINT, _took, self._resource, get_ident())
        return True

    def _blame(self) -> _Wait | None:
        return _begin(self._resource)

    def is_mine(self, thread: int) -> bool:  # noqa: ARG002 - the lock's signature
        """Never told: its holds are known one by one."""
        return False

    def _show(self) -> None:
        """Nothing to show: who took it is known."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.release()

    def release(self, n: int = 1) -> None:
        for _ in range(n if type(n) is int else 0):
            _guard.call(_POINT, _gave_back, self._resource, get_ident())
        self._release(n)


def _took(resource: Resource, key: int) -> None:
    on = _branch()
    if on is not None:
        _waiting.taken(resource, key, on, NOWHERE)


def _gave_back(resource: Resource, key: int) -> None:
    """Add up the hold of *key*, or the oldest one: a semaphore may be given back by somebody else."""
    held = resource.open
    if key not in held:
        if not held:
            return
        key = next(iter(held))
    hold = held.pop(key, None)
    if hold is not None:
        hold.place = _waiting.place_here(_OWN_FRAMES)
        _waiting.ended(resource, hold, HOT["clock_"]())


def _task_key() -> int:
    return id(asyncio.current_task())


def _watch_in_tasks(lock: Any, name: str) -> Any:
    """Watch a lock or semaphore of asyncio, by methods of its own that call the class's."""
    many = not isinstance(lock, asyncio.Lock)
    resource = Resource("semaphore" if many else "lock", name, limit=lock._value if many else 1)
    acquire_it, release_it = lock.acquire, lock.release

    async def acquire() -> Any:
        if not lock.locked():
            got = await acquire_it()
        else:
            wait = _guard.call(_POINT, _begin, resource)
            try:
                got = await acquire_it()
            except BaseException as error:
                _done(wait, _guard.name_of(type(error)))
                raise
            _done(wait)
        _guard.call(_POINT, _took_in_task, resource)
        return got

    def release() -> None:
        _guard.call(_POINT, _gave_back_in_task, resource)
        release_it()

    lock.acquire, lock.release = acquire, release
    return lock


def _took_in_task(resource: Resource) -> None:
    _took(resource, _task_key())


def _gave_back_in_task(resource: Resource) -> None:
    _gave_back(resource, _task_key() if asyncio._get_running_loop() is not None else 0)


def _watch_queue(made: Any, name: str) -> Any:
    """Watch a queue of `queue`: how long `put` waits for room."""
    resource = Resource("queue", name, limit=made.maxsize)
    put_it = made.put

    def put(item: Any, block: bool = True, timeout: float | None = None) -> None:
        if not block or not 0 < made.maxsize <= len(made.queue):
            put_it(item, block, timeout)
            return
        wait = _guard.call(_POINT, _begin, resource)
        try:
            put_it(item, block, timeout)
        except BaseException as error:
            _done(wait, _guard.name_of(type(error)))
            raise
        _done(wait)

    made.put = put
    return made


def _watch_queue_in_tasks(made: Any, name: str) -> Any:
    """Watch a queue of asyncio: how long `put` waits for room."""
    resource = Resource("queue", name, limit=made.maxsize)
    put_it = made.put

    async def put(item: Any) -> None:
        if not made.full():
            await put_it(item)
            return
        wait = _guard.call(_POINT, _begin, resource)
        try:
            await put_it(item)
        except BaseException as error:
            _done(wait, _guard.name_of(type(error)))
            raise
        _done(wait)

    made.put = put
    return made


_MAKERS: Final[dict[type, Any]] = {
    _LOCK: WatchedLock,
    _RLOCK: WatchedRLock,
    threading.Semaphore: WatchedSemaphore,
    threading.BoundedSemaphore: WatchedSemaphore,
    asyncio.Lock: _watch_in_tasks,
    asyncio.Semaphore: _watch_in_tasks,
    asyncio.BoundedSemaphore: _watch_in_tasks,
    **dict.fromkeys((queue.Queue, queue.LifoQueue, queue.PriorityQueue), _watch_queue),
    **dict.fromkeys((asyncio.Queue, asyncio.LifoQueue, asyncio.PriorityQueue), _watch_queue_in_tasks),
}
