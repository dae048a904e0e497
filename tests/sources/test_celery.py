"""Celery: tasks are units of work, in this process and in real workers."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import textwrap
from typing import TYPE_CHECKING, Any

import pytest

celery = pytest.importorskip("celery")

from manometer import _context  # noqa: E402
from manometer._context import HOT  # noqa: E402
from manometer._model import JOB, Profile  # noqa: E402
from manometer.testing import install_sources  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TASKS = """
import sqlite3, sys
from celery import Celery

app = Celery("shop", broker=f"redis://127.0.0.1:{PORT}/0", backend=f"redis://127.0.0.1:{PORT}/1")
app.conf.update(task_ignore_result=False, broker_connection_retry_on_startup=True)
db = sqlite3.connect(":memory:", check_same_thread=False)
db.execute("create table owner (id integer primary key, name text)")
db.executemany("insert into owner values (?, ?)", [(n, "x") for n in range(100, 200)])

@app.task(name="shop.mail")
def mail(count):
    keys = [row[0] for row in db.execute("select id from owner limit ?", (count,)).fetchall()]
    return len([db.execute("select name from owner where id = ?", (key,)).fetchone() for key in keys])

@app.task(name="shop.fail")
def fail():
    raise KeyError("theirs")
"""


@pytest.fixture
def profiles(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Profile]]:
    done: list[Profile] = []
    monkeypatch.setattr(_context, "sink", done.append)
    monkeypatch.setitem(HOT, "idle_", False)
    with install_sources("celery") as installed:
        assert installed.states["celery"] == ("active", "")
        yield done


@pytest.fixture
def app() -> Any:
    app = celery.Celery("test", broker="memory://", backend="cache+memory://")
    app.conf.task_always_eager = True
    return app


def test_a_task_is_a_unit_of_work_named_after_it(profiles: list[Profile], app: Any) -> None:
    @app.task(name="shop.add")
    def add(a: int, b: int) -> int:
        return a + b

    assert add.delay(1, 2).get() == 3

    (record,) = profiles
    assert (record.name, record.kind, record.framework) == ("shop.add", "task", "celery")
    assert (record.status, record.outcome, record.policy) == ("SUCCESS", "ok", JOB)


def test_a_failure_is_its_outcome_and_passes(profiles: list[Profile], app: Any) -> None:
    @app.task(name="shop.fail")
    def fail() -> None:
        raise KeyError("theirs")

    with pytest.raises(KeyError, match="theirs"):
        fail.delay().get()

    assert [(record.status, record.outcome) for record in profiles] == [("FAILURE", "KeyError")]


def test_a_task_run_by_a_task_is_a_unit_of_its_own(profiles: list[Profile], app: Any) -> None:
    @app.task(name="inner")
    def inner() -> int:
        return 1

    @app.task(name="outer")
    def outer() -> int:
        return inner.apply().result + 1

    assert outer.delay().get() == 2
    assert [record.name for record in profiles] == ["inner", "outer"]
    assert _context.variable.get() is None


def test_undone_tap_hears_nothing(profiles: list[Profile], app: Any) -> None:
    with install_sources("celery"):
        pass

    @app.task(name="after")
    def after() -> int:
        return 1

    assert after.delay().get() == 1
    assert [record.name for record in profiles] == ["after"], "the outer installation still listens, once"


def run_worker(folder: Path, port: int, calls: str, *options: str) -> str:
    """Start a real worker, send it tasks from here, stop it; what it wrote."""
    (folder / "tasks.py").write_text(f"PORT = {port}\n{TASKS}")
    clean = {name: value for name, value in os.environ.items() if not name.startswith("MANOMETER")}
    environment = {**clean, "MANOMETER": "1", "MANOMETER_SLOW_MS": "0", "MANOMETER_HEARTBEAT_S": "0"}
    worker = subprocess.Popen(
        [sys.executable, "-m", "manometer", "run", "--", sys.executable, "-m", "celery", "-A", "tasks", "worker", "--loglevel", "INFO", *options],
        cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    try:
        subprocess.run(
            [sys.executable, "-c", f"from tasks import *\n{textwrap.dedent(calls)}"],
            cwd=folder, env=clean, check=True, timeout=60,
        )  # fmt: skip
    finally:
        worker.send_signal(signal.SIGTERM)
        output, _ = worker.communicate(timeout=40)
    return output


@pytest.mark.timeout(150)
def test_a_prefork_worker_loses_no_unit_though_each_child_runs_one_task(
    tmp_path: Path, redis_server: int
) -> None:
    calls = """
    assert [mail.delay(60).get(timeout=50) for _ in range(10)] == [60] * 10
    """
    output = run_worker(
        tmp_path, redis_server, calls, "--pool", "prefork", "-c", "1", "--max-tasks-per-child", "1"
    )

    assert len(re.findall(r"shop\.mail SUCCESS dur_ms=|shop\.mail ok dur_ms=", output)) == 10, output
    assert len(re.findall(r"n-plus-one x60 SELECT owner tasks\.py:\d+ mail", output)) == 10
    assert "Traceback" not in output


@pytest.mark.timeout(150)
def test_a_threaded_worker_is_measured_and_failures_are_the_task_s_own(
    tmp_path: Path, redis_server: int
) -> None:
    calls = """
    try: fail.delay().get(timeout=50)
    except KeyError: pass
    else: raise SystemExit("no error")
    assert mail.delay(30).get(timeout=50) == 30
    """
    output = run_worker(tmp_path, redis_server, calls, "--pool", "threads", "-c", "2")

    assert re.search(r"shop\.fail FAILURE dur_ms=|shop\.fail KeyError dur_ms=", output), output
    assert "shop.mail" in output
