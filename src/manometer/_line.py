"""How one line of text is put together: numbers, quoting, lengths."""

from __future__ import annotations

import json
import math
import re
from typing import TYPE_CHECKING, Any, Final

from . import _limits

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

NOT_KNOWN: Final = "n/a"
_BARE: Final = re.compile(r"[!#-<>-\[\]-~]+")
"""What stands without quotes: printable ASCII but for space, quote, equals sign and backslash."""
_SURROGATES: Final = re.compile("[\ud800-\udfff]")
_CUT: Final = "..."


def number(value: float) -> str:
    """Write a number for a reader: whole from 10 on, one decimal below (counts none), no exponent."""
    if type(value) is int:
        return str(value)
    if not math.isfinite(value):
        return NOT_KNOWN
    rounded = round(value, 1)
    return str(round(value)) if abs(rounded) >= 10 else f"{rounded + 0.0:.1f}"


def milliseconds(value_ns: int) -> float:
    """Convert nanoseconds to milliseconds, exact to the microsecond."""
    return round(value_ns / 1e6, 3)


def clean(text: str, limit: int = _limits.MAX_NAME) -> str:
    """Return *text* as valid Unicode that JSON can write, without its quotes, in *limit* bytes.

    A lone surrogate becomes U+FFFD; a text that is too long loses its end, which `...` shows.
    Control characters stay: whoever writes the text escapes them.
    """
    head = _SURROGATES.sub("\ufffd", text[:limit])
    if len(head) == len(text) and len(_quote(head)) - 2 <= limit:
        return head
    while True:
        excess = len(_quote(head)) - 2 - (limit - len(_CUT))
        if excess <= 0 or not head:
            return head + _CUT
        # A character takes twelve bytes at most, so this never removes more than it must.
        head = head[: -max(1, excess // 12)]


def word(text: str, limit: int = _limits.MAX_NAME) -> str:
    """Write *text* as one token of a line, of at most *limit* bytes, quoted only where it must be.

    The quoted form is that of JSON: no control character, line separator, escape sequence or quote
    in the data can end the token or the line, or reach a terminal.
    """
    cleaned = clean(text, limit - 2)
    return cleaned if _BARE.fullmatch(cleaned) else _quote(cleaned)


def pair(key: str, value: object, limit: int = _limits.MAX_NAME) -> str:
    """Write `key=value`: numbers as `number` does, None as not known, anything else as `word` does."""
    if value is None:
        return f"{key}={NOT_KNOWN}"
    if isinstance(value, int | float) and type(value) is not bool:
        return f"{key}={number(value)}"
    return f"{key}={word(str(value), limit)}"


def join(
    parts: Sequence[tuple[str, str]],
    droppable: Iterable[str] = (),
    soft: int = _limits.SOFT_LINE_BYTES,
    hard: int = _limits.MAX_LINE_BYTES,
) -> str:
    """Join the parts of a line, leave out what is too much, and say how many parts as `cut=`.

    Args:
        parts: Name and finished ASCII text of each part, in order; the first is the head.
        droppable: Names of parts to leave out, in this order, while the line is longer than *soft*.
        soft: Length in bytes aimed at.
        hard: Length in bytes never exceeded; parts then go from the end, the head never.
    """
    left = dict(parts)
    cut = 0
    size = sum(len(text) + 1 for text in left.values()) - 1
    from_the_end = [name for name, _ in reversed(parts[1:])]
    for limit, names in ((soft, droppable), (hard, from_the_end)):
        for name in names:
            if size + (len(f" cut={cut}") if cut else 0) <= limit:
                break
            if name in left:
                size -= len(left.pop(name)) + 1
                cut += 1
    line = " ".join(left.values())
    return f"{line} cut={cut}" if cut else line


def to_json(record: Mapping[str, Any]) -> str:
    """Write one JSON object on one line, ASCII only, DEL escaped.

    Raises:
        ValueError: A number that JSON has no word for.
    """
    return json.dumps(record, separators=(",", ":"), allow_nan=False).replace("\x7f", "\\u007f")


def _quote(text: str) -> str:
    return json.dumps(text).replace("\x7f", "\\u007f")
