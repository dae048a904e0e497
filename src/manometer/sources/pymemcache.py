"""The tap on pymemcache: one call for each method of its base client, whichever client stands before it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, final

from .. import _guard
from .._context import HOT
from .._fingerprint import key_of
from ._cached import note_gone, note_read, note_stored
from ._outgoing import Outgoing, begin_outgoing, here, limit_ns, version_of
from ._patch import patch, require
from ._redis import reply_of, shape_of, values_in

if TYPE_CHECKING:
    from collections.abc import Callable

    from .._model import Operation
    from ..protocols import Undo

_POINT: Final = "sources.pymemcache"
_OWN_FRAMES: Final = 3
_SECOND_NS: Final = 1_000_000_000
_READS: Final = ("get", "gets", "get_many", "get_multi", "gets_many")
_WRITES: Final = (
    "set", "set_many", "set_multi", "add", "replace", "append", "prepend", "cas", "delete", "delete_many",
    "delete_multi", "incr", "decr", "touch",
)  # fmt: skip
_version = ""


@final
class PymemcacheSource:
    """pymemcache 3 and later, through the methods of `Client`, which pooled and hashing clients call too."""

    def install(self) -> Undo:
        """Patch the methods that carry keys.

        Raises:
            Unsupported: This pymemcache has other signatures.
        """
        global _version
        import pymemcache
        from pymemcache.client.base import Client

        require(Client.get, "self", "key")
        require(Client.get_many, "self", "keys")
        require(Client.set, "self", "key", "value")
        _version = version_of(pymemcache)
        undos = [patch(Client, name, _method(name, "read")) for name in _READS if hasattr(Client, name)]
        undos += [patch(Client, name, _method(name, "write")) for name in _WRITES if hasattr(Client, name)]

        def undo() -> None:
            for undo_one in undos:
                undo_one()

        return undo


def _method(name: str, operation: Operation) -> Callable[..., Any]:
    command = name.upper().replace("MULTI", "MANY")

    def tap(wrapped: Callable[..., Any], client: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        call: Outgoing | None = _guard.call(_POINT, _begin, client, command, operation, args, kwargs)
        if call is None:
            return wrapped(*args, **kwargs)
        try:
            reply = wrapped(*args, **kwargs)
        except BaseException as error:
            call.fail(error)
            raise
        call.finish()
        _guard.call(_POINT, _returned, call, command, args, kwargs, reply)
        return reply

    return tap


def _begin(
    client: Any, command: str, operation: Operation, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Outgoing | None:
    on = here(_POINT)
    if on is None:
        return None
    given = (*args, *kwargs.values())
    keys = _keys(given[0]) if given else []
    shape = shape_of(command, (command, *keys[:1]))
    server = client.server
    call = begin_outgoing(
        on,
        "cache",
        shape,
        shape,
        operation=operation,
        system="memcached",
        target=f"{server[0]}:{server[1]}" if type(server) is tuple and len(server) == 2 else "",
        library="pymemcache",
        version=_version,
        skip=_OWN_FRAMES,
    )
    if call is not None:
        call.key = key_of((command, given))
        call.values = lambda: values_in((command, *keys[:4]))
        call.batch = len(keys) if command.endswith("_MANY") else 0
        call.timeout_ns = limit_ns(client.timeout)
        call.cover()
    return call


def _keys(first: object) -> list[Any]:
    """Return the keys in a first argument: one, or several in an exact list, tuple, set or dict."""
    if type(first) in (list, tuple, set, dict):
        return list(first)  # type: ignore[call-overload,no-any-return]
    return [first]


def _returned(
    call: Outgoing, command: str, args: tuple[Any, ...], kwargs: dict[str, Any], reply: Any
) -> None:
    call.returned(*reply_of(reply))
    site = call.call.callsite
    spent_ns = max(0, HOT["clock_"]() - call.call.started_ns)
    given = (*args, *kwargs.values())
    if command == "GET":
        note_read(site, given[0], reply is not None, spent_ns)
    elif command == "GET_MANY" and type(reply) is dict:
        for key in _keys(given[0]):
            note_read(site, key, key in reply, spent_ns // max(1, len(reply)))
    elif command in ("SET", "ADD") and len(given) > 1:
        life = kwargs.get("expire", args[2] if len(args) > 2 else 0)
        note_stored(site, given[0], given[1], life * _SECOND_NS if type(life) is int else 0)
    elif command == "SET_MANY" and type(given[0]) is dict:
        for key, value in list(given[0].items()):
            note_stored(site, key, value, 0)
    elif command in ("DELETE", "DELETE_MANY"):
        for key in _keys(given[0]):
            note_gone(site, key)
