"""RQ: jobs are units of work, in this process and in real workers."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

rq = pytest.importorskip("rq")

from manometer import _context  # noqa: E402
from manometer._context import HOT  # noqa: E402
from manometer._model import Profile  # noqa: E402
from manometer.testing import install_sources  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

JOBS = """
import sqlite3

db = sqlite3.connect(":memory:", check_same_thread=False)
db.execute("create table owner (id integer primary key, name text)")
db.executemany("insert into owner values (?, ?)", [(n, "x") for n in range(100, 200)])

def mail(count):
    keys = [row[0] for row in db.execute("select id from owner limit ?", (count,)).fetchall()]
    return len([db.execute("select name from owner where id = ?", (key,)).fetchone() for key in keys])

def fail():
    raise KeyError("theirs")
"""


def double(n: int) -> int:
    return 2 * n


def fails() -> None:
    raise KeyError("theirs")


@pytest.fixture
def profiles(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Profile]]:
    done: list[Profile] = []
    monkeypatch.setattr(_context, "sink", done.append)
    monkeypatch.setitem(HOT, "idle_", False)
    with install_sources("rq"):
        yield done


@pytest.mark.parametrize(("function", "outcome"), [(double, "ok"), (fails, "KeyError")])
def test_a_job_is_a_unit_of_work_named_after_its_function(profiles, redis_server, function, outcome):
    import redis

    connection = redis.Redis(port=redis_server)
    queue = rq.Queue("here", connection=connection)
    job = queue.enqueue(function, *([21] if function is double else []))
    rq.SimpleWorker([queue], connection=connection).work(burst=True, logging_level="CRITICAL")

    assert job.get_status(refresh=True) == ("finished" if outcome == "ok" else "failed")
    records = [record for record in profiles if record.kind == "job"]
    assert [(record.name.rpartition(".")[2], record.outcome, record.framework) for record in records] == [
        (function.__name__, outcome, "rq")
    ]
    assert _context.variable.get() is None


def test_undo_restores_by_identity():
    from rq import Worker
    from rq.job import Job

    before = (vars(Job)["perform"], getattr(Worker, "perform_job"))  # noqa: B009
    with install_sources("rq"):
        assert vars(Job)["perform"] is not before[0]

    assert vars(Job)["perform"] is before[0]
    assert Worker.perform_job is before[1]


@pytest.mark.timeout(120)
def test_a_forking_worker_loses_no_unit(tmp_path: Path, redis_server: int) -> None:
    import redis

    (tmp_path / "jobs.py").write_text(JOBS)
    queue = rq.Queue("real", connection=redis.Redis(port=redis_server))
    for _ in range(4):
        queue.enqueue("jobs.mail", 60)
    queue.enqueue("jobs.fail")
    clean = {name: value for name, value in os.environ.items() if not name.startswith("MANOMETER")}
    done = subprocess.run(
        [sys.executable, "-m", "manometer", "run", "-m", "rq.cli", "worker", "--burst", "--url", f"redis://127.0.0.1:{redis_server}/0", "real"],
        cwd=tmp_path, env={**clean, "MANOMETER": "1", "MANOMETER_SLOW_MS": "0", "PYTHONPATH": str(tmp_path)},
        capture_output=True, text=True, timeout=90,
    )  # fmt: skip
    output = done.stdout + done.stderr

    assert len(re.findall(r"jobs\.mail finished dur_ms=", output)) == 4, output
    assert re.search(r"jobs\.fail failed dur_ms=", output), output
    assert len(re.findall(r"n-plus-one x60 SELECT owner jobs\.py:\d+ mail", output)) == 4, output
