"""`manometer questions`: the four questions, answered from what the exporter `file` recorded."""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any


def add_to(commands: Any) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "questions",
        help="answer the four questions from recorded reports",
        description="Read reports that the exporter `file` wrote, and print the four questions with their answers.",
        epilog="example:\n  MANOMETER_EXPORTERS=log,file manometer run app.py\n  manometer questions manometer.jsonl",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("files", metavar="FILE", nargs="+", help="a file of JSON lines, - for standard input")
    parser.set_defaults(function=questions)


def questions(options: argparse.Namespace) -> int:
    """Print the page.

    Returns:
        0; 2 with one line on stderr when a file cannot be read or holds no report.
    """
    from manometer.exporters.questions import Questions

    asked = Questions()
    read = skipped = 0
    for name in options.files:
        try:
            with _open(name) as lines:
                for line in lines:
                    if _add(asked, line):
                        read += 1
                    elif line.strip():
                        skipped += 1
        except OSError as error:
            print(f"manometer questions: {name}: {error.strerror}", file=sys.stderr)
            return 2
    if not read:
        print("manometer questions: there is no report in it", file=sys.stderr)
        return 2
    sys.stdout.write(asked.page())
    if skipped:
        print(f"manometer questions: {skipped} lines are no reports of this version", file=sys.stderr)
    return 0


def _open(name: str) -> Any:
    if name == "-":
        return open(sys.stdin.fileno(), encoding="utf-8", errors="replace", closefd=False)
    return open(name, encoding="utf-8", errors="replace")


def _add(asked: Any, line: str) -> bool:
    try:
        record = json.loads(line)
        if record["schema"] != 1:
            return False
        asked.add_record(record)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return False
    return True
