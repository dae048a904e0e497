"""The layers, and the other promises about the source that a reader of one file cannot check."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.architecture import (
    CHECKS,
    LONGEST_FILE,
    LONGEST_FUNCTION,
    Module,
    Package,
    cycles,
    docstring,
    file_length,
    function_length,
    layers,
    no_context_tokens,
    one_reader_of_the_environment,
    one_walk_over_foreign_stacks,
    sorted_exports,
    third_parties,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SOURCE = Path(__file__).parents[1] / "src" / "manometer"
PACKAGE = Package.read(SOURCE)


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_source_keeps(check: Callable[[Package, Module], Iterator[str]]) -> None:
    """One test a check, not one a module: 1,800 of them took longer than what they check."""
    wrong = [f"{name}: {what}" for name, module in PACKAGE.modules.items() for what in check(PACKAGE, module)]

    assert wrong == []


# The checker itself: each check says nothing about a good tree, and speaks about a tree with one fault.

GOOD = {
    "__init__.py": '"""Names."""\nfrom manometer._measure import measure\n__all__ = ["Config", "measure"]\n',
    "_config.py": '"""Own it."""\nimport os\nVALUE = os.environ.get("MANOMETER")\n',
    "_model.py": '"""Own it."""\nimport json\n',
    "_context.py": '"""Own it."""\nfrom contextvars import ContextVar\nfrom . import _model\nCURRENT = ContextVar("c")\nCURRENT.set(1)\n',
    "_measure.py": '"""Own it."""\nfrom ._context import CURRENT\ndef measure(): ...\n',
    "sources/__init__.py": '"""Own it."""\nfrom manometer.sources import flask\n',
    "sources/_patch.py": '"""Own it."""\nimport wrapt\n',
    "sources/flask.py": '"""Own it."""\nfrom flask import Flask\nfrom ._patch import wrapt\nfrom .. import _model\n',
    "detectors/repetition/n_plus_one.py": '"""Own it."""\nfrom ..._model import json\n',
    "_runtime.py": '"""Own it."""\nfrom manometer.sources import flask\nimport sys\nsys._current_frames()\n',
}  # fmt: skip

BAD = {
    layers: [
        {"_model.py": '"""Own it."""\nfrom manometer import _context\n'},
        {"_model.py": '"""Own it."""\nfrom . import measure\n'},
        {"_context.py": '"""Own it."""\ndef late():\n    from manometer._measure import measure\n'},
        {"_unheard_of.py": '"""Own it."""\n'},
        {"sources/flask.py": '"""Own it."""\nfrom ..detectors.repetition import n_plus_one\n'},
        {"sources/wsgi.py": '"""Own it."""\nfrom .flask import Flask\n'},
    ],
    cycles: [
        {"_model.py": '"""Own it."""\nfrom . import _guard\n', "_guard.py": '"""Own it."""\nfrom . import _model\n'},
    ],
    third_parties: [
        {"_model.py": '"""Own it."""\nimport wrapt\n'},
        {"sources/flask.py": '"""Own it."""\nimport sqlalchemy\n'},
        {"probes/gil.py": '"""Own it."""\ndef read():\n    import psutil\n'},
        {"exporters/otlp_helper.py": '"""Own it."""\nfrom opentelemetry import trace\n'},
    ],
    file_length: [{"_model.py": '"""Own it."""\n' + "x = 1\n" * LONGEST_FILE}],
    function_length: [{"_model.py": '"""Own it."""\ndef f():\n' + "    x = 1\n" * (LONGEST_FUNCTION + 1)}],
    docstring: [
        {"_model.py": "import json\n"},
        {"_model.py": '"""Own this. Own that too."""\n'},
        {"_model.py": '"""No sentence"""\n'},
    ],
    no_context_tokens: [
        {"_measure.py": '"""Own it."""\nfrom ._context import CURRENT\ndef f(t):\n    CURRENT.reset(t)\n'},
        {"_measure.py": '"""Own it."""\nfrom ._context import CURRENT\ndef f():\n    t = CURRENT.set(2)\n'},
        {"_measure.py": '"""Own it."""\nCODE = "current.reset(token)"\n'},
        {"_measure.py": '"""Own it."""\nfrom contextvars import Token\n'},
    ],
    one_reader_of_the_environment: [
        {"_runtime.py": '"""Own it."""\nimport os\nHOME = os.environ["HOME"]\n'},
        {"_runtime.py": '"""Own it."""\nfrom os import getenv\n'},
    ],
    one_walk_over_foreign_stacks: [{"_measure.py": '"""Own it."""\nimport sys\nsys._current_frames()\n'}],
    sorted_exports: [{"_model.py": '"""Own it."""\n__all__ = ("b", "a")\n'}],
}  # fmt: skip


def complaints(folder: Path, files: dict[str, str]) -> list[tuple[str, str]]:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    package = Package.read(folder)
    return [
        (check.__name__, complaint)
        for module in package.modules.values()
        for check in CHECKS
        for complaint in check(package, module)
    ]


def test_checker_is_silent_about_a_good_tree(tmp_path: Path) -> None:
    assert complaints(tmp_path, GOOD) == []


@pytest.mark.parametrize(
    ("check", "fault"),
    [(check, fault) for check, faults in BAD.items() for fault in faults],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_checker_speaks_about_one_fault(
    tmp_path: Path, check: Callable[..., Iterator[str]], fault: dict[str, str]
) -> None:
    assert {name for name, _ in complaints(tmp_path, GOOD | fault)} == {check.__name__}


def test_each_check_is_seen_to_fail() -> None:
    assert set(BAD) == set(CHECKS)


# Importing.

PROBE = """
import os, sys, threading
before, files = set(sys.modules), len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0
import manometer
after = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0
tops = {name.partition(".")[0] for name in set(sys.modules) - before}
print("third parties", sorted(tops - sys.stdlib_module_names - {"manometer"}))
print("threads", threading.active_count())
print("files", after - files)
"""


@pytest.mark.skipif("__init__" not in PACKAGE.modules, reason="there is no manometer to import yet")
def test_import_loads_the_standard_library_only_and_starts_nothing() -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MANOMETER")}

    seen = subprocess.run(
        [sys.executable, "-c", PROBE],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )

    assert (seen.stdout, seen.stderr) == ("third parties []\nthreads 1\nfiles 0\n", "")
