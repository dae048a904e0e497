"""The taps on pools of threads: what runs in one belongs to the unit of work that sent it there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, final

from .._wait import Resource
from ._carried import Workers, with_senders
from ._patch import Unsupported, nothing, patch, require

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..protocols import Undo

_UNNAMED: Final = "ThreadPoolExecutor-"


def _executor(pool: Any) -> Resource:
    prefix, limit = getattr(pool, "_thread_name_prefix", ""), getattr(pool, "_max_workers", 0)
    named = type(prefix) is str and prefix and not prefix.startswith(_UNNAMED)
    return Resource(
        "executor",
        f"ThreadPoolExecutor {prefix.rstrip('-_0123456789')}".rstrip() if named else "ThreadPoolExecutor",
        limit=limit if type(limit) is int else 0,
        library="concurrent.futures",
    )


def _thread_pool(pool: Any) -> Resource:
    limit = getattr(pool, "_processes", 0)
    return Resource(
        "executor", "ThreadPool", limit=limit if type(limit) is int else 0, library="multiprocessing"
    )


_executors: Final = Workers(_executor)
_thread_pools: Final = Workers(_thread_pool)


@final
class ExecutorsSource:
    """`ThreadPoolExecutor`, and with it `asyncio.to_thread` and `loop.run_in_executor`.

    No context is copied: the worker gets nothing but the branch of whoever sent the work, and gives it back.
    """

    def install(self) -> Undo:
        """Patch `ThreadPoolExecutor.submit`, in which `map` ends as well.

        Raises:
            Unsupported: It has another signature.
        """
        from concurrent.futures.thread import ThreadPoolExecutor

        require(ThreadPoolExecutor.submit, "self", "fn")
        return with_senders(patch(ThreadPoolExecutor, "submit", _submit), _executors)


@final
class ThreadPoolsSource:
    """`multiprocessing.pool.ThreadPool`. Pools of processes are another matter: see `executors_process`."""

    def install(self) -> Undo:
        """Patch the four ways into it, on `ThreadPool` alone.

        Raises:
            Unsupported: They have other signatures.
        """
        from multiprocessing.pool import ThreadPool

        names = ("apply_async", "_map_async", "imap", "imap_unordered")
        for name in names:
            way: Any = getattr(ThreadPool, name, None)
            if way is None:
                msg = f"ThreadPool has no {name}"
                raise Unsupported(msg)
            require(way, "self", "func")
        undos = [patch(ThreadPool, name, _send) for name in names]

        def undo() -> None:
            for each in reversed(undos):
                each()

        return with_senders(undo if undos[0] is not nothing else nothing, _thread_pools)


def _submit(wrapped: Callable[..., Any], pool: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    if not args:
        return wrapped(*args, **kwargs)
    job = _executors.carry(pool, args[0])
    return wrapped(*args, **kwargs) if job is None else wrapped(job, *args[1:], **kwargs)


def _send(wrapped: Callable[..., Any], pool: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    function = args[0] if args else kwargs.get("func")
    job = None if function is None else _thread_pools.carry(pool, function)
    if job is None:
        return wrapped(*args, **kwargs)
    if args:
        return wrapped(job, *args[1:], **kwargs)
    return wrapped(**{**kwargs, "func": job})
