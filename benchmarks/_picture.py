"""Draws what one call costs under each product, on a logarithmic scale; needs matplotlib."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ._budgets import added

if TYPE_CHECKING:
    from pathlib import Path

OURS, THEIRS, PLAIN = "#0b6e99", "#b0b7bd", "#d9a441"
CORE_NAMES = {"c": "manometer, compiled core", "python": "manometer, pure Python"}


def bars(results: dict[str, Any]) -> list[tuple[str, float, str]]:
    """Name, added cost in units of the yardstick, colour; the cheapest first."""
    found: dict[str, tuple[float, str]] = {}
    for core, peers in results.get("peers", {}).items():
        ours = []
        for name, part in peers.items():
            if "costs" in part:
                yardstick = added(part["costs"], "Y")
                ours.append(added(part["costs"], "manometer") / yardstick)
                ratio = added(part["costs"], "peer") / yardstick
                found[name] = (min(ratio, found.get(name, (ratio, ""))[0]), THEIRS)
        if ours:
            found[CORE_NAMES[core]] = (sorted(ours)[len(ours) // 2], OURS)
    found["two clock readings in a decorator"] = (1.0, PLAIN)
    return sorted(((name, value, colour) for name, (value, colour) in found.items()), key=lambda bar: bar[1])


def draw(results: dict[str, Any], path: Path) -> None:
    """Write the picture as SVG."""
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams["svg.hashsalt"] = "manometer"
    from matplotlib import pyplot

    found = bars(results)
    figure, axes = pyplot.subplots(figsize=(8, 0.36 * len(found) + 1.2), layout="constrained")
    names = [name for name, _, _ in found]
    values = [value for _, value, _ in found]
    drawn = axes.barh(names, values, color=[colour for _, _, colour in found])
    axes.bar_label(drawn, [f"{value:.2g}" if value < 10 else f"{value:.0f}" for value in values], padding=3)
    axes.set_xscale("log")
    axes.invert_yaxis()
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(left=False)
    axes.set_xlabel("added to one call, in units of a hand-written timing decorator")
    axes.set_title(f"What one measured call costs, CPython {results['python']}", loc="left")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, metadata={"Date": None})
