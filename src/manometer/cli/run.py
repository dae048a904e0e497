"""`manometer run`: measure a program without a change to it."""

from __future__ import annotations

import argparse
import os
import runpy
import shutil
import sys
from typing import Any, Final

from manometer._config import child_environment

_SITE: Final = os.path.join(os.path.dirname(os.path.abspath(__file__)), "site")


def add_to(commands: Any) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "run",
        help="measure a program without a change to it",
        description="Run a Python script, a module, or a command with its child processes, with MANOMETER=1.",
        epilog="examples:\n  manometer run app.py --port 8000\n  manometer run -- gunicorn app:app",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("-m", dest="module", action="store_true", help="PROGRAM is the name of a module")
    parser.add_argument(
        "program", metavar="PROGRAM", help="a .py file, a folder with __main__.py, or a command"
    )
    parser.add_argument(
        "arguments", metavar="ARGUMENT", nargs=argparse.REMAINDER, help="handed to the program"
    )
    parser.set_defaults(function=run)


def run(options: argparse.Namespace) -> int:
    """Run the program in this process if it is Python source, else replace this process by it.

    Returns:
        Its exit code; 2 with one line on stderr when there is no such program.
    """
    program, arguments = options.program, list(options.arguments)
    if options.module:
        _begin([program, *arguments], os.getcwd())
        runpy.run_module(program, run_name="__main__", alter_sys=True)
        return 0
    if program.endswith((".py", ".pyw")) or os.path.isdir(program):
        if not os.path.exists(program):
            print(f"manometer run: there is no file {program}", file=sys.stderr)
            return 2
        folder = program if os.path.isdir(program) else os.path.dirname(os.path.abspath(program))
        _begin([program, *arguments], os.path.abspath(folder))
        runpy.run_path(program, run_name="__main__")
        return 0
    command = shutil.which(program)
    if command is not None:
        os.execve(command, [program, *arguments], child_environment(_SITE))
    print(f"manometer run: there is no command {program} on the PATH", file=sys.stderr)
    return 2


def _begin(argv: list[str], folder: str) -> None:
    """Become the program: its arguments, its import path, manometer on here and in its children."""
    child_environment(_SITE, here=True)
    sys.argv = argv
    sys.path[0] = folder
    from manometer import _runtime

    if _runtime.running() is None:
        _runtime.autostart()
