"""Recordings for the tests of commands: what the exporter `file` would have written, made of a few numbers."""

from __future__ import annotations

import json
from datetime import datetime, timezone
from random import Random
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

START_S = 1_790_000_000.0


def instant(value_s: float) -> str:
    return datetime.fromtimestamp(value_s, tz=timezone.utc).isoformat(timespec="milliseconds")


def site(label: str = "SELECT pet", **more: Any) -> dict[str, Any]:
    base = {"label": label, "kind": "db", "at": "shop/views.py:7", "in": "pets", "calls": 1, "errors": 0}
    return base | {"total_ms": 1.0, "self_ms": 1.0} | more


def finding(rule: str = "n-plus-one", **more: Any) -> dict[str, Any]:
    return {
        "id": "mn-abc123", "rule": rule, "question": "repetition", "severity": "warning", "confidence": "confirmed",
        "speaks": False, "calls": 40, "label": "SELECT pet", "at": "shop/views.py:7", "in": "pets", "cost_ms": 8.0,
        "share": 0.5, "saving_ms": [6.0, 7.0], "source": None, "holder": None, "move": "remove", "advice": "Load them at once.",
        "statement": "SELECT ?", "evidence": {}, "expected": "", "seen": [1, 1], "first_seen": None, "version": "",
    } | more  # fmt: skip


def report(
    name: str = "GET /pets",
    at_s: float = 0.0,
    duration_ms: float = 10.0,
    *,
    cpu_ms: float | None = 5.0,
    sql: int | None = 3,
    findings: Iterable[dict[str, Any]] = (),
    callsites: Iterable[dict[str, Any]] = (),
    tree: Iterable[Any] = (),
    **more: Any,
) -> dict[str, Any]:
    unit = {"kind": "request", "name": name, "status": "200", "outcome": "ok", "trace_id": "", "version": "7"}
    return {
        "schema": 1, "event": "report", "unit": unit | {"ended": instant(START_S + at_s + duration_ms / 1e3)},
        "dur_ms": duration_ms, "cpu_ms": cpu_ms, "waits_ms": {}, "concurrent": 1,
        "calls": {} if sql is None else {"sql": {"count": sql, "ms": sql * 0.5}},
        "findings": list(findings), "callsites": list(callsites), "tree": list(tree), "not_judged": {},
    } | more  # fmt: skip


def up(pid: int = 1, **more: Any) -> dict[str, Any]:
    return {"schema": 1, "event": "up", "pid": pid, "sources": ["flask"], "not_judged": {}} | more


def traffic(
    seed: int,
    units: int = 100,
    *,
    routes: int = 3,
    times: float = 1.0,
    spread: float = 0.2,
    shared: float = 1.0,
) -> Iterator[dict[str, Any]]:
    """Yield what one process recorded: its own pace, load that comes and goes, and *times* on the first route."""
    random = Random(seed)
    yield up()
    for route in range(routes):
        pace = random.gauss(0, 0.05)
        load = 0.0
        for unit in range(units):
            load = 0.9 * load + random.gauss(0, spread * 0.3)
            chance = 2.718 ** (pace + load + random.gauss(0, spread))
            took_ms = 10.0 * chance * shared * (times if route == 0 else 1.0)
            yield report(f"GET /{route}", unit, round(took_ms, 3), cpu_ms=round(took_ms * 0.8, 3))


def save(path: Path, records: Iterable[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    return path
