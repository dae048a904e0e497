"""The oldest supported releases: one table in the code, and everything that repeats it agrees."""

from __future__ import annotations

import ast
import re
import sys
import types
from pathlib import Path

import pytest

from manometer.sources import SOURCES
from manometer.sources._oldest import OLDEST, require_release
from manometer.sources._patch import Unsupported

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).resolve().parents[2]
PINNED = re.compile(r"^([\w-]+)==([\d.]+)", re.MULTILINE)


def pins() -> dict[str, str]:
    """What `make test-lowest` installs, by distribution."""
    text = "".join(path.read_text() for path in sorted((ROOT / "tests/constraints").glob("lowest*.txt")))
    return {name.replace("-binary", "").lower(): release for name, release in PINNED.findall(text)}


def begins(release: str, oldest: str) -> bool:
    return release.split(".")[: len(oldest.split("."))] == oldest.split(".")


def test_every_library_that_a_source_waits_for_has_an_oldest_release() -> None:
    packages = {entry.trigger.partition(".")[0] for entry in SOURCES.values()}

    said = "add it to _oldest.py, tests/constraints/lowest.txt and docs/reference/support.md"
    assert packages - sys.stdlib_module_names - {"manometer"} - set(OLDEST) == set(), said


def test_the_job_with_the_oldest_releases_installs_those_of_the_table() -> None:
    pinned = pins()
    other = {
        distribution: (oldest, pinned.get(distribution.lower()))
        for distribution, oldest in OLDEST.values()
        if not begins(pinned.get(distribution.lower(), ""), oldest)
    }

    assert other == {}


def test_it_installs_the_oldest_releases_that_the_package_allows() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    bounds = dict(re.match(r"([\w-]+)>=([\d.]+)", each).groups() for each in project["dependencies"])

    assert {name: bound for name, bound in bounds.items() if not begins(pins()[name], bound)} == {}


def test_the_documentation_names_the_same_releases() -> None:
    page = (ROOT / "docs/reference/support.md").read_text()
    rows = dict(re.findall(r"^\| ([\w-]+) \| ([\d.]+) \|$", page, re.MULTILINE))

    assert rows == dict(OLDEST.values())


def test_the_page_of_the_drivers_names_the_oldest_release_that_is_tried() -> None:
    page = (ROOT / "docs/how-to/databases.md").read_text()
    rows = re.findall(r"^\| ([\w-]+) \| ([\d.]+) \| [\d.]+ \|$", page, re.MULTILINE)

    assert len(rows) == 6
    assert [(name, release) for name, release in rows if pins()[name.lower()] != release] == []


HOW_TO = {"redis-py": "redis"}


@pytest.mark.parametrize("page", sorted(path.name for path in (ROOT / "docs/how-to").glob("*.md")))
def test_no_other_page_promises_more(page: str) -> None:
    oldest = {distribution.lower(): release for distribution, release in OLDEST.values()}
    text = (ROOT / "docs/how-to" / page).read_text()
    said = re.findall(r"([\w-]+)(?: \| `[\w-]+`)?(?: \|)? (\d+(?:\.\d+)*) (?:and later|to \d+\.x)", text)
    known = [(HOW_TO.get(name.lower(), name.lower()), release) for name, release in said]

    assert [(name, release) for name, release in known if release != oldest.get(name, release)] == []


@pytest.mark.parametrize("module", sorted({entry.module for entry in SOURCES.values()}))
def test_a_source_with_a_limit_of_its_own_has_the_same(module: str) -> None:
    path = ROOT / "src/manometer/sources" / f"{module}.py"
    if not path.exists():
        pytest.skip("a package of several modules")
    own = [
        ".".join(map(str, ast.literal_eval(node.value)))
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.AnnAssign)
        and isinstance(node.target, ast.Name)
        and node.target.id == "_LOWEST"
    ]
    of = {entry.trigger.partition(".")[0] for entry in SOURCES.values() if entry.module == module}

    assert own in ([], [OLDEST[package][1] for package in of if package in OLDEST])


def library(monkeypatch: pytest.MonkeyPatch, release: object) -> None:
    module = types.ModuleType("redis")
    module.__version__ = release
    monkeypatch.setitem(sys.modules, "redis", module)


@pytest.mark.parametrize("release", ["3.5.3", "4.3.99", "4", "4.3rc1"])
def test_an_older_release_is_refused_with_the_oldest_that_is_supported(
    monkeypatch: pytest.MonkeyPatch, release: str
) -> None:
    library(monkeypatch, release)

    with pytest.raises(
        Unsupported, match=rf"redis {re.escape(release)} is not supported \(4\.4 and later are\)"
    ):
        require_release("redis")


@pytest.mark.parametrize("release", ["4.4", "4.4.0", "4.4.0b1", "4.10.1", "5.0.0+local", "10"])
def test_this_one_and_later_ones_pass(monkeypatch: pytest.MonkeyPatch, release: str) -> None:
    library(monkeypatch, release)

    require_release("redis")


@pytest.mark.parametrize("release", ["", "unknown", None, 3])
def test_what_a_library_cannot_tell_is_in_its_metadata(
    monkeypatch: pytest.MonkeyPatch, release: object
) -> None:
    from importlib import metadata

    library(monkeypatch, release)
    monkeypatch.setattr(metadata, "version", {"redis": "3.0.6"}.__getitem__)

    with pytest.raises(Unsupported, match=r"redis 3\.0\.6 is not supported"):
        require_release("redis")


def test_a_library_that_tells_nothing_at_all_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(OLDEST, "nobody_made_this", ("nobody-made-this", "1.0"))

    require_release("nobody_made_this")
    require_release("queue")
