"""How the cases under `cases/` are loaded: each time anew, as a program that is started is."""

from __future__ import annotations

import importlib.util
import pathlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import ModuleType

CASES = pathlib.Path(__file__).parent / "cases"


def load(name: str) -> ModuleType:
    """Return the module of a case, executed once more."""
    spec = importlib.util.spec_from_file_location(f"case_{name}", CASES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
