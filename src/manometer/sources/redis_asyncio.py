"""The tap on redis-py's asyncio clients and pipelines."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, final

from ._outgoing import version_of
from ._patch import patch, require
from ._redis_call import (
    begin_command,
    begin_pipeline,
    count_tries,
    default_limit,
    run_async,
    where_is,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..protocols import Undo
    from ._outgoing import Outgoing

_version = ""
_default: object = None


@final
class RedisAsyncioSource:
    """redis-py 4.2 and later: `redis.asyncio`, commands one by one and a pipeline as one call."""

    def install(self) -> Undo:
        """Patch `Redis.execute_command`, the two executing methods of `Pipeline`, and `Retry`.

        Raises:
            Unsupported: This redis-py has other signatures.
        """
        global _default, _version
        import redis
        from redis.asyncio.client import Pipeline, Redis
        from redis.asyncio.connection import Connection
        from redis.asyncio.retry import Retry

        require(Redis.execute_command, "self", "args", "options")
        require(Pipeline.execute, "self", "raise_on_error")
        require(Retry.call_with_retry, "self", "do", "fail")
        _version = version_of(redis)
        _default = default_limit(Connection)
        undos = [
            patch(Redis, "execute_command", _command),
            patch(Pipeline, "immediate_execute_command", _command),
            patch(Pipeline, "execute", _pipeline),
            patch(Retry, "call_with_retry", count_tries),
        ]

        def undo() -> None:
            for undo_one in undos:
                undo_one()

        return undo


def _command(wrapped: Callable[..., Any], client: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    def begin() -> Outgoing | None:
        return begin_command(args, lambda: where_is(client, _default), _version)

    return run_async(begin, wrapped, args, kwargs)


def _pipeline(wrapped: Callable[..., Any], client: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    def begin() -> Outgoing | None:
        stack = client.command_stack
        if type(stack) is not list:
            return None
        return begin_pipeline([command[0] for command in stack], lambda: where_is(client, _default), _version)

    return run_async(begin, wrapped, args, kwargs)
