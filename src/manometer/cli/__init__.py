"""The command line: `manometer COMMAND`, the same as `python -m manometer COMMAND`."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, Final

from . import analyze, diff, doctor, explain, questions, report, run

if TYPE_CHECKING:
    from collections.abc import Sequence

_EPILOG: Final = """examples:
  manometer run app.py                     measure a script or an application, without changing it
  manometer run -m flask --app shop run    the same for a module
  manometer run -- gunicorn app:app        the same for a command and its workers
  manometer doctor                         what is seen here, what is not and why
  manometer analyze traces.jsonl           judge recorded traces of any language
  manometer report manometer.jsonl         what recorded reports say together
  manometer diff before.jsonl after.jsonl  what got slower, what is repeated now, what was fixed
  manometer questions manometer.jsonl      the four questions, answered from recorded reports
  manometer explain n-plus-one             what a rule means, and how to fix what it finds
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        argv: Arguments without the program's name; those of the process when None.

    Returns:
        The exit code: that of the measured program for `run`, 2 for a wrong command line.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    parser = argparse.ArgumentParser(
        prog="manometer",
        description="What happens when this grows? In-process profiling, meant for production.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=_version())
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    run.add_to(commands)
    analyze.add_to(commands)
    doctor.add_to(commands)
    questions.add_to(commands)
    report.add_to(commands)
    diff.add_to(commands)
    explain.add_to(commands)
    if not arguments:
        parser.print_help()
        return 2
    options = parser.parse_args(arguments)
    code: int = options.function(options)
    return code


def _version() -> str:
    from manometer import _native
    from manometer._version import version

    return f"manometer {version()} ({_native.name()} core)"
