"""`watch_cache`: a cache of the user's own, a plain dict say, and what it promises."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast, final
from weakref import ref

from . import _caches, _context, _fingerprint, _guard, _limits
from ._model import Callsite

if TYPE_CHECKING:
    from ._caches import Cache, Use

_T = TypeVar("_T")
_POINT: Final = "watch_cache"
_MISSING: Final = object()
_kept: Final[dict[int, ref[Any]]] = {}
_made: Final[dict[tuple[str, str, int], Callsite]] = {}


def watch_cache(cache: _T, name: str, *, stale_ok: float | None = None) -> _T:
    """Watch a cache of your own: whether it answers, whether several compute the same, whether it is stale.

    Args:
        cache: An empty or filled `dict`, which is copied into one that is watched; or a cache of
            cachetools, which stays itself and gets its name and its promise.
        name: What a reader calls it.
        stale_ok: Share of its answers, 0 to 1, that may be out of date.

    Returns:
        What to use in its place.

    Raises:
        TypeError: It cannot be watched, or an argument is wrong.

    A read of the dict costs 2 us more, 0.2 us while nothing is recorded. `functools.lru_cache` needs no
    watching: it counts by itself.
    """
    if type(name) is not str or not name:
        msg = f"watch_cache: name must be a non-empty str, not {name!r}"
        raise TypeError(msg)
    if stale_ok is not None and (type(stale_ok) not in (int, float) or not 0 <= stale_ok <= 1):
        msg = f"watch_cache: stale_ok must be a number from 0 to 1, not {stale_ok!r}"
        raise TypeError(msg)
    kind = type(cache)
    if _context.absent:
        return cache
    promised = -1.0 if stale_ok is None else float(stale_ok)
    site = _callsite(name, sys._getframe(1), "dict" if kind is dict else "cachetools")
    if kind is dict:
        return cast("_T", WatchedDict(cast("dict[Any, Any]", cache), site, promised))
    if any(base.__module__.partition(".")[0] == "cachetools" for base in type.mro(kind)):
        found = _caches.cache_of(("object", id(cache)), site)
        if found is not None:
            found.callsite, found.stale_ok, gone = site, promised, found
            _kept[id(found)] = ref(cache, lambda _: _let_go(gone))
        return cache
    msg = f"watch_cache: {kind.__module__}.{kind.__qualname__} cannot be watched"
    raise TypeError(msg)


def _let_go(found: Cache) -> None:
    _kept.pop(id(found), None)
    _caches.forget_one(found)


def _callsite(name: str, caller: Any, library: str) -> Callsite:
    code = caller.f_code
    key = (name, code.co_filename, caller.f_lineno)
    found = _made.get(key)
    if found is None:
        if len(_made) >= _limits.MAX_CACHES:
            _made.clear()
        found = _made[key] = Callsite(
            name=name[: _limits.MAX_NAME],
            kind="cache",
            function=getattr(code, "co_qualname", code.co_name),
            file=os.path.abspath(code.co_filename),
            line=caller.f_lineno,
            template=name[: _limits.MAX_NAME],
            operation="read",
            library=library,
        )
    return found


@final
class WatchedDict(dict[Any, Any]):
    """A dict that is watched as a cache: reads by key that find nothing, and what is stored after them."""

    __slots__ = ("_promised", "_site")

    def __init__(self, content: dict[Any, Any], site: Callsite, promised: float) -> None:
        super().__init__(content)
        self._site = site
        self._promised = promised

    def _cache(self) -> Cache | None:
        found = _caches.cache_of(("watched", self._site), self._site)
        if found is not None:
            found.stale_ok = self._promised
        return found

    def _note(self, use: Use, key: Any, value: Any = None) -> None:
        if _context.current() is None:
            return
        cache = self._cache()
        if cache is not None:
            digest = _fingerprint.key_of((value,)) if use == "set" else None
            _caches.note(cache, use, _fingerprint.key_of((key,)), value=digest)

    def _say(self, use: Use, key: Any, value: Any = None) -> None:
        if not _guard.is_off(_POINT):
            _guard.call(_POINT, self._note, use, key, value)

    def __getitem__(self, key: Any) -> Any:
        try:
            value = super().__getitem__(key)
        except KeyError:
            self._say("miss", key)
            raise
        self._say("hit", key)
        return value

    def get(self, key: Any, default: Any = None) -> Any:
        value = super().get(key, _MISSING)
        self._say("miss" if value is _MISSING else "hit", key)
        return default if value is _MISSING else value

    def __contains__(self, key: Any) -> bool:
        if super().__contains__(key):
            return True
        self._say("miss", key)
        return False

    def __setitem__(self, key: Any, value: Any) -> None:
        super().__setitem__(key, value)
        self._say("set", key, value)

    def setdefault(self, key: Any, default: Any = None) -> Any:
        value = super().setdefault(key, default)
        self._say("set", key, value)
        return value

    def __delitem__(self, key: Any) -> None:
        super().__delitem__(key)
        self._say("gone", key)

    def pop(self, key: Any, *default: Any) -> Any:
        value = super().pop(key, *default)
        self._say("gone", key)
        return value

    def __reduce__(self) -> Any:
        return dict, (dict(self),)
