"""Keyed hashes that stand for argument and result values: equal values, equal hashes, and no way back.

Only values whose exact type is known are looked at, so that no code of the user's (``__hash__``, ``__eq__``,
``__repr__``, ``__len__``, ``__iter__``, a metaclass) ever runs. Every value becomes one unambiguous text, which is
hashed with SipHash behind a random prefix made when the process starts.
"""

from __future__ import annotations

import secrets
import sys
from types import ModuleType
from typing import Any, Final

from ._hot import HOT
from ._limits import MAX_VALUES_PER_READ
from ._native import core

_KEY: Final = secrets.token_hex(16)
MAX_ITEMS: Final = 64
"""Values in one set of parameters; a larger one is unknown."""
MAX_DEPTH: Final = 3
MAX_KEYS_OF_ARGUMENTS: Final = 16
MAX_KEY_CHARS: Final = 64
"""A longer string is content, not a key."""
MAX_COLUMNS: Final = 16
MAX_ROWS_HASHED: Final = 64
_MAX_KEY_COLUMNS: Final = 4
_WHOLE_CHARS: Final = 1_024
_EDGE_CHARS: Final = 512
_SAMPLES: Final = 8
_SAMPLE_CHARS: Final = 64
_SMALL: Final = 1 << 63
_MAX_INT_BITS: Final = 8_192

# Found by the identity of the type: a dict keyed by types would call the __hash__ of a metaclass.
_STR: Final = id(str)
_INT: Final = id(int)
_BYTES: Final = id(bytes)
_NONE: Final = id(type(None))
_BOOL: Final = id(bool)
_FLOAT: Final = id(float)
_TUPLE: Final = id(tuple)
_LIST: Final = id(list)
_DICT: Final = id(dict)
# Types of modules that may not be loaded yet (and then no such value exists): id -> type name, filled on demand.
_LATE: Final = {
    "uuid": ["UUID"],
    "decimal": ["Decimal"],
    "datetime": ["date", "datetime", "time", "timedelta", "timezone"],
    "zoneinfo": ["ZoneInfo"],
    "sqlite3": ["Row"],
    "asyncpg": ["Record"],
    "bson.objectid": ["ObjectId"],
    "psycopg.types.numeric": ["Int2", "Int4", "Int8", "IntNumeric"],
}
_INTS: Final = ("Int2", "Int4", "Int8", "IntNumeric")
"""Integers that say how wide they are; Django sends them to PostgreSQL."""
_KEY_TYPES: Final = ("UUID", "ObjectId", *_INTS)
_PLAIN: Final = {"Decimal": "D", "date": "y", "ObjectId": "o"}
_ROWS: Final = ("Row", "Record")
_late: dict[int, tuple[str, Any]] = {}
_modules_seen = 0


def key_of(values: object) -> int | None:
    """One 64-bit keyed hash of a whole set of arguments, or ``None`` when any of them is of an unknown type.

    Known are, by exact type: None, bool, int, float, str, bytes, Decimal, UUID, date, time, datetime, timedelta, zones
    of the standard library, and tuples, lists and dicts of them: at most 64 values, three containers deep.
    Values of different types differ (1, True, 1.0 and "1"), except a UUID and its canonical text; lists and tuples
    are alike; dicts compare without order. Of a string longer than 1,024 the length, both ends of 512 and eight
    samples of 64 count: longer ones that agree in those are taken for equal. Unknown too is everything while the level
    of detail (`_level`) leaves fingerprints out; so it is for the functions below.

    Any thread. Never raises, never calls code of the user's, keeps no reference. Cost: about 0.7 us and 0.3 us a value.
    """
    return None if HOT["plain_"] else keyed(values)


def keyed(values: object) -> int | None:
    """The same as ``key_of``, whatever the level of detail."""
    try:
        text = _text(values, MAX_DEPTH, [MAX_ITEMS])
    except RuntimeError:  # a dict that another thread changes
        return None
    return None if text is None else hash(_KEY + text)


def values_of(parameters: object, limit: int = MAX_KEYS_OF_ARGUMENTS) -> tuple[int, ...]:
    """The keyed hashes of the key-like values in one set of parameters, at most *limit*, in their order.

    Key-like are integers, UUIDs, and strings and bytes of 1 to 64; not bool, float, None, Decimal or instants. Small
    integers count too: 1 is a key as well as a flag, and whoever compares must ask for more than one match. Looks
    into tuples, lists and the values of dicts, three deep.

    Any thread. Never raises, never calls code of the user's. Cost: about 0.7 us a value.
    """
    found: list[int] = []
    if HOT["plain_"]:
        return ()
    try:
        _collect(parameters, found, MAX_DEPTH, [max(MAX_ITEMS, limit)], limit)
    except RuntimeError:
        return ()
    return tuple(found)


def row_values(rows: object, limit: int = MAX_VALUES_PER_READ) -> list[int]:
    """The keyed hashes, as ``values_of`` makes them, of key-like columns of fetched rows, spread evenly over the rows.

    The first row decides which columns are key-like; integers and UUIDs come before strings, and when not every row
    can be covered at most four columns are taken.

    Args:
        rows: a list or tuple, by exact type, of tuples, lists, dicts, rows of drivers, or single values; of anything
            else nothing is found.
        limit: most values returned.

    Any thread. Never raises, never calls code of the user's. Cost: about 0.6 us a value.
    """
    if id(type(rows)) not in (_LIST, _TUPLE) or limit <= 0 or HOT["plain_"]:
        return []
    try:
        return _row_values(rows, limit)  # type: ignore[arg-type]
    except RuntimeError:
        return []


def result_key(rows: object) -> int | None:
    """One keyed hash of a whole fetched result, or ``None`` when a value looked at is of an unknown type.

    At most 64 rows, spread evenly from the first to the last, 16 columns of each, and the number of rows: larger
    results that agree in those are taken for equal.

    Args:
        rows: a list or tuple of tuples, lists, dicts, rows of drivers, or of single values.

    Any thread. Never raises, never calls code of the user's. Cost: about 0.5 us a value, so at most 0.5 ms.
    """
    if id(type(rows)) not in (_LIST, _TUPLE) or HOT["plain_"]:
        return None
    known: list[Any] | tuple[Any, ...] = rows  # type: ignore[assignment]
    parts = [f"r{len(known)}"]
    room = [2 * MAX_ROWS_HASHED * MAX_COLUMNS]  # cells may be arrays
    try:
        for row in _spread(known, MAX_ROWS_HASHED):
            cells = _cells(row)
            text = _sequence_text((row,) if cells is None else cells[:MAX_COLUMNS], MAX_DEPTH - 1, room)
            if text is None:
                return None
            parts.append(text)
    except RuntimeError:
        return None
    return hash(_KEY + "".join(parts))


def _text(value: Any, depth: int, room: list[int]) -> str | None:
    """An unambiguous text of a value (self-delimiting, so that texts can be joined), or ``None``."""
    kind = id(type(value))
    if kind == _INT:
        return _int_text(value)
    if kind == _STR:
        return f"s{len(value)}:{value if len(value) <= _WHOLE_CHARS else _sampled(value)}"
    if kind in (_TUPLE, _LIST, _DICT):
        if depth == 0:
            return None
        return _dict_text(value, depth, room) if kind == _DICT else _sequence_text(value, depth, room)
    if kind == _NONE:
        return "n;"
    if kind == _BOOL:
        return "t;" if value else "f;"
    if kind == _FLOAT:
        return f"d{value!r};"
    if kind == _BYTES:
        return f"b{len(value)}:{_sampled(value).decode('latin-1')}"
    return _late_text(value, kind)


def _sequence_text(values: list[Any] | tuple[Any, ...], depth: int, room: list[int]) -> str | None:
    room[0] -= len(values)
    if room[0] < 0:
        return None
    parts = ["("]
    for value in values:
        # The two commonest kinds here and not in a call: this is the cost of every tapped statement.
        kind = id(type(value))
        if kind == _INT and -_SMALL < value < _SMALL:
            parts.append(f"i{value};")
            continue
        if kind == _STR and len(value) <= _WHOLE_CHARS:
            parts.append(f"s{len(value)}:{value}")
            continue
        text = _text(value, depth - 1, room)
        if text is None:
            return None
        parts.append(text)
    parts.append(")")
    return "".join(parts)


def _dict_text(values: dict[Any, Any], depth: int, room: list[int]) -> str | None:
    room[0] -= len(values)
    if room[0] < 0:
        return None
    pairs = []
    for key, value in values.items():
        name, text = _text(key, 0, room), _text(value, depth - 1, room)
        if name is None or text is None:
            return None
        pairs.append(name + text)
    pairs.sort()
    return f"{{{''.join(pairs)}}}"


def _int_text(value: int) -> str | None:
    if -_SMALL < value < _SMALL:
        return f"i{value};"
    # Decimal digits of a large integer cost quadratic time, and raise beyond 4,300 of them.
    return f"x{value:x};" if value.bit_length() <= _MAX_INT_BITS else None


def _sampled(value: Any) -> Any:
    """A long string or bytes: both ends and eight samples between; a short one as it is."""
    if len(value) <= _WHOLE_CHARS:
        return value
    step = (len(value) - _SAMPLE_CHARS) // (_SAMPLES - 1)
    parts = [value[:_EDGE_CHARS], value[-_EDGE_CHARS:]]
    parts += [value[at * step : at * step + _SAMPLE_CHARS] for at in range(_SAMPLES)]
    return value[:0].join(parts)


def _late_text(value: Any, kind: int) -> str | None:
    name = _late_name(kind)
    if name in _INTS:
        return _int_text(int.__index__(value))
    if name == "UUID":
        digits = f"{value.int:032x}"
        return f"s36:{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"
    if name in _PLAIN:
        return f"{_PLAIN[name]}{value!s};"
    if name in ("datetime", "time"):
        zone = value.tzinfo
        if zone is not None and _late_name(id(type(zone))) not in ("timezone", "ZoneInfo"):
            return None  # isoformat would ask a zone of the user's
        return f"z{value.isoformat()};"
    if name == "timedelta":
        return f"e{value.days},{value.seconds},{value.microseconds};"
    if name == "ZoneInfo":
        return f"Z{len(value.key)}:{value.key}" if type(value.key) is str else None
    return f"u{value.utcoffset(None)};" if name == "timezone" else None


def _late_name(kind: int) -> str:
    """The name of a type of a module that need not be loaded, by the id of the type; "" when it is none of those."""
    _look_for_late_types()
    found = _late.get(kind)
    return "" if found is None else found[0]


def _look_for_late_types() -> None:
    global _modules_seen
    if len(sys.modules) == _modules_seen:
        return
    _modules_seen = len(sys.modules)
    for module_name, names in _LATE.items():
        module = sys.modules.get(module_name)
        if type(module) is not ModuleType:  # not loaded, or an object in its place, whose attributes are code
            continue
        for name in names:
            found = vars(module).get(name)
            if type(found) is type:
                _late[id(found)] = (name, found)  # the type is kept, so its id is never given to another


def _key_text(value: Any) -> str | None:
    """The text of a value that may be a key, or ``None``."""
    kind = id(type(value))
    if kind == _INT:
        return f"i{value};" if -_SMALL < value < _SMALL else _int_text(value)
    if kind == _STR:
        return f"s{len(value)}:{value}" if 0 < len(value) <= MAX_KEY_CHARS else None
    if kind == _BYTES:
        return _text(value, 0, []) if 0 < len(value) <= MAX_KEY_CHARS else None
    if kind in (_NONE, _BOOL, _FLOAT) or _late_name(kind) not in _KEY_TYPES:
        return None
    return _late_text(value, kind)


def _collect(value: Any, found: list[int], depth: int, room: list[int], limit: int) -> None:
    kind = id(type(value))
    if kind in (_TUPLE, _LIST, _DICT):
        if depth == 0:
            return
        for item in value.values() if kind == _DICT else value:
            room[0] -= 1
            if len(found) >= limit or room[0] < 0:
                return
            _collect(item, found, depth - 1, room, limit)
        return
    text = _key_text(value)
    if text is not None:
        found.append(hash(_KEY + text))


def _cells(row: Any) -> list[Any] | tuple[Any, ...] | None:
    kind = id(type(row))
    if kind in (_TUPLE, _LIST):
        return row  # type: ignore[no-any-return]
    if kind == _DICT:
        return list(row.values())
    if kind in (_INT, _STR):  # a driver was asked for single values
        return (row,)
    if _late_name(kind) in _ROWS:
        return tuple(row)
    return _cells_of_subclass(row, type(row))


def _cells_of_subclass(row: Any, kind: type) -> list[Any] | tuple[Any, ...] | None:
    """Read named tuples and drivers' own rows with the methods of the built-in type, never with their own."""
    if issubclass(kind, tuple):
        return tuple.__getitem__(row, slice(None))
    if issubclass(kind, list):
        return list.__getitem__(row, slice(None))
    return list(dict.values(row)) if issubclass(kind, dict) else None


def _spread(rows: list[Any] | tuple[Any, ...], most: int) -> list[Any]:
    """At most ``most`` rows, evenly from the first to the last."""
    count = len(rows)
    if count <= most:
        return list(rows)
    if most == 1:
        return [rows[0]]
    last = min(count, len(rows)) - 1
    return [rows[at * last // (most - 1)] for at in range(most)]


def _row_values(rows: list[Any] | tuple[Any, ...], limit: int) -> list[int]:
    first = _cells(rows[0]) if rows else None
    if not first:
        return []
    numbers: list[int] = []
    strings: list[int] = []
    for at, cell in enumerate(first[:MAX_COLUMNS]):
        kind = id(type(cell))
        if kind == _INT:
            numbers.append(at)
        elif _key_text(cell) is not None:
            (strings if kind in (_STR, _BYTES) else numbers).append(at)
    columns = numbers + strings
    if len(columns) * len(rows) > limit:
        columns = columns[:_MAX_KEY_COLUMNS]
    if not columns:
        return []
    found: list[int] = []
    for row in _spread(rows, max(1, limit // len(columns))):
        cells = _cells(row)
        if cells is None:
            continue
        for at in columns:
            text = _key_text(cells[at]) if at < len(cells) else None
            if text is not None:
                found.append(hash(_KEY + text))
    return found[:limit]


def late_value(value: Any, keys_only: bool) -> Any:
    """What stands for a value of a type that a module brought, for the compiled core.

    Returns:
        An int or a str that it is equal to, a tuple of the text that it alone has, or None when it is unknown, or
        no key where only keys are wanted.
    """
    kind = id(type(value))
    name = _late_name(kind)
    if not name or (keys_only and name not in _KEY_TYPES):
        return None
    if name in _INTS:
        return int.__index__(value)
    text = _late_text(value, kind)
    if text is None:
        return None
    return text[4:] if name == "UUID" else (text,)


def late_cells(row: Any) -> tuple[Any, ...] | None:
    """The cells of a driver's row that is built like no container, for the compiled core."""
    return tuple(row) if _late_name(id(type(row))) in _ROWS else None


if core is not None:
    # The same in C, with SipHash over the values themselves; a test compares which values both take for equal.
    core.bind_hashes(secrets.token_bytes(16), HOT, late_value, late_cells)
    keyed = core.keyed
    key_of = core.key_of
    values_of = core.values_of
    row_values = core.row_values
    result_key = core.result_key
