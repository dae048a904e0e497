"""The page about the log line shows the lines that are printed, and explains every key in them."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path

from tests.exporters.sample import MS, Lines, n_plus_one, parse, repeated_call, report, status

from manometer._config import Config
from manometer.exporters.console import ConsoleExporter

PAGE = (Path(__file__).parents[2] / "docs" / "reference" / "log-line.md").read_text(encoding="utf-8")
EXPLAINED = set(re.findall(r"`([a-z_0-9]+)`", PAGE))


def everything(log_format: str = "logfmt") -> list[str]:
    """Return a line of each sort, with every optional key in one of them."""
    lines = Lines(log_format=log_format)
    lines.of(
        report(n_plus_one(holder=repeated_call().callsite, version="7", seen=(10, 12)), held_back=8),
        report(cpu_ns=-1, concurrency=3, late=1, dropped={"frames": 1}, not_judged={"n-plus-one": "why"}),
        report(*[n_plus_one(expected="")] * 4, n_plus_one(expected="few"), speaking=False),
        *[report(n_plus_one(), speaking=False)] * 60,
    )
    lines.now_ns = 60_000 * MS
    lines.of(report())
    lines.exporter.heartbeat(status(dropped={"queue": 1}, unused_expected=("mn-7f3a21",)))
    lines.exporter.resolved(n_plus_one(seen=(4, 5)))
    return lines


def test_each_key_is_explained() -> None:
    keys = {key for line in everything() for key in parse(line)[1] if not key.startswith("ev_")}

    assert keys >= {"holder", "held_back", "suppressed", "more", "expected", "unused_expected"}
    assert keys - EXPLAINED == set()


def test_each_key_of_the_json_is_explained() -> None:
    keys: set[str] = set()
    for line in everything("json"):
        event = json.loads(line)["manometer"]
        keys |= event.keys() | event.get("finding", {}).keys() | event.get("unit", {}).keys()

    assert keys - {"info_hidden"} - EXPLAINED == set()


def test_the_lines_are_the_ones_printed() -> None:
    lines = Lines()
    lines.of(
        report(n_plus_one(), repeated_call(), speaking=False), report(n_plus_one(seen=(10, 12)), held_back=8)
    )
    lines.exporter.heartbeat(status())
    minute = Lines()
    minute.of(*[report(n_plus_one(), repeated_call(), speaking=False, duration_ns=500 * MS)] * 3)
    minute.now_ns = 60_000 * MS
    minute.exporter.tick()
    picture = io.StringIO()
    ConsoleExporter(Config(), picture).export(report(n_plus_one(seen=(3, 4)), repeated_call()))

    for text in (lines[0], lines[2], lines[3], minute[0], picture.getvalue()):
        assert f"```text\n{text.rstrip()}\n```" in PAGE
