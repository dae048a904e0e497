"""The tap on looking names up: each time a program asks the resolver for the address of a host."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, final

from .. import _guard
from .._fingerprint import key_of, values_of
from ._outgoing import Outgoing, begin_outgoing, here
from ._patch import Unsupported, patch

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..protocols import Undo

_POINT: Final = "sources.dns"
_OWN_FRAMES: Final = 3
_NUMBERS: Final = frozenset("0123456789.")


@final
class DnsSource:
    """`socket.getaddrinfo` and `socket.gethostbyname`, and through the first one `create_connection` and event loops.

    What a library with a tap of its own looks up for a call is a part of that call; an address in
    numbers is looked up nowhere.
    """

    def install(self) -> Undo:
        """Patch both where they are looked up.

        Raises:
            Unsupported: There is no such function.
        """
        import socket

        names = ("getaddrinfo", "gethostbyname")
        if not all(callable(getattr(socket, name, None)) for name in names):
            msg = "this socket module looks up no names"
            raise Unsupported(msg)
        undos = [patch(socket, name, _look_up) for name in names]

        def undo() -> None:
            for each in reversed(undos):
                each()

        return undo


def _look_up(wrapped: Callable[..., Any], _: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    call: Outgoing | None = _guard.call(_POINT, _begin, args, kwargs)
    if call is None:
        return wrapped(*args, **kwargs)
    try:
        found = wrapped(*args, **kwargs)
    except BaseException as error:
        call.fail(error)
        raise
    call.finish(result=_guard.call(_POINT, _result, found))
    return found


def _begin(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Outgoing | None:
    host = kwargs.get("host", args[0] if args else None)
    if type(host) is not str or not host or ":" in host or _NUMBERS.issuperset(host):
        return None
    on = here(_POINT)
    if on is None:
        return None
    call = begin_outgoing(
        on,
        "http",  # a round trip to a service of the network, as others of this kind
        "lookup",
        "lookup",
        operation="read",
        system="dns",
        target="",
        library="socket",
        version="",
        skip=_OWN_FRAMES,
    )
    if call is not None:
        call.key = key_of((*args, *(part for name in sorted(kwargs) for part in (name, kwargs[name]))))
        call.values = lambda: values_of((host,))
        call.cover()
    return call


def _result(found: Any) -> int | None:
    """Return a keyed hash of the addresses, in any order: a resolver turns them round."""
    if type(found) is not list:
        return key_of((found,))
    return key_of(
        tuple(sorted({str(each[4][0]) for each in found if type(each) is tuple and len(each) == 5}))
    )
