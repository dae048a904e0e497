"""The text of statements that psycopg and psycopg2 compose of parts, without any value in them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, final

from .._fingerprint import key_of
from ._dbapi import plain_text

if TYPE_CHECKING:
    from collections.abc import Callable

_MAX_PARTS: Final = 256


@final
class Composer:
    """Reads the classes of one `sql` module, by exact type: no adapter of the application's runs.

    Args:
        sql: The driver's module.
        inside: Returns what an object of its classes was made of.
    """

    __slots__ = ("_composed", "_identifier", "_inside", "_literal", "_placeholder", "_sql")

    def __init__(self, sql: Any, inside: Callable[[Any], Any]) -> None:
        self._inside = inside
        self._sql: type = sql.SQL
        self._composed: type = sql.Composed
        self._identifier: type = sql.Identifier
        self._literal: type = sql.Literal
        self._placeholder: type = sql.Placeholder

    def text(self, query: Any) -> Any:
        """Return the statement as text, None when a part of it is not known.

        A literal becomes the keyed hash of its value, so that equal values make equal texts.
        Application threads; 1 us a part.
        """
        if type(query) is str:
            return query
        if type(query) is not self._sql and type(query) is not self._composed:
            return plain_text(query)
        parts: list[str] = []
        return "".join(parts) if self._read(query, parts) else None

    def _read(self, part: Any, parts: list[str]) -> bool:
        kind = type(part)
        if kind is self._composed:
            return all(self._read(inner, parts) for inner in self._inside(part))
        if len(parts) >= _MAX_PARTS:
            return False
        text = self._part(kind, part)
        if text is None:
            return False
        parts.append(text)
        return True

    def _part(self, kind: type, part: Any) -> str | None:
        if kind is self._placeholder:
            return "%s"
        inside: Any = self._inside(part) if kind in (self._sql, self._identifier, self._literal) else None
        if kind is self._identifier:
            return ".".join(f'"{name}"' for name in inside if type(name) is str)
        if kind is self._literal:
            key = key_of((inside,))
            return None if key is None else f"'{key}'"
        return inside if type(inside) is str else None
