"""The tap on urllib3, which also counts the tries that requests, botocore and search clients make through it."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any, Final, final

from .. import _guard
from ._http import begin_http, end_http, target_of
from ._outgoing import Outgoing, around, here, limit_ns, version_of
from ._patch import patch, require

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..protocols import Undo

_POINT: Final = "sources.urllib3"
_OWN_FRAMES: Final = 3
_version = ""


@final
class Urllib3Source:
    """urllib3 1.26 and 2.x: requests made through its pools, and the retries of its `Retry`."""

    def install(self) -> Undo:
        """Patch `HTTPConnectionPool.urlopen`, which calls itself again for each retry.

        Raises:
            Unsupported: It has another signature.
        """
        global _version
        import urllib3
        from urllib3.connectionpool import HTTPConnectionPool

        require(HTTPConnectionPool.urlopen, "self", "method", "url", "body", "headers", "retries", "redirect")
        _version = version_of(urllib3)
        return patch(HTTPConnectionPool, "urlopen", _urlopen)


def _urlopen(wrapped: Callable[..., Any], pool: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    inside = around()
    if inside is not None:
        return _try(inside, wrapped, pool, args, kwargs)
    call: Outgoing | None = _guard.call(_POINT, _begin, pool, args, kwargs)
    if call is None:
        return wrapped(*args, **kwargs)
    call.depth += 1
    try:
        response = wrapped(*args, **kwargs)
    except BaseException as error:
        call.fail(_cause(error))
        raise
    _guard.call(_POINT, _end, call, response, kwargs)
    return response


def _try(
    call: Outgoing, wrapped: Callable[..., Any], pool: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    """Make one try of a call that a tap above, or this one, describes."""
    if call.depth:
        call.retries += not _is_redirect(args, kwargs)
    else:
        call.entries += 1
        _guard.call(_POINT, _note_timeout, call, pool, kwargs)
    call.depth += 1
    try:
        return wrapped(*args, **kwargs)
    finally:
        call.depth -= 1


def _cause(error: BaseException) -> BaseException:
    """Return what the last try failed with."""
    from urllib3.exceptions import MaxRetryError

    reason = error.reason if type(error) is MaxRetryError else None
    return error if reason is None else reason


def _is_redirect(args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    retries = kwargs.get("retries", args[4] if len(args) > 4 else None)
    history = getattr(retries, "history", None)
    return type(history) is tuple and bool(history) and history[-1].redirect_location is not None


def _begin(pool: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Outgoing | None:
    on = here(_POINT)
    if on is None:
        return None
    headers: Any = args[3] if len(args) > 3 else kwargs.get("headers")
    method = args[0] if args else kwargs.get("method")
    url = args[1] if len(args) > 1 else kwargs.get("url")
    call = begin_http(
        on,
        method,
        url if type(url) is str else "/",
        target_of(pool.scheme, pool.host, pool.port),
        library="urllib3",
        version=_version,
        body=args[2] if len(args) > 2 else kwargs.get("body"),
        headers=headers.items() if type(headers).__name__ in ("dict", "HTTPHeaderDict") else (),
        skip=_OWN_FRAMES,
    )
    if call is not None:
        _note_timeout(call, pool, kwargs)
    return call


def _note_timeout(call: Outgoing, pool: Any, kwargs: dict[str, Any]) -> None:
    """Read the time limit as it goes to the socket: whatever an adapter made of what was passed."""
    from urllib3.util.timeout import Timeout

    given = kwargs.get("timeout", pool.timeout)
    if type(given) is not Timeout and limit_ns(given) < 0:
        given = pool.timeout  # the marker for "as the pool says"
    limits: list[Any] = [given.total, given._read] if type(given) is Timeout else [given]
    known = [limit_ns(limit) for limit in limits if limit is not None and limit_ns(limit) >= 0]
    if not known and any(limit is not None for limit in limits):
        known = [limit_ns(socket.getdefaulttimeout())]  # the marker for "as sockets have it"
    call.timeout_ns = min(known) if known else 0


def _end(call: Outgoing, response: Any, kwargs: dict[str, Any]) -> None:
    loaded = kwargs.get("preload_content", True) is True
    content = getattr(response, "_body", None) if loaded else None
    end_http(call, response.status, content, length=response.headers.get("Content-Length"))
