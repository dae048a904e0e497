"""The tap on aiohttp's client: one call for each request, whatever redirects it takes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, final

from .. import _guard
from .._context import HOT
from ._http import MARK, begin_http, end_http, parsed, target_of
from ._outgoing import Outgoing, asked_here, asking, here, limit_ns, version_of
from ._patch import patch, require

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..protocols import Undo

_POINT: Final = "sources.aiohttp_client"
_MARK: Final = f"_{MARK}"
_OWN_FRAMES: Final = 3
_version = ""
_url_type: Any = None


@final
class AiohttpClientSource:
    """aiohttp 3.8 and later, through `ClientSession._request`, which every verb ends in."""

    def install(self) -> Undo:
        """Patch `ClientSession._request` and the reading of answers.

        Raises:
            Unsupported: This aiohttp has other signatures.
        """
        global _url_type, _version
        import aiohttp

        require(aiohttp.ClientSession._request, "self", "method", "str_or_url")
        require(aiohttp.ClientResponse.read, "self")
        _version = version_of(aiohttp)
        _url_type = vars(aiohttp.client)["URL"]
        undos = [
            patch(aiohttp.ClientSession, "_request", _request),
            patch(aiohttp.ClientResponse, "read", _read),
            patch(aiohttp.ClientResponse, "json", _json),
        ]

        def undo() -> None:
            for undo_one in undos:
                undo_one()

        return undo


def _request(wrapped: Callable[..., Any], session: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    place = _guard.call(_POINT, asked_here)

    async def go() -> Any:
        call: Outgoing | None = _guard.call(_POINT, _begin, session, args, kwargs)
        if call is None:
            return await wrapped(*args, **kwargs)
        try:
            response = await wrapped(*args, **kwargs)
        except BaseException as error:
            call.fail(error, awaited=True)
            raise
        _guard.call(_POINT, _end, call, response)
        return response

    return go() if place is None else asking(place, go, (), {})


def _begin(session: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Outgoing | None:
    on = here(_POINT)
    if on is None:
        return None
    method, given = args[:2] if len(args) > 1 else (kwargs.get("method"), kwargs.get("str_or_url"))
    url = _full(session, given, kwargs.get("params"))
    if url is None:
        return None
    body, is_known = _body(kwargs)
    headers = kwargs.get("headers")
    call = begin_http(
        on,
        method,
        url.raw_path_qs,
        target_of(url.scheme, url.host, url.port),
        library="aiohttp-client",
        version=_version,
        body=body,
        headers=headers.items() if type(headers) is dict else (),
        skip=_OWN_FRAMES,
    )
    if call is not None:
        if not is_known:
            call.key = None
        call.timeout_ns = _limit_ns(session, kwargs.get("timeout", session.timeout))
    return call


def _full(session: Any, given: Any, params: Any) -> Any:
    """Return the URL that will be asked for, or None when it cannot be told without running foreign code."""
    if type(given) is not str and type(given) is not _url_type:
        return None
    url = _url_type(given) if type(given) is str else given
    base: Any = getattr(session, "_base_url", None)
    if base is not None and type(base) is _url_type and not url.absolute:
        url = base.join(url)
    if type(params) is dict and params:
        plain = {name: value for name, value in params.items() if type(name) is str}
        if all(type(value) in (str, int, float) for value in plain.values()):
            url = url.update_query(plain)
    return url


def _body(kwargs: dict[str, Any]) -> tuple[object, bool]:
    """Return what stands for the body in the key, and whether it can be read."""
    from .._fingerprint import key_of

    data, document = kwargs.get("data"), kwargs.get("json")
    if document is not None:
        key = key_of((document,))
        return str(key), key is not None
    return (data, True) if data is None or type(data) is bytes or type(data) is str else (None, False)


def _limit_ns(session: Any, given: Any) -> int:
    """Return the limit of waiting for an answer: of the whole, or of each read, whichever is shorter."""
    from aiohttp import ClientTimeout

    limits = given if type(given) is ClientTimeout else session.timeout
    if given is None or type(given) is float or type(given) is int:
        return limit_ns(given)
    known = [limit_ns(limit) for limit in (limits.total, limits.sock_read) if limit is not None]
    return min((limit for limit in known if limit), default=0)


def _end(call: Outgoing, response: Any) -> None:
    end_http(call, response.status, length=response.headers.get("Content-Length"), awaited=True)
    setattr(response, _MARK, call)


def _read(wrapped: Callable[..., Any], response: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    call = None if response._body is not None else getattr(response, _MARK, None)
    if type(call) is not Outgoing:
        return wrapped(*args, **kwargs)
    known: Outgoing = call

    async def read() -> Any:
        started_ns = HOT["clock_"]()
        body = await wrapped(*args, **kwargs)
        _guard.call(_POINT, known.body, HOT["clock_"]() - started_ns, 0)
        return body

    return read()


def _json(wrapped: Callable[..., Any], response: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    async def json() -> Any:
        value = await wrapped(*args, **kwargs)
        call = getattr(response, _MARK, None)
        if type(call) is Outgoing:
            setattr(response, _MARK, None)  # asked for again, it is the same answer
            parsed(call, value, response._body if response.status == 200 else None)
        return value

    return json()
