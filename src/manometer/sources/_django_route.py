"""The name of a Django route: `orders/<int:id>/` or a regular expression, written as a template."""

from __future__ import annotations

import re
from typing import Final

_MAX_ROUTES: Final = 2_000
_MAX_LENGTH: Final = 1_024
_CONVERTER: Final = re.compile(r"<(?:[^<>:()]+:)?([A-Za-z_][A-Za-z0-9_]*)>")
_GROUP_NAME: Final = re.compile(r"\?P<([A-Za-z_][A-Za-z0-9_]*)>")
_QUANTIFIER: Final = re.compile(r"(?:[?*+]|\{\d*,?\d*\})[?+]?")
_CLASSES: Final = "dDwWsS"
_routes: Final[dict[str, str]] = {}


def template_of(route: str) -> str:
    """Write the route of a resolver match as a template: `/orders/{id}/`; 50 ns once known.

    Named groups and converters keep their name; whatever else a regular expression leaves open is `{}`.
    """
    known = _routes.get(route)
    if known is None:
        if len(_routes) >= _MAX_ROUTES:
            _routes.clear()
        known = _routes[route] = "/" + _template(route[:_MAX_LENGTH]).lstrip("/")
    return known


def _template(route: str) -> str:
    out: list[str] = []
    at = 0
    while at < len(route):
        converter = _CONVERTER.match(route, at)
        if converter is not None:
            out.append(f"{{{converter[1]}}}")
            at = converter.end()
            continue
        at = _one(route, at, out)
    return "".join(out)


def _one(route: str, at: int, out: list[str]) -> int:
    """Write one element of a regular expression to *out*, and return where the next one begins."""
    char = route[at]
    if char in "^$":
        return at + 1
    if char == "\\" and at + 1 < len(route):
        following = route[at + 1]
        if following in _CLASSES:
            return _open(route, at + 2, out)
        if not following.isalnum():
            out.append(following)
        return _literal(route, at + 2)  # \Z, \A and \b match no character
    if char == "[":
        end = route.find("]", at + 2)
        return _open(route, end + 1, out) if end > 0 else _append(char, at, out)
    if char == "(":
        end = _closing(route, at)
        return _group(route, at, end, out) if end else _append(char, at, out)
    if char == "." and _QUANTIFIER.match(route, at + 1):
        return _open(route, at + 1, out)
    out.append(char)
    return _literal(route, at + 1)


def _append(char: str, at: int, out: list[str]) -> int:
    out.append(char)
    return at + 1


def _literal(route: str, at: int) -> int:
    """Skip the quantifier of a literal: `/?` is written as `/`."""
    found = _QUANTIFIER.match(route, at)
    return at if found is None else found.end()


def _open(route: str, at: int, out: list[str]) -> int:
    """Write what may be anything, with its quantifier, as `{}`."""
    if not out or out[-1] != "{}":
        out.append("{}")
    return _literal(route, at)


def _closing(route: str, at: int) -> int:
    """Return where the group that begins at *at* ends; 0 when it does not."""
    depth = 0
    in_class = False
    while at < len(route):
        char = route[at]
        if char == "\\":
            at += 1
        elif in_class:
            in_class = char != "]"
        elif char == "[":
            in_class = True
            at += route[at + 1 : at + 2] == "]"
        elif char == "(":
            depth += 1
        elif char == ")":
            depth -= 1
            if not depth:
                return at
        at += 1
    return 0


def _group(route: str, at: int, end: int, out: list[str]) -> int:
    name = _GROUP_NAME.match(route, at + 1)
    inside = route[at + 1 : end]
    if name is not None:
        out.append(f"{{{name[1]}}}")
    elif inside.startswith(("?=", "?!", "?<", "?#")):
        return _literal(route, end + 1)  # it looks, and matches nothing
    elif inside.startswith("?:") and "|" not in inside:
        out.append(_template(inside[2:]))
    else:
        out.append("{}")
    return _literal(route, end + 1)
