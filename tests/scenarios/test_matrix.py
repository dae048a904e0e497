"""Every framework with every database library: the N+1 is found at its line, and its clean twin is silent."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from tests.scenarios.matrix.frameworks import ASYNC, SYNC
from tests.scenarios.matrix.libraries import ROWS, names

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "reference" / "support.md"
SYNC_LIBRARIES = (
    ("sqlite3", "SQLite"), ("SQLAlchemy", "SQLite"), ("SQLAlchemy ORM", "SQLite"), ("Django ORM", "SQLite"),
    ("psycopg", "PostgreSQL"), ("psycopg2", "PostgreSQL"), ("SQLAlchemy", "PostgreSQL"),
    ("SQLAlchemy ORM", "PostgreSQL"), ("Django ORM", "PostgreSQL"), ("PyMySQL", "MariaDB"),
    ("mysqlclient", "MariaDB"), ("SQLAlchemy", "MariaDB"), ("SQLAlchemy ORM", "MariaDB"), ("Django ORM", "MariaDB"),
    ("pymongo", "MongoDB protocol"),
)  # fmt: skip
ASYNC_LIBRARIES = (
    ("SQLAlchemy + aiosqlite", "SQLite"), ("Django ORM", "SQLite"), ("psycopg", "PostgreSQL"),
    ("asyncpg", "PostgreSQL"), ("SQLAlchemy + asyncpg", "PostgreSQL"), ("Django ORM", "PostgreSQL"),
    ("pymongo", "MongoDB protocol"),
)  # fmt: skip
CELLS = [
    *((framework, *library, "sync") for library in SYNC_LIBRARIES for framework in SYNC),
    *((framework, *library, "async") for library in ASYNC_LIBRARIES for framework in ASYNC),
]
KINDS = {"script": "block", "Celery": "task", "RQ": "job", "Django command": "job"}
SERVERS = {"PostgreSQL": "postgresql", "MariaDB": "mariadb", "MongoDB protocol": "mongodb"}
Cell = tuple[str, str, str, str]


@pytest.fixture(scope="module")
def cells(request: pytest.FixtureRequest) -> dict[Cell, dict[str, Any]]:
    """All cells whose server is on this machine, run once in a process of their own."""
    addresses = {}
    for name in SERVERS.values():
        try:
            addresses[name] = asdict(request.getfixturevalue(f"{name}_server").fresh())
        except pytest.skip.Exception:
            continue
    done = subprocess.run(
        [sys.executable, "-m", "tests.scenarios.matrix", json.dumps(addresses)],
        capture_output=True, text=True, timeout=150, cwd=ROOT, env={**os.environ, "PYTHONPATH": "src"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    said = map(json.loads, done.stdout.splitlines())
    return {(each["framework"], each["library"], each["database"], each["mode"]): each for each in said}


@pytest.mark.timeout(180)  # the first cell starts the servers and runs all
@pytest.mark.parametrize("cell", CELLS, ids=" on ".join)
def test_the_n_plus_one_is_found_at_its_line_and_its_twin_is_silent(
    cell: Cell, cells: dict[Cell, dict[str, Any]]
) -> None:
    if cell not in cells:
        pytest.skip(f"{cell[1]} or a server of {cell[2]} is not installed")
    loop, batch = cells[cell]["cells"]
    assert "error" not in loop | batch, loop | batch
    expected = {"rule": "n-plus-one", "calls": ROWS, "file": "libraries.py", "line": cells[cell]["line"]}

    assert loop["found"] == [expected]
    assert batch["found"] == []
    assert {loop["kind"], batch["kind"]} == {KINDS.get(cell[0], "request")}
    # Django's project has names of its own; every other library answers with the rows of the matrix.
    assert loop["answer"] == batch["answer"]
    assert len(loop["answer"]) == ROWS
    assert cell[1] == "Django ORM" or sorted(loop["answer"]) == sorted(names())


def matrix(cells: dict[Cell, dict[str, Any]]) -> str:
    """Draw the cells: libraries down, frameworks across."""
    blocks = []
    for mode, frameworks, libraries in (("sync", SYNC, SYNC_LIBRARIES), ("async", ASYNC, ASYNC_LIBRARIES)):
        rows = [[mode, *frameworks], ["---"] * (len(frameworks) + 1)]
        for library, database in libraries:
            marks = ["yes" if (each, library, database, mode) in cells else "-" for each in frameworks]
            rows.append([f"{library} ({database})", *marks])
        blocks.append("\n".join(f"| {' | '.join(row)} |" for row in rows))
    return "\n\n".join(blocks)


def test_the_matrix_is_the_one_in_the_documentation(
    cells: dict[Cell, dict[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    with capsys.disabled():
        print(f"\n{matrix(cells)}\n")

    assert matrix({key: {} for key in CELLS}) in PAGE.read_text(encoding="utf-8")
