"""What an HTTP request asks for and what its answer says: shape, key, values, status, JSON, time limit."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from .. import _guard
from .._fingerprint import keyed, row_values, values_of
from .._limits import MAX_REQUEST_SHAPES
from ._outgoing import add_part, begin_outgoing, quick_key
from ._route import method_of, templated
from ._slugs import folded

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .._context import Branch
    from .._model import Operation
    from ._outgoing import Outgoing

_POINT: Final = "sources.http"
MARK: Final = "manometer"
"""Name under which a response remembers the call that it answers."""
_READS: Final = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})
_SEARCHES: Final = frozenset(
    {"_search", "_msearch", "_count", "_mget", "_sql", "_query", "_field_caps", "_validate"}
)
"""Last segments of a path whose POST reads (search engines)."""
_PAGES: Final = (
    "page", "page_token", "pagetoken", "next_token", "nexttoken", "cursor", "offset", "skip", "continuation",
    "continuationtoken", "continuation-token", "after", "starting_after", "marker", "page_number", "pageno",
    "page[number]", "page[cursor]", "page[after]", "start_cursor", "scroll_id",
)  # fmt: skip
"""Parameters of a query that name a page; of all other parameters not even the name is kept."""
_FIRST_PAGE: Final = frozenset({"", "0", "1"})
_RETRIABLE: Final = frozenset({408, 425, 429})
_DEFAULT_PORTS: Final = {"http": 80, "https": 443}
_MUTATION: Final = re.compile(rb"\bmutation\b")
_MAX_VALUES: Final = 16
_MAX_HEADERS: Final = 512
_IDEMPOTENT: Final = "idempotency-key"
_FOR_WHOM: Final = re.compile(
    r"^(?:authorization|cookie|range|accept|accept-language|if-(?:none-match|modified-since))$"
    r"|key|token|tenant|user(?!-agent)|account|auth|session|customer|org"
)
_matters: Final[dict[str | bytes, str]] = {}
_MAX_DIGITS: Final = 18
_ROWS_READ: Final = 64
_targets: Final[dict[str, str]] = {}
_shapes: Final[dict[str, str]] = {}


def _salted(*parts: object) -> int:
    """Return a keyed hash of values of known types."""
    return keyed(parts) or 0


_STATUSES: Final = frozenset(_salted("status", status) for status in range(100, 600))


def target_of(scheme: object, host: object, port: object) -> str:
    """Return `host:port`, without the port that the scheme has anyway."""
    name = host if type(host) is str else ""
    if type(port) is not int or not isinstance(scheme, str) or _DEFAULT_PORTS.get(scheme) == port:
        return name
    return f"{name}:{port}"


def target_in(url: str) -> str:
    """Return the target of a whole URL; 0.3 us once its host is known."""
    at = url.find("/", 8)
    origin = url if at < 0 else url[:at]
    found = _targets.get(origin)
    if found is None:
        from urllib.parse import urlsplit

        parts = urlsplit(origin)
        if len(_targets) >= MAX_REQUEST_SHAPES:
            _targets.clear()
        found = _targets[origin] = target_of(parts.scheme, parts.hostname, parts.port)
    return found


def split(url: str) -> tuple[str, str]:
    """Return path and query of a URL or of a request's target; user, host and fragment are left out."""
    if "#" in url:
        url = url[: url.index("#")]
    at = url.find("://", 0, 16)
    if at >= 0 and url.find("/") == at + 1:
        start = url.find("/", at + 3)
        url = url[start:] if start >= 0 else f"/{url[url.index('?') :]}" if "?" in url else "/"
    if "?" not in url:
        return url or "/", ""
    path, _, query = url.partition("?")
    return path or "/", query


def shape_of(path: str, query: str) -> str:
    """Return the template of a URL: its path without what identifies anything, and whether it names a page.

    0.2 us once known, 5 us otherwise.
    """
    page = _page(query) if query else ""
    found = _shapes.get(path)
    if found is None:
        if len(_shapes) >= MAX_REQUEST_SHAPES:
            _shapes.clear()
        found = _shapes[path] = templated(path)
    return f"{found}?{page}={{}}" if page else found


def _page(query: str) -> str:
    for pair in query[:2_048].split("&", 64)[:64]:
        name, _, value = pair.partition("=")
        name = name.lower().replace("%5b", "[").replace("%5d", "]")
        if name in _PAGES and value not in _FIRST_PAGE:
            return name
    return ""


def values_in(path: str, query: str) -> tuple[int, ...]:
    """Return keyed hashes of the parts of a URL that may be keys: segments, values of the query.

    A number counts as a number and as text: whoever returned it may have had it as either. 1 us a part.
    """
    parts: list[object] = []
    for segment in path[:2_048].split("/"):
        if (
            segment and segment not in parts
        ):  # also words: names are keys, and what stays the same proves nothing
            add_part(parts, unquoted(segment))
    for pair in query[:2_048].split("&", 32)[:32] if query else ():
        add_part(parts, unquoted(pair.partition("=")[2]))
    parts.append(path)
    return values_of(tuple(parts[:_MAX_VALUES]))


def unquoted(text: str) -> str:
    """Return a part of a URL as whoever built it had it."""
    if "%" not in text:
        return text
    from urllib.parse import unquote

    return unquote(text)


def operation_of(method: str, path: str, body: object) -> Operation:
    """Tell whether a request reads or writes; a query to a search engine and a GraphQL query read."""
    if method in _READS:
        return "read"
    if method == "POST":
        last = path.rstrip("/").rpartition("/")[2]
        if last in _SEARCHES:
            return "read"
        if last == "graphql" and type(body) is bytes:
            return "write" if _MUTATION.search(body, 0, 4_096) else "read"
    return "write"


def _asked_for(call: Outgoing, headers: Iterable[tuple[object, object]]) -> list[object]:
    """Return the values of headers that make the same URL another request: for another tenant, another range.

    Tracing and other headers that differ at every call are left out, or nothing would ever be the same.
    """
    found: list[object] = []
    for name, value in headers:
        matters = _matters.get(name)  # type: ignore[call-overload]  # asked for by what a library made its names of
        if matters is None:
            matters = _judge_header(name)
        if matters:
            if matters == _IDEMPOTENT:
                call.idempotent = True
            elif len(found) < _MAX_VALUES:
                found.append(value)
    return found


def _judge_header(name: object) -> str:
    text = name.decode("latin-1") if type(name) is bytes else name
    if type(text) is not str:
        return ""
    text = text.lower()
    judged = _IDEMPOTENT if text == _IDEMPOTENT else text if _FOR_WHOM.search(text) else ""
    if len(_matters) < _MAX_HEADERS and (type(name) is str or type(name) is bytes):
        _matters[name] = judged
    return judged


def begin_http(
    on: Branch,
    method: object,
    url: str,
    target: str,
    *,
    library: str,
    version: str,
    body: object = None,
    headers: Iterable[tuple[object, object]] = (),
    skip: int = 1,
) -> Outgoing | None:
    """Open the call for a request; see `begin_outgoing`.

    Args:
        on: From `here`.
        method: As given.
        url: With or without scheme and host, which are not looked at.
        target: From `target_of`.
        library: Library that asks.
        version: Its version.
        body: What is sent: None and exact `str` or `bytes` are part of the key, anything else makes it unknown.
        headers: What goes with it: those that say for whom, and for which part, are part of the key.
        skip: Stack frames of the caller that are surely not the application's.

    Application threads; 6-10 us.
    """
    verb = method_of(method.upper() if type(method) is str else method)
    path, query = split(url)
    shape = f"{verb} {shape_of(path, query)}"
    found = begin_outgoing(
        on,
        "http",
        shape,
        shape,
        operation=operation_of(verb, path, body),
        system="http",
        target=target,
        library=library,
        version=version,
        skip=skip + 1,
        refine=folded,
    )
    if found is None:
        return None
    asked_for = _asked_for(found, headers)
    if body is None or type(body) is bytes or type(body) is str:
        found.key = quick_key((verb, path, query, body, *asked_for))
    found.values = lambda: values_in(path, query)
    found.cover()
    return found


def end_http(
    call: Outgoing, status: object, content: object = None, *, length: object = None, awaited: bool = False
) -> None:
    """Add up a request that was answered. Never raises; 4 us.

    Args:
        call: From `begin_http`.
        status: The status code; 5xx, 408, 425 and 429 are failures.
        content: The body where it is there already, as exact bytes.
        length: Bytes of it, as its header says, where it is not.
        awaited: The call was awaited.
    """
    _guard.call(_POINT, _end_http, call, status, content, length, awaited)


def _end_http(call: Outgoing, status: object, content: object, length: object, awaited: bool) -> None:
    code = status if type(status) is int else 0
    error = str(code) if code >= 500 or code in _RETRIABLE else ""
    size = len(content) if type(content) is bytes else _number(length)
    call.finish(error, result=None if error else _result(call, code, content), awaited=awaited)
    if size:
        call.body(0, size)


def _result(call: Outgoing, code: int, content: object) -> int | None:
    """Return what to compare with the answer before.

    Without a body the status alone says something only if it is no plain success, or follows one
    that was not: whoever polls sees 404, 404, 200.
    """
    if type(content) is bytes:
        return quick_key((code, content))
    use = None if call.key is None else call.call.frame.more().keys.get(call.key)
    if code != 200 or (use is not None and use.result in _STATUSES):
        return _salted("status", code)
    return None


def _number(text: object) -> int:
    if type(text) is int:
        return text
    if type(text) is str and text.isascii() and text.isdigit() and len(text) < _MAX_DIGITS:
        return int(text)
    return 0


def parsed(call: Outgoing, value: object, content: object = None) -> None:
    """Remember the JSON that a library just parsed for the application: items and key-like values. Never raises.

    Args:
        call: The call that it answers.
        value: What the application gets; only exact dicts and lists are looked at.
        content: The bytes it was parsed from, where the result was not compared yet.

    20 us, 0.2 ms for a large one.
    """
    _guard.call(_POINT, _parsed, call, value, content)


def _parsed(call: Outgoing, value: object, content: object) -> None:
    count, shown = items_of(value)
    wanted = call.wants_values()
    values = row_values(shown, 4 * _ROWS_READ) if shown and wanted else []
    if wanted and type(value) is dict:
        values = [*values, *values_of(_flat(value))]
    call.returned(count, values, quick_key((200, content)) if type(content) is bytes else None)


def items_of(value: object) -> tuple[int, list[tuple[Any, ...]]]:
    """Return the items of a JSON document: how many, and at most 64 of them, each flat.

    They are those of itself, of its longest list, or the one object that it is.
    """
    if type(value) is dict:
        lists = [part for part in list(value.values())[:64] if type(part) is list]
        items = max(lists, key=len) if lists else [value]
    elif type(value) is list:
        items = value
    else:
        return 0, []
    # The first ones: a frame keeps its first arguments, and a loop begins at the beginning.
    return len(items), [_flat(item) for item in items[:_ROWS_READ]]


def _flat(item: object) -> tuple[Any, ...]:
    """Return the plain values of one item, and those of the objects right inside it; of a URL its path as well."""
    if type(item) is not dict:
        return (item,)
    cells: list[Any] = []
    for cell in list(item.values())[:32]:
        if type(cell) is dict:
            cells.extend(list(cell.values())[:8])
        elif type(cell) is list:
            cells.extend(cell[:4])
        else:
            cells.append(cell)
    paths = [
        split(cell)[0] for cell in cells if type(cell) is str and cell.startswith(("http://", "https://"))
    ]
    return (*cells, *paths)
