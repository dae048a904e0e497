"""`manometer explain`: the page of a rule, on a machine without a browser."""

from __future__ import annotations

import argparse
import difflib
import sys
from pathlib import Path
from typing import Any, Final

_PAGES: Final = (
    Path(__file__).parents[1] / "_pages",
    Path(__file__).parents[3] / "docs" / "reference" / "findings",
)
"""In an installed package; in a checkout."""


def add_to(commands: Any) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "explain",
        help="say what a rule means, and how to fix what it finds",
        description="Print the page of a rule: meaning, evidence, thresholds, false alarms, fix.",
        epilog="examples:\n  manometer explain n-plus-one\n  manometer explain --list",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("rule", metavar="RULE", nargs="?", help="the name of a rule, as the log has it")
    parser.add_argument("--list", action="store_true", help="print the names of all rules")
    parser.set_defaults(function=run)


def run(options: argparse.Namespace) -> int:
    """Print the page.

    Returns:
        0; 2 with one line on stderr when there is no such rule.
    """
    found = pages()
    if options.list:
        print("\n".join(sorted(found)))
        return 0
    if options.rule is None:
        print("manometer explain: which rule? --list names all", file=sys.stderr)
        return 2
    page = found.get(options.rule)
    if page is None:
        near = difflib.get_close_matches(options.rule, found, n=1)
        hint = f"; did you mean {near[0]}?" if near else "; --list names all"
        print(f"manometer explain: there is no rule {options.rule!r}{hint}", file=sys.stderr)
        return 2
    _show(page.read_text(encoding="utf-8"))
    return 0


def pages() -> dict[str, Path]:
    """Return the page of each rule, by its name."""
    for folder in _PAGES:
        if folder.is_dir():
            return {path.stem: path for path in folder.glob("*.md") if path.stem != "index"}
    return {}


def _show(text: str) -> None:
    if sys.stdout.isatty():
        try:
            from rich.console import Console
            from rich.markdown import Markdown
        except ImportError:
            pass
        else:
            Console().print(Markdown(text))
            return
    sys.stdout.write(text)
