"""Measuring functions by name, without a change to the application: `Config.measure`."""

from __future__ import annotations

import sys
from fnmatch import fnmatchcase
from types import FunctionType
from typing import TYPE_CHECKING, Any, Final

from .. import _guard, _limits
from .._measure import measure

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ..protocols import Undo

_MEMBERS: Final = (FunctionType, classmethod, staticmethod, property)
_hooked: Final[set[str]] = set()
_active: Final[list[_Names]] = []


def measure_names(entries: tuple[str, ...], report: Callable[[str, str], None]) -> Undo:
    """Measure what *entries* name, in modules that are imported and in those that will be.

    Args:
        entries: `module:pattern` each; `shop.views:*`, `shop.models:Order.*`. The pattern is matched
            with the qualified name of functions and methods that the module itself defines.
        report: Called as `report(module, reason)` when a module is there and something in it cannot
            be measured; any thread that imports.

    Returns:
        What puts every original back, by identity.

    The thread that starts manometer; 30 us a function.
    """
    names = _Names(entries, report)
    _active.append(names)
    for module in names.patterns:
        if module in sys.modules:
            names.arrived(module)
        else:
            _hook(module)
    return names.undo


class _Names:
    """What is to be measured by name, and what was replaced for it."""

    def __init__(self, entries: tuple[str, ...], report: Callable[[str, str], None]) -> None:
        self.patterns: dict[str, list[str]] = {}
        for entry in entries:
            module, _, pattern = entry.partition(":")
            self.patterns.setdefault(module, []).append(pattern)
        self._report = report
        self._replaced: list[tuple[Any, str, Any, Any]] = []

    def arrived(self, name: str) -> None:
        """Measure what is named of one module. Never raises: this runs inside an import of the host's."""
        module = sys.modules.get(name)
        if module is not None and name in self.patterns:
            _guard.call("sources.by_name", self._measure, module, name)

    def _measure(self, module: Any, name: str) -> None:
        found = 0
        for owner, attribute, member, qualified in list(_members(module, name)):
            if not any(fnmatchcase(qualified, pattern) for pattern in self.patterns[name]):
                continue
            if len(self._replaced) >= _limits.MAX_MEASURED_BY_NAME:
                self._report(
                    name,
                    f"more than {_limits.MAX_MEASURED_BY_NAME} functions are named; the rest is left out",
                )
                return
            found += 1
            try:
                measured: Any = measure(member)
                if measured is not member:
                    setattr(owner, attribute, measured)
                    self._replaced.append((owner, attribute, member, measured))
            except Exception as error:
                self._report(name, f"{qualified} cannot be measured: {type(error).__name__}")
        if not found:
            self._report(name, f"no function matches {', '.join(self.patterns[name])}")

    def undo(self) -> None:
        """Put every original back where ours still is; from now on imports wake nothing."""
        if self in _active:
            _active.remove(self)
        self.patterns.clear()
        while self._replaced:
            owner, attribute, member, measured = self._replaced.pop()
            if vars(owner).get(attribute) is measured:
                setattr(owner, attribute, member)


def _members(module: Any, name: str) -> Iterator[tuple[Any, str, Any, str]]:
    """Yield owner, attribute, function and qualified name of what *module* defines itself."""
    for attribute, member in list(vars(module).items()):
        if type(member) is FunctionType and member.__module__ == name:
            yield module, attribute, member, attribute
        elif issubclass(type(member), type) and type.__dict__["__module__"].__get__(member) == name:
            for inner, value in list(vars(member).items()):
                if type(value) in _MEMBERS and not (inner.startswith("__") and inner.endswith("__")):
                    yield member, inner, value, f"{attribute}.{inner}"


def _hook(module: str) -> None:
    """Hear of the import of *module*; once per process, for there is no way to unregister."""
    if module in _hooked:
        return
    import wrapt

    def imported(_: Any) -> None:
        for names in tuple(_active):
            names.arrived(module)

    _hooked.add(module)
    wrapt.register_post_import_hook(imported, module)
