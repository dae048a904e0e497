"""The tap on Django's requests: each one, sync or async, becomes a unit of work named after its route."""

from __future__ import annotations

import sys
from asyncio import CancelledError
from inspect import iscoroutinefunction
from typing import TYPE_CHECKING, Any, Final, final

from .. import _guard
from .._context import HOT, open_profile, restore
from ._asgi import DISCONNECTED
from ._django_route import template_of
from ._django_stream import AsyncBody
from ._patch import Unsupported, nothing, patch, require
from ._request import MARKER, Body, Request
from ._route import UNMATCHED, is_excluded, method_of, trace_id_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..protocols import Undo

_POINT: Final = "sources.django"
_LOWEST: Final = (4, 2)

_running: Final[dict[int, Request]] = {}
"""By the identity of Django's request, while it is answered: nothing of ours is put into it, or kept of it."""


@final
class DjangoSource:
    """Django 4.2 to 6.x, WSGI and ASGI, the test clients too: whatever asks a handler for a response."""

    def install(self) -> Undo:
        """Patch `BaseHandler.get_response` and its async twin, which every handler calls.

        Raises:
            Unsupported: An older Django, or one with other signatures.
        """
        import django
        from django.core.handlers.base import BaseHandler
        from django.core.signals import got_request_exception

        if django.VERSION[:2] < _LOWEST:
            msg = f"Django {django.get_version()} is not supported (4.2 and later are)"
            raise Unsupported(msg)
        require(BaseHandler.get_response, "self", "request")
        require(BaseHandler.get_response_async, "self", "request")
        first = patch(BaseHandler, "get_response", _get_response)
        if first is nothing:
            return nothing
        second = patch(BaseHandler, "get_response_async", _get_response_async)
        got_request_exception.connect(_failed, dispatch_uid=_POINT)

        def undo() -> None:
            first()
            second()
            got_request_exception.disconnect(dispatch_uid=_POINT)
            _running.clear()

        return undo


def _get_response(wrapped: Callable[..., Any], _: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    asked = args[0] if args else kwargs.get("request")
    work = None if HOT["idle_"] else _guard.call(_POINT, _begin, asked, True)
    if work is None:
        return wrapped(*args, **kwargs)
    try:
        response = wrapped(*args, **kwargs)
    except BaseException as error:
        _abort(work, asked, error)
        raise
    _answer(work, asked, response)
    return response


def _get_response_async(
    wrapped: Callable[..., Any], _: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    return wrapped(*args, **kwargs) if HOT["idle_"] else _serve(wrapped, args, kwargs)


async def _serve(wrapped: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    asked = args[0] if args else kwargs.get("request")
    work = _guard.call(_POINT, _begin, asked, False)
    if work is None:
        return await wrapped(*args, **kwargs)
    try:
        response = await wrapped(*args, **kwargs)
    except BaseException as error:
        _abort(work, asked, error)
        raise
    _answer(work, asked, response)
    return response


def _begin(asked: Any, cpu: bool) -> Request:
    """Open the unit of work, or join the one that a middleware around the whole application opened."""
    meta = asked.META
    for holder in (meta, getattr(asked, "scope", None)):
        outer = holder.get(MARKER) if type(holder) is dict else None
        if type(outer) is Request and not outer.done:
            _running[id(asked)] = outer
            return outer
    method = method_of(asked.method)
    script, path = meta.get("SCRIPT_NAME") or "", asked.path_info
    opened = open_profile(method, "request", cpu=cpu, muted=is_excluded(method, script + path))
    work = Request(method, script, path, "", opened)
    if opened.profile is not None:
        opened.profile.trace_id = trace_id_of(meta.get("HTTP_TRACEPARENT"))
    _running[id(asked)] = work
    return work


def _abort(work: Request, asked: Any, error: BaseException) -> None:
    """End what an exception ended that Django lets pass."""
    _running.pop(id(asked), None)
    if work.framework:
        return  # not ours: whoever opened it sees the exception as well
    _guard.call(_POINT, _settle, work, asked)
    restore(work.opened)
    if isinstance(error, CancelledError):
        work.outcome = DISCONNECTED  # the handler cancels what answers a client that has left
    work.end(type(error).__name__)


def _answer(work: Request, asked: Any, response: Any) -> None:
    """Take the route and the status; the end is here, or at the last byte of a streamed body."""
    _running.pop(id(asked), None)
    is_own = not work.framework
    _guard.call(_POINT, _settle, work, asked)
    if not is_own:
        return
    restore(work.opened)
    if not _guard.call(_POINT, _stream, work, response):
        work.first_byte()
        work.end()


def _settle(work: Request, asked: Any) -> None:
    work.framework = "django"
    match = asked.resolver_match
    if match is None:
        return  # a middleware answered, or no route matched
    route = match.route
    work.route = template_of(route) if type(route) is str else UNMATCHED
    cpu = work.opened.cpu
    if cpu is not None and iscoroutinefunction(match.func):
        cpu.end()
        work.opened.cpu = None  # it ran in a loop, on whatever thread: this one's CPU time says nothing


def _stream(work: Request, response: Any) -> bool:
    """Follow a streamed body to its end; False when there is none to follow."""
    status = response.status_code
    work.status = str(int(status))
    if not response.streaming or work.opened.profile is None:
        return False
    if getattr(response, "file_to_stream", None) is not None:
        return False  # the server sends the file by itself
    body = response.streaming_content
    response.streaming_content = (AsyncBody if response.is_async else Body)(body, work)
    return True


def _failed(request: Any = None, **_: Any) -> None:
    """Hear of an exception that Django is about to answer with status 500."""
    work = _running.get(id(request))
    error = sys.exc_info()[1]
    if work is not None and error is not None:
        work.error = type(error).__name__
