"""What a span of OpenTelemetry says about a call, in old and in stable semantic conventions."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from .._context import HOT
from .._fingerprint import key_of
from .._limits import MAX_NAME, MAX_STATEMENT_READ
from .._site import NOWHERE
from .._statement import statement
from ._http import operation_of, shape_of, split
from ._route import UNMATCHED, method_of, templated

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .._detail import Place
    from .._model import Kind, Operation

    Attributes = Mapping[str, Any]

_PLACEHOLDER: Final = re.compile(r"'(?:[^']|'')*'|(\?|%s|%\([^)]*\)s|\$\d+|:[A-Za-z_]\w*|@\w+)")
_IDENTIFYING: Final = re.compile(
    r"\b[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}\b|\b[0-9a-fA-F]{16,}\b|\d+"
)
_CACHES: Final = frozenset({"redis", "valkey", "memcached"})
_DOCUMENTS: Final = frozenset(
    {"mongodb", "dynamodb", "aws.dynamodb", "elasticsearch", "opensearch", "couchbase"}
)
_CACHE_READS: Final = ("GET", "MGET", "HGET", "EXISTS", "KEYS", "SCAN", "SMEMBERS", "LRANGE", "ZRANGE", "TTL")
_DOCUMENT_READS: Final = ("find", "get", "query", "aggregate", "search", "count", "distinct", "scan")
_MAX_PARAMETERS: Final = 32
_PLACES: Final = frozenset({"code.file.path", "code.filepath", "code.function.name", "code.function"})
_MAX_DESCRIBED: Final = 512
_MAX_DESCRIBED_CHARS: Final = 2_048
_described: Final[dict[tuple[Any, ...], Described]] = {}
"""What spans said lately, at most 1 MiB of it."""


class Described(NamedTuple):
    """One span as a call.

    Attributes:
        kind: What sort of call it is; `call` where no convention says.
        name: What a reader calls it.
        template: Its shape without values; empty for `call`.
        operation: Whether it reads or writes.
        system: Product called.
        target: Database and host.
        key: Keyed hash of its arguments; None when they are not there to be read.
        batch: Commands or values in one call; 0 when it says nothing.
        rows: Rows returned; -1 when it says nothing.
        text: The statement or URL as it stands in the span: never stored, only compared.
    """

    kind: Kind
    name: str
    template: str = ""
    operation: Operation = ""
    system: str = ""
    target: str = ""
    key: int | None = None
    batch: int = 0
    rows: int = -1
    text: str = ""


def first(attributes: Attributes, *names: str) -> Any:
    """Return the value of the first attribute that is there; None when none is."""
    for name in names:
        value = attributes.get(name)
        if value is not None:
            return value
    return None


def text_of(attributes: Attributes, *names: str) -> str:
    """Return the first of these attributes that is there, as text."""
    value = first(attributes, *names)
    return value if type(value) is str else "" if value is None else str(value)[:MAX_NAME]


def whole(value: object) -> int:
    """Return a whole number, 0 for anything else."""
    if type(value) is int:
        return value
    return int(value) if type(value) is str and value.isascii() and value.isdigit() and len(value) < 20 else 0


def describe(name: str, kind: str, attributes: Attributes) -> Described:
    """Return what a span says about the call that it stands for.

    Args:
        name: The span's name.
        kind: `CLIENT`, `SERVER`, `PRODUCER`, `CONSUMER` or `INTERNAL`.
        attributes: Of the span, as far as they are set by now.

    10 us; 1 us where a span said the very same before.
    """
    key = _remembered_as(name, kind, attributes)
    if key is None:
        return _describe(name, kind, attributes)
    found = _described.get(key)
    if found is None:
        found = _describe(name, kind, attributes)
        if len(_described) >= _MAX_DESCRIBED:
            _described.clear()
        _described[key] = found
    return found


def _remembered_as(name: str, kind: str, attributes: Attributes) -> tuple[Any, ...] | None:
    """Return what a description is remembered under; None for what is large, or no plain text or number."""
    chars = 0
    for value in attributes.values():
        if type(value) is str:
            chars += len(value)
        elif type(value) is not int:
            return None
    if chars > _MAX_DESCRIBED_CHARS:
        return None
    # A change of the level of detail changes what is fingerprinted.
    return (name, kind, HOT["plain_"], *attributes.items())


def _describe(name: str, kind: str, attributes: Attributes) -> Described:
    if first(attributes, "db.system.name", "db.system") is not None:
        return _database(name, attributes)
    if kind == "CLIENT" and first(attributes, "http.request.method", "http.method") is not None:
        return _http(attributes)
    if kind == "CLIENT" and attributes.get("rpc.system") is not None:
        return _rpc(name, attributes)
    if kind == "PRODUCER" and attributes.get("messaging.system") is not None:
        return _message(attributes)
    return Described("call", folded(name), operation="read" if kind == "CLIENT" else "")


def folded(name: str) -> str:
    """Return a span's name without the numbers and ids that somebody may have written into it."""
    return _IDENTIFYING.sub("{}", name[:MAX_NAME]) or "(span)"


def _host(attributes: Attributes) -> str:
    host = text_of(attributes, "server.address", "net.peer.name", "http.host", "net.peer.ip")
    port = whole(first(attributes, "server.port", "net.peer.port"))
    return f"{host}:{port}" if port and host and ":" not in host else host


def _database(name: str, attributes: Attributes) -> Described:
    system = text_of(attributes, "db.system.name", "db.system")
    text = text_of(attributes, "db.query.text", "db.statement")[:MAX_STATEMENT_READ]
    database, host = text_of(attributes, "db.namespace", "db.name"), _host(attributes)
    target = f"{database}@{host}" if host else database
    rows = first(attributes, "db.response.returned_rows")
    counted = whole(rows) if rows is not None else -1
    batch = whole(first(attributes, "db.operation.batch.size"))
    verb = text_of(attributes, "db.operation.name", "db.operation") or text.partition(" ")[0] or name
    if system in _CACHES:
        return _cache(system, target, text, verb, attributes)
    if system in _DOCUMENTS:
        table = text_of(attributes, "db.collection.name", "db.mongodb.collection")
        shape = f"{verb} {table}".strip()[:MAX_NAME]
        reads = verb.lower().startswith(_DOCUMENT_READS)
        key = key_of(text) if len(text) > len(shape) else None
        return Described(
            "db", shape, shape, "read" if reads else "write", system, target, key, batch, counted, text
        )
    known = statement(text) if text else statement(name)
    operation: Operation = known.operation  # type: ignore[assignment]
    return Described(
        "db",
        known.summary or folded(name),
        known.shape or folded(name),
        operation,
        system,
        target,
        _arguments(text, attributes),
        batch or known.in_list,
        counted,
        text,
    )


def _arguments(text: str, attributes: Attributes) -> int | None:
    """Fingerprint what a statement was called with, where the span has it at all."""
    parameters = attributes.get("db.statement.parameters")
    if parameters is None:
        named = [item for item in attributes.items() if item[0].startswith("db.query.parameter.")]
        parameters = tuple(sorted(named)[:_MAX_PARAMETERS]) or None
    if parameters is not None:
        return key_of((text, parameters))
    if not text or any(found[1] for found in _PLACEHOLDER.finditer(text)):
        return None
    return key_of(text)


def _cache(system: str, target: str, text: str, verb: str, attributes: Attributes) -> Described:
    command = verb.upper().partition(" ")[0][:40]
    batch = whole(first(attributes, "db.redis.pipeline_length", "db.operation.batch.size"))
    _, _, rest = text.partition(" ")
    masked = not rest or not rest.replace("?", "").strip()
    key = None if masked else key_of(text)
    operation: Operation = "read" if command.startswith(_CACHE_READS) else "write"
    return Described("cache", f"{system} {command}", command, operation, system, target, key, batch, -1, text)


def _http(attributes: Attributes) -> Described:
    url = text_of(attributes, "url.full", "http.url")[:MAX_STATEMENT_READ]
    method = method_of(text_of(attributes, "http.request.method", "http.method").upper())
    path, query = split(url)
    template = text_of(attributes, "url.template")
    shape = f"{method} {template or shape_of(path, query)}"
    key = key_of((method, path, query)) if method in ("GET", "HEAD", "OPTIONS") and url else None
    return Described(
        "http", shape, shape, operation_of(method, path, None), "http", _host(attributes) or _url_host(url), key,
        text=url,
    )  # fmt: skip


def _url_host(url: str) -> str:
    host = url.partition("://")[2].partition("/")[0].partition("?")[0]
    return host.rpartition("@")[2]


def _rpc(name: str, attributes: Attributes) -> Described:
    service, method = text_of(attributes, "rpc.service"), text_of(attributes, "rpc.method")
    shape = f"{service}/{method}" if service and method else folded(name)
    return Described("http", shape, shape, "", text_of(attributes, "rpc.system"), _host(attributes))


def _message(attributes: Attributes) -> Described:
    where = folded(text_of(attributes, "messaging.destination.name", "messaging.destination"))
    shape = f"publish {where}"
    batch = whole(first(attributes, "messaging.batch.message_count"))
    system = text_of(attributes, "messaging.system")
    return Described("queue", shape, shape, "write", system, _host(attributes), None, batch)


def place_of(attributes: Attributes) -> Place:
    """Return the place in the source that the span itself names; `NOWHERE` when it names none."""
    if _PLACES.isdisjoint(attributes):
        return NOWHERE
    file = text_of(attributes, "code.file.path", "code.filepath")
    function = text_of(attributes, "code.function.name", "code.function")
    if not file and not function:
        return NOWHERE
    return file, whole(first(attributes, "code.line.number", "code.lineno")), function


def error_of(attributes: Attributes, is_error: bool) -> str:
    """Return the type of the error, or the status that means failure; empty for success."""
    if not is_error:
        return ""
    return (
        text_of(
            attributes,
            "error.type",
            "exception.type",
            "http.response.status_code",
            "http.status_code",
            "db.response.status_code",
        )
        or "error"
    )


def is_noise(name: str, attributes: Attributes) -> bool:
    """Tell a span for one message of the ASGI protocol, which is no work of its own."""
    return "asgi.event.type" in attributes or name.endswith((" http send", " http receive"))


def unit_of(name: str, attributes: Attributes) -> tuple[str, str, str]:
    """Return name, route and status of the request that a server span stands for."""
    method = text_of(attributes, "http.request.method", "http.method").upper()
    status = text_of(attributes, "http.response.status_code", "http.status_code")
    if not method:
        return folded(name), folded(name), status
    route = text_of(attributes, "http.route")
    if not route:
        path = split(text_of(attributes, "url.path", "http.target", "url.full", "http.url"))[0]
        route = UNMATCHED if status == "404" else templated(path)
    if not route.startswith(("/", "(")):
        route = f"/{route}"
    return f"{method_of(method)} {route}"[:MAX_NAME], route, status


def path_of(attributes: Attributes) -> tuple[str, str]:
    """Return method and path of a request as it begins."""
    method = text_of(attributes, "http.request.method", "http.method").upper()
    target = text_of(attributes, "url.path", "http.target", "url.full", "http.url")
    return method_of(method), split(target)[0] if target else ""
