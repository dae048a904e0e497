"""`manometer doctor`: what is installed here, what of it is seen, what is not and why, and what it costs."""

from __future__ import annotations

import argparse
import importlib.util
import platform
import sys
from importlib import import_module, metadata
from typing import Any, NamedTuple

from manometer import _native
from manometer._config import Config
from manometer._version import version
from manometer.sources import SOURCES, Entry, install_all

_PACKAGES = {"MySQLdb": "mysqlclient", "opentelemetry": "opentelemetry-api", "psycopg2": "psycopg2-binary"}
"""Distributions that are named otherwise than what they install."""


class Row(NamedTuple):
    """One source: its state (`seen`, `not seen`, `off`, `not installed`), the library's version, a remark."""

    name: str
    state: str
    library: str
    remark: str


def add_to(commands: Any) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "doctor",
        help="say what is seen here, what is not and why, and what it costs",
        description="Import every supported library that is installed, tap it, and say what came of it.",
        epilog="examples:\n  manometer doctor\n  MANOMETER_DISABLE=redis manometer doctor --fail-on not-seen",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--all", action="store_true", help="list libraries that are not installed, too")
    parser.add_argument(
        "--fail-on",
        choices=("not-seen",),
        help="exit with 1 when a library is installed and cannot be seen",
    )
    parser.set_defaults(function=run)


def run(options: argparse.Namespace) -> int:
    """Print the page.

    Returns:
        0, or 1 when `--fail-on` asks for it.
    """
    warnings: list[str] = []
    config = Config.from_env(warn=warnings.append)
    rows = examine(config)
    print(f"manometer {version()}, Python {platform.python_version()} on {sys.platform}")
    for warning in warnings:
        print(f"configuration: {warning}")
    shown = [row for row in rows if options.all or row.state != "not installed"]
    width = max((len(row.name) for row in shown), default=0)
    for row in shown:
        print(f"  {row.name:{width}}  {row.state:13}  {row.library:12}  {row.remark}".rstrip())
    hidden = len(rows) - len(shown)
    if hidden:
        print(f"  and {hidden} supported libraries that are not installed (--all lists them)")
    print(_cost(config))
    blind = [row for row in rows if row.state == "not seen"]
    return 1 if options.fail_on and blind else 0


def examine(config: Config) -> list[Row]:
    """Import and tap every supported library that is installed; takes the taps back.

    Imports much, so only for a process of its own: a second or two.
    """
    states: dict[str, tuple[str, str]] = {}

    def report(name: str, state: str, reason: str) -> None:
        states[name] = (state, reason)

    undo = install_all(config, report)
    try:
        return [_row(name, entry, states) for name, entry in sorted(SOURCES.items())]
    finally:
        undo()


def _row(name: str, entry: Entry, states: dict[str, tuple[str, str]]) -> Row:
    package = entry.trigger.partition(".")[0]
    if states[name][0] == "off":
        return Row(name, "off", "", "disabled by MANOMETER_DISABLE")
    if importlib.util.find_spec(package) is None:
        return Row(name, "not installed", "", "")
    try:
        import_module(package)
        import_module(entry.trigger)
    except ModuleNotFoundError as error:
        return Row(name, "not installed", "", f"{error.name} is missing")
    except Exception as error:
        return Row(name, "not seen", _library(package), f"importing it raises {type(error).__name__}")
    state, reason = states[name]
    return Row(name, "seen" if state == "active" else "not seen", _library(package), reason)


def _library(package: str) -> str:
    if package in sys.stdlib_module_names:
        return platform.python_version()
    if package == "manometer":
        return version()
    try:
        return metadata.version(_PACKAGES.get(package, package))
    except metadata.PackageNotFoundError:
        return "?"


def _cost(config: Config) -> str:
    from manometer._governor import Governor

    governor = Governor()
    governor.calibrate()
    query_us = governor.costs.tap_ns("", plain=False) / 1_000
    return (
        f"a measured call adds about {governor.call_ns} ns on this machine ({_native.name()} core), a query about "
        f"{query_us:.0f} us;\nwhile all of it takes more than {config.max_overhead:.1%} of the process's CPU "
        "(MANOMETER_MAX_OVERHEAD), detail falls"
    )
