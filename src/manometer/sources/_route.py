"""The low-cardinality name of a request: its route, or its path without what identifies anything."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from .._config import DEFAULT_EXCLUDE

if TYPE_CHECKING:
    from ..protocols import Undo

METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT"})
UNMATCHED: Final = "(unmatched)"

_MAX_READ: Final = 512
_MAX_SEGMENTS: Final = 8
_MAX_CACHED: Final = 2_000
_WORD: Final = re.compile(r"[A-Za-z_][A-Za-z_\-]{0,31}(?:\.[A-Za-z]{1,5})?|v[0-9]{1,3}")
_HEX: Final = re.compile(r"[0-9a-fA-F\-]{16,}")
_TRACE: Final = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}(?:-|\Z)")

_excluded: re.Pattern[str] | None = None


def exclude(patterns: tuple[str, ...]) -> Undo:
    """Exclude what matches one of *patterns* from now on; `*` matches anything.

    Returns:
        What goes back to the default.
    """
    global _excluded
    _excluded = _compiled(patterns)

    def undo() -> None:
        global _excluded
        _excluded = _compiled(DEFAULT_EXCLUDE)

    return undo


def _compiled(patterns: tuple[str, ...]) -> re.Pattern[str] | None:
    if not patterns:
        return None
    return re.compile("|".join(".*".join(map(re.escape, re.split(r"\*+", pattern))) for pattern in patterns))


_excluded = _compiled(DEFAULT_EXCLUDE)


def is_excluded(method: str, path: str) -> bool:
    """Tell whether a path or route is never profiled, by itself or with its method; 1 us."""
    if _excluded is None:
        return False
    path = path[:_MAX_READ]
    return bool(_excluded.fullmatch(path) or _excluded.fullmatch(f"{method} {path}"))


def method_of(method: object) -> str:
    """Return a known method as it is and `_OTHER` for anything else, as OpenTelemetry does."""
    return method if type(method) is str and method in METHODS else "_OTHER"


def templated(path: str) -> str:
    """Fold every segment that is no plain word (numbers, UUIDs, hexadecimal, names with digits) to `{id}`."""
    if len(path) > _MAX_READ:
        path = path[:_MAX_READ].rpartition("/")[0] + "/*"
    segments = path.split("/")
    if len(segments) > _MAX_SEGMENTS + 1:
        segments = [*segments[: _MAX_SEGMENTS + 1], "*"]
    return "/".join(segment if is_word(segment) else "{id}" for segment in segments) or "/"


def is_word(segment: str) -> bool:
    """Tell whether a segment names something of the program's, and not one of many things of its users'."""
    if segment in ("", "*"):
        return True
    return _WORD.fullmatch(segment) is not None and _HEX.fullmatch(segment) is None


def trace_id_of(traceparent: object) -> str:
    """Return the trace id of a W3C `traceparent` header; empty when it is absent or not valid."""
    if type(traceparent) is not str:
        return ""
    found = _TRACE.match(traceparent)
    if found is None or found[1] == "ff" or not found[2].strip("0"):
        return ""
    if found[1] == "00" and len(traceparent) != 55:
        return ""
    return found[2]


_rules: Final[dict[str, str]] = {}
_PARAMETER: Final = re.compile(r"<(?:[^<>:()]+(?:\([^<>]*\))?:)?([^<>:()]+)>")


def rule_of(rule: str) -> str:
    """Write a Werkzeug rule, `/orders/<int:id>`, as a template: `/orders/{id}`; 50 ns once known."""
    known = _rules.get(rule)
    if known is None:
        if len(_rules) >= _MAX_CACHED:
            _rules.clear()
        known = _rules[rule] = _PARAMETER.sub(r"{\1}", rule)
    return known
