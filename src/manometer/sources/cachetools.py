"""The tap on cachetools: what its caches are asked, whether they answer, and what is stored in them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, final

from .. import _caches, _guard
from .._site import NOWHERE, callsite, nearest, place_of
from ._held import Held
from ._outgoing import quick_key, version_of
from ._patch import patch, require
from ._query import branch

if TYPE_CHECKING:
    from collections.abc import Callable

    from .._caches import Cache
    from ..protocols import Undo

_POINT: Final = "sources.cachetools"
_OWN_FRAMES: Final = 4
_known: Final[Held[Cache]] = Held(_caches.forget_one)
_storing: Final[set[Any]] = set()
"""Owners that store now: what they read meanwhile, nobody asked for."""
_version = ""


@final
class CachetoolsSource:
    """cachetools 4 and later, through the methods that its classes define; the decorators use them too."""

    def install(self) -> Undo:
        """Patch reading and storing of each class.

        Raises:
            Unsupported: This cachetools has other signatures.
        """
        global _version
        import cachetools

        require(cachetools.Cache.__getitem__, "self", "key")
        require(cachetools.Cache.__setitem__, "self", "key", "value")
        require(cachetools.Cache.get, "self", "key", "default")
        _version = version_of(cachetools)
        undos = []
        for owner in list(vars(cachetools).values()):
            if isinstance(owner, type) and issubclass(owner, cachetools.Cache):
                undos += [patch(owner, name, tap) for name, tap in _TAPS.items() if name in vars(owner)]
        undos.append(patch(cachetools.Cache, "get", _get))

        def undo() -> None:
            for undo_one in undos:
                undo_one()
            _known.clear()
            _caches.forget_objects()

        return undo


def _of(cache: Any, key: Any) -> tuple[Cache, int] | None:
    """Return what is known of a cache, and the keyed hash of a key; None where nothing is recorded."""
    if branch() is None or _guard.is_off(_POINT):
        return None
    plain = tuple(key) if type(key).__module__ == "cachetools.keys" else key
    hashed = quick_key(plain if type(plain) is tuple else (plain,))
    if hashed is None:
        return None
    found = _known.get(cache)
    if found is None:
        found = _make(cache)
        if found is None:
            return None
        try:
            _known.put(cache, found)
        except TypeError:  # a class of somebody's without weak references: its identity does not last
            _caches.forget_one(found)
            return None
    return found, hashed


def _make(cache: Any) -> Cache | None:
    frame, _ = nearest(_OWN_FRAMES)
    name = type(cache).__name__
    site = callsite(
        "cache",
        name,
        name,
        NOWHERE if frame is None else place_of(frame),
        operation="read",
        system="cachetools",
        library="cachetools",
        version=_version,
    )
    most = getattr(cache, "maxsize", 0)
    return _caches.cache_of(("object", id(cache)), site, most if type(most) is int else 0)


def _note(cache: Any, use: Any, key: Any, value: Any = None) -> None:
    found = _of(cache, key)
    if found is None or (_storing and use != "set" and _caches.owner() in _storing):
        return
    digest = None if use != "set" else quick_key((value,))
    life = getattr(cache, "ttl", 0) if use == "set" else 0
    ttl_ns = int(life * 1e9) if type(life) in (int, float) else 0
    _caches.note(found[0], use, found[1], value=digest, ttl_ns=ttl_ns)


def _read(wrapped: Callable[..., Any], cache: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    try:
        value = wrapped(*args, **kwargs)
    except KeyError:
        _guard.call(_POINT, _note, cache, "miss", args[0] if args else None)
        raise
    _guard.call(_POINT, _note, cache, "hit", args[0] if args else None)
    return value


def _store(wrapped: Callable[..., Any], cache: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    return _keep(wrapped, cache, args, kwargs, args[1] if len(args) > 1 else None)


def _keep(
    wrapped: Callable[..., Any], cache: Any, args: tuple[Any, ...], kwargs: dict[str, Any], value: Any
) -> Any:
    """Store, and note nothing of what that reads: what is thrown out is read first."""
    who = _guard.call(_POINT, _caches.owner)
    is_outer = who not in _storing
    _storing.add(who)
    try:
        done = wrapped(*args, **kwargs)
    finally:
        if is_outer:
            _storing.discard(who)
    if args and is_outer:
        _guard.call(_POINT, _note, cache, "set", args[0], value)
    return done


def _get(wrapped: Callable[..., Any], cache: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    value = wrapped(*args, **kwargs)
    # What is there was noted by the read inside.
    if args and value is (args[1] if len(args) > 1 else kwargs.get("default")):
        _guard.call(_POINT, _note, cache, "miss", args[0])
    return value


def _default(wrapped: Callable[..., Any], cache: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    return _keep(wrapped, cache, args, kwargs, args[1] if len(args) > 1 else kwargs.get("default"))


_TAPS: Final = {"__getitem__": _read, "__setitem__": _store, "setdefault": _default}
