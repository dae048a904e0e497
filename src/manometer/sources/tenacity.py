"""The tap on tenacity: a frame for each retrying call, which counts its attempts."""

from __future__ import annotations

from types import FunctionType, MethodType
from typing import TYPE_CHECKING, Any, Final, final

from .. import _guard, _site
from .._boundary import boundary_of
from .._context import HOT, variable
from .._measure import Measure
from .._options import Options
from ._outgoing import asked_here, version_of
from ._patch import patch, require
from ._query import branch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from .._model import Frame
    from ..protocols import Undo

_POINT: Final = "sources.tenacity"
LIBRARY: Final = "tenacity"
_OPTIONS: Final = Options(None, None, None, None, "call", None)
_SINCE: Final = "_manometer_since_ns"
_FRAMES_LOOKED_AT: Final = 256
_version = ""


@final
class TenacitySource:
    """tenacity 8 and later: decorated functions, sync and async, and `for attempt in Retrying(...)`.

    Of `async for attempt in AsyncRetrying(...)` the attempts are noted without a frame of their own: when such a
    loop is left cannot be told.
    """

    def install(self) -> Undo:
        """Patch `__call__` of both kinds, `__iter__`, and `iter`, which decides about each attempt.

        Raises:
            Unsupported: This tenacity has other signatures.
        """
        global _version
        import tenacity
        from tenacity import AsyncRetrying, BaseRetrying, Retrying

        require(Retrying.__call__, "self", "fn")
        require(AsyncRetrying.__call__, "self", "fn")
        require(BaseRetrying.iter, "self", "retry_state")
        _version = version_of(tenacity)
        undos = [
            patch(Retrying, "__call__", _call),
            patch(AsyncRetrying, "__call__", _call_async),
            patch(BaseRetrying, "__iter__", _iterate),
            patch(BaseRetrying, "iter", _decide),
        ]
        if "iter" in vars(AsyncRetrying):
            undos.append(patch(AsyncRetrying, "iter", _decide_async))

        def undo() -> None:
            for undo_one in undos:
                undo_one()

        return undo


def _block(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Measure | None:
    """Return what measures one retrying call; None when nothing is recorded."""
    on = branch()
    if on is None or on.covered or on.profile.sealed or _guard.is_off(_POINT):
        return None
    name = _name_of(args[0] if args else kwargs.get("fn"))
    callsite = _site.callsite(
        "call", f"tenacity {name}".rstrip(), "", asked_here() or _site.NOWHERE, library=LIBRARY, version=_version,
        target=name,
    )  # fmt: skip
    return Measure(_OPTIONS, callsite)


def _name_of(function: object) -> str:
    if type(function) is MethodType:
        function = function.__func__
    return function.__qualname__.replace("<locals>.", "") if type(function) is FunctionType else ""


def _call(wrapped: Callable[..., Any], _: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    block = _guard.call(_POINT, _block, args, kwargs)
    if block is None:
        return wrapped(*args, **kwargs)
    with block:
        return wrapped(*args, **kwargs)


def _call_async(wrapped: Callable[..., Any], _: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    async def call() -> Any:
        block = _guard.call(_POINT, _block, args, kwargs)
        if block is None:
            return await wrapped(*args, **kwargs)
        async with block:
            return await wrapped(*args, **kwargs)

    return call()


def _iterate(wrapped: Callable[..., Any], _: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    attempts = wrapped(*args, **kwargs)
    block = _guard.call(_POINT, _block, (), {})
    if block is None:
        return attempts

    def inside() -> Iterator[Any]:
        with block:
            yield from attempts

    return inside()


def _decide(wrapped: Callable[..., Any], _: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    found = wrapped(*args, **kwargs)
    _guard.call(_POINT, _note, args[0] if args else kwargs.get("retry_state"), found)
    return found


def _decide_async(wrapped: Callable[..., Any], _: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    async def decide() -> Any:
        found = await wrapped(*args, **kwargs)
        _guard.call(_POINT, _note, args[0] if args else kwargs.get("retry_state"), found)
        return found

    return decide()


def _note(state: Any, decided: Any) -> None:
    """Count an attempt that will be followed by another one, and remember when the next one began."""
    from tenacity import DoAttempt, DoSleep

    if isinstance(decided, DoAttempt):
        setattr(state, _SINCE, HOT["clock_"]())
    elif isinstance(decided, DoSleep):
        on = variable.get()
        since_ns = getattr(state, _SINCE, 0)
        if not on or on.profile.sealed or not since_ns:
            return
        if on.base.callsite.library == LIBRARY:
            boundary_of(on.base.more()).retries_inside += 1
        _mark(on.frame, since_ns, failed=bool(state.outcome.failed))


def _mark(below: Frame, since_ns: int, *, failed: bool) -> None:
    """Note what an attempt asked for: asked again it is a retry, and never a repetition.

    An attempt that is repeated because of its result is a poll: what it asks for again is neither.
    """
    for number, frame in enumerate(below.walk()):
        if number >= _FRAMES_LOOKED_AT:
            break
        for use in frame.detail.keys.values() if frame.detail is not None else ():
            if use.last_ended_ns >= since_ns:
                use.run = 0
                use.failed = use.failed or failed
