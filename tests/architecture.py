"""The checker of the layers: reads a package as syntax trees and says what breaks a promise about the source."""

from __future__ import annotations

import ast
import sys
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# A new module gets its layer here. An import may only point down; within a layer it must not come back.
LAYERS = (
    {"_cache_facts", "_detail", "_stall", "_course", "_curve", "_growth", "_size", "_loads", "_wait", "_model", "_native", "_boundary", "_version", "_finding", "_line", "protocols", "_config", "_guard", "_limits", "_real", "_cpu"},
    {
        "_reuse", "_aging", "_caches", "_lru", "_cache_watch", "_hot", "_context", "_mute", "_queues", "_merge", "_rolling", "_calls", "_sizes", "_trends", "_containers", "_size_history", "_history", "_fingerprint", "_statement", "_tokens", "_fold",
        "_live", "_loops", "_cpus", "_ledger", "_expect", "_untie", "_site", "_spans", "_forks", "_setups", "_stacks", "_waiting", "_watching", "_level",
    },
    {"_watch_cache", "_measure", "_options", "_template", "_texts", "_compiled", "_plan", "_block", "_locks", "_exclusive", "_pipeline", "_governor", "_cost", "_sampled", "_lighter"},
    {"sources", "probes", "detectors", "exporters"},
    {"_analyze", "_otel", "_runtime", "testing", "reports", "cli", "__main__"},
    {"__init__"},
)  # fmt: skip
EXTENSION_POINTS = LAYERS[3]

# Which module may import which third party. A source may, beside these, import the library it is named after.
THIRD_PARTIES = {
    "MySQLdb": ("sources.mysqlclient",),
    "httpcore": ("sources.pools_httpcore",),
    "psycopg_pool": ("sources.pools_psycopg",),
    "opentelemetry": ("sources.otel", "exporters.otlp"),
    "psutil": ("probes.process",),
    "pyinstrument": ("probes.stacks",),
    "rich": ("cli", "exporters.console", "reports"),
    "wrapt": ("sources",),
}

# Not imported by the package but run by the interpreter: it uses manometer as an application does.
STARTED_BY_PYTHON = {"cli.site.sitecustomize"}

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

    @cached_property
    def context_variables(self) -> set[str]:
        """Names of all context variables of the package."""
        return {name for module in self.modules.values() for name in _context_variables(module)}

    @cached_property
    def foreign_walks(self) -> list[str]:
        """Places that read the stacks of other threads."""
        return [
            f"{module.name}:{node.lineno}"
            for module in self.modules.values()
            for node in ast.walk(module.tree)
            if isinstance(node, ast.Attribute) and node.attr == "_current_frames"
        ]

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
        yield "has no layer: add it to LAYERS in tests/architecture.py"
        return
    if module.name in STARTED_BY_PYTHON:
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
    elif not summary.endswith((".", "?")) or ". " in summary.replace("e.g. ", "").replace("i.e. ", ""):
        yield "opens with something else than one sentence"


def no_context_tokens(package: Package, module: Module) -> Iterator[str]:
    """A token is bound to one context, and what is measured may end in another: restore by value."""
    variables = package.context_variables
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
    places = package.foreign_walks
    if len(places) > 1 and any(place.rpartition(":")[0] == module.name for place in places):
        yield f"sys._current_frames is used in more than one place: {', '.join(places)}"


def sorted_exports(_: Package, module: Module) -> Iterator[str]:
    for node in module.tree.body:
        if not isinstance(node, ast.Assign | ast.AnnAssign) or node.value is None:
            continue
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        if "__all__" in map(_last_name, targets):
            names = list(ast.literal_eval(node.value))
            if names != sorted(names, key=_kind_and_name):
                yield f"__all__ is not sorted: {sorted(names, key=_kind_and_name)}"


def _kind_and_name(name: str) -> tuple[int, str]:
    """Order constants, then classes, then the rest, as ruff does."""
    return (0 if name.isupper() else 1 if name[:1].isupper() else 2, name)


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
