"""The tap on SQLAlchemy's queue pools: who holds their connections, and who waits for one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, final

from ._patch import Unsupported, patch, require
from ._pool import undo_all, wait
from ._sqlalchemy_pools import pools

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..protocols import Undo


@final
class SQLAlchemyPoolSource:
    """`QueuePool` and its asynchronous form, of SQLAlchemy 1.4 and 2.x."""

    def install(self) -> Undo:
        """Patch how they hand connections out, take them back, and wait.

        Raises:
            Unsupported: They work otherwise.
        """
        import sqlalchemy
        from sqlalchemy.pool import QueuePool
        from sqlalchemy.util import queue

        if not sqlalchemy.__version__.startswith(("1.4.", "2.")):
            msg = f"SQLAlchemy {sqlalchemy.__version__} is not supported (1.4 and 2.x are)"
            raise Unsupported(msg)
        require(QueuePool._do_get, "self")
        require(QueuePool._do_return_conn)
        kinds = (queue.Queue, queue.AsyncAdaptedQueue)
        for kind in kinds:
            require(kind.get, "self", "block", "timeout")
        undos = [patch(QueuePool, "_do_get", _get), patch(QueuePool, "_do_return_conn", _give_back)]
        undos += [patch(kind, "get", _wait) for kind in kinds]
        return undo_all(undos, pools)


def _get(wrapped: Callable[..., Any], pool: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    pools.alias(pool, pool._pool)
    record = wrapped(*args, **kwargs)
    pools.took(pool, record)
    return record


def _give_back(wrapped: Callable[..., Any], pool: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    if args:
        pools.gave_back(pool, args[0])
    return wrapped(*args, **kwargs)


def _wait(wrapped: Callable[..., Any], queue: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    blocks = args[0] if args else kwargs.get("block", True)
    if not blocks or _has_one(queue):
        return wrapped(*args, **kwargs)
    return wait(pools.known_waiter(queue), wrapped, args, kwargs)


def _has_one(queue: Any) -> bool:
    # Not `empty()`: it takes the queue's lock.
    items = vars(queue).get("queue")
    return bool(items) if items is not None else not queue.empty()
