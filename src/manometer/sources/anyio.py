"""The tap on anyio's worker threads, in which Starlette and FastAPI run what is not async."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, final

from .. import _guard
from .._wait import Resource
from ._carried import Workers, with_senders
from ._patch import Unsupported, patch, require

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..protocols import Undo

_POINT: Final = "sources.anyio"
_NAME: Final = "run_sync_in_worker_thread"


def _describe(limiter: Any) -> Resource:
    tokens = limiter.total_tokens
    limit = int(tokens) if type(tokens) in (int, float) and 0 < tokens < float("inf") else 0
    return Resource("executor", "anyio worker threads", limit=limit, library="anyio")


_limiters: Final = Workers(_describe)


@final
class AnyioSource:
    """anyio 4 on asyncio: `to_thread.run_sync`, with the wait for a token of its limiter.

    anyio gives the worker a copy of the context itself; that does not change.
    """

    def install(self) -> Undo:
        """Patch what its backend for asyncio starts a worker with.

        Raises:
            Unsupported: It has another signature.
        """
        try:
            from anyio._backends._asyncio import AsyncIOBackend
        except ImportError as error:
            msg = "this anyio starts its workers otherwise (4.0 and later can be seen)"
            raise Unsupported(msg) from error

        require(getattr(AsyncIOBackend, _NAME), "func", "args", "abandon_on_cancel", "limiter")
        return with_senders(patch(AsyncIOBackend, _NAME, _run), _limiters)


def _run(wrapped: Callable[..., Any], backend: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    if not args:
        return wrapped(*args, **kwargs)
    limiter = _guard.call(_POINT, _limiter_of, backend, args, kwargs)
    job = None if limiter is None else _limiters.carry(limiter, args[0])
    return wrapped(*args, **kwargs) if job is None else wrapped(job, *args[1:], **kwargs)


def _limiter_of(backend: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    given = args[3] if len(args) > 3 else kwargs.get("limiter")
    return backend.current_default_thread_limiter() if given is None else given
