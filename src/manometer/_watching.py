"""Looking, while somebody waits, at what those do who hold what is waited for."""

from __future__ import annotations

from threading import Event, Thread
from typing import TYPE_CHECKING, Any, Final

from . import _guard, _limits, _real, _stacks
from ._wait import see

if TYPE_CHECKING:
    from ._wait import Resource

_POINT: Final = "watching"
_EVERY_S: Final = 0.005
_SLOWER: Final = 1.3
_SELDOM_S: Final = 0.1
_IDLE_S: Final = 0.5
_LOOKED_AT: Final = 3
"""Holders of one resource that are looked at, those who have held it longest."""

_watched: Final[dict[int, Resource]] = {}
_thread: Thread | None = None
_ended: Event = Event()


def watch(resource: Resource) -> None:
    """Look at who holds *resource* for as long as somebody waits for it.

    Application threads, one that is about to wait; 0.1 us, and 100 us where the watching thread
    has to be started: it ends by itself when nobody has waited for half a second. Not beside
    greenlets, whose stacks no thread shows.
    """
    global _ended, _thread
    if _real.is_patched():
        return
    if id(resource) not in _watched and len(_watched) < _limits.MAX_HOLDERS:
        _watched[id(resource)] = resource
    thread = _thread
    if thread is None or not thread.is_alive():
        _ended = Event()
        thread = _thread = Thread(target=_run, args=(_ended,), name="manometer-waits", daemon=True)
        try:
            thread.start()
        except RuntimeError:  # at the interpreter's end none can start
            _watched.clear()


def stop() -> None:
    """Look at nobody any more; the thread has ended when this returns."""
    global _thread
    thread, _thread = _thread, None
    _watched.clear()
    if thread is not None:
        _ended.set()
        thread.join(_SELDOM_S)


def _run(ended: Event) -> None:
    every_s, idle_s = _EVERY_S, 0.0
    while idle_s < _IDLE_S and not ended.wait(every_s):
        if _guard.call(_POINT, look):
            idle_s = 0.0
            every_s = min(_SELDOM_S, every_s * _SLOWER)
        else:
            idle_s += every_s
            every_s = _EVERY_S * 2


def look() -> bool:
    """Look at all holders of what is waited for once; tell whether somebody waits. 20 us a holder."""
    waiting = False
    for key, resource in list(_watched.items()):
        if not resource.waiting:
            _watched.pop(key, None)
            continue
        waiting = True
        for hold in list(resource.open.values())[:_LOOKED_AT]:
            place: Any = _stacks.doing(hold.owner)
            if place is not None:
                see(hold.doing, place)
    return waiting
