"""One call of a redis client, a command or a whole pipeline, whatever class makes it."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, Final

from .. import _guard
from .._fingerprint import key_of
from ._cached import note_command
from ._outgoing import Outgoing, around, asked_here, asking, begin_outgoing, here, limit_ns, quick_key
from ._redis import batch_of, command_of, is_message, operation_of, reply_of, shape_of, values_in

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from .._model import Operation


POINT: Final = "sources.redis"
_LIMIT: Final = "socket_timeout"
_OWN_FRAMES: Final = 4
_SHAPES_SHOWN: Final = 3
_COMMANDS_READ: Final = 64

Command = tuple[Any, ...]


def begin_command(args: Command, where: Callable[[], tuple[str, int]], version: str) -> Outgoing | None:
    """Open the call for one command; None when it is not recorded.

    Args:
        args: The command and its arguments.
        where: Gives target and time limit of the client.
        version: Of redis-py.

    Application threads; 8 us.
    """
    command = command_of(args)
    operation = operation_of(command)
    on = here(POINT) if command and operation != "control" else None
    if on is None:
        return None
    target, timeout_ns = where()
    shape = shape_of(command, args)
    call = begin_outgoing(
        on,
        "queue" if is_message(command) else "cache",
        shape,
        shape,
        operation=operation,
        system="redis",
        target=target,
        library="redis",
        version=version,
        skip=_OWN_FRAMES,
    )
    if call is not None:
        call.key = quick_key(args)
        call.values = lambda: values_in(args)
        call.batch = batch_of(command, args)
        call.timeout_ns = timeout_ns
        call.cover()
    return call


def begin_pipeline(
    stack: Sequence[Command], where: Callable[[], tuple[str, int]], version: str
) -> Outgoing | None:
    """Open the one call that a pipeline is, of as many commands as it carries; see `begin_command`."""
    on = here(POINT) if stack else None
    if on is None:
        return None
    read = [args for args in stack[:_COMMANDS_READ] if args]
    commands = [command_of(args) for args in read]
    shapes = dict.fromkeys(map(shape_of, commands, read))
    shown = ", ".join(list(shapes)[:_SHAPES_SHOWN]) + (", ..." if len(shapes) > _SHAPES_SHOWN else "")
    shape = f"PIPELINE {shown}"
    target, timeout_ns = where()
    call = begin_outgoing(
        on,
        "cache",
        shape,
        shape,
        operation=_operation_of(commands),
        system="redis",
        target=target,
        library="redis",
        version=version,
        skip=_OWN_FRAMES,
    )
    if call is not None:
        keys = [key_of(args) for args in read]
        call.key = None if None in keys else hash((len(stack), *keys))  # of keyed hashes
        call.values = lambda: tuple(value for args in read[:8] for value in values_in(args)[:2])
        call.batch = len(stack)
        call.timeout_ns = timeout_ns
        call.cover()
    return call


def _operation_of(commands: list[str]) -> Operation:
    known = {operation_of(command) for command in commands}
    if "write" in known:
        return "write"
    return "read" if known <= {"read", "control"} else ""


def end_command(call: Outgoing, args: Command, reply: Any, awaited: bool) -> None:
    """Add up a command that was answered. Never raises; 5 us."""
    call.finish(awaited=awaited)
    _guard.call(POINT, _returned, call, args, reply)


def _returned(call: Outgoing, args: Command, reply: Any) -> None:
    note_command(call, command_of(args), args, reply)
    if type(reply) is bytes and not call.wants_values():
        call.returned(1, (), quick_key((reply,)))
    else:
        call.returned(*reply_of(reply))


def run(call: Outgoing | None, wrapped: Callable[..., Any], args: Command, kwargs: dict[str, Any]) -> Any:
    """Make a call that was begun, or one that nobody looks at."""
    if call is None:
        return wrapped(*args, **kwargs)
    try:
        reply = wrapped(*args, **kwargs)
    except BaseException as error:
        call.fail(error)
        raise
    end_command(call, args, reply, False)
    return reply


def run_async(
    begin: Callable[[], Outgoing | None], wrapped: Callable[..., Any], args: Command, kwargs: dict[str, Any]
) -> Any:
    """Return the coroutine that makes a call, begun when it is awaited and told who asked now."""
    place = _guard.call(POINT, asked_here, 2)

    async def go() -> Any:
        call: Outgoing | None = _guard.call(POINT, begin)
        if call is None:
            return await wrapped(*args, **kwargs)
        try:
            reply = await wrapped(*args, **kwargs)
        except BaseException as error:
            call.fail(error, awaited=True)
            raise
        end_command(call, args, reply, True)
        return reply

    return go() if place is None else asking(place, go, (), {})


def default_limit(connection: Any) -> object:
    """Return how long a connection waits that nobody told how long; looks at all its classes."""
    for owner in connection.__mro__:
        found = (
            inspect.signature(owner.__init__).parameters.get(_LIMIT) if "__init__" in vars(owner) else None
        )
        if found is not None and found.default is not inspect.Parameter.empty:
            default: object = found.default
            return default
    return None


def where_is(client: Any, default: object) -> tuple[str, int]:
    """Return `host:port/database` of a client, and the time limit of its reads."""
    pool = client.connection_pool
    options = pool.connection_kwargs
    if type(options) is not dict:
        return "", -1
    host = options.get("host", options.get("path", "localhost"))
    target = f"{host}:{options.get('port', 6379)}/{options.get('db', 0)}"
    if not pool.connection_class.__module__.startswith("redis."):
        return target, -1  # a stand-in of a test's waits for nobody
    return target, limits_of(options, default)


def limits_of(pool_options: Any, default: object) -> int:
    """Return how long a read may take, from the options of a pool, in nanoseconds; -1 when unknown."""
    if type(pool_options) is not dict:
        return -1
    return limit_ns(pool_options.get(_LIMIT, default))


def count_tries(wrapped: Callable[..., Any], _: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Stand around `Retry.call_with_retry`, sync or async, and count what it calls again."""
    call = around()
    do = args[0] if args else kwargs.get("do")
    if call is None or do is None:
        return wrapped(*args, **kwargs)
    known: Outgoing = call
    again = False

    def counted(*given: Any, **more: Any) -> Any:
        nonlocal again
        known.retries += again
        again = True
        return do(*given, **more)

    if args:
        return wrapped(counted, *args[1:], **kwargs)
    return wrapped(**{**kwargs, "do": counted})
