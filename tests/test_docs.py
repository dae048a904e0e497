"""The documentation does what it says: its Python runs, its consoles print what they show, its links lead somewhere.

In a comment above a block:

* `<!-- no-run: reason -->` leaves a Python block out,
* `<!-- file: app.py -->` saves a block under that name, for the blocks after it,
* `<!-- run -->` runs a console block and compares its output; `...` stands for anything, and with
  `<!-- run: numbers vary -->` any number stands for any other.

The Python blocks of one file share one namespace; everything runs in one temporary folder per file.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[1]
PAGES = [page for page in (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))) if page.is_file()]
DETECTORS = ROOT / "src" / "manometer" / "detectors"

FENCE = re.compile(r"^(?P<indent> *)(?P<ticks>`{3,})(?P<language>[\w+-]*)[^`\n]*$")
MARKER = re.compile(r"^ *<!-- *(?P<word>no-run|run|file)(?: *: *(?P<text>.*?))? *-->$")
LINK = re.compile(r"(?<!!)\[[^\]]*\]\((?P<target>[^)\s]+)\)")
NUMBER = re.compile(r"\d+(?:\.\d+)?")

RUNNER = """
import sys
namespace = {"__name__": "__main__"}
for line, text in BLOCKS:
    exec(compile("\\n" * line + text, PAGE, "exec"), namespace)
"""


@dataclass(frozen=True)
class Block:
    """One fenced block; `line` is that of its fence, `word` and `text` come from the marker above it."""

    line: int
    language: str
    code: str
    word: str = ""
    text: str = ""


def blocks(page: str) -> Iterator[Block]:
    lines = page.splitlines()
    marker: re.Match[str] | None = None
    number = 0
    while number < len(lines):
        fence = FENCE.match(lines[number])
        if fence is None:
            if lines[number].strip():
                marker = MARKER.match(lines[number])
            number += 1
            continue
        start = number
        number += 1
        while number < len(lines) and lines[number].strip() != fence["ticks"]:
            number += 1
        code = "".join(f"{line.removeprefix(fence['indent'])}\n" for line in lines[start + 1 : number])
        word, text = (marker["word"], marker["text"] or "") if marker else ("", "")
        yield Block(start + 1, fence["language"], code, word, text)
        marker = None
        number += 1


def check(name: str, page: str, folder: Path) -> str:
    """Run a page in a folder and return what went wrong, or nothing."""
    pending: list[tuple[int, str]] = []
    for block in blocks(page):
        if block.word == "no-run" and not block.text:
            return f"{name}:{block.line}: no-run needs a reason"
        if block.word == "file":
            (folder / block.text).parent.mkdir(parents=True, exist_ok=True)
            (folder / block.text).write_text(block.code, encoding="utf-8")
        elif block.language == "python" and block.word != "no-run":
            pending.append((block.line, block.code))
        elif block.language == "console" and block.word == "run" and (wrong := _check_console(block, folder)):
            return f"{name}:{block.line}: {wrong}"
    if not pending:
        return ""
    program = f"PAGE = {name!r}\nBLOCKS = {pending!r}\n{RUNNER}"
    done = _run([sys.executable, "-c", program], folder)
    return "" if done.returncode == 0 else done.stdout


def _check_console(block: Block, folder: Path) -> str:
    for step in re.split(r"^\$ ", block.code, flags=re.MULTILINE)[1:]:
        command, _, expected = step.partition("\n")
        printed = _run(["sh", "-c", command], folder).stdout
        if not re.fullmatch(_pattern(expected, block.text == "numbers vary"), printed):
            return f"`{command}` printed\n{printed}\nand not\n{expected}"
    return ""


def _pattern(expected: str, numbers_vary: bool) -> str:
    pattern = ""
    for line in expected.strip("\n").splitlines():
        if line.strip() == "...":
            pattern += r"(?:.*\n)*?"
            continue
        parts = [re.escape(part) for part in line.rstrip().split("...")]
        text = ".*".join(parts)
        pattern += (NUMBER.sub(lambda _: NUMBER.pattern, text) if numbers_vary else text) + r"[ ]*\n"
    return pattern


def _run(command: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MANOMETER")}
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment.get('PATH', '')}"
    environment["PYTHONWARNINGS"] = "error"
    return subprocess.run(
        command,
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=50,
    )


def name_of(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_blocks_run(page: Path, tmp_path: Path) -> None:
    assert check(name_of(page), page.read_text(encoding="utf-8"), tmp_path) == ""


LEFT_OUT = [
    pytest.param(block.text, id=f"{name_of(page)}:{block.line}")
    for page in PAGES
    for block in blocks(page.read_text(encoding="utf-8"))
    if block.word == "no-run"
]


@pytest.mark.parametrize("reason", LEFT_OUT or [pytest.param("", id="none")])
def test_block_left_out(reason: str) -> None:
    """Show, in the list of skipped tests, what no test runs and why."""
    if reason:
        pytest.skip(reason)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_somewhere(page: Path) -> None:
    targets = [match["target"].partition("#")[0] for match in LINK.finditer(page.read_text(encoding="utf-8"))]

    missing = [
        target
        for target in targets
        if target
        and "://" not in target
        and not target.startswith("mailto:")
        and not (page.parent / target).exists()
    ]

    assert missing == []


def test_each_rule_is_listed() -> None:
    rules = {
        path.stem.replace("_", "-") for path in DETECTORS.glob("*/*.py") if not path.stem.startswith("_")
    }
    index = (ROOT / "docs" / "reference" / "findings" / "index.md").read_text(encoding="utf-8")

    assert {rule for rule in rules if f"`{rule}`" not in index} == set()


# The machinery itself.

PAGE = """
```python
a = 1
```

- a list

  ```python
  b = a + 1
  assert b == 2
  ```

<!-- no-run: needs a broker -->
```python
raise RuntimeError
```

<!-- file: app.py -->
```python
print("took 12.5 ms")
print("and more")
```

<!-- run: numbers vary -->
```console
$ python app.py
took 3 ms
and ...
```

```console
$ never-run
```
"""


def test_page_without_fault(tmp_path: Path) -> None:
    assert check("PAGE", PAGE, tmp_path) == ""


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("b == 2", "b == 3", 'File "PAGE", line 10'),
        ("no-run: needs a broker", "no-run", "PAGE:14: no-run needs a reason"),
        ("no-run: needs a broker", "comment", "RuntimeError"),
        ("took 3 ms", "took 3 s", "PAGE:25: `python app.py` printed"),
        ("and ...", "and less", "PAGE:25: `python app.py` printed"),
        ("run: numbers vary", "run", "PAGE:25: `python app.py` printed"),
    ],
)
def test_page_with_fault(old: str, new: str, complaint: str, tmp_path: Path) -> None:
    assert complaint in check("PAGE", PAGE.replace(old, new), tmp_path)


def test_dots_stand_for_any_number_of_lines(tmp_path: Path) -> None:
    page = "<!-- run -->\n```console\n$ printf 'a\\nb\\nc\\nd\\n'\na\n...\nd\n```\n"

    assert check("PAGE", page, tmp_path) == ""
