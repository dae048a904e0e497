"""Which core measures a call: the compiled one where it was built, else the one in Python."""

from __future__ import annotations

from importlib import import_module
from types import FunctionType
from typing import Any, Final

from . import _config


def _load(wanted: str) -> Any | None:
    """Return the compiled core, or None where Python has to do.

    Raises:
        ImportError: It was asked for by name and is not there.
    """
    if wanted == "python":
        return None
    try:
        found = import_module("._core", __package__)
        found.claim()
    except ImportError:
        if wanted == "c":
            raise
        return None
    return found


core: Final = _load(_config.wanted_core())
"""The compiled core; None when there is none."""


def name() -> str:
    """Return which core is active: `c` or `python`."""
    return "python" if core is None else "c"


def in_c(python_class: Any) -> Any:
    """Return the compiled core's type of the same name, with the methods of *python_class*.

    A class in Python above a type in C would double what an object costs to make and to free.
    """
    made = getattr(core, python_class.__name__)
    for name, member in vars(python_class).items():
        if isinstance(member, (FunctionType, property)) and name != "__init__" and name not in vars(made):
            setattr(made, name, member)
    made.__slots__ = python_class.__slots__
    return made
