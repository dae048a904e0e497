"""`manometer report`: what recorded reports say together, of one process or of many workers."""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any, Final

_FORMATS: Final = ("text", "json", "speedscope", "chrome")
_EPILOG: Final = """examples:
  MANOMETER_EXPORTERS=log,file manometer run app.py
  manometer report manometer.jsonl
  manometer report worker-*.jsonl --format speedscope --output calls.speedscope.json
  manometer report manometer.jsonl --route 'GET /orders*' --fail-on n-plus-one
"""


def add_to(commands: Any) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "report",
        help="sum up recorded reports: findings, routes, callsites",
        description="Read reports that the exporter `file` wrote, of one process or of many, and sum them up.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("files", metavar="FILE", nargs="+", help="a file of JSON lines, - for standard input")
    parser.add_argument("--format", choices=_FORMATS, default="text", help="text by default")
    parser.add_argument("--output", metavar="PATH", default="-", help="standard output by default")
    parser.add_argument("--route", metavar="PATTERN", default="*", help="only these units of work (*, ?)")
    parser.add_argument("--top", metavar="N", type=int, default=10, help="routes and callsites told, 10")
    parser.add_argument(
        "--fail-on",
        metavar="WHAT",
        action="append",
        default=[],
        help="exit with 1 on a finding: `finding` for any, `warning` for a material one, or the name of a rule",
    )
    parser.set_defaults(function=run)


def run(options: argparse.Namespace) -> int:
    """Write the report.

    Returns:
        0; 1 when `--fail-on` asks for it; 2 with one line on stderr when a file cannot be read or written.
    """
    from manometer.reports.recording import UnreadableError, read
    from manometer.reports.summary import summary

    try:
        recording = read(options.files, options.route)
        found = summary(recording, max(0, options.top))
        text = _written(recording, found, options.format)
        _write(text, options.output)
    except UnreadableError as error:
        print(f"manometer report: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"manometer report: {options.output}: {error.strerror or error}", file=sys.stderr)
        return 2
    if recording.skipped_lines:
        print(f"manometer report: {recording.skipped_lines} lines are no whole records", file=sys.stderr)
    return 1 if any(_is_named(item, what) for item in found["findings"] for what in options.fail_on) else 0


def _written(recording: Any, found: dict[str, Any], form: str) -> str:
    from manometer.reports import terminal

    if form == "json":
        return json.dumps(found, indent=1) + "\n"
    if form == "text":
        return terminal.text(terminal.report(found), sys.stdout)
    from manometer.reports import traces

    picture = traces.speedscope(recording) if form == "speedscope" else traces.chrome(recording)
    return json.dumps(picture) + "\n"


def _write(text: str, path: str) -> None:
    if path == "-":
        sys.stdout.write(text)
        return
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)


def _is_named(item: dict[str, Any], what: str) -> bool:
    return what in ("finding", item["rule"], item["severity"])
