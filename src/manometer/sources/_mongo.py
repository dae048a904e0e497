"""The shape of a command to a document database: its keys, and nothing of its values."""

from __future__ import annotations

import re
from typing import Any, Final, NamedTuple, final

from .._limits import MAX_NAME, MAX_STATEMENT_SHAPE, MAX_STATEMENTS_CACHED
from .._statement import Statement

READS: Final = frozenset({"aggregate", "count", "distinct", "find"})
WRITES: Final = frozenset(
    [
        "bulkWrite",
        "create",
        "createIndexes",
        "delete",
        "drop",
        "dropIndexes",
        "findAndModify",
        "insert",
        "mapReduce",
        "update",
    ]
)
_BATCHES: Final = {"insert": "documents", "update": "updates", "delete": "deletes", "bulkWrite": "ops"}
_LEFT_OUT: Final = frozenset(
    [
        "$clusterTime",
        "$db",
        "$readPreference",
        "apiStrict",
        "apiVersion",
        "autocommit",
        "batchSize",
        "bypassDocumentValidation",
        "comment",
        "cursor",
        "documents",
        "lsid",
        "maxTimeMS",
        "ordered",
        "readConcern",
        "singleBatch",
        "startTransaction",
        "txnNumber",
        "writeConcern",
    ]
)
"""Keys of a command that say how it is sent, not what is asked."""
_NAME: Final = re.compile(r"\$?[A-Za-z_][\w.$-]{0,63}")
_INDEX: Final = re.compile(r"(?<=\.)\d+(?=\.|$)")
_MAX_DEPTH: Final = 10
_MAX_NODES: Final = 256
_MAX_ITEMS: Final = 16
"""Documents of one list that are read: stages of a pipeline, alternatives."""

_UNKNOWN: Final = object()
"""Stands for what was not read: of an unknown type, so that arguments with it in them are unknown."""

_cache: Final[dict[tuple[str, int], Statement]] = {}


class Command(NamedTuple):
    """One command: what it says about every execution, and its values."""

    statement: Statement
    values: tuple[Any, ...]


def read_command(name: str, command: Any) -> Command | None:
    """Read a command, or return None for what is no query.

    Args:
        name: Its name.
        command: Its document.

    Application threads; 1 us a key. Reads dicts and lists with the methods of the built-in types only.
    """
    if name not in READS and name not in WRITES:
        return None
    items = list(dict.items(command)) if issubclass(type(command), dict) else []
    fields = {key: value for key, value in items if type(key) is str}
    collection = fields.get(name)
    table = collection[:MAX_NAME] if type(collection) is str else ""
    reader = _Reader()
    _read_batch(reader, fields.get(_BATCHES.get(name, "")))
    for key, value in fields.items():
        if key != name and key not in _LEFT_OUT and key != _BATCHES.get(name):
            reader.field(key, value, 0)
    text = " ".join(filter(None, (name, table, "".join(reader.parts))))
    writes = name in WRITES or _stores(fields.get("pipeline"))
    return Command(_statement(name, table, text, writes, reader.in_list, fields), tuple(reader.values))


def _read_batch(reader: _Reader, batch: Any) -> None:
    if type(batch) is not list or not batch:
        return
    if issubclass(type(batch[0]), dict):
        first = dict(dict.items(batch[0]))
        # A document that is inserted has no shape worth telling; what is changed, and where, has one.
        if "q" in first:
            reader.value(first, 0)
    if len(batch) > 1:
        reader.in_list = len(batch)
        reader.values.append(_UNKNOWN)


def _stores(pipeline: Any) -> bool:
    if type(pipeline) is not list or not pipeline or not issubclass(type(pipeline[-1]), dict):
        return False
    return any(key == "$out" or key == "$merge" for key in dict.keys(pipeline[-1]) if type(key) is str)


def _statement(
    name: str, table: str, text: str, writes: bool, in_list: int, fields: dict[str, Any]
) -> Statement:
    found = _cache.get((text, in_list))
    if found is None:
        if len(_cache) >= MAX_STATEMENTS_CACHED:
            _cache.clear()
        found = _cache[(text, in_list)] = Statement(
            shape=text[:MAX_STATEMENT_SHAPE],
            operation="write" if writes else "read",
            verb=name,
            table=table,
            summary=f"{name} {table}"[:MAX_NAME] if table else name,
            in_list=in_list,
            has_limit="limit" in fields,
            truncated=len(text) > MAX_STATEMENT_SHAPE,
            volatile=False,
        )
    return found


@final
class _Reader:
    """Walks a document: the keys become the shape, the values are put aside."""

    def __init__(self) -> None:
        self.parts: list[str] = []
        self.values: list[Any] = []
        self.in_list = 0
        self._nodes = 0

    def field(self, key: str, value: Any, depth: int) -> None:
        """Read one field of the command itself."""
        if self.parts:
            self.parts.append(" ")
        self.parts.append(f"{_name(key)}: ")
        self.value(value, depth)

    def value(self, value: Any, depth: int) -> None:
        """Read any value."""
        self._nodes += 1
        if depth >= _MAX_DEPTH or self._nodes > _MAX_NODES:
            self._leave_out()
        elif issubclass(type(value), dict):
            self._document(list(dict.items(value)), depth)
        elif type(value) is list or type(value) is tuple:
            self._list(value, depth)
        else:
            self.parts.append("?")
            self.values.append(value)

    def _leave_out(self) -> None:
        self.parts.append("...")
        self.values.append(_UNKNOWN)

    def _document(self, items: list[tuple[Any, Any]], depth: int) -> None:
        self.parts.append("{")
        for at, (key, value) in enumerate(items):
            if at:
                self.parts.append(", ")
            if self._nodes > _MAX_NODES:
                self._leave_out()
                break
            self.parts.append(f"{_name(key)}: ")
            if key == "$in" and type(value) is list:
                self.in_list = max(self.in_list, len(value))
            self.value(value, depth + 1)
        self.parts.append("}")

    def _list(self, items: list[Any] | tuple[Any, ...], depth: int) -> None:
        self.parts.append("[")
        documents = [item for item in items[:_MAX_ITEMS] if issubclass(type(item), dict)]
        for at, item in enumerate(documents):
            if at:
                self.parts.append(", ")
            self.value(item, depth + 1)
        if not documents:
            if items:
                self.parts.append("?")
            self.values.extend(items[:_MAX_NODES])
        elif len(documents) < len(items):
            self.values.append(_UNKNOWN)
        self.parts.append("]")


def _name(key: Any) -> str:
    """Return a key as it may be told: one that does not look like a name may be a value."""
    if type(key) is not str or _NAME.fullmatch(key) is None:
        return "?"
    return _INDEX.sub("?", key)
