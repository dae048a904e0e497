"""The tap on redis-py's cluster clients, sync and asyncio, and their pipelines."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, final

from .. import _guard
from ._outgoing import version_of
from ._patch import patch, require
from ._redis_call import POINT, begin_command, begin_pipeline, default_limit, limits_of, run, run_async

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..protocols import Undo
    from ._outgoing import Outgoing
    from ._redis_call import Command

_version = ""
_default: object = None


@final
class RedisClusterSource:
    """redis-py 4.3 and later: `RedisCluster` of both kinds; where a command is sent is the client's affair."""

    def install(self) -> Undo:
        """Patch `RedisCluster.execute_command` and `ClusterPipeline.execute`.

        Raises:
            Unsupported: This redis-py has other signatures.
        """
        global _default, _version
        import redis
        from redis.asyncio import cluster as asyncio_cluster
        from redis.cluster import ClusterPipeline, RedisCluster
        from redis.connection import Connection

        require(RedisCluster.execute_command, "self", "args", "kwargs")
        require(asyncio_cluster.RedisCluster.execute_command, "self", "args", "kwargs")
        _version = version_of(redis)
        _default = default_limit(Connection)
        undos = [
            patch(RedisCluster, "execute_command", _command),
            patch(ClusterPipeline, "execute", _pipeline),
            patch(asyncio_cluster.RedisCluster, "execute_command", _command_async),
            patch(asyncio_cluster.ClusterPipeline, "execute", _pipeline_async),
        ]

        def undo() -> None:
            for undo_one in undos:
                undo_one()

        return undo


def _where(cluster: Any) -> tuple[str, int]:
    """Return the node that the client asks first, and the time limit of its reads."""
    owner = cluster if hasattr(cluster, "nodes_manager") else getattr(cluster, "_client", None)
    nodes = getattr(owner, "nodes_manager", None)
    name = getattr(getattr(nodes, "default_node", None), "name", "")
    options = getattr(nodes, "connection_kwargs", None) or getattr(owner, "connection_kwargs", None)
    return f"cluster {name}" if type(name) is str and name else "cluster", limits_of(options, _default)


def _stack(pipeline: Any) -> list[Command]:
    """Return the commands that a pipeline holds, wherever its version keeps them."""
    strategy = getattr(pipeline, "_execution_strategy", pipeline)
    for name in ("_command_queue", "_command_stack", "command_stack"):
        found = getattr(strategy, name, None)
        if found and type(found) is list:
            return [command.args for command in found]
    return []


def _command(wrapped: Callable[..., Any], cluster: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    call: Outgoing | None = _guard.call(POINT, begin_command, args, lambda: _where(cluster), _version)
    return run(call, wrapped, args, kwargs)


def _pipeline(
    wrapped: Callable[..., Any], pipeline: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    call: Outgoing | None = _guard.call(POINT, _begin_pipeline, pipeline)
    return run(call, wrapped, args, kwargs)


def _begin_pipeline(pipeline: Any) -> Outgoing | None:
    return begin_pipeline(_stack(pipeline), lambda: _where(pipeline), _version)


def _command_async(
    wrapped: Callable[..., Any], cluster: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    def begin() -> Outgoing | None:
        return begin_command(args, lambda: _where(cluster), _version)

    return run_async(begin, wrapped, args, kwargs)


def _pipeline_async(
    wrapped: Callable[..., Any], pipeline: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    def begin() -> Outgoing | None:
        return _begin_pipeline(pipeline)

    return run_async(begin, wrapped, args, kwargs)
