"""The tap on Django's cache framework: what its backends are asked, whether they answer, and what is stored."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, final

from .. import _caches, _guard
from .._context import HOT
from .._site import NOWHERE, callsite, nearest, place_of
from ._cached import identity_of
from ._outgoing import quick_key
from ._patch import is_patched, patch, require
from ._query import branch
from ._redis import shape_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from .._caches import Cache
    from ..protocols import Undo

    Method = Callable[[Callable[..., Any], Any, tuple[Any, ...], dict[str, Any]], Any]

_POINT: Final = "sources.django-cache"
_OWN_FRAMES: Final = 4
_undos: Final[list[Undo]] = []
_version = ""


@final
class DjangoCacheSource:
    """Django 4.2 and later: any backend, from the class of the first connection that is made of it."""

    def install(self) -> Undo:
        """Patch the making of connections, and the classes of those that are made.

        Raises:
            Unsupported: This Django has other signatures.
        """
        global _version
        import django
        from django.core.cache import CacheHandler, caches

        require(CacheHandler.create_connection, "self", "alias")
        _version = django.get_version()
        _undos.append(patch(CacheHandler, "create_connection", _created))
        # Asking for connections reads the settings, which may not be there yet; then none was made either.
        for made in caches.all(initialized_only=True) if "settings" in vars(caches) else ():
            _tap(type(made))

        def undo() -> None:
            while _undos:
                _undos.pop()()

        return undo


def _created(wrapped: Callable[..., Any], _: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    made = wrapped(*args, **kwargs)
    _guard.call(_POINT, _tap, type(made))
    return made


def _tap(kind: type) -> None:
    """Patch a class of backends once; the one that keeps nothing is left out: nobody expects it to answer."""
    if kind.__name__ == "DummyCache" or is_patched(kind, "get"):
        return
    for name, wrapper in _TAPS.items():
        _undos.append(patch(kind, name, wrapper))


def _covering(use: Method) -> Method:
    """Let taps below stay silent about caches while a method runs: the backend's client is asked the same."""

    def tap(wrapped: Callable[..., Any], cache: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        who = _guard.call(_POINT, _begin)
        if who is None or who in _caches.covering:
            return wrapped(*args, **kwargs)
        _caches.covering.add(who)
        try:
            return use(wrapped, cache, args, kwargs)
        finally:
            _caches.covering.discard(who)

    return tap


def _begin() -> Any:
    return None if branch() is None or _guard.is_off(_POINT) else _caches.owner()


def _known(cache: Any, key: Any, make: bool) -> Cache | None:
    if type(key) is not str:
        return None
    identity = ("django", type(cache).__name__, *identity_of("", "", key))
    found = _caches.known(identity)
    if found is None and make:
        frame, _ = nearest(_OWN_FRAMES)
        shape = shape_of("cache.get", ("", key))
        place = NOWHERE if frame is None else place_of(frame)
        site = callsite(
            "cache",
            shape,
            shape,
            place,
            operation="read",
            system="django",
            library="django",
            version=_version,
        )
        found = _caches.cache_of(identity, site)
    return found


def _note(cache: Any, use: Any, key: Any, spent_ns: int = 0, value: Any = None, life: Any = None) -> None:
    found = _known(cache, key, use in ("hit", "miss"))
    if found is None:
        return
    digest = None
    if use == "set":
        digest = _caches.MISSED if value is None else quick_key((value,))
    ttl_ns = int(life * 1e9) if type(life) in (int, float) else 0
    _caches.note(found, use, quick_key((key,)), spent_ns=spent_ns, value=digest, ttl_ns=ttl_ns)


def _get(wrapped: Callable[..., Any], cache: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    began_ns = HOT["clock_"]()
    value = wrapped(*args, **kwargs)
    default = args[1] if len(args) > 1 else kwargs.get("default")
    use = "miss" if value is default else "hit"
    _guard.call(_POINT, _note, cache, use, _key(args, kwargs), HOT["clock_"]() - began_ns)
    return value


def _get_many(wrapped: Callable[..., Any], cache: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    began_ns = HOT["clock_"]()
    found = wrapped(*args, **kwargs)
    _guard.call(_POINT, _note_many, cache, args, found, HOT["clock_"]() - began_ns)
    return found


def _note_many(cache: Any, args: tuple[Any, ...], found: Any, spent_ns: int) -> None:
    if args and type(args[0]) in (list, tuple, set) and type(found) is dict:
        for key in list(args[0]):
            if type(key) is str:
                _note(cache, "hit" if key in found else "miss", key, spent_ns // max(1, len(args[0])))


def _set(wrapped: Callable[..., Any], cache: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    done = wrapped(*args, **kwargs)
    value = args[1] if len(args) > 1 else kwargs.get("value")
    life = args[2] if len(args) > 2 else kwargs.get("timeout")
    _guard.call(_POINT, _note, cache, "set", _key(args, kwargs), 0, value, life)
    return done


def _delete(wrapped: Callable[..., Any], cache: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    done = wrapped(*args, **kwargs)
    _guard.call(_POINT, _note, cache, "gone", _key(args, kwargs))
    return done


def _key(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    return args[0] if args else kwargs.get("key")


_TAPS: Final = {
    "get": _covering(_get),
    "get_many": _covering(_get_many),
    "set": _covering(_set),
    "add": _covering(_set),
    "delete": _covering(_delete),
}
