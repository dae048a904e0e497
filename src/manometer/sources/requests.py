"""The tap on requests: one call for each `Session.send`, whatever retries and redirects it takes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, final

from .. import _guard
from ._http import MARK, begin_http, end_http, parsed, target_in
from ._outgoing import Outgoing, here, limit_ns, version_of
from ._patch import patch, require

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..protocols import Undo

_POINT: Final = "sources.requests"
_MARK: Final = f"_{MARK}"
_OWN_FRAMES: Final = 3
_version = ""


@final
class RequestsSource:
    """requests 2.20 and later, through `Session.send`; its retries are seen by the source for urllib3."""

    def install(self) -> Undo:
        """Patch `Session.send` and, to see which values came back, `Response.json`.

        Raises:
            Unsupported: This requests has other signatures.
        """
        global _version
        import requests

        require(requests.Session.send, "self", "request")
        require(requests.Response.json, "self")
        _version = version_of(requests)
        undos = [patch(requests.Session, "send", _send), patch(requests.Response, "json", _json)]

        def undo() -> None:
            for undo_one in undos:
                undo_one()

        return undo


def _send(wrapped: Callable[..., Any], _: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    request = args[0] if args else kwargs.get("request")
    call: Outgoing | None = _guard.call(_POINT, _begin, request, kwargs)
    if call is None:
        return wrapped(*args, **kwargs)
    try:
        response = wrapped(*args, **kwargs)
    except BaseException as error:
        call.fail(error)
        raise
    _guard.call(_POINT, _end, call, response)
    return response


def _begin(request: Any, kwargs: dict[str, Any]) -> Outgoing | None:
    on = here(_POINT)
    url = getattr(request, "url", None)
    if on is None or type(url) is not str:
        return None
    call = begin_http(
        on,
        request.method,
        url,
        target_in(url),
        library="requests",
        version=_version,
        body=request.body,
        headers=request.headers.items(),
        skip=_OWN_FRAMES,
    )
    if call is not None:
        call.timeout_ns = _limit_ns(kwargs.get("timeout"))
    return call


def _limit_ns(timeout: object) -> int:
    """Return the limit of waiting for an answer, 0 for none; what goes to urllib3 has the last word."""
    if type(timeout) is tuple and len(timeout) == 2:
        timeout = timeout[1]
    return limit_ns(timeout)


def _end(call: Outgoing, response: Any) -> None:
    content = response._content  # False until it is read
    end_http(call, response.status_code, content, length=response.headers.get("Content-Length"))
    setattr(response, _MARK, call)


def _json(wrapped: Callable[..., Any], response: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    value = wrapped(*args, **kwargs)
    call = vars(response).pop(_MARK, None)
    if type(call) is Outgoing:
        parsed(call, value)
    return value
