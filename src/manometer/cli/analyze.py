"""`manometer analyze`: find in recorded traces what a live process would have been told."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from manometer._finding import Finding, Report


def add_to(commands: Any) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "analyze",
        help="judge recorded traces of any language",
        description="Read traces as OTLP in JSON lines and print what the rules find in them.",
        epilog="example:\n  manometer analyze traces.jsonl",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("file", metavar="FILE", help="one export request a line; - for standard input")
    parser.set_defaults(function=run)


def run(options: argparse.Namespace) -> int:
    """Print each finding once, the costliest first, with the number of units of work that had it.

    Returns:
        0; 2 with one line on stderr when the file cannot be read.
    """
    from manometer._analyze import analyze

    try:
        if options.file == "-":
            reports = analyze(line.strip() for line in sys.stdin)
        else:
            with open(options.file, encoding="utf-8") as file:
                reports = analyze(line.strip() for line in file)
    except (OSError, ValueError) as error:
        print(f"manometer analyze: {options.file}: {type(error).__name__}: {error}", file=sys.stderr)
        return 2
    found = _by_id(reports)
    for report, finding, count in found:
        print(f"{_line(report, finding)} units_with={count} units={len(reports)}")
    print(f"{len(reports)} units of work, {len(found)} findings")
    return 0


def _by_id(reports: tuple[Report, ...]) -> list[tuple[Report, Finding, int]]:
    worst: dict[str, tuple[Report, Finding, int]] = {}
    for report in reports:
        for finding in report.findings:
            known = worst.get(finding.id)
            count = 1 if known is None else known[2] + 1
            if known is None or finding.cost_ns > known[1].cost_ns:
                worst[finding.id] = (report, finding, count)
            else:
                worst[finding.id] = (known[0], known[1], count)
    return sorted(worst.values(), key=lambda item: -item[1].cost_ns)


def _line(report: Report, finding: Finding) -> str:
    from manometer.exporters import _event, _logfmt

    return _logfmt.line(_event.said(finding, report))
