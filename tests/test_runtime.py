"""Starting and stopping, in this process and in whole programs."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import threading

import pytest

import manometer
from manometer import Config, _context, measure, profile
from manometer._context import HOT

QUIET = Config(heartbeat_s=0, exporters=())


@measure
def work(n=0):
    return n


def program(code: str, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a program in a process of its own."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("MANOMETER")}
    return subprocess.run(
        [sys.executable, *arguments, "-c", textwrap.dedent(code)],
        env={**clean, **variables},
        capture_output=True,
        text=True,
        timeout=60,
    )


class Collector:
    def __init__(self) -> None:
        self.reports = []

    def export(self, report):
        self.reports.append(report)

    def shutdown(self):
        pass


@pytest.fixture
def on():
    collector = Collector()
    manometer.start(QUIET, exporters=[collector])
    yield collector
    manometer.stop()


def test_started_units_reach_the_exporter(on):
    with profile("nightly"):
        work()
    assert manometer.flush(5)

    assert [report.profile.name for report in on.reports] == ["nightly"]


def test_starting_twice_raises(on):
    with pytest.raises(RuntimeError, match="manometer is already on"):
        manometer.start(QUIET)


def test_a_wrong_config_raises():
    with pytest.raises(TypeError, match="config must be a manometer.Config, not dict"):
        manometer.start({})


def test_start_returns_its_undo_and_stopping_leaves_nothing():
    before = {name: HOT[name] for name in ("idle_", "outside_", "roll_", "limit_")}
    undo = manometer.start(QUIET)
    undo()
    undo()

    assert {name: HOT[name] for name in before} == before
    assert _context.sink is None
    assert not any(thread.name == "manometer" for thread in threading.enumerate())
    with profile("after") as record:
        assert record is None


def test_disable_stops_recording_at_once_and_enable_takes_it_back(on):
    with profile("before"):
        work()
    with profile("during"):
        manometer.disable()
        work()
    with profile("off"):
        work()
    manometer.enable()
    with profile("after"):
        work()
    assert manometer.flush(5)

    assert [report.profile.name for report in on.reports] == ["before", "after"]


def test_enable_without_start_raises():
    with pytest.raises(RuntimeError, match="call start\\(\\) first, or set MANOMETER=1"):
        manometer.enable()


def test_absent_means_that_the_function_itself_comes_back():
    done = program(
        """
        import manometer
        def f(): pass
        assert manometer.measure(f) is f
        assert manometer.measure("name", slow_ms=3)(f) is f
        with manometer.measure("block"), manometer.profile("unit") as record:
            assert record is None
        print("same")
        """,
        MANOMETER="0",
    )

    assert (done.stdout, done.stderr, done.returncode) == ("same\n", "", 0)


def test_dormant_starts_no_thread_and_says_nothing():
    done = program(
        """
        import threading, manometer
        @manometer.measure
        def f(): return 1
        f()
        print(threading.active_count())
        """
    )

    assert (done.stdout, done.stderr) == ("1\n", "")


def test_a_plain_script_needs_nothing_and_shows_its_n_plus_one():
    code = """
    import manometer, sqlite3, time
    db = sqlite3.connect(":memory:")
    db.execute("create table owner (id integer primary key, name text)")
    db.execute("create table pet (id integer primary key, owner_id integer)")
    db.executemany("insert into owner values (?, ?)", [(n, f"o{n}") for n in range(100, 200)])
    db.executemany("insert into pet values (?, ?)", [(n, n) for n in range(100, 200)])
    for pet_id, owner_id in db.execute("select id, owner_id from pet").fetchall():
        db.execute("select name from owner where id = ?", (owner_id,)).fetchone()
    print("done")
    """
    done = program(code, MANOMETER="1")

    assert done.returncode == 0
    assert done.stdout == "done\n"
    assert "n-plus-one" in done.stderr
    assert "x100" in done.stderr or "calls=100" in done.stderr
    assert "owner" in done.stderr


def test_units_of_a_forked_child_are_its_own_and_the_parent_s_are_sent_once():
    code = """
    import os, sys, manometer
    class Out:
        def export(self, report):
            os.write(1, f"{os.getpid() == parent} {report.profile.name}\\n".encode())
        def shutdown(self): pass
    parent = os.getpid()
    manometer.start(manometer.Config(exporters=(), heartbeat_s=0), exporters=[Out()])
    with manometer.profile("parent before"): pass
    manometer.flush()
    for n in range(3):
        if os.fork() == 0:
            with manometer.profile(f"child {n}"): pass
            sys.exit(0)
        os.wait()
    with manometer.profile("parent after"): pass
    """
    done = program(code)

    assert done.stdout.splitlines() == [
        "True parent before", "False child 0", "False child 1", "False child 2", "True parent after"
    ]  # fmt: skip
    assert done.stderr == ""


def test_an_exception_at_exit_still_exports_what_there_is():
    code = """
    import manometer
    class Out:
        def export(self, report): print(report.profile.name, report.profile.outcome, flush=True)
        def shutdown(self): print("closed", flush=True)
    manometer.start(manometer.Config(exporters=(), heartbeat_s=0), exporters=[Out()])
    with manometer.profile("unit"):
        raise SystemExit(3)
    """
    done = program(code)

    assert (done.returncode, done.stdout) == (3, "unit SystemExit\nclosed\n")


def test_a_runtime_that_cannot_start_never_stops_the_program(tmp_path):
    (tmp_path / "wrapt.py").write_text("raise ImportError('broken')")
    done = program("import manometer; print('serving')", MANOMETER="1", PYTHONPATH=str(tmp_path))

    assert (done.returncode, done.stdout) == (0, "serving\n")
