"""The layers, and the other promises about the source that a reader of one file cannot check."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SOURCE = Path(__file__).parents[1] / "src" / "manometer"

# A new module gets its layer here. An import may only point down; within a layer it must not come back.
LAYERS = (
    {"_model", "_finding", "_line", "protocols", "_config", "_guard", "_limits"},
    {
        "_context", "_merge", "_rolling", "_calls", "_history", "_fingerprint", "_statement", "_tokens",
        "_live", "_ledger", "_expect", "_site",
    },
    {"_measure", "_template", "_plan", "_block", "_pipeline", "_governor"},
    {"sources", "probes", "detectors", "exporters"},
    {"_runtime", "testing", "cli", "__main__"},
    {"__init__"},
)  # fmt: skip
EXTENSION_POINTS = LAYERS[3]

# Which module may import which third party. A source may, beside these, import the library it is named after.
THIRD_PARTIES = {
    "opentelemetry": ("sources.otel", "exporters.otlp"),
    "psutil": ("probes.process",),
    "pyinstrument": ("probes.stacks",),
    "rich": ("cli", "exporters.console"),
    "wrapt": ("sources",),
}

LONGEST_FILE = 400
LONGEST_FUNCTION = 40
HOT_PATH = "_measure"


@dataclass(frozen=True)
class Module:
    """One source file: its dotted name below the package (`sources.wsgi`), its text and its tree."""

    name: str
    text: str
    tree: ast.Module
    is_package: bool

    @property
    def top(self) -> str:
        return self.name.partition(".")[0]

    @property
    def layer(self) -> int | None:
        return next((number for number, names in enumerate(LAYERS) if self.top in names), None)


@dataclass
class Package:
    """All modules below a folder, by dotted name."""

    modules: dict[str, Module] = field(default_factory=dict)

    @classmethod
    def read(cls, folder: Path) -> Package:
        package = cls()
        for path in sorted(folder.rglob("*.py")):
            parts = path.relative_to(folder).with_suffix("").parts
            is_package = parts[-1] == "__init__" and len(parts) > 1
            name = ".".join(parts[:-1] if is_package else parts)
            text = path.read_text(encoding="utf-8")
            package.modules[name] = Module(name, text, ast.parse(text), is_package)
        return package

    def own(self, dotted: str) -> str | None:
        """Return the module that `manometer.<dotted>` belongs to, or None when there is none."""
        while dotted:
            if dotted in self.modules:
                return dotted
            dotted = dotted.rpartition(".")[0]
        return None

    def imports(self, module: Module) -> Iterator[tuple[str, bool]]:
        """Yield what a module imports, in functions and type checking too, and whether it is ours."""
        for node in ast.walk(module.tree):
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                base = _absolute(module, node)
                names = [f"{base}.{alias.name}" for alias in node.names]
            else:
                continue
            for name in names:
                top, _, rest = name.partition(".")
                if top == "manometer":
                    yield self.own(rest) or "__init__", True
                else:
                    yield name, False


def _absolute(module: Module, node: ast.ImportFrom) -> str:
    if node.level == 0:
        return node.module or ""
    parts = ["manometer", *module.name.split(".")]
    keep = len(parts) - node.level + (1 if module.is_package else 0)
    return ".".join([*parts[:keep], *([node.module] if node.module else [])])


# Checks. Each takes the package and one module, and yields what is wrong with the module.


def layers(package: Package, module: Module) -> Iterator[str]:
    if module.layer is None:
        yield "has no layer: add it to LAYERS in tests/test_architecture.py"
        return
    for name, ours in package.imports(module):
        if not ours or name == module.name:
            continue
        target = package.modules[name]
        if target.layer is None:
            continue
        if target.layer > module.layer:
            yield f"imports {name}, which is above it"
        elif target.layer == module.layer and module.top in EXTENSION_POINTS:
            if target.top != module.top:
                yield f"imports {name}: extension points do not know each other"
            elif not _may_share(module, target):
                yield f"imports its sibling {name}: share through a private module of the folder"


def _may_share(module: Module, target: Module) -> bool:
    """Tell whether a file may import a file of the same extension point: helpers, and what a package consists of."""
    private = any(part.startswith("_") for part in target.name.split("."))
    return private or (module.is_package and target.name.startswith(f"{module.name}."))


def cycles(package: Package, module: Module) -> Iterator[str]:
    seen: set[str] = set()
    open_ends = [module.name]
    while open_ends:
        for name, ours in package.imports(package.modules[open_ends.pop()]):
            if not ours or package.modules[name].layer != module.layer:
                continue
            if name == module.name:
                yield "imports itself, through its own layer"
                return
            if name not in seen:
                seen.add(name)
                open_ends.append(name)


def third_parties(package: Package, module: Module) -> Iterator[str]:
    for name, ours in package.imports(module):
        top = name.partition(".")[0]
        if ours or top in sys.stdlib_module_names:
            continue
        places = THIRD_PARTIES.get(top, ())
        if any(module.name == place or module.name.startswith(f"{place}.") for place in places):
            continue
        if module.top == "sources" and top in module.name.split(".")[-1].split("_"):
            continue
        yield f"imports {top}"


def file_length(_: Package, module: Module) -> Iterator[str]:
    lines = module.text.count("\n")
    if lines > LONGEST_FILE:
        yield f"has {lines} lines, {LONGEST_FILE} are allowed"


def function_length(_: Package, module: Module) -> Iterator[str]:
    """Count lines of code: docstrings, comments and empty lines are free."""
    if module.name == HOT_PATH:
        return
    lines = module.text.splitlines()
    for node in ast.walk(module.tree):
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        body = node.body[1:] if ast.get_docstring(node) is not None else node.body
        if not body:
            continue
        code = [line.strip() for line in lines[body[0].lineno - 1 : node.end_lineno]]
        count = sum(1 for line in code if line and not line.startswith("#"))
        if count > LONGEST_FUNCTION:
            yield f"line {node.lineno}: {node.name} has {count} lines of code, {LONGEST_FUNCTION} are allowed"


def docstring(_: Package, module: Module) -> Iterator[str]:
    summary = " ".join((ast.get_docstring(module.tree) or "").partition("\n\n")[0].split())
    if not summary:
        yield "has no docstring saying what it owns"
    elif not summary.endswith(".") or ". " in summary.replace("e.g. ", "").replace("i.e. ", ""):
        yield "opens with something else than one sentence"


def no_context_tokens(package: Package, module: Module) -> Iterator[str]:
    """A token is bound to one context, and what is measured may end in another: restore by value."""
    variables = {name for other in package.modules.values() for name in _context_variables(other)}
    docstrings = {id(node.value) for node in ast.walk(module.tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Call) and _method(node) == "reset" and (node.args or node.keywords):
            yield f"line {node.lineno}: resets a context variable by its token"
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings:
            if ".reset(" in node.value:
                yield f"line {node.lineno}: generates code that resets a context variable"
        elif isinstance(node, ast.ImportFrom) and node.module == "contextvars":
            if any(alias.name == "Token" for alias in node.names):
                yield f"line {node.lineno}: imports contextvars.Token"
        elif isinstance(node, ast.Assign | ast.AnnAssign | ast.NamedExpr):
            call = node.value
            if isinstance(call, ast.Call) and _method(call) == "set" and _receiver(call) in variables:
                yield f"line {node.lineno}: keeps the token of a context variable"


def _context_variables(module: Module) -> Iterator[str]:
    for node in ast.walk(module.tree):
        if not isinstance(node, ast.Assign | ast.AnnAssign) or not isinstance(node.value, ast.Call):
            continue
        if _last_name(node.value.func) == "ContextVar":
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            yield from filter(None, map(_last_name, targets))


def _method(call: ast.Call) -> str:
    return call.func.attr if isinstance(call.func, ast.Attribute) else ""


def _receiver(call: ast.Call) -> str:
    return _last_name(call.func.value) if isinstance(call.func, ast.Attribute) else ""


def _last_name(node: ast.AST) -> str:
    while isinstance(node, ast.Subscript):
        node = node.value
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""


def one_reader_of_the_environment(_: Package, module: Module) -> Iterator[str]:
    if module.name == "_config":
        return
    for node in ast.walk(module.tree):
        if isinstance(node, ast.ImportFrom) and node.module == "os":
            names = {alias.name for alias in node.names}
        elif isinstance(node, ast.Attribute) and _last_name(node.value) == "os":
            names = {node.attr}
        else:
            continue
        if names & {"environ", "environb", "getenv", "getenvb"}:
            yield f"line {node.lineno}: reads the environment, which _config alone may do"


def one_walk_over_foreign_stacks(package: Package, module: Module) -> Iterator[str]:
    places = [
        f"{other.name}:{node.lineno}"
        for other in package.modules.values()
        for node in ast.walk(other.tree)
        if isinstance(node, ast.Attribute) and node.attr == "_current_frames"
    ]
    if len(places) > 1 and any(place.rpartition(":")[0] == module.name for place in places):
        yield f"sys._current_frames is used in more than one place: {', '.join(places)}"


def sorted_exports(_: Package, module: Module) -> Iterator[str]:
    for node in module.tree.body:
        if not isinstance(node, ast.Assign | ast.AnnAssign) or node.value is None:
            continue
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        if "__all__" in map(_last_name, targets):
            names = list(ast.literal_eval(node.value))
            if names != sorted(names):
                yield f"__all__ is not sorted: {sorted(names)}"


CHECKS = (
    layers,
    cycles,
    third_parties,
    file_length,
    function_length,
    docstring,
    no_context_tokens,
    one_reader_of_the_environment,
    one_walk_over_foreign_stacks,
    sorted_exports,
)
PACKAGE = Package.read(SOURCE)


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("name", PACKAGE.modules)
def test_source_keeps(name: str, check: Callable[[Package, Module], Iterator[str]]) -> None:
    assert list(check(PACKAGE, PACKAGE.modules[name])) == []


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
