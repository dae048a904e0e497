"""Compares what was measured with budgets.toml: rows of a name, the figure, the limit, and whether it is kept."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

FILE = Path(__file__).with_name("budgets.toml")


@dataclass(frozen=True)
class Row:
    """One figure beside its limit.

    Attributes:
        name: What was measured.
        core: Which core measured.
        value: The figure.
        limit: The budget; None where there is none.
        least: The limit is the least allowed, not the most.
        unit: What the figure counts.
    """

    name: str
    core: str
    value: float
    limit: float | None = None
    least: bool = False
    unit: str = "x"

    @property
    def kept(self) -> bool:
        """Whether the figure is within the limit; true where there is none."""
        if self.limit is None:
            return True
        return self.value >= self.limit if self.least else self.value <= self.limit

    def line(self) -> str:
        """The row as text."""
        verdict = "" if self.limit is None else "ok" if self.kept else "MISSED"
        limit = "" if self.limit is None else f"{'>=' if self.least else '<='} {self.limit:g}"
        return f"{self.name:44}{self.core:8}{self.value:10.2f} {self.unit:8}{limit:>10}  {verdict}"


def load() -> dict[str, Any]:
    """The budgets."""
    return tomllib.loads(FILE.read_text(encoding="utf-8"))


def added(table: dict[str, Any], candidate: str, base: str = "bare") -> float:
    """Nanoseconds that a candidate adds to a call, best slice against best slice."""
    return max(0.001, table[candidate]["min"] - table[base]["min"])


def limit_of(budget: dict[str, Any], core: str) -> float | None:
    """The limit for a core on this Python."""
    if core == "python" and sys.version_info < (3, 11) and "python310" in budget:
        return float(budget["python310"])
    return float(budget[core]) if core in budget else None


def _ratio(budget: dict[str, Any], tables: dict[str, Any]) -> float | None:
    table = tables.get(budget["table"])
    if table is None:
        return None
    candidate = budget.get("candidate", "manometer")
    by = budget["by"]
    if by == "bare":
        return float(table[candidate]["min"] / table["bare"]["min"])
    if by == "plain Y":
        plain = tables["sync"]
        return added(table, candidate) / added(plain, "Y")
    if by == "call Y":
        return added(table, candidate) / added(table, "Y", "bare call")
    return added(table, candidate) / added(table, by)


def rows(results: dict[str, Any]) -> Iterator[Row]:
    """Every figure of a run that has a budget, and the peers that have none."""
    budgets = load()
    for core, part in results.get("calls", {}).items():
        for budget in budgets["budget"]:
            value = _ratio(budget, part["tables"])
            if value is not None:
                yield Row(budget["name"], core, value, limit_of(budget, core), unit=budget["by"])
    yield from _peers(results.get("peers", {}), budgets["peers"])
    yield from _taps(results.get("taps", {}), budgets["taps"])
    yield from _pipeline(results.get("pipeline", {}), budgets["pipeline"])
    for core, part in results.get("governor", {}).items():
        if "late_ns" in part:
            ratio = part["late_ns"] / part["bare_ns"]
            yield Row("hot loop after 5 s", core, ratio, budgets["governor"]["hot_loop"], unit="bare")
    for core, part in results.get("demo", {}).items():
        for state, figures in part["states"].items():
            limit = budgets["demo"][core] if state == "on" else None
            yield Row(f"shop, {state}: median response", core, figures["low"], limit, unit="off, low")


def _peers(parts: dict[str, Any], limits: dict[str, Any]) -> Iterator[Row]:
    for core, peers in parts.items():
        for name, part in peers.items():
            if "costs" in part:
                value = added(part["costs"], "peer") / added(part["costs"], "manometer")
                yield Row(name, core, value, limits.get(name, {}).get(core), least=True, unit="dearer")


def _taps(parts: dict[str, Any], limits: dict[str, Any]) -> Iterator[Row]:
    for core, libraries in parts.items():
        for library, part in libraries.items():
            if "costs" in part:
                costs = part["costs"]
                ours, theirs = (added(costs, state) for state in ("manometer", "OpenTelemetry"))
                yield Row(f"{library} query", core, ours / added(costs, "Y", "bare call"), unit="Y")
                yield Row(f"{library} query, share of OpenTelemetry's", core, ours / theirs, limits[library])


def _pipeline(parts: dict[str, Any], limits: dict[str, Any]) -> Iterator[Row]:
    for core, part in parts.items():
        costs = part["costs"]
        growth = costs["100000"]["min"] / costs["1000"]["min"]
        yield Row("judging 100,000 calls against 1,000", core, growth, limits["growth"])
        yield Row("reports a second", core, part["reports_per_s"], unit="1/s")
        yield Row(
            "memory left by 2,000 units", core, part["grown_bytes"], limits["grown_bytes"], unit="bytes"
        )
