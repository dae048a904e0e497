"""The shape of a database statement: what is the same in every execution of it, and nothing of its values."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Final

from ._fold import Folded, Segment
from ._limits import (
    MAX_NAME,
    MAX_STATEMENT_READ,
    MAX_STATEMENT_SHAPE,
    MAX_STATEMENTS_CACHED,
)

_UNREADABLE: Final = "(unreadable)"
_MAX_CACHED_CHARS: Final = 4 * 1024 * 1024
"""Characters of all cached texts together: 2,000 texts of 8 KiB would be a quarter of the process's memory bound."""
_CUT: Final = re.compile(r" \.\.\.\[\d{4,10} chars\]\Z")

_ORDER: Final = ("write", "locking", "read", "control")  # strongest first
_OPERATIONS: Final = (
    dict.fromkeys(
        [
            "ALTER",
            "CALL",
            "COMMENT",
            "COPY",
            "CREATE",
            "DELETE",
            "DO",
            "DROP",
            "EXEC",
            "EXECUTE",
            "GRANT",
            "INSERT",
            "LOAD",
            "MERGE",
            "REASSIGN",
            "REFRESH",
            "REINDEX",
            "RENAME",
            "REPLACE",
            "REVOKE",
            "TRUNCATE",
            "UPDATE",
            "UPSERT",
        ],
        "write",
    )
    | dict.fromkeys(["DESC", "DESCRIBE", "FETCH", "IF", "MATCH", "SELECT", "TABLE", "VALUES", "WITH"], "read")
    | {"LOCK": "locking", "?": "read", "": "read"}
)
_CTE_WRITES: Final = frozenset({"INSERT", "UPDATE", "DELETE", "MERGE"})
_MAIN_VERBS: Final = _CTE_WRITES | {"SELECT", "REPLACE", "VALUES", "TABLE"}
_TABLE_AFTER: Final = {
    "SELECT": ("FROM",), "DELETE": ("FROM",), "INSERT": ("INTO",), "REPLACE": ("INTO",), "UPDATE": ("UPDATE",),
    "MERGE": ("INTO", "MERGE"), "UPSERT": ("INTO",), "TRUNCATE": ("TABLE", "TRUNCATE"), "CREATE": ("TABLE",),
    "ALTER": ("TABLE",), "DROP": ("TABLE",), "CALL": ("CALL",), "EXEC": ("EXEC",), "EXECUTE": ("EXECUTE",),
    "COPY": ("COPY",), "LOCK": ("TABLE", "LOCK"), "REFRESH": ("VIEW",), "TABLE": ("TABLE",), "LOAD": ("TABLE",),
}  # fmt: skip
_MODIFIERS: Final = frozenset(
    [
        "ONLY",
        "IGNORE",
        "LOW_PRIORITY",
        "DELAYED",
        "QUICK",
        "OR",
        "ROLLBACK",
        "ABORT",
        "FAIL",
        "REPLACE",
        "TABLE",
        "IF",
        "NOT",
        "EXISTS",
        "LATERAL",
    ]
)
_LIMITS: Final = frozenset({"LIMIT", "TOP", "ROWNUM", "FIRST", "NEXT"})
_LOCK_WORDS: Final = frozenset({"UPDATE", "SHARE", "UPDLOCK", "XLOCK", "HOLDLOCK"})
_LOCK_CALLS: Final = frozenset({"GET_LOCK", "RELEASE_LOCK", "RELEASE_ALL_LOCKS", "SP_GETAPPLOCK"})
_LOCK_PREFIXES: Final = ("PG_ADVISORY_", "PG_TRY_ADVISORY_")
_VOLATILE_CALLS: Final = frozenset(
    [
        "CHANGES",
        "CLOCK_TIMESTAMP",
        "CURDATE",
        "CURRVAL",
        "CURTIME",
        "CURRENT_TIMESTAMP",
        "GENERATE_UUID",
        "GEN_RANDOM_UUID",
        "GETDATE",
        "GETUTCDATE",
        "LAST_INSERT_ID",
        "LAST_INSERT_ROWID",
        "LASTVAL",
        "NEWID",
        "NEWSEQUENTIALID",
        "NEXTVAL",
        "NOW",
        "RAND",
        "RANDOM",
        "RANDOMBLOB",
        "SCOPE_IDENTITY",
        "SETVAL",
        "STATEMENT_TIMESTAMP",
        "SYSDATE",
        "SYSDATETIME",
        "SYSUTCDATETIME",
        "TIMEOFDAY",
        "TRANSACTION_TIMESTAMP",
        "UNIX_TIMESTAMP",
        "UTC_DATE",
        "UTC_TIME",
        "UTC_TIMESTAMP",
        "UUID",
        "UUID_GENERATE_V1",
        "UUID_GENERATE_V4",
        "UUID_SHORT",
        "UUIDV4",
        "UUIDV7",
    ]
)
_VOLATILE_WORDS: Final = frozenset(
    [
        "CURRENT_DATE",
        "CURRENT_TIME",
        "CURRENT_TIMESTAMP",
        "LOCALTIME",
        "LOCALTIMESTAMP",
        "SYSDATE",
        "SYSTIMESTAMP",
    ]
)
_PING_CALLS: Final = frozenset(
    [
        "CAST",
        "CLOCK_TIMESTAMP",
        "CONNECTION_ID",
        "CURRENT_CATALOG",
        "CURRENT_DATABASE",
        "CURRENT_SCHEMA",
        "CURRENT_SCHEMAS",
        "CURRENT_SETTING",
        "CURRENT_TIMESTAMP",
        "CURRENT_USER",
        "DATABASE",
        "DB_NAME",
        "GETDATE",
        "INET_SERVER_ADDR",
        "NOW",
        "PG_BACKEND_PID",
        "PG_IS_IN_RECOVERY",
        "SCHEMA",
        "SCHEMA_NAME",
        "SESSION_USER",
        "SET_CONFIG",
        "SQLITE_VERSION",
        "SYSDATE",
        "TXID_CURRENT",
        "USER",
        "VARCHAR",
        "NVARCHAR",
        "VERSION",
    ]
)


@dataclass(frozen=True, slots=True, eq=False)
class Statement:
    """What one statement text says about every execution of it. Shared between callers: compared by identity."""

    shape: str
    """The text without values, comments, list lengths and superfluous spaces; at most 1,024 characters."""
    operation: str
    """"read", "write", "locking" (takes a lock for itself) or "control" (transactions, settings, pings)."""
    verb: str
    """First word of the statement that counts, upper case; "" when unknown."""
    table: str
    """First table of the outermost statement, without quotes; "" when there is none."""
    summary: str
    """Verb and table, as ``db.query.summary`` of the OpenTelemetry semantic conventions."""
    in_list: int
    """Elements of the longest IN list, or rows of the longest VALUES list, in this text; 0 when it has none."""
    has_limit: bool
    """The outermost statement bounds its rows (LIMIT, TOP, FETCH FIRST, ROWNUM)."""
    truncated: bool
    """The text was not read to its end, or the shape was cut; the shape ends with ``...[n chars]``."""
    volatile: bool
    """The result differs by itself: clocks, random numbers, sequences."""


_cache: dict[str, Statement] = {}
_cached_chars = 0
_evicted = 0


def statement(text: object) -> Statement:
    """The shape and facts of one statement text.

    Any thread; no lock. Never raises, never calls code of the argument's type. Two texts that differ in their values,
    comments, spacing or list lengths only have equal shapes; ``in_list`` and ``has_limit`` belong to the text.

    Double-quoted tokens are names where the text leaves no doubt, and values where it does. Text that does not begin
    like SQL has the shape "(unreadable)", and so has an argument that is neither ``str`` nor ``bytes``.

    Args:
        text: the statement as it goes to the driver; ``bytes`` are read as latin-1. The first 8,192 characters count.

    Cost: 0.1 us when this very text was seen before (5 us beyond 8,192 characters); else about 0.4 us a character, at
    most about 5 ms, and the text is remembered: 2,000 texts, 4 Mi characters, the older half goes first.
    """
    if type(text) is str:
        found = _cache.get(text)
        if found is not None:
            return found
        exact = text
    elif issubclass(type(text), str):  # a subclass may define __hash__ and __eq__, and any object __class__
        exact = str.__str__(text)
    elif type(text) is bytes:
        length = len(text)
        return _read(text[:MAX_STATEMENT_READ].decode("latin-1"), length)
    else:
        return _NOTHING
    if len(exact) <= MAX_STATEMENT_READ:
        return _remember(exact, _read(exact, len(exact)))
    # One entry for all texts that begin alike and are about as long: what is told of them is the same.
    head = exact[:MAX_STATEMENT_READ]
    key = f"{head}\0{len(exact).bit_length()}"
    found = _cache.get(key)
    return _remember(key, _read(head, len(exact))) if found is None else found


def evicted() -> int:
    """Texts that the cache has given up since the process started; any thread."""
    return _evicted


def clear() -> None:
    """Forget every cached text (tests; memory pressure); any thread."""
    global _cache, _cached_chars
    _cache, _cached_chars = {}, 0


def _remember(text: str, made: Statement) -> Statement:
    # No lock: a race may count a text twice or forget one, and the next eviction counts again from the dict. A lock
    # could be held when a finaliser on the same thread executes a statement.
    global _cache, _cached_chars, _evicted
    if len(_cache) >= MAX_STATEMENTS_CACHED or _cached_chars + len(text) > _MAX_CACHED_CHARS:
        old = _cache.copy()
        kept = list(old.items())[len(old) // 2 :]
        _evicted += len(old) - len(kept)
        _cache, _cached_chars = dict(kept), sum(len(key) for key, _ in kept)
    _cache[text] = made
    _cached_chars += len(text)
    return made


def _read(text: str, length: int) -> Statement:
    """Read a text of which at most the first 8,192 characters are given."""
    cut = _CUT.search(text) if len(text) <= MAX_STATEMENT_SHAPE and text.endswith(" chars]") else None
    if cut is not None:  # one of our own shapes
        made = _facts(Folded(text[: cut.start()]))
        return replace(made, shape=made.shape + cut.group(), truncated=True)
    folded = Folded(text)
    made = _facts(folded)
    whole = length <= len(text) and folded.complete
    if whole and len(made.shape) <= MAX_STATEMENT_SHAPE:
        return made
    # The length of a text that was not read to its end differs with its values: only its order of magnitude is told,
    # so that one statement has a handful of shapes and not one for each list length.
    size = len(made.shape) if whole else 1 << length.bit_length()
    mark = f" ...[{size} chars]"
    shape = _head(folded.out, MAX_STATEMENT_SHAPE - len(mark)) if folded.readable else _UNREADABLE
    return replace(made, shape=shape + mark, truncated=True)


def _head(tokens: list[str], room: int) -> str:
    """The longest run of whole tokens that fits, read once more: its end may fold with what is now its neighbour."""
    for count, token in enumerate(tokens):
        room -= len(token) + 1
        if room < 0:
            tokens = tokens[:count]
            break
    return _join(Folded(_join(tokens)).out)


def _join(tokens: list[str]) -> str:
    shape = " ".join(tokens).replace("( ", "(").replace(" )", ")").replace(" ,", ",")
    return shape.replace(" . ", ".").replace(" ;", ";")


def _facts(folded: Folded) -> Statement:
    if not folded.readable:
        return _NOTHING
    out, segments = folded.out, folded.segments
    best, rank, verb, table = segments[0], len(_ORDER), "", ""
    for segment in segments:
        if not segment.verb and segment is not best:  # nothing after the last semicolon
            continue
        its_verb, since = _main_verb(segment)
        its_table = _table(segment, its_verb, since, out)
        its_rank = _ORDER.index(_operation(segment, its_verb, its_table, folded.ended))
        if its_rank < rank:
            best, rank, verb, table = segment, its_rank, its_verb, its_table
    verb = "" if verb == "?" else verb
    return Statement(
        shape=_join(out),
        operation=_ORDER[rank],
        verb=verb,
        table=table,
        summary=f"{verb} {table}"[: MAX_NAME - 1] if table else verb,
        in_list=folded.in_list,
        has_limit=_has_limit(best),
        truncated=False,
        volatile=folded.volatile or any(map(_is_volatile, segments)),
    )


def _main_verb(segment: Segment) -> tuple[str, int]:
    """The verb that counts, and the index of its mark: WITH is only an introduction."""
    if segment.verb == "WITH":
        for at, (word, _, _, depth) in enumerate(segment.marks):
            if depth == segment.depth and word in _MAIN_VERBS:
                return word, at
    return segment.verb, 0


def _table(segment: Segment, verb: str, since: int, out: list[str]) -> str:
    for wanted in _TABLE_AFTER.get(verb, ()):
        for word, before, index, depth in segment.marks[since:]:
            if word == wanted and depth == segment.depth and before != "DISTINCT":
                return _name_at(out, index)
    return ""


def _name_at(out: list[str], index: int) -> str:
    while index < len(out) and out[index].upper() in _MODIFIERS:
        index += 1
    parts = []
    while index < len(out) and (out[index][0].isalpha() or out[index][0] == "_"):
        parts.append(out[index].rstrip("("))
        if index + 1 >= len(out) or out[index + 1] != ".":
            break
        index += 2
    return ".".join(parts)[:MAX_NAME]


def _operation(segment: Segment, verb: str, table: str, ended: bool) -> str:
    operation = _OPERATIONS.get(verb, "control")
    if operation != "read":
        return operation
    locking = reads = False
    for word, before, _, depth in segment.marks:
        if word == "FROM":
            reads = True
        elif (word in _CTE_WRITES and before == "(" and segment.verb == "WITH") or (
            word == "INTO" and verb == "SELECT" and depth == segment.depth
        ):
            return "write"
        elif word in _LOCK_WORDS:
            locking = locking or word not in ("UPDATE", "SHARE") or before in ("FOR", "KEY", "IN")
    for call in segment.calls:
        locking = locking or call in _LOCK_CALLS or call.startswith(_LOCK_PREFIXES)
    if locking:
        return "locking"
    if verb == "SELECT" and not ended and (not reads or table.upper() == "DUAL"):
        return "control" if _PING_CALLS.issuperset(segment.calls) else "read"
    return "read"


def _has_limit(segment: Segment) -> bool:
    for word, before, _, depth in segment.marks:
        outermost = depth == segment.depth or word == "ROWNUM"
        if word in _LIMITS and outermost and (word not in ("FIRST", "NEXT") or before == "FETCH"):
            return True
    return False


def _is_volatile(segment: Segment) -> bool:
    return not _VOLATILE_CALLS.isdisjoint(segment.calls) or not _VOLATILE_WORDS.isdisjoint(
        [mark[0] for mark in segment.marks]
    )


_NOTHING: Final = Statement(_UNREADABLE, "read", "", "", "", 0, False, False, False)
