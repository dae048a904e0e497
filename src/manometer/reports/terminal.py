"""A summary or a comparison as text for a terminal: drawn by rich where it is installed, in plain columns where not."""

from __future__ import annotations

import io
import shutil
import textwrap
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, TextIO, final

from .._line import number
from ..exporters._event import where
from ..exporters.questions import QUESTIONS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

_FINDINGS: Final = 10
_WIDTH: Final = 110
"""Columns where there is no terminal to ask."""


@final
@dataclass(frozen=True, slots=True)
class Table:
    """Rows below a title; columns whose name ends in a unit or a percent sign are numbers, and stand to the right."""

    title: str
    columns: tuple[str, ...]
    rows: list[tuple[str, ...]] = field(default_factory=list)


Part = Table | str


def text(parts: Iterable[Part], out: TextIO) -> str:
    """Return tables and paragraphs as they are to be written to a stream: with colour if that is a terminal."""
    try:
        from rich.console import Console
    except ImportError:
        return "".join(_plain(part) for part in parts)
    drawn = io.StringIO()
    terminal = out.isatty()
    console = Console(file=drawn, width=_columns(out), force_terminal=terminal, highlight=False)
    _draw(parts, console)
    return "\n".join(line.rstrip() for line in drawn.getvalue().splitlines()) + "\n"


def report(found: Mapping[str, Any]) -> Iterator[Part]:
    """Yield what a person wants to know of a summary first: findings, routes, callsites, the four questions."""
    yield (
        f"{found['units']} units of work of {max(1, found['processes'])} processes, "
        f"{number(found['total_ms'] / 1e3)} s in them, from {found['from']} to {found['to']}"
    )
    yield from _findings(found)
    yield _routes(found)
    yield _callsites(found)
    for name, text in QUESTIONS:
        ids = found["questions"][name]
        yield f"{text} {', '.join(ids[:5]) + (' ...' if len(ids) > 5 else '') if ids else 'Nothing was found.'}"
    if found["expected"]:
        yield "Expected: " + "; ".join(
            f"{item['id']} {item['rule']} ({item['expected']})" for item in found["expected"][:_FINDINGS]
        )
    for rule, reason in found["not_judged"].items():
        yield f"Not judged: {rule}: {reason}"


def _findings(found: Mapping[str, Any]) -> Iterator[Part]:
    items = found["findings"]
    if not items:
        yield "No finding."
        return
    for rank, item in enumerate(items[:_FINDINGS], 1):
        yield (
            f"{rank}. {item['rule']} {item['id']} {item['confidence']}: {item['label']}\n"
            f"   {where(item) or 'the process'}; in {item['units']} of "
            f"{item['units_of_its_routes']} units of {', '.join(item['routes'][:3])}; {_saving(item)}\n"
            f"   {item['advice']}"
        )
    if len(items) > _FINDINGS:
        yield f"and {len(items) - _FINDINGS} more findings (--format json tells all)"


def _saving(item: Mapping[str, Any]) -> str:
    low, high = map(number, item["saving_ms_per_unit"])
    if item["saving_ms_per_unit"][1] <= 0:
        return "a risk, no time to save"
    a_minute = number(item["saving_ms_per_min"][1] / 1e3)
    return f"a fix saves {low if low == high else f'{low} to {high}'} ms a unit, at this rate {a_minute} s a minute"


def _routes(found: Mapping[str, Any]) -> Table:
    table = Table(
        "Routes by their whole time",
        (
            "route",
            "units",
            "failed",
            "time %",
            "p50 ms",
            "p95 ms",
            "p99 ms",
            "max ms",
            "cpu ms",
            "calls a unit",
        ),
    )
    for route in found["routes"]:
        calls = [f"{kind} {number(call['per_unit'])}" for kind, call in route["calls"].items()]
        cpu = "n/a" if route["cpu_ms"] is None else number(route["cpu_ms"])
        times = (number(route[key]) for key in ("p50_ms", "p95_ms", "p99_ms", "max_ms"))
        table.rows.append(
            (
                route["name"], str(route["units"]), str(route["failed"]),
                "" if route["share"] is None else _percent(route["share"]),
                *times, cpu, ", ".join(calls),
            )
        )  # fmt: skip
    return table


def _callsites(found: Mapping[str, Any]) -> Table:
    table = Table(
        "Callsites by their own time", ("callsite", "at", "calls", "own ms", "own %", "with calls ms")
    )
    for place in found["callsites"]:
        table.rows.append(
            (
                place["label"], place["at"], str(place["calls"]), number(place["self_ms"]),
                _percent(place["share"]), number(place["total_ms"]),
            )
        )  # fmt: skip
    return table


def _percent(share: float) -> str:
    return f"{share * 100:.1f}"


def _is_number(column: str) -> bool:
    return column.endswith((" ms", " %")) or column in ("units", "failed", "calls")


def _columns(out: TextIO) -> int:
    return shutil.get_terminal_size((_WIDTH, 24)).columns if out.isatty() else _WIDTH


def _printable(text: str) -> str:
    return "".join(char if char.isprintable() or char == "\n" else "?" for char in text)


def _draw(parts: Iterable[Part], console: Any) -> None:
    from rich.table import Table as RichTable
    from rich.text import Text

    for part in parts:
        if isinstance(part, str):
            console.print(Text(_printable(part)))
            continue
        drawn = RichTable(title=part.title, title_justify="left", box=None, pad_edge=False, expand=False)
        for column in part.columns:
            right = _is_number(column)
            drawn.add_column(
                column, justify="right" if right else "left", no_wrap=right, overflow="fold" if right else "ellipsis"
            )  # fmt: skip
        for row in part.rows:
            drawn.add_row(*(Text(_printable(cell)) for cell in row))
        console.print()
        console.print(drawn)
        console.print()


def _plain(part: Part) -> str:
    if isinstance(part, str):
        lines = [
            textwrap.fill(line, _WIDTH, subsequent_indent="   ") for line in _printable(part).split("\n")
        ]
        return "\n".join(lines) + "\n"
    rows: list[Sequence[str]] = [part.columns, *part.rows]
    widths = [min(40, max(len(row[at]) for row in rows)) for at in range(len(part.columns))]
    lines = [
        "  ".join(
            cell[:width].rjust(width) if _is_number(column) else _printable(cell)[:width].ljust(width)
            for cell, width, column in zip(row, widths, part.columns, strict=True)
        ).rstrip()
        for row in rows
    ]
    return "\n".join(["", part.title, *lines, "", ""])
