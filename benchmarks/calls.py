"""The cost of one measured call, in every shape and state, beside the floor and the yardstick."""

from __future__ import annotations

import json
import sys
import threading
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from manometer import measure

from ._harness import EFFORTS, Candidate, Cost, Effort, clock_ns, compare, loop
from ._subjects import FLOORS, SUBJECTS, Subject, bare, core, exact_clocks, nothing, two_clocks, unit

if TYPE_CHECKING:
    from collections.abc import Callable


def candidate(
    name: str, subject: Subject, deco: Callable[..., Any], root: Callable[[], Any] = unit
) -> Candidate:
    """A decorator on fresh functions of this shape."""
    scope: dict[str, Any] = {"deco": deco, "measure": measure}
    exec(subject.setup, scope)
    run = loop(subject.call, scope, inner=subject.inner, root=root, asynchronous=subject.asynchronous)
    return Candidate(name, run, calls=subject.calls * subject.inner)


def of_shape(name: str, effort: Effort) -> dict[str, Cost]:
    """Bare, floor, yardstick and manometer for one shape, each inside a unit of work."""
    subject = SUBJECTS[name]
    candidates = [
        candidate("bare", subject, bare),
        candidate("Y", subject, two_clocks),
        candidate("manometer", subject, measure),
    ]
    if name in FLOORS:
        candidates.append(candidate("F", subject, exact_clocks))
    return compare(candidates, effort)


def of_states(effort: Effort) -> dict[str, Cost]:
    """A plain call where no profile is active, and one of a function that manometer was told to leave alone."""
    subject = SUBJECTS["sync"]
    return compare(
        [
            candidate("bare", subject, bare, nothing),
            candidate("Y", subject, two_clocks, nothing),
            candidate("no profile active", subject, measure, nothing),
        ],
        effort,
    )


def of_blocks(effort: Effort) -> dict[str, Cost]:
    """`with measure(...)`, the object kept or named anew, and the options of a function."""
    empty = Subject("", "pass")
    kept = Subject("block = measure('block')", "with block: pass")
    named = Subject("", "with measure('block'): pass")
    key = Subject("@measure(key='a')\ndef f(a): return a", "f(1)")
    size = Subject("@measure(size='a')\ndef f(a): return a\ndata = [1, 2, 3]", "f(data)")
    return compare(
        [
            candidate("bare", empty, bare),
            candidate("bare call", SUBJECTS["sync"], bare),
            candidate("Y", SUBJECTS["sync"], two_clocks),
            candidate("with block", kept, bare),
            candidate("with measure('name')", named, bare),
            candidate("key=", key, bare),
            candidate("size=", size, bare),
        ],
        effort,
    )


def of_threads(effort: Effort, count: int = 4) -> dict[str, Cost]:
    """A plain call on several threads at once, each with its unit of work: thread CPU time, summed."""
    spent_ns = [0]

    def threaded(inside: Candidate) -> Candidate:
        def one(units: int) -> None:
            started_ns = clock_ns()
            inside.run(units)
            spent_ns[0] += clock_ns() - started_ns

        def run(units: int) -> None:
            threads = [threading.Thread(target=one, args=(units,)) for _ in range(count)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()

        return Candidate(inside.name, run, calls=inside.calls * count, clock=lambda: spent_ns[0])

    subject = SUBJECTS["sync"]
    pairs = (("bare", bare), ("Y", two_clocks), ("manometer", measure))
    return compare([threaded(candidate(name, subject, deco)) for name, deco in pairs], effort)


OTHERS = {"no profile": of_states, "blocks": of_blocks, "4 threads": of_threads}


def table_of(name: str, effort: Effort) -> dict[str, Cost]:
    """One table of this file."""
    return OTHERS[name](effort) if name in OTHERS else of_shape(name, effort)


def main() -> None:
    """Print the tables as JSON; the arguments are the effort and, optionally, the names of shapes."""
    effort = EFFORTS[sys.argv[1]]
    tables = {name: table_of(name, effort) for name in sys.argv[2:] or (*SUBJECTS, *OTHERS)}
    costs = {name: {key: asdict(cost) for key, cost in table.items()} for name, table in tables.items()}
    print(json.dumps({"core": core(), "python": sys.version.split()[0], "tables": costs}))


if __name__ == "__main__":
    main()
