"""The functions that `functools.lru_cache` remembers the results of: their own counters, read and never patched."""

from __future__ import annotations

import sys
from types import FunctionType
from typing import TYPE_CHECKING, Any, Final

from . import _limits
from ._cache_facts import CacheFacts, Counts
from ._context import drops
from ._model import Callsite
from ._site import is_application

if TYPE_CHECKING:
    from collections.abc import Iterator

_SELF: Final = frozenset({"self", "cls"})
_WRAPPER: Final = "_lru_cache_wrapper"
_known: tuple[int, list[tuple[str, str]]] = (0, [])
_callsites: Final[dict[str, Callsite]] = {}

Reading = tuple[int, int, int, int]
"""Hits, misses, bound (0 for none) and entries of one of them."""


def read() -> dict[str, tuple[Reading, Callsite, bool]]:
    """Return, by name, the counters of all such functions of the application's modules, and of their classes.

    Background thread, once a minute; 0.2 ms for a hundred modules. Nothing of the application runs.
    """
    found: dict[str, tuple[Reading, Callsite, bool]] = {}
    for name, value, file in _wrappers():
        if len(found) >= _limits.MAX_CACHES:
            drops["caches"] = drops.get("caches", 0) + 1
            break
        info = value.cache_info()
        inner = vars(value).get("__wrapped__")
        code = inner.__code__ if type(inner) is FunctionType else None
        first = code.co_varnames[:1] if code is not None and code.co_argcount else ()
        reading = (info.hits, info.misses, info.maxsize or 0, info.currsize)
        found[name] = (reading, _callsite(name, code, file), bool(first) and first[0] in _SELF)
    return found


def _callsite(name: str, code: Any, file: str) -> Callsite:
    known = _callsites.get(name)
    if known is None:
        if len(_callsites) >= _limits.MAX_CACHES:
            _callsites.clear()
        known = _callsites[name] = Callsite(
            name=name[: _limits.MAX_NAME],
            function=getattr(code, "co_qualname", name.rpartition(".")[2]),
            kind="call",
            file=file if code is None else code.co_filename,
            line=0 if code is None else code.co_firstlineno,
            library="functools",
        )
    return known


def _wrappers() -> Iterator[tuple[str, Any, str]]:
    for module_name, file in _application_modules():
        module = sys.modules.get(module_name)
        if type(module) is not type(sys):
            continue
        for name, value in list(vars(module).items()):
            value = _beneath(value)
            if _is_wrapper(value):
                if getattr(value, "__module__", None) in (module_name, None):
                    yield f"{module_name}.{name}", value, file
            elif type(value) is type and type.__dict__["__module__"].__get__(value) == module_name:
                for inner, member in list(type.__dict__["__dict__"].__get__(value).items()):
                    member = _beneath(member)
                    if _is_wrapper(member):
                        yield f"{module_name}.{name}.{inner}", member, file


def _application_modules() -> list[tuple[str, str]]:
    """Return name and file of the application's modules; looked for anew once their number is another one."""
    global _known
    if _known[0] != len(sys.modules):
        found = [(name, _file_of(name, module)) for name, module in list(sys.modules.items())]
        _known = (len(sys.modules), [(name, file) for name, file in found if file])
    return _known[1]


def _file_of(name: str, module: Any) -> str:
    """Return the file of a module of the application; empty for others. A script has none once it has run."""
    if type(module) is not type(sys):
        return ""
    file = vars(module).get("__file__", "-" if name == "__main__" else "")
    return file if type(file) is str and (file == "-" or is_application(file)) else ""


def _beneath(value: Any) -> Any:
    """Return what is measured or bound: `@measure`, `@staticmethod` and `@classmethod` may stand on top."""
    if type(value) in (staticmethod, classmethod):
        value = value.__func__
    if type(value) is FunctionType and "cache_info" in vars(value):
        return vars(value).get("__wrapped__", value)
    return value


def _is_wrapper(value: Any) -> bool:
    kind = type(value)
    return kind.__name__ == _WRAPPER and kind.__module__ == "functools"


def facts_of(now: Reading, before: Reading, callsite: Callsite, by_method: bool, lasted: bool) -> CacheFacts:
    """Return what is known of one of them since *before*."""
    hits, misses, maxsize, entries = now
    if hits < before[0] or misses < before[1]:
        before = (0, 0, 0, 0)  # it was cleared
    counts = Counts(hits=hits - before[0], misses=misses - before[1])
    evicted = max(0, counts.misses - max(0, entries - before[3])) if maxsize else 0
    counts.sets = counts.filled = counts.misses
    counts.again = float(evicted)  # evictions, and not yet known whether of what is asked for again
    return CacheFacts(callsite=callsite, counts=counts, lasted=lasted, maxsize=maxsize, by_method=by_method)
