"""How well growth is judged, beside big_O and bigO, on timings that were taken once.

`python benchmarks/growth.py` prints who catches how many of the super-linear functions, and who accuses how many of the
others, with noise added; the two other tools take part where the `bench` extra is installed.
`python benchmarks/growth.py record FILE` takes the timings again.
"""

from __future__ import annotations

import json
import math
import os
import random
import sys
import tempfile
import time
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from manometer._growth import Sizes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Pairs = list[tuple[int, float]]
    Judge = Callable[[Pairs], bool]

TIMINGS: Final = Path(__file__).parents[1] / "tests" / "data" / "growth" / "timings.json"
SUPERLINEAR: Final = ("n2", "n2+", "n3", "exp")
BETWEEN: Final = "n1.5"
SEEDS: Final = (1, 2, 3)
NOISES: Final = ((0.2, 0.02, 0.2), (0.5, 0.05, 0.5))
"""Spread of the noise, share of outliers, constant overhead as a share of the median cost."""


class Timed(NamedTuple):
    """What one function took: its name, how it grows, and the (size, nanoseconds) of its calls in their order."""

    name: str
    label: str
    pairs: Pairs


class Score(NamedTuple):
    """What a judge said of all functions."""

    caught: int
    superlinear: int
    accused: list[str]
    others: int
    between: int


def load(path: Path = TIMINGS) -> list[Timed]:
    """Read recorded timings."""
    rows = json.loads(path.read_text(encoding="utf-8"))
    return [Timed(row["name"], row["label"], list(zip(row["sizes"], row["ns"], strict=True))) for row in rows]


def noisy(pairs: Pairs, chance: random.Random, spread: float, outliers: float, overhead: float) -> Pairs:
    """Add what production adds: jitter, calls that take 3 to 30 times as long, work that has nothing to do with the size."""
    median = sorted(cost for _, cost in pairs)[len(pairs) // 2]
    found: Pairs = []
    for size, cost in pairs:
        more = overhead * median * math.exp(chance.gauss(0, spread))
        cost = cost * math.exp(chance.gauss(0, spread)) + more
        found.append((size, cost * chance.uniform(3, 30) if chance.random() < outliers else cost))
    return found


def shuffled(pairs: Pairs, chance: random.Random) -> Pairs:
    """Give every size the cost of another one: whoever sees growth here sees what is not there."""
    costs = [cost for _, cost in pairs]
    chance.shuffle(costs)
    return [(size, cost) for (size, _), cost in zip(pairs, costs, strict=True)]


def score(timings: list[Timed], judge: Judge, noise: tuple[float, float, float], seed: int) -> Score:
    """Ask a judge about every function, with noise."""
    chance = random.Random(seed)
    caught = total = others = between = 0
    accused = []
    for timed in timings:
        says = judge(noisy(timed.pairs, chance, *noise))
        if timed.label in SUPERLINEAR:
            total += 1
            caught += says
        elif timed.label == BETWEEN:
            between += says
        else:
            others += 1
            if says:
                accused.append(timed.name)
    return Score(caught, total, accused, others, between)


def null(timings: list[Timed], judge: Judge, rounds: int) -> tuple[int, int]:
    """Return how often a judge sees super-linear growth where there is none, and how often it was asked."""
    chance = random.Random(4)
    asked = [judge(shuffled(timed.pairs, chance)) for _ in range(rounds) for timed in timings]
    return sum(asked), len(asked)


def ours(pairs: Pairs) -> bool:
    """Judge as manometer does."""
    sizes = Sizes()
    for size, cost in pairs:
        sizes.add(size, cost)
    return sizes.growth().superlinear


def judges() -> Iterator[tuple[str, Judge]]:
    """Yield manometer, and the others that are installed."""
    yield "manometer", ours
    try:
        yield "big_O", _big_o()
        yield "bigO", _bigo()
    except ImportError as error:
        print(f"not compared with the others: {error}; install the bench extra")


def _big_o() -> Judge:
    import numpy
    from big_o.big_o import infer_big_o_class

    def judge(pairs: Pairs) -> bool:
        sizes = numpy.array([size for size, _ in pairs], float)
        try:
            best, _ = infer_big_o_class(sizes, numpy.array([cost for _, cost in pairs], float) / 1e9)
        except IndexError:  # it fails where its least squares have no residual
            return False
        name = type(best).__name__
        steep = name == "Polynomial" and best.coefficients()[1] > 1.5
        return bool(steep) or name in ("Quadratic", "Cubic", "Exponential")

    return judge


def _bigo() -> Judge:
    import numpy
    from bigO import models

    def judge(pairs: Pairs) -> bool:
        sizes = numpy.array([size for size, _ in pairs], float)
        found: Any = models.infer_bound(sizes, numpy.array([cost for _, cost in pairs], float) / 1e9)
        text = str(found.models[0]) if found.models else ""
        if "**n)" in text:
            return True
        return "n**" in text and float(text.split("n**")[1].split(")")[0]) > 1.5

    return judge


def record(path: Path, calls: int = 48, rounds: int = 5, budget_s: float = 2.2) -> None:
    """Time every function at sizes spread evenly over its range, as a logarithm."""
    from benchmarks.growth_cases import CASES

    rows = []
    for case in CASES:
        chance = random.Random(1)
        low, high = math.log(case.low), math.log(case.high)
        if case.label == "exp":
            sizes = [chance.randint(case.low, case.high) for _ in range(calls)]
        else:
            sizes = [round(math.exp(chance.uniform(low, high))) for _ in range(calls)]
        pairs = _time(case, sizes, rounds, budget_s, chance)
        rows.append(
            {
                "name": case.name,
                "label": case.label,
                "sizes": [n for n, _ in pairs],
                "ns": [c for _, c in pairs],
            }
        )
        print(f"{case.name:32s} {case.label:6s} {len(pairs):4d} calls", flush=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    text = ",\n".join(json.dumps(row, separators=(",", ":")) for row in rows)
    path.write_text(f"[{text}]\n", encoding="utf-8")


def _time(
    case: Any, sizes: list[int], rounds: int, budget_s: float, chance: random.Random
) -> list[tuple[int, int]]:
    pairs: list[tuple[int, int]] = []
    began_s = time.perf_counter()
    for _ in range(rounds):
        order = sizes[:]
        chance.shuffle(order)
        for size in order:
            arguments = case.make(size)
            started_ns = time.perf_counter_ns()
            case.function(*arguments)
            pairs.append((size, time.perf_counter_ns() - started_ns))
            if time.perf_counter() - began_s > 2 * budget_s and len(pairs) > 60:
                return pairs
        if time.perf_counter() - began_s > budget_s:
            break
    return pairs


def main() -> None:
    """Print the table."""
    warnings.simplefilter("ignore")
    timings = load()
    os.chdir(tempfile.mkdtemp())  # bigO leaves a file behind where it runs
    for name, judge in judges():
        for noise in NOISES:
            for seed in SEEDS:
                found = score(timings, judge, noise, seed)
                print(
                    f"{name:10s} noise {noise[0]:.0%} seed {seed}: caught {found.caught}/{found.superlinear}, "
                    f"accused {len(found.accused)}/{found.others}, between {found.between}/2  {', '.join(found.accused)[:60]}"
                )
        claims, asked = null(timings, judge, 12 if judge is ours else 2)
        print(f"{name:10s} nothing there: claimed {claims}/{asked} = {claims / asked:.2%}")


if __name__ == "__main__":
    if sys.argv[1:2] == ["record"]:
        sys.path.insert(0, str(Path(__file__).parents[1]))
        record(Path(sys.argv[2]) if len(sys.argv) > 2 else TIMINGS)
    else:
        main()
