"""Sending a message from a tap's point of view: one call, or one call for a whole batch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from .. import _guard
from .._fingerprint import key_of, values_of
from ._outgoing import Outgoing, begin_outgoing, here

if TYPE_CHECKING:
    from collections.abc import Callable

_OWN_FRAMES: Final = 4
_MAX_NAME: Final = 128


class Message(NamedTuple):
    """What is sent.

    Attributes:
        name: The task or job, as it is registered: a shape, no value.
        arguments: What goes with it; exact built-in types are hashed, nothing else is touched.
        batch: Messages that go at once; 0 for one by itself.
    """

    name: str
    arguments: Any = ()
    batch: int = 0


def sending(
    point: str, library: str, version: str, read: Callable[[Any, tuple[Any, ...], dict[str, Any]], Message]
) -> Any:
    """Return the wrapper of a function that sends.

    Args:
        point: The tap's name at the guard.
        library: Library that sends.
        version: Its version.
        read: Called with the instance and the arguments; says what is sent. Runs behind the guard.

    What the library does to send it (commands of redis, a connection) is a part of the call.
    """

    def send(
        wrapped: Callable[..., Any], instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        call: Outgoing | None = _guard.call(
            point, _begin, point, library, version, read, (instance, args, kwargs)
        )
        if call is None:
            return wrapped(*args, **kwargs)
        try:
            sent = wrapped(*args, **kwargs)
        except BaseException as error:
            call.fail(error)
            raise
        call.finish()
        return sent

    return send


def _begin(point: str, library: str, version: str, read: Any, given: Any) -> Outgoing | None:
    on = here(point)
    if on is None:
        return None
    message = read(*given)
    name = f"send {message.name[:_MAX_NAME]}".rstrip()
    call = begin_outgoing(
        on,
        "queue",
        name,
        name,
        operation="",  # neither does it read, nor does it change what is read here
        system=library,
        target="",
        library=library,
        version=version,
        skip=_OWN_FRAMES,
    )
    if call is not None:
        call.key = key_of((message.name, message.arguments))
        call.values = lambda: values_of(message.arguments)
        call.batch = message.batch
        call.cover()
    return call
