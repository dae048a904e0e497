"""The cache that a function keeps by itself, as its source shows: read and stored by key in the same body."""

from __future__ import annotations

import ast
import linecache
import textwrap
from functools import lru_cache
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .._model import Callsite

_MAX_LINES: Final = 400
_MAX_KNOWN: Final = 500
_READS: Final = frozenset({"get", "pop"})
_STORES: Final = frozenset({"setdefault", "set"})


class Memo(NamedTuple):
    """A container in which a function looks a result up, and stores it.

    Attributes:
        name: As the source calls it: `CACHE`, `self._known`.
        read_line: The line that looks up.
        store_line: The line that stores.
        differs: Whether the two lines write their keys differently.
    """

    name: str
    read_line: int
    store_line: int
    differs: bool


def memo_of(callsite: Callsite) -> Memo | None:
    """Return the cache that a function of the application keeps by itself; None when its source shows none.

    Background thread, once there is something to say of the function; reads its file. 1 ms.
    """
    return _find(callsite.file, callsite.line) if callsite.file and callsite.line else None


@lru_cache(maxsize=_MAX_KNOWN)
def _find(file: str, line: int) -> Memo | None:
    lines = linecache.getlines(file)[line - 1 : line - 1 + _MAX_LINES]
    function = _parse(lines)
    if function is None:
        return None
    reads: dict[str, tuple[int, str]] = {}
    stores: dict[str, tuple[int, str]] = {}
    own = {argument.arg for argument in _arguments(function)} - {"self", "cls"} | _assigned(function)
    keys = _assignments(function)
    for name, key, at, is_store in _uses(function):
        if name.partition(".")[0] in own:
            continue
        said = keys.get(key, key)
        (stores if is_store else reads).setdefault(name, (line - 1 + at, said))
    for name, (at, key) in stores.items():
        if name in reads:
            read_at, read_key = reads[name]
            return Memo(name, read_at, at, key != read_key)
    return None


def _parse(lines: list[str]) -> ast.FunctionDef | ast.AsyncFunctionDef | None:
    """Return the function that begins with the first line: as many lines as belong to it."""
    if not lines:
        return None
    indent = len(lines[0]) - len(lines[0].lstrip())
    end = 1
    began = False
    for at, text in enumerate(lines[1:], 1):
        bare = text.strip()
        is_inner = len(text) - len(text.lstrip()) > indent
        if began and bare and not is_inner and not bare.startswith((")", "#", "]", "}")):
            break
        began = began or is_inner
        end = at + 1
    try:
        tree = ast.parse(textwrap.dedent("".join(lines[:end])))
    except (SyntaxError, ValueError):
        return None
    first = tree.body[0] if tree.body else None
    return first if isinstance(first, ast.FunctionDef | ast.AsyncFunctionDef) else None


def _arguments(function: ast.FunctionDef | ast.AsyncFunctionDef) -> list[ast.arg]:
    given = function.args
    return [*given.posonlyargs, *given.args, *given.kwonlyargs]


def _assigned(function: ast.AST) -> set[str]:
    """Return the function's own variables: a dict made anew in each call is no cache."""
    return {
        node.id
        for node in ast.walk(function)
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
    }


def _assignments(function: ast.AST) -> dict[str, str]:
    """Return, by variable, the one expression it stands for: `key = (a, b)`."""
    found: dict[str, str] = {}
    for node in ast.walk(function):
        if isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
            name = node.targets[0].id
            found[name] = name if name in found else ast.unparse(node.value)
    return found


def _uses(function: ast.AST) -> Iterator[tuple[str, str, int, bool]]:
    """Yield container, key, line and whether it is stored, for what looks like a use of a mapping."""
    for node in ast.walk(function):
        if isinstance(node, ast.Subscript) and _is_name(node.value):
            yield (
                ast.unparse(node.value),
                ast.unparse(node.slice),
                node.lineno,
                isinstance(node.ctx, ast.Store),
            )
        elif (
            isinstance(node, ast.Compare)
            and len(node.ops) == 1
            and isinstance(node.ops[0], ast.In | ast.NotIn)
        ):
            if _is_name(node.comparators[0]):
                yield ast.unparse(node.comparators[0]), ast.unparse(node.left), node.lineno, False
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.args:
            method, owner = node.func.attr, node.func.value
            if _is_name(owner) and method in _READS | _STORES:
                yield ast.unparse(owner), ast.unparse(node.args[0]), node.lineno, method in _STORES


def _is_name(node: ast.AST) -> bool:
    """Tell whether an expression names something that outlives the call: `CACHE`, `self._known`, `module.cache`."""
    while isinstance(node, ast.Attribute):
        node = node.value
    return isinstance(node, ast.Name)
