"""`manometer questions`: the four questions, answered from what the exporter `file` recorded."""

from __future__ import annotations

import argparse
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
    from manometer.reports.recording import UnreadableError, read_file

    asked = Questions()
    try:
        skipped = sum(read_file(name, asked.add_record) for name in options.files)
    except UnreadableError as error:
        print(f"manometer questions: {error}", file=sys.stderr)
        return 2
    sys.stdout.write(asked.page())
    if skipped:
        print(f"manometer questions: {skipped} lines are no whole records", file=sys.stderr)
    return 0
