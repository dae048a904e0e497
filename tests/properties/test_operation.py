"""O of the catalogue: off is off, configuration never kills, lines stay whole, the end comes in time."""

from __future__ import annotations

import json
import logging
import os
import random
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings, strategies as st
from tests.properties._twin import ROOT, environment

import manometer
from manometer import Config, measure, profile
from manometer._config import VARIABLES

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

QUIET = 'import logging, os; logging.getLogger("manometer").addHandler(logging.StreamHandler(open(os.devnull, "w")))\n'


def child(
    program: str, *arguments: str, timeout: float = 60, **variables: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", program, *arguments],
        cwd=ROOT, capture_output=True, text=True, timeout=timeout, env=environment(**variables),
    )  # fmt: skip


class Silent:
    """An exporter that never comes back: the collector accepts, and says nothing."""

    def export(self, report: Any) -> None:
        time.sleep(3_600)


SILENT = """
class Silent:
    def export(self, report): time.sleep(3600)
import time
import manometer
from manometer import profile
manometer.start(manometer.Config(exporters=("log",), heartbeat_s=0), exporters=[Silent()])
for n in range(2000):
    with profile("unit"): pass
began = time.monotonic()
import atexit
"""


@pytest.mark.parametrize(
    ("how", "code"), [("pass", 0), ("raise SystemExit(3)", 3), ("1 / 0", 1), ("os._exit(7)", 7)]
)
def test_O3_the_process_ends_in_time_however_the_exporter_hangs(how: str, code: int) -> None:
    """2 s are promised; the rest is the interpreter's own end on a busy machine."""
    began = time.monotonic()
    ran = child(QUIET + SILENT + how, timeout=30)

    assert ran.returncode == code
    assert time.monotonic() - began < 15


def test_O3_what_was_not_sent_is_counted_and_said_in_one_line() -> None:
    ran = child(
        "import logging, sys, os; logging.basicConfig(stream=sys.stderr, level=logging.INFO)\n" + SILENT,
        timeout=30,
    )
    last = [line for line in ran.stderr.splitlines() if "state=stop" in line]

    assert ran.returncode == 0
    assert len(last) == 1
    assert "unsent_at_exit" in last[0] or "queue" in last[0]


@pytest.mark.parametrize("runs", [5, pytest.param(100, marks=pytest.mark.long)])
def test_O4_no_end_of_the_interpreter_says_a_word(runs: int) -> None:
    program = """
import threading, time
import manometer
from manometer import measure, profile
manometer.start(manometer.Config(heartbeat_s=0))
@measure
def work(): return 1
def endless():
    while True:
        with profile("unit"): work()
threading.Thread(target=endless, daemon=True).start()
time.sleep(0.05)
class Late:
    def __del__(self): work()
keep = Late()
"""
    for _ in range(runs):
        ran = subprocess.run(
            [sys.executable, "-X", "dev", "-c", QUIET + program], cwd=ROOT, capture_output=True, text=True, timeout=60,
            env=environment(),
        )  # fmt: skip
        said = [
            line
            for line in ran.stderr.splitlines()
            if "ResourceWarning" not in line and "devnull" not in line
        ]
        assert ran.returncode == 0, ran.stderr
        assert [line for line in said if "manometer" in line or "Error" in line] == []


def test_O4_no_thread_is_started_at_exit() -> None:
    program = """
import atexit, threading
started = []
original = threading.Thread.start
def start(self):
    started.append(self.name)
    return original(self)
def check():
    print(started[before[0]:])
atexit.register(check)
import manometer
from manometer import profile
manometer.start(manometer.Config(heartbeat_s=0))
threading.Thread.start = start
def last():
    with profile("at exit"): pass
before = [0]
atexit.register(last)
"""
    ran = child(QUIET + program)

    assert ran.stdout == "[]\n"
    assert ran.stderr == ""


@pytest.mark.timeout(150)
def test_O4_X7_ten_celery_tasks_in_ten_children_give_ten_units(tmp_path: Path, redis_server: int) -> None:
    pytest.importorskip("celery")
    from tests.sources.test_celery import run_worker

    calls = "assert [mail.delay(3).get(timeout=50) for _ in range(10)] == [3] * 10"
    said = run_worker(
        tmp_path, redis_server, calls, "--pool", "prefork", "-c", "2", "--max-tasks-per-child", "1"
    )

    assert sum("shop.mail" in line and "dur_ms=" in line for line in said.splitlines()) == 10, said
    assert "Traceback" not in said


class Lines(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(self.format(record))


@pytest.fixture
def lines() -> Iterator[Lines]:
    found = Lines()
    logger = logging.getLogger("manometer")
    logger.addHandler(found)
    logger.setLevel(logging.INFO)
    yield found
    manometer.stop()
    logger.removeHandler(found)
    logger.setLevel(logging.NOTSET)


def test_O5_our_own_loggers_records_are_not_the_applications(lines: Lines) -> None:
    manometer.start(Config(slow_ms=0, heartbeat_s=0))
    logging.getLogger("manometer").setLevel(logging.DEBUG)
    for _ in range(3):
        with profile("unit"):
            pass
    manometer.flush(5)
    before = len(lines.lines)
    time.sleep(1.5)  # an idle second of the background thread

    assert len(lines.lines) == before


WRITER = """
import sys, logging
logging.raiseExceptions = True
import manometer
from manometer import measure, profile
from manometer._config import Config
logging.getLogger("manometer").addHandler(logging.StreamHandler(sys.stdout))
logging.getLogger("manometer").setLevel(logging.INFO)
from manometer.exporters.log import LogExporter
from manometer._finding import Report
from manometer._context import open_profile, close_profile, restore
logger = logging.getLogger("manometer.request")
exporter = LogExporter(Config(log_format="json", slow_ms=0))
done = []
opened = open_profile("GET /" + "x" * 250, "request", to=done.append, cpu=False)
functions = []
for n in range(40):
    ns = {"__name__": "a" * 100}
    exec("def f%d(): pass" % n, ns)
    measure(ns["f%d" % n])()
close_profile(opened); restore(opened)
captured = []
class Keep(logging.Handler):
    def emit(self, record): captured.append(self.format(record))
keep = Keep(); logging.getLogger("manometer").addHandler(keep)
exporter.export(Report(done[0], ()))
logging.getLogger("manometer").removeHandler(keep)
line = max(captured, key=len)
for _ in range(int(sys.argv[1])):
    logger.info("%s", line)
sys.stdout.flush()
"""


def pipes(writers: int, each: int) -> None:
    read, write = os.pipe()
    running = [
        subprocess.Popen([sys.executable, "-c", WRITER, str(each)], cwd=ROOT, stdout=write, env=environment())
        for _ in range(writers)
    ]
    os.close(write)
    broken = whole = 0
    with os.fdopen(read, "rb") as stream:
        for line in stream:
            try:
                text = line.decode()
                json.loads(text[text.index("{") :] if not text.startswith("{") else text)
                whole += 1
            except ValueError:
                broken += 1
            assert len(line) <= 4_096
    for process in running:
        assert process.wait(60) == 0

    assert broken == 0
    assert whole >= writers * each


def test_O6_lines_of_many_processes_on_one_pipe_stay_whole() -> None:
    pipes(4, 300)


@pytest.mark.long
@pytest.mark.timeout(600)
def test_O6_eighty_thousand_lines_of_eight_processes_on_one_pipe_stay_whole() -> None:
    pipes(8, 10_000)


def test_O7_a_storm_of_guilty_requests_says_a_bounded_number_of_lines(lines: Lines) -> None:
    import sqlite3

    from manometer.testing import install_sources

    assert install_sources
    manometer.start(Config(slow_ms=0, heartbeat_s=0))
    connection = sqlite3.connect(":memory:")
    for number in range(600):
        with profile(f"GET /{number % 40}", kind="request"):
            for n in range(6):
                connection.execute("SELECT name FROM sqlite_master WHERE name = ?", (str(n),)).fetchall()
    connection.close()
    manometer.flush(20)
    size = sum(len(line) for line in lines.lines)

    assert len(lines.lines) <= 20 + 60 + 10
    assert size < 240 * 1024


def test_O7_internal_errors_are_one_line_a_kind_and_minute(lines: Lines) -> None:
    class Bad:
        def export(self, report: Any) -> None:
            raise ValueError

    manometer.start(Config(exporters=(), heartbeat_s=0), exporters=[Bad()])
    for _ in range(200):
        with profile("unit"):
            pass
    manometer.flush(5)
    time.sleep(1.2)  # the tick reports
    manometer.stop()
    from manometer import _guard

    _guard.clear()
    said = [line for line in lines.lines if "internal error" in line]

    assert len(said) == 1
    assert "Traceback" not in "".join(lines.lines)


VALUES = st.one_of(
    st.sampled_from(
        [
            "",
            " ",
            "nan",
            "-1",
            "1e999",
            "9" * 400,
            "{}",
            "%s",
            "1s",
            "true",
            "\u20ac",
            "0",
            "1",
            "off",
            "=",
            ";",
            "a=b;c",
            "/x=1,/y=",
            "logfmt,json",
            "null",
            "../..",
            "1_000",
            "0x10",
            "inf",
            "\x7f",
        ]
    ),
    st.text(st.characters(blacklist_characters="\x00", blacklist_categories=("Cs",)), max_size=30),
)


@settings(max_examples=400, deadline=None, database=None)
@given(values=st.dictionaries(st.sampled_from(sorted(set(VARIABLES.values()))), VALUES, max_size=5))
def test_O8_no_value_of_any_variable_raises_and_a_bad_one_is_one_warning_without_it(
    values: dict[str, str],
) -> None:
    said: list[str] = []

    config = Config.from_env(values, said.append)

    assert isinstance(config, Config)
    assert len(said) <= len(values)
    for line in said:
        assert line.partition(" ")[0] in values
    for name, value in values.items():
        if len(value) > 4 and any(line.startswith(name + " ") for line in said):
            own = next(line for line in said if line.startswith(name + " "))
            assert value.strip() not in own.replace(name, "") or len(value.strip()) < 5


@pytest.mark.parametrize("value", ["nan", "-1", "1e999", "{}", "%s%s", "\u20ac"])
def test_O8_a_service_starts_with_every_variable_wrong_at_once(value: str) -> None:
    variables = {name: value for name in VARIABLES.values() if name != "MANOMETER"}
    ran = child(
        QUIET + "import manometer; print('served')", MANOMETER="1", PYTHONIOENCODING="utf-8", **variables
    )

    assert ran.returncode == 0, ran.stderr
    assert ran.stdout == "served\n"


def test_O8_an_unknown_variable_is_told_with_its_near_name() -> None:
    said: list[str] = []

    Config.from_env({"MANOMETER_SLOWMS": "3"}, said.append)

    assert len(said) == 1
    assert "MANOMETER_SLOW_MS" in said[0]


OFF = """
import json, sys, threading, gc, logging, os
before = dict(os.environ), list(sys.meta_path), len(os.listdir("/proc/self/fd")), sys.excepthook
import manometer
from manometer import measure, profile
def plain(n): return n
wrapped = measure(plain)
class Own:
    @measure
    def method(self): return 1
@profile("x")
def unit(): return 2
assert wrapped is plain and measure("name")(plain) is plain
with measure("block"), profile("unit") as record: assert record is None
assert unit() == 2 and Own().method() == 1
blocks = sys.getallocatedblocks
for _ in range(1000): wrapped(1); unit()
gc.collect(); start = blocks()
for _ in range(100000):
    wrapped(1)
    unit()
gc.collect(); grown = blocks() - start
after = dict(os.environ), list(sys.meta_path), len(os.listdir("/proc/self/fd")), sys.excepthook
print(json.dumps([before == after, threading.active_count(), grown < 50, "wrapt" in sys.modules, "manometer._runtime" in sys.modules,
                  logging.getLogger("manometer").handlers == []]))
"""


def test_O9_off_means_off() -> None:
    ran = child(OFF, MANOMETER="0")

    assert ran.returncode == 0, ran.stderr
    assert ran.stderr == ""
    assert json.loads(ran.stdout) == [True, 1, True, False, False, True]


def test_O9_dormant_starts_nothing_and_grows_nothing() -> None:
    program = OFF.replace('assert wrapped is plain and measure("name")(plain) is plain', "pass")
    ran = child(program)

    assert ran.returncode == 0, ran.stderr
    assert ran.stderr == ""
    assert json.loads(ran.stdout)[:5] == [True, 1, True, False, False]


def test_O9_the_kill_switch_stops_recording_and_lets_go_of_what_was_collected() -> None:
    from manometer import _context

    manometer.start(Config(exporters=(), heartbeat_s=0))
    try:

        @measure
        def work() -> None:
            pass

        with profile("unit") as record:
            manometer.disable()
            work()
            with profile("inner") as inner:
                work()
        assert not _context.live
    finally:
        manometer.stop()

    assert inner is None
    assert record is not None
    assert list(record.root.own_children()) == []


class Clocks:
    """A scripted process under a governor: a second at a time, so much of it computed, so much of that our own."""

    def __init__(self) -> None:
        from manometer._governor import Governor

        self.now_ns = 10**10
        self.cpu_ns = 0
        self.governor = Governor(0.01, lambda: self.now_ns, lambda: self.cpu_ns)

    def second(self, busy: float, own: float) -> Any:
        self.now_ns += 10**9
        self.cpu_ns += int(busy * 1e9)
        self.governor.background_ns += int(busy * own * 1e9)
        return self.governor.tick()


@pytest.mark.parametrize("busy", [1.0, 4.0])
@pytest.mark.parametrize(
    "costs",
    [
        (0.5, 0.3, 0.2, 0.02, 0), (0.5, 0.5, 0.5, 0.5, 0), (0.03, 0.02, 0.012, 0.005, 0), (0.012, 0.009, 0.008, 0.001, 0),
        (0.04, 0.004, 0.004, 0.004, 0), (0.3, 0.011, 0.011, 0, 0), (0.02, 0.02, 0.02, 0.02, 0), (0.1, 0.08, 0.004, 0, 0),
        (0.06, 0, 0, 0, 0),
    ],
)  # fmt: skip
def test_O10_an_hour_costs_about_the_budget_whatever_each_level_costs_and_few_changes(
    costs: tuple[float, ...], busy: float
) -> None:
    from manometer import _level

    clocks, changes, spent = Clocks(), 0, 0.0
    noise = (0.5, 1.4, 0.9, 1.2, 0.7, 1.5, 0.8)
    try:
        for second in range(3_600):
            own = min(1.0, costs[clocks.governor.level] * noise[second % 7])
            changes += clocks.second(busy, own) is not None
            if second > 75:  # what is left of the first minute's freedom
                spent += own
    finally:
        _level.set_level(_level.FULL)

    assert clocks.governor.changes == changes <= 24
    assert spent / 3_525 <= 0.012


@pytest.mark.parametrize("seed", range(20))
def test_O10_each_step_up_is_one_level_a_minute_or_later_and_a_quiet_process_ends_at_full(seed: int) -> None:
    from manometer import _level

    chance, clocks, last, changes = random.Random(seed), Clocks(), 0, []
    restless = [(chance.uniform(0, 2), chance.random() ** 4) for _ in range(300)]
    try:
        for busy, own in [*restless, *[(1.0, 0.0)] * 4_000]:
            change = clocks.second(busy, own)
            if change is None:
                continue
            if change.after < change.before:
                assert change.after == change.before - 1
                assert not changes or clocks.now_ns - last >= 60 * 10**9
            last = clocks.now_ns
            changes.append(change)
        level = clocks.governor.level
    finally:
        _level.set_level(_level.FULL)

    assert changes
    assert level == _level.FULL


def test_O10_a_hot_loop_ends_with_wrappers_that_only_call(lines: Lines) -> None:
    """However long it takes: the level falls, is said in one line a step, and comes back with `stop`."""
    from manometer import _level

    @measure
    def hot() -> None: ...

    before = hot.__code__
    manometer.start(Config(heartbeat_s=0, exporters=("log",)))
    deadline = time.monotonic() + 60
    with profile("loop") as record:
        while _level.current_level() < _level.UNITS and time.monotonic() < deadline:
            for _ in range(100_000):
                hot()
        assert hot.__code__ is not before
        hot()
    status = manometer._runtime.running().pipeline.status()
    manometer.stop()
    said = [line for line in lines.lines if "level of detail lowered" in line]

    assert record is not None
    assert record.level >= _level.UNITS
    assert status.level == "units"
    assert len(said) == status.level_changes >= 1
    assert hot.__code__ is before
    assert _level.current_level() == _level.FULL
