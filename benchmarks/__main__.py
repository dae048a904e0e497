"""Measure everything, compare it with the budgets, write JSON and the picture: `python -m benchmarks`.

Each part runs in a process of its own, because a core is chosen at import and peers patch what they touch.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

from . import _budgets
from ._tapped import LIBRARIES
from .peers import PEERS

ROOT = Path(__file__).parents[1]
PARTS = ("calls", "peers", "taps", "pipeline", "governor", "demo")


def run(core: str, module: str, *arguments: str) -> dict[str, Any]:
    """One process; what it printed as JSON, or why there is nothing."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MANOMETER")}
    environment |= {"MANOMETER_CORE": core, "PYTHONHASHSEED": "0", "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [sys.executable, "-m", f"benchmarks.{module}", *arguments],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=1_800,
        check=False,
    )
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    if done.returncode or not lines:
        return {"missing": (done.stderr.strip().splitlines() or ["no output"])[-1][:200]}
    return json.loads(lines[-1])  # type: ignore[no-any-return]


def cores(wanted: str) -> list[str]:
    """The cores to measure: those asked for that there are."""
    found = subprocess.run(
        [sys.executable, "-c", "from manometer import _native; print(_native.name())"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    ).stdout.strip()
    built = ["python", "c"] if found == "c" else ["python"]
    return [core for core in built if wanted in ("", core)]


def measure(part: str, core: str, effort: str) -> dict[str, Any]:
    """One part with one core."""
    quick = effort == "quick"
    if part == "peers":
        names = ["wrapt doing nothing", "cProfile"] if quick else list(PEERS)
        return {name: run(core, "peers", effort, name) for name in names}
    if part == "taps":
        libraries = ["sqlite3"] if quick else list(LIBRARIES)
        return {each: run(core, "taps", effort, each) for each in libraries}
    return run(core, part, effort, *(("sync", "async") if quick and part == "calls" else ()))


def report(results: dict[str, Any]) -> bool:
    """Print the table; returns whether every budget was kept."""
    kept = True
    for row in _budgets.rows(results):
        print(row.line())
        kept = kept and row.kept
    for part, per_core in results.items():
        if part in PARTS:
            for path, reason in missing(per_core):
                print(f"not measured: {part} {path}: {reason}")
    return kept


def missing(tree: dict[str, Any], path: str = "") -> list[tuple[str, str]]:
    """What could not be measured, and why."""
    if "missing" in tree:
        return [(path.strip(), tree["missing"])]
    found = []
    for name, branch in tree.items():
        if isinstance(branch, dict):
            found += missing(branch, f"{path} {name}")
    return found


def main() -> int:
    """Run the parts asked for; 1 when a budget was missed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--parts", nargs="*", default=list(PARTS), choices=PARTS)
    parser.add_argument("--core", default="", choices=("", "python", "c"), help="only this core")
    parser.add_argument("--effort", default="normal", choices=("quick", "normal", "long"))
    parser.add_argument(
        "--quick", action="store_const", dest="effort", const="quick", help="only check that it runs"
    )
    parser.add_argument("--no-fail", action="store_true", help="exit with 0 though a budget was missed")
    parser.add_argument("--json", type=Path, default=ROOT / "build" / "benchmarks.json")
    parser.add_argument(
        "--picture", type=Path, help="draw the costs of peers to this SVG file (needs matplotlib)"
    )
    options = parser.parse_args()
    print(
        f"Python {platform.python_version()}, {platform.machine()}; ratios, best of many short interleaved slices\n"
    )
    results: dict[str, Any] = {"python": platform.python_version(), "effort": options.effort}
    for part in options.parts:
        results[part] = {core: measure(part, core, options.effort) for core in cores(options.core)}
        for core, found in list(results[part].items()):
            if "missing" in found:
                print(f"not measured: {part} {core}: {found['missing']}")
                del results[part][core]
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    kept = report(results)
    if options.picture:
        from ._picture import draw

        draw(results, options.picture)
    return 0 if kept or options.no_fail else 1


if __name__ == "__main__":
    sys.exit(main())
