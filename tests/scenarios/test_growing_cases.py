"""Real problems of size, run live at many sizes with one history: what grows, and what is not blamed for it."""

from __future__ import annotations

import json
import pathlib
import re
import subprocess
import sys
from typing import Any, NamedTuple

import pytest

RUNNER = pathlib.Path(__file__).parent / "grow_case.py"


class Expected(NamedTuple):
    """What the last unit of work of a case shows: (rule, function, statement), and nothing else."""

    sizes: list[int]
    found: list[tuple[str, str, str]]


def each(times: int, *sizes: int) -> list[int]:
    return [size for size in sizes for _ in range(times)]


PAGES = "case_advisory .* OFFSET"
CASES = {
    "offset_pagination_export": Expected(
        # The table only grows, so that each size is served before the next one.
        each(3, 1000, 1500, 2000, 3000, 4000, 6000, 8000, 12000, 16000, 24000),
        [("superlinear", "paginated", PAGES), ("slowing-call", "paginated", PAGES)],
    ),
    "bytes_concat_upload": Expected(
        [75, 100, 150, 200, 300, 450, 600, 900, 1200] * 5, [("superlinear", "read_body", "")]
    ),
    "exponential_import_walk": Expected(
        [8, 10, 12],
        [("repeated-call", "integrity_sum", ""), ("superlinear", "integrity_sum", "")],
    ),
}


def run(name: str, policy: str) -> list[dict[str, Any]]:
    command = [sys.executable, str(RUNNER), name, policy, *map(str, CASES[name].sizes)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=150)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.timeout(400)
@pytest.mark.parametrize(
    ("name", "policy"),
    [
        ("offset_pagination_export", "PRODUCTION"),
        ("bytes_concat_upload", "PRODUCTION"),
        ("exponential_import_walk", "PRODUCTION"),
    ],
)
def test_a_case_shows_exactly_what_is_expected(name, policy):
    """Real time on a machine that others use too: what is expected has three tries, what is not has none."""
    wanted = CASES[name].found
    for _ in range(3):
        units = run(name, policy)
        assert len(units) == len(CASES[name].sizes)
        for unit in units:
            for item in unit["found"]:
                assert any(fits(item, name, *each) for each in wanted), item
        if all(any(fits(item, name, *each) for item in units[-1]["found"]) for each in wanted):
            return
    pytest.fail(f"{wanted} is not what was found: {units[-1]['found']}")


def fits(item: dict[str, Any], name: str, rule: str, function: str, shape: str) -> bool:
    return (
        item["rule"] == rule
        and item["function"].endswith(function)
        and item["file"].endswith(f"{name}.py")
        and re.search(shape, item["template"]) is not None
    )


def test_the_walk_along_every_path_is_counted_exactly():
    first = run("exponential_import_walk", "STRICT")[0]
    (item,) = (item for item in first["found"] if item["rule"] == "superlinear")

    assert item["confidence"] == "confirmed"
    assert item["evidence"]["growth"] == "exponential"
    assert (item["evidence"]["calls"], item["evidence"]["distinct"]) == (4 * 2**8 - 3, 3 * 8 + 1)
