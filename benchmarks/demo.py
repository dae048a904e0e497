"""The shop of the demo in four states: one worker each, asked in turn, so that all meet the same machine."""

from __future__ import annotations

import json
import os
import random
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import IO, Any, cast

EXAMPLES = Path(__file__).parents[1] / "examples"
STATES = ("off", "dormant", "on", "OpenTelemetry")
SWITCH = {"off": "0", "on": "1"}
PAGES = ("/orders", "/orders-eager", "/settings", "/settings-once", "/prices", "/prices-once")


def serve() -> None:
    """Be a worker: for each line on stdin answer that many rounds of all pages; durations in ns on stdout."""
    import logging

    logging.disable(logging.CRITICAL)
    state = sys.argv[2]
    import manometer  # noqa: F401 - obeys MANOMETER

    if state == "OpenTelemetry":
        from opentelemetry.instrumentation.flask import FlaskInstrumentor
        from opentelemetry.instrumentation.sqlalchemy import SQLAlchemyInstrumentor

        from .taps import provider

        provider()
        FlaskInstrumentor().instrument()
        SQLAlchemyInstrumentor().instrument()
    sys.path.insert(0, str(EXAMPLES))
    from shop.app import create_app

    client = create_app().test_client()
    for line in sys.stdin:
        durations = []
        cpu_ns = time.process_time_ns()
        for _ in range(int(line)):
            for page in PAGES:
                started_ns = time.perf_counter_ns()
                client.get(page + "?n=20")
                durations.append(time.perf_counter_ns() - started_ns)
        print(json.dumps([durations, time.process_time_ns() - cpu_ns]), flush=True)


class Worker:
    """A process in one state."""

    def __init__(self, state: str) -> None:
        self.state = state
        self.rounds: list[list[int]] = []
        self.cpu_ns: list[int] = []
        environment = {name: value for name, value in os.environ.items() if name != "MANOMETER"}
        environment |= {"SHOP_ROUND_TRIP_MS": "0.5", "MANOMETER_EXPORTERS": ""}
        if state in SWITCH:
            environment["MANOMETER"] = SWITCH[state]
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.demo", "serve", state],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment, text=True,
        )  # fmt: skip
        self._stdin, self._stdout = (
            cast("IO[str]", self._process.stdin),
            cast("IO[str]", self._process.stdout),
        )

    def ask(self, rounds: int, keep: bool = True) -> bool:
        """Have it answer; returns whether it still does."""
        try:
            self._stdin.write(f"{rounds}\n")
            self._stdin.flush()
        except OSError:
            return False
        line = self._stdout.readline()
        if line and keep:
            durations, cpu_ns = json.loads(line)
            self.rounds.append(durations)
            self.cpu_ns.append(cpu_ns)
        return bool(line)

    def end(self) -> None:
        """Stop it."""
        self._process.kill()
        self._process.communicate()


def interval(ratios: list[float]) -> tuple[float, float]:
    """A 95 % bootstrap interval of the median."""
    chooser = random.Random(7)
    medians = sorted(statistics.median(chooser.choices(ratios, k=len(ratios))) for _ in range(2_000))
    return medians[50], medians[-51]


def summary(worker: Worker, base: Worker) -> dict[str, Any]:
    """Requests a second, quantiles, and the ratio of medians to `base`, turn by turn."""
    durations = sorted(duration for turn in worker.rounds for duration in turn)
    pairs = zip(worker.rounds, base.rounds, strict=True)
    ratios = [statistics.median(mine) / statistics.median(theirs) for mine, theirs in pairs]
    low, high = interval(ratios)
    return {
        "requests_per_s": len(durations) / sum(durations) * 1e9,
        "p50_ms": statistics.median(durations) / 1e6,
        "p99_ms": durations[int(len(durations) * 0.99)] / 1e6,
        "cpu_ms": min(worker.cpu_ns) / len(worker.rounds[0]) / 1e6,
        "p50_ratio": statistics.median(ratios),
        "low": low,
        "high": high,
    }


def compare_states(turns: int, rounds: int) -> dict[str, dict[str, Any]]:
    """Ask all workers in shuffled turns; a state whose libraries are not installed is left out."""
    workers = [Worker(state) for state in STATES]
    try:
        alive = [worker for worker in workers if worker.ask(2, keep=False)]
        for _ in range(turns):
            random.shuffle(alive)
            for worker in alive:
                worker.ask(rounds)
        base = next(worker for worker in alive if worker.state == "off")
        order = sorted(alive, key=lambda worker: STATES.index(worker.state))
        return {worker.state: summary(worker, base) for worker in order}
    finally:
        for worker in workers:
            worker.end()


def main() -> None:
    """Print the summaries as JSON, or be a worker."""
    if sys.argv[1] == "serve":
        serve()
        return
    quick = sys.argv[1] == "quick"
    print(json.dumps({"states": compare_states(2 if quick else 40, 1 if quick else 4)}))


if __name__ == "__main__":
    main()
