"""`manometer diff`: what changed between two recordings, and what only looks as if it had."""

from __future__ import annotations

import argparse
import json
import sys
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

    from manometer.reports.difference import Change, Difference

_EPILOG: Final = """examples:
  manometer diff before.jsonl after.jsonl
  manometer diff main.jsonl branch.jsonl --fail-on new --fail-on slower
"""
_BAD: Final = ("new", "more-calls", "slower")


def add_to(commands: Any) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "diff",
        help="compare two recordings: what got slower, what is repeated now, what was fixed",
        description="Compare two recordings of the exporter `file`; what may be chance is not told as a change.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("before", metavar="BEFORE", help="the older recording")
    parser.add_argument("after", metavar="AFTER", help="the newer recording")
    parser.add_argument("--route", metavar="PATTERN", default="*", help="only these units of work (*, ?)")
    parser.add_argument(
        "--threshold", metavar="PERCENT", type=_percent, default=0.1, help="change of a time that counts, 10"
    )
    parser.add_argument("--format", choices=("text", "json"), default="text", help="text by default")
    parser.add_argument(
        "--fail-on",
        action="append",
        default=[],
        choices=(*_BAD, "fixed", "faster", "fewer-calls", "worse", "any"),
        help="exit with 1 on such a change; `worse` is any of new, more-calls, slower",
    )
    parser.set_defaults(function=run)


def run(options: argparse.Namespace) -> int:
    """Print the comparison.

    Returns:
        0; 1 when `--fail-on` asks for it; 2 with one line on stderr when a file cannot be read.
    """
    from manometer.reports.difference import difference
    from manometer.reports.recording import UnreadableError, read

    try:
        before = read([options.before], options.route)
        after = read([options.after], options.route)
    except UnreadableError as error:
        print(f"manometer diff: {error}", file=sys.stderr)
        return 2
    found = difference(before, after, options.threshold)
    if options.format == "json":
        print(json.dumps(found.as_json(), indent=1))
    else:
        print("\n".join(_lines(found)))
    wanted = set(options.fail_on) | (set(_BAD) if "worse" in options.fail_on else set())
    return 1 if any("any" in wanted or change.verdict in wanted for change in found.changes) else 0


def _percent(text: str) -> float:
    value = float(text.rstrip("%")) / 100
    if not 0 < value < 10:
        raise argparse.ArgumentTypeError("a percentage above 0")
    return value


def _lines(found: Difference) -> Iterator[str]:
    if not found.changes:
        yield f"No change: {found.routes} routes compared, none changed by {found.threshold:.0%} beyond noise."
    for change in found.changes:
        yield _line(change)
    if not 1 / (1 + found.threshold) < found.shared < 1 + found.threshold:
        yield (
            f"All routes take {found.shared:.2f} times as long: the machine, the load or something they share, "
            "not a line of one route."
        )
    for text in found.unsure[:10]:
        yield f"Not sure: {text}."
    if len(found.unsure) > 10:
        yield f"Not sure: {len(found.unsure) - 10} more."


def _line(change: Change) -> str:
    from manometer._line import number

    where = f" ({change.where})" if change.where else ""
    if change.verdict in ("fixed", "new"):
        count = change.before if change.before is not None else change.after
        calls = "" if count is None else f", {number(int(count))} calls"
        return f"{change.verdict}: {change.what} {change.id}{where} in {change.route}{calls}"
    before, after = number(change.before or 0.0), number(change.after or 0.0)
    if change.what == "time":
        return f"{change.verdict}: {change.route} {before} to {after} ms (median), most of it in {change.where or 'the unit itself'}"
    return f"{change.verdict}: {change.route} {before} to {after} {change.what} a unit{where}"
