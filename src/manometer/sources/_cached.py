"""What a tap on a client of redis or memcached tells about it as a cache: a value is missed, computed and stored."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from .. import _caches
from .._context import HOT
from ._outgoing import quick_key
from ._redis import shape_of, text_of

if TYPE_CHECKING:
    from .._caches import Cache
    from .._model import Callsite
    from ._outgoing import Outgoing

_SECONDS: Final = 1_000_000_000
_UNITS: Final = {"EX": _SECONDS, "PX": 1_000_000}
_SETTING: Final = ("SET", "SETEX", "PSETEX", "SETNX", "GETSET")
_REMOVING: Final = ("DEL", "UNLINK", "EXPIRE", "FLUSHDB", "FLUSHALL")
_NO_WORDS: Final = ("", "{id}", "*")


def note_command(call: Outgoing, command: str, args: tuple[Any, ...], reply: Any) -> None:
    """Note what a command of redis means for what is kept there.

    Application threads; 1 us, nothing for commands that neither read nor write whole values.
    """
    if command == "GET":
        _note_read(call, args[1], reply is not None)
    elif command == "MGET" and type(reply) is list:
        for name, each in zip(_names(args[1:]), reply, strict=False):
            _note_read(call, name, each is not None)
    elif command in _SETTING and len(args) > 2:
        at = 3 if command in ("SETEX", "PSETEX") else 2
        if len(args) > at and (command != "SETNX" or reply):
            note_stored(call.call.callsite, args[1], args[at], _life_ns(command, args))
    elif command in _REMOVING:
        for name in _names(args[1:]):
            note_gone(call.call.callsite, name)


def _names(args: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(args[0]) if len(args) == 1 and type(args[0]) in (list, tuple) else args


def _life_ns(command: str, args: tuple[Any, ...]) -> int:
    """Return the time to live that a command asks for, in nanoseconds; 0 for none."""
    if command in ("SETEX", "PSETEX"):
        unit = _SECONDS if command == "SETEX" else 1_000_000
        return args[2] * unit if type(args[2]) is int else 0
    for at in range(3, len(args) - 1):
        unit = _UNITS.get(args[at].upper(), 0) if type(args[at]) is str else 0
        if unit and type(args[at + 1]) is int:
            return int(args[at + 1] * unit)
    return 0


def _note_read(call: Outgoing, name: Any, answered: bool) -> None:
    spent_ns = max(0, HOT["clock_"]() - call.call.started_ns)
    note_read(call.call.callsite, name, answered, spent_ns)


def note_read(callsite: Callsite, name: Any, answered: bool, spent_ns: int) -> None:
    """Note that *callsite* asked a server of caches for one name."""
    text = text_of(name)
    if text is None or _is_covered():
        return
    cache = _cache(callsite, text)
    if cache is not None:
        _caches.note(cache, "hit" if answered else "miss", quick_key((text,)), spent_ns=spent_ns)


def note_stored(callsite: Callsite, name: Any, value: Any, life_ns: int) -> None:
    """Note that *callsite* stored a value under a name, in a cache that somebody asks."""
    text = text_of(name)
    cache = None if text is None or _is_covered() else _known(callsite, text)
    if cache is not None:
        digest = quick_key((value,)) if value is not None else _caches.MISSED
        _caches.note(cache, "set", quick_key((text,)), value=digest, ttl_ns=life_ns)


def note_gone(callsite: Callsite, name: Any) -> None:
    """Note that *callsite* removed a name."""
    text = text_of(name)
    cache = None if text is None or _is_covered() else _known(callsite, text)
    if cache is not None:
        _caches.note(cache, "gone", quick_key((text,)))


def identity_of(system: str, target: str, name: str) -> tuple[Any, ...]:
    """Return what tells one cache in a server of caches from another; 0.5 us."""
    # Not by place: what one line asks for, another one stores. The first word of a name says what it is.
    folded = shape_of("", ("", name)).strip()
    word = next((part for part in folded.split(":") if part not in _NO_WORDS and not part.isdigit()), folded)
    return (system, target, word)


def _cache(callsite: Callsite, name: str) -> Cache | None:
    return _caches.cache_of(identity_of(callsite.system, callsite.target, name), callsite)


def _known(callsite: Callsite, name: str) -> Cache | None:
    return _caches.known(identity_of(callsite.system, callsite.target, name))


def _is_covered() -> bool:
    return bool(_caches.covering) and _caches.owner() in _caches.covering
