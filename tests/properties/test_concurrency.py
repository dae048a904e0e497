"""X of the catalogue: contexts, threads, forks, greenlets, collections and signals."""

from __future__ import annotations

import ast
import asyncio
import contextvars
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings, strategies as st
from tests.properties._twin import ROOT, environment

import manometer
from manometer import Profile, _context, _native, measure, profile
from manometer._context import HOT, close_profile, open_profile, restore, variable

if TYPE_CHECKING:
    from collections.abc import Iterator

SOURCE = ROOT / "src" / "manometer"
QUIET = 'import logging, os; logging.getLogger("manometer").addHandler(logging.StreamHandler(open(os.devnull, "w")))\n'


@measure
def counted(n: int = 0) -> int:
    return n


@measure
async def waited(n: int) -> int:
    await asyncio.sleep(0)
    return counted(n)


@pytest.fixture
def sealed(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Profile]]:
    """Manometer on, without a thread of its own: what is sealed is in the list."""
    done: list[Profile] = []
    manometer.start(manometer.Config(exporters=(), heartbeat_s=0))
    monkeypatch.setattr(_context, "sink", done.append)
    yield done
    manometer.stop()
    variable.set(None)


def calls(record: Profile) -> dict[str, int]:
    found: dict[str, int] = {}
    for frame in record.root.walk():
        name = frame.callsite.name.rpartition(".")[2]
        found[name] = found.get(name, 0) + frame.calls
    return found


def child(
    program: str, *arguments: str, timeout: float = 60, **variables: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-X", "dev", "-X", "faulthandler", "-c", QUIET + program, *arguments],
        cwd=ROOT, capture_output=True, text=True, timeout=timeout, env=environment(**variables),
    )  # fmt: skip


def test_X1_the_source_keeps_and_resets_no_token() -> None:
    wrong = []
    for path in sorted(SOURCE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Attribute) and node.attr == "reset" and isinstance(node.ctx, ast.Load):
                wrong.append(f"{path.name}:{node.lineno}")

    assert wrong == []


@settings(max_examples=100, deadline=None, database=None)
@given(steps=st.lists(st.tuples(st.integers(0, 2), st.sampled_from(["enter", "leave"])), max_size=12))
def test_X1_blocks_entered_and_left_in_any_mix_of_contexts_raise_nothing(
    steps: list[tuple[int, str]],
) -> None:
    shared = measure("shared")
    contexts = [contextvars.copy_context() for _ in range(3)]
    opened = open_profile("unit", to=lambda _: None, cpu=False)
    try:
        for number, what in steps:
            if what == "enter":
                contexts[number].run(shared.__enter__)
            else:
                contexts[number].run(shared.__exit__, None, None, None)
    finally:
        close_profile(opened)
        restore(opened)

    assert variable.get() is None


def test_X2_tasks_and_loops_are_left_as_they_are(sealed: list[Profile]) -> None:
    async def main() -> Any:
        loop = asyncio.get_running_loop()
        async with profile("unit"):
            task = asyncio.ensure_future(waited(1))
            seen = [
                loop.get_task_factory(), type(task), task.get_coro().__qualname__, len(asyncio.all_tasks()),
                loop.get_exception_handler(),
            ]  # fmt: skip
            await task
            return [*seen, len(asyncio.all_tasks())]

    assert asyncio.run(main()) == [None, asyncio.Task, "waited", 2, None, 1]


@pytest.mark.skipif(sys.version_info < (3, 11), reason="task groups came with 3.11")
def test_X2_a_task_group_that_fails_cancels_its_measured_tasks(sealed: list[Profile]) -> None:
    log: list[str] = []

    @measure
    async def sleeps() -> None:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            log.append("cancelled")
            raise

    @measure
    async def fails() -> None:
        await asyncio.sleep(0)
        raise KeyError

    async def main() -> None:
        async with profile("unit"), asyncio.timeout(30), asyncio.TaskGroup() as group:  # type: ignore[attr-defined]
            group.create_task(sleeps())
            group.create_task(fails())

    with pytest.raises(BaseException) as caught:
        asyncio.run(main())

    assert type(caught.value).__name__ == "ExceptionGroup"
    assert log == ["cancelled"]
    (record,) = [record for record in sealed if record.kind == "block"]
    assert record.outcome == "ExceptionGroup"


def test_X3_a_worker_that_outlives_its_request_adds_to_no_request(sealed: list[Profile]) -> None:
    async def main() -> None:
        queue: asyncio.Queue[Any] = asyncio.Queue()

        async def worker() -> None:
            while await queue.get() is not None:
                for _ in range(7):
                    counted(1)

        task = None
        for number in range(100):
            async with profile(f"request{number}", kind="request"):
                counted(0)
                if task is None:
                    task = asyncio.ensure_future(worker())
                    await asyncio.sleep(0)
            queue.put_nowait(number)
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        queue.put_nowait(None)
        assert task is not None
        await task

    asyncio.run(main())
    _rolling_flush()
    requests = [record for record in sealed if record.kind == "request"]
    late = sum(calls(record).get("counted", 0) for record in sealed if record.kind == "process")

    assert [calls(record)["counted"] for record in requests] == [1] * 100
    assert late == 700


def test_X4_work_on_other_threads_belongs_to_the_request_that_sent_it(
    sealed: list[Profile],
) -> None:
    def request(number: int, pool: ThreadPoolExecutor) -> None:
        with profile(f"request{number}", kind="request"):
            carried = [pool.submit(contextvars.copy_context().run, counted, at) for at in range(8)]
            bare = pool.submit(counted, 1)
            for future in [*carried, bare]:
                future.result()

    with ThreadPoolExecutor(8) as pool, ThreadPoolExecutor(8) as requests:
        list(requests.map(lambda number: request(number, pool), range(50)))
    _rolling_flush()
    own = {record.name: calls(record).get("counted", 0) for record in sealed if record.kind == "request"}
    other = sum(calls(record).get("counted", 0) for record in sealed if record.kind == "process")

    assert own == {
        f"request{number}": 9 for number in range(50)
    }  # the source for executors carries the bare one
    assert other == 0


def _rolling_flush() -> None:
    from manometer import _rolling

    _rolling.flush()


def isolation(sealed: list[Profile], requests: int) -> None:
    import random

    chance = random.Random(requests)
    marks = [measure(_function(f"mark{number}")) for number in range(requests)]

    async def part(number: int) -> None:
        for _ in range(chance.randrange(3)):
            await asyncio.sleep(0)
        marks[number]()

    async def request(number: int) -> int:
        count = chance.randrange(1, 5)
        async with profile(f"request{number}", kind="request"):
            doomed = asyncio.ensure_future(asyncio.sleep(60))
            await asyncio.gather(*(part(number) for _ in range(count)))
            doomed.cancel()
            marks[number]()
        return count + 1

    async def main() -> list[int]:
        return await asyncio.gather(*(request(number) for number in range(requests)))

    expected = asyncio.run(main())
    found = {record.name: calls(record) for record in sealed if record.kind == "request"}
    for number, count in enumerate(expected):
        own = {name: n for name, n in found[f"request{number}"].items() if name.startswith("mark")}
        assert own == {f"mark{number}": count}


def _function(name: str) -> Any:
    namespace: dict[str, Any] = {"__name__": "marks"}
    exec(f"def {name}(): pass", namespace)
    return namespace[name]


def test_X5_a_thousand_interleaved_requests_hold_their_own_work_only(sealed: list[Profile]) -> None:
    isolation(sealed, 1_000)


def many_threads(threads: int, each: int) -> None:
    done: list[Profile] = []
    opened = open_profile("unit", to=done.append, cpu=False)
    contexts = [contextvars.copy_context() for _ in range(threads)]
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)

    def work() -> None:
        for n in range(each):
            counted(n)

    try:
        running = [threading.Thread(target=context.run, args=(work,)) for context in contexts]
        for thread in running:
            thread.start()
        for thread in running:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
        restore(opened)
        close_profile(opened)

    assert calls(done[0])["counted"] == threads * each


def test_X6_sixteen_threads_lose_no_call() -> None:
    many_threads(16, 2_000)


@pytest.mark.long
@pytest.mark.timeout(300)
def test_X6_sixteen_threads_lose_none_of_a_hundred_thousand_calls_each() -> None:
    many_threads(16, 100_000)


FORK = """
import json, sys, threading, time
import manometer
from manometer import _runtime, measure, profile
class Slow:
    def export(self, report): time.sleep(0.002); lock.acquire(); lock.release()
lock = threading.Lock()
manometer.start(manometer.Config(exporters=(), heartbeat_s=0), exporters=[Slow()])
@measure
def work(): return 1
stop = False
def measuring():
    while not stop:
        with profile("unit"): work()
        time.sleep(0.0005)
threads = [threading.Thread(target=measuring) for _ in range(4)]
for thread in threads: thread.start()
bad = []
for number in range(int(sys.argv[1])):
    pid = os.fork()
    if pid == 0:
        lock = threading.Lock()
        try:
            quiet = _runtime.running().pipeline._thread is None and _runtime.running().pipeline._queue.qsize() == 0
            with profile("child") as record: work()
            ok = quiet and record.root.children and manometer.flush(1.0)
            status = _runtime.running().pipeline.status()
            ok = ok and status.units == 1 and status.pid == os.getpid() and status.internal_errors == 0
        finally:
            os._exit(0 if ok else 3)
    began = time.monotonic()
    while True:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done: break
        if time.monotonic() - began > 10:
            os.kill(pid, 9); os.waitpid(pid, 0); status = "hung"; break
        time.sleep(0.001)
    if status: bad.append(status)
stop = True
for thread in threads: thread.join()
manometer.stop()
print(json.dumps(bad))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.parametrize("forks", [20, pytest.param(200, marks=pytest.mark.long)])
def test_X7_children_forked_at_any_moment_measure_report_and_end(forks: int) -> None:
    ran = child("import warnings; warnings.simplefilter('ignore')\n" + FORK, str(forks), timeout=250)

    assert ran.returncode == 0, ran.stderr[-2_000:]
    assert json.loads(ran.stdout) == []


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def _get(port: int, path: str = "/", wait_s: float = 20.0) -> str:
    deadline = time.monotonic() + wait_s
    while True:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
                return answer.read().decode()
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


APP = """
import os, sqlite3, time
from manometer import measure
from manometer.sources.wsgi import Middleware
@measure
def work(): return str(os.getpid())
def application(environ, start_response):
    if environ["PATH_INFO"] == "/slow":
        time.sleep(1.0)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [work().encode()]
app = Middleware(application)
async def asgi(scope, receive, send):
    import asyncio
    if scope["type"] != "http":
        return
    if scope["path"] == "/slow":
        await asyncio.sleep(1.0)
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": work().encode()})
"""
SERVERS = {
    "gunicorn": ["-m", "gunicorn", "served:app", "-w", "2", "--graceful-timeout", "5", "-b"],
    "gunicorn --preload": [
        "-m",
        "gunicorn",
        "served:app",
        "--preload",
        "-w",
        "2",
        "--graceful-timeout",
        "5",
        "-b",
    ],
    "uvicorn": ["-m", "uvicorn", "served:asgi", "--port"],
}


def _serve(folder: Path, server: str, **variables: str) -> tuple[subprocess.Popen[str], int]:
    pytest.importorskip(server.split(maxsplit=1)[0])
    (folder / "served.py").write_text(APP)
    port = _free_port()
    command = SERVERS[server]
    process = subprocess.Popen(
        [sys.executable, *command, f"127.0.0.1:{port}" if command[-1] == "-b" else str(port)],
        cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        env=environment(PYTHONPATH=str(folder), MANOMETER_SLOW_MS="0", MANOMETER_HEARTBEAT_S="0", **variables),
    )  # fmt: skip
    return process, port


@pytest.mark.parametrize("server", [name for name in SERVERS if name != "uvicorn"])
def test_X7_workers_of_gunicorn_report_their_own_requests(tmp_path: Path, server: str) -> None:
    process, port = _serve(tmp_path, server, MANOMETER="1")
    try:
        workers = {_get(port) for _ in range(20)}
    finally:
        process.send_signal(signal.SIGTERM)
        said, _ = process.communicate(timeout=30)

    assert process.returncode == 0
    assert str(process.pid) not in workers
    assert said.count("GET /") >= 20, said


@pytest.mark.parametrize("server", list(SERVERS))
def test_X13_a_server_told_to_end_serves_what_it_began_and_ends_as_without(
    tmp_path: Path, server: str
) -> None:
    found = []
    for switch in ("0", "1"):
        process, port = _serve(tmp_path, server, MANOMETER=switch)
        try:
            _get(port)
            answers: list[str] = []
            began = time.monotonic()
            asking = threading.Thread(target=lambda p=port, a=answers: a.append(_get(p, "/slow")))
            asking.start()
            time.sleep(0.4)
        finally:
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=30)
        asking.join()
        found.append((process.returncode, bool(answers and answers[0])))
        assert time.monotonic() - began < 15

    assert found[0] == found[1]
    assert found[1][1]


def test_X13_no_handler_timer_or_wakeup_is_set() -> None:
    program = """
import json, signal
before = [str(signal.getsignal(n)) for n in sorted(signal.valid_signals())]
import manometer
manometer.start(manometer.Config(heartbeat_s=0))
after = [str(signal.getsignal(n)) for n in sorted(signal.valid_signals())]
timers = [signal.getitimer(w) for w in (signal.ITIMER_REAL, signal.ITIMER_VIRTUAL, signal.ITIMER_PROF)]
print(json.dumps([before == after, timers, signal.set_wakeup_fd(-1)]))
manometer.stop()
"""
    ran = child(program)

    assert json.loads(ran.stdout) == [True, [[0.0, 0.0]] * 3, -1]


GEVENT = """
import sys, json
if sys.argv[1] == "before":
    from gevent import monkey; monkey.patch_all()
    import manometer
else:
    import manometer
    from gevent import monkey; monkey.patch_all()
import gevent, greenlet
from manometer import _context, _runtime, measure, profile
switched = []
package = os.path.dirname(manometer.__file__)
def trace(event, args):
    frame = args[0].gr_frame if event == "switch" and args[0] is not None else None
    while frame is not None and frame.f_code.co_filename.startswith("<frozen"): frame = frame.f_back
    names = []
    for _ in range(1 if frame is None else 6):
        if frame is None: break
        names.append(frame.f_code.co_filename); frame = frame.f_back
    # The innermost frames are gevent's own; the first below them must not be ours.
    below = [name for name in names if "gevent" not in name and "greenlet" not in name]
    if below and below[0].startswith(package): switched.append(below[0])
manometer.start(manometer.Config(heartbeat_s=0))
greenlet.settrace(trace)
@measure
def work(n):
    gevent.sleep(0.0005); return n
def unit(i):
    with profile("u%d" % (i % 5), kind="request") as record:
        for k in range(3): work(k)
    return sum(f.calls for f in record.root.walk()) - 1, record.cpu_ns
def bare(i):
    return work(i)
jobs = [gevent.spawn(unit, i) for i in range(1000)]
others = [gevent.spawn(bare, i) for i in range(200)]
gevent.joinall(jobs + others, timeout=30)
greenlet.settrace(None)
values = [job.value for job in jobs]
pipeline = _runtime.running().pipeline
print(json.dumps({
    "calls": sorted({value[0] for value in values}), "cpu": sorted({value[1] for value in values if value[1] != -1}),
    "ended": all(job.dead for job in jobs + others), "switched": switched, "flushed": manometer.flush(10),
    "thread": type(pipeline._thread).__name__, "queue": type(pipeline._queue).__module__,
    "units": pipeline.units, "failed": dict(manometer._guard.counts),
}))
manometer.stop()
"""


@pytest.mark.parametrize("when", ["before", "after"])
def test_X8_greenlets_are_kept_apart_and_the_background_thread_is_a_real_one(when: str) -> None:
    pytest.importorskip("gevent")
    ran = subprocess.run(
        [sys.executable, "-c", QUIET + GEVENT, when], cwd=ROOT, capture_output=True, text=True, timeout=60, env=environment()
    )  # fmt: skip

    assert ran.returncode == 0, ran.stderr[-2_000:]
    found = json.loads(ran.stdout)
    assert found == {
        "calls": [3], "cpu": [], "ended": True, "switched": [], "flushed": True, "thread": "Thread", "queue": "_queue",
        "units": 1_000, "failed": {},
    }  # fmt: skip


def test_X8_greenlets_that_are_gone_are_not_kept(
    monkeypatch: pytest.MonkeyPatch, sealed: list[Profile]
) -> None:
    import weakref

    from manometer import _rolling

    greenlet = pytest.importorskip("greenlet")
    _context.use_greenlets()
    gone = []
    for _ in range(50):
        one = greenlet.greenlet(lambda: counted(1))
        one.switch()
        gone.append(weakref.ref(one))
    del one
    _rolling.tick()
    sealed.clear()

    assert [ref for ref in gone if ref() is not None] == []


REENTER = """
import gc, sys, weakref, json, logging
import manometer
from manometer import measure, profile, _guard
manometer.start(manometer.Config(heartbeat_s=0))
said = logging.getLogger("app"); said.addHandler(logging.NullHandler())
@measure
def inner(n): return n
class Dies:
    def __del__(self):
        inner(1)
        with profile("dying"): inner(2)
        said.warning("gone")
def called_back(_):
    inner(3)
@measure
def work(n):
    thing = Dies(); thing.cycle = thing
    other = Dies(); ref = weakref.ref(other, called_back)
    return inner(n)
sys.addaudithook(lambda name, _: inner(4) if name == "manometer.test" else None)
gc.set_threshold(1, 1, 1)
count = int(sys.argv[1])
from manometer._context import variable
with profile("outer") as record:
    for n in range(count):
        work(n); sys.audit("manometer.test")
    branch = variable.get()
    balanced = branch.frame is record.root
gc.set_threshold(700, 10, 10)
gc.collect()
work_calls = [f.calls for f in record.root.walk() if f.callsite.name.endswith(".work")]
print(json.dumps([balanced, work_calls, dict(_guard.counts)]))
manometer.stop()
"""


@pytest.mark.parametrize("count", [300, pytest.param(20_000, marks=pytest.mark.long)])
def test_X9_collections_destructors_and_hooks_may_come_back_in_anywhere(count: int) -> None:
    ran = child(REENTER, str(count), timeout=280)

    assert ran.returncode == 0, ran.stderr[-2_000:]
    assert json.loads(ran.stdout) == [True, [count], {}]


EVERY_ALLOCATION = """
import contextlib, contextvars, gc, json
from manometer import _guard, measure, profile
@measure
async def coroutine(): return 1
@measure
def plain(): return 1
@measure
async def steps(): yield 1
@measure
def items(): yield 1
async def iterate():
    async for _ in steps(): pass
def drive(awaitable):
    with contextlib.suppress(StopIteration): awaitable.send(None)
def block():
    with measure("block"): pass
def unit():
    with profile("unit"): pass
KINDS = (
    block, unit, plain, lambda: drive(coroutine()), lambda: drive(iterate()), lambda: list(items()),
    lambda: contextvars.Context().run(plain),
)
died = []
class Dies:
    def __del__(self):
        died.append(1)
        for act in KINDS: act()
def junk():
    thing = Dies(); thing.cycle = thing
def at_each(act):
    for variable in others: variable.set(1)
    for allocations in range(1, 40):
        gc.disable(); gc.collect(0); junk(); gc.set_threshold(allocations, 1, 1); gc.enable()
        act()
        gc.set_threshold(700, 10, 10)
gc.freeze()
for count in (0, 40):
    others = [contextvars.ContextVar(str(number)) for number in range(count)]
    for act in KINDS:
        with profile("outer"): contextvars.copy_context().run(at_each, act)
        contextvars.Context().run(at_each, act)
gc.collect()
print(json.dumps([len(died), dict(_guard.counts)]))
"""


@pytest.mark.timeout(150)
@pytest.mark.parametrize("core", ["c", "python"])
def test_X9_a_destructor_may_run_at_any_allocation_without_a_crash(core: str) -> None:
    if core == "c" and _native.core is None:
        pytest.skip("no compiled core here")
    ran = child(EVERY_ALLOCATION, timeout=120, MANOMETER_CORE=core, PYTHONMALLOC="debug")

    assert ran.returncode == 0, ran.stderr[-2_000:]
    assert json.loads(ran.stdout) == [2 * 2 * 7 * 39, {}]


HOT_FILES = (
    "_context.py", "_template.py", "_measure.py", "_block.py", "_plan.py", "_calls.py", "_rolling.py", "_cpu.py",
    "_fingerprint.py", "_site.py", "_statement.py", "sources/_query.py", "sources/_rows.py", "sources/_request.py",
)  # fmt: skip


def test_X9_no_lock_is_taken_and_nothing_waits_on_application_threads() -> None:
    wrong = []
    for name in HOT_FILES:
        for node in ast.walk(ast.parse((SOURCE / name).read_text(encoding="utf-8"))):
            called = node.func if isinstance(node, ast.Call) else None
            attribute = (
                called.attr
                if isinstance(called, ast.Attribute)
                else called.id
                if isinstance(called, ast.Name)
                else ""
            )
            if attribute in (
                "Lock",
                "RLock",
                "Condition",
                "acquire",
                "sleep",
                "join_thread",
                "wait",
                "open",
                "print",
            ):
                wrong.append(f"{name}:{node.lineno}: {attribute}")

    assert wrong == []


TOOLS = """
import json, sys
import manometer
from manometer import measure, profile
if "MANOMETER" not in os.environ:
    manometer.start(manometer.Config(heartbeat_s=0))
@measure
def work(n):
    if n > 2:
        return n + 1
    return n
slots = sys.getprofile(), sys.gettrace()
with profile("unit"):
    total = sum(work(n) for n in range(5))
print(json.dumps([total, (sys.getprofile(), sys.gettrace()) == slots]))
manometer.stop()
"""


@pytest.mark.parametrize("core", ["ctrace", "pytrace", "sysmon"])
def test_X12_coverage_sees_the_lines_of_measured_functions(tmp_path: Path, core: str) -> None:
    pytest.importorskip("coverage")
    if core == "sysmon" and sys.version_info < (3, 12):
        pytest.skip("sys.monitoring came with 3.12")
    (tmp_path / "tools.py").write_text(QUIET + TOOLS)
    lines = []
    for switch in ("0", "1"):
        data = tmp_path / f"data{switch}"
        ran = subprocess.run(
            [sys.executable, "-m", "coverage", "run", "--branch", f"--data-file={data}", "tools.py"],
            cwd=tmp_path, capture_output=True, text=True, timeout=60,
            env=environment(MANOMETER=switch, COVERAGE_CORE=core),
        )  # fmt: skip
        assert ran.returncode == 0, ran.stderr
        assert json.loads(ran.stdout) == [12, True]
        import coverage

        found = coverage.CoverageData(str(data))
        found.read()
        lines.append(sorted(found.arcs(str(tmp_path / "tools.py")) or ()))

    assert lines[0] == lines[1]
    assert len(lines[0]) > 5


@pytest.mark.parametrize("tool", ["cProfile", "trace"])
def test_X12_profilers_keep_their_slots(tmp_path: Path, tool: str) -> None:
    (tmp_path / "tools.py").write_text(QUIET + TOOLS)
    options = {"cProfile": ["-o", str(tmp_path / "out")], "trace": ["--count", "-C", str(tmp_path)]}[tool]
    ran = subprocess.run(
        [sys.executable, "-m", tool, *options, "tools.py"], cwd=tmp_path, capture_output=True, text=True, timeout=60,
        env=environment(),
    )  # fmt: skip

    assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stdout.splitlines()[0]) == [12, True]


def test_X12_pyinstrument_runs_beside_us() -> None:
    pytest.importorskip("pyinstrument")
    from pyinstrument import Profiler

    before = sys.getprofile()
    with Profiler() as profiler, profile("unit"):
        for n in range(100):
            counted(n)

    assert profiler.last_session is not None
    assert sys.getprofile() is before


def test_X14_importing_does_nothing_but_import_the_standard_library() -> None:
    program = """
import json, sys, threading
before = set(sys.modules), list(sys.meta_path), list(sys.path_hooks), len(os.listdir("/proc/self/fd"))
import manometer
from manometer import measure, profile
added = {name.partition(".")[0] for name in set(sys.modules) - before[0]} - set(sys.stdlib_module_names) - {"manometer"}
print(json.dumps([sorted(name for name in added if not name.startswith("_")), list(sys.meta_path) == before[1],
                  list(sys.path_hooks) == before[2], len(os.listdir("/proc/self/fd")) - before[3], threading.active_count()]))
"""
    ran = child(program)

    assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stdout) == [[], True, True, 0, 1]


def test_X14_eight_threads_may_import_at_once() -> None:
    program = """
import json, threading
found = []
def load():
    barrier.wait()
    import manometer
    from manometer import measure, start, profile
    found.append((id(manometer), id(measure)))
barrier = threading.Barrier(8)
threads = [threading.Thread(target=load) for _ in range(8)]
for thread in threads: thread.start()
for thread in threads: thread.join()
print(json.dumps([len(found), len(set(found))]))
"""
    ran = child(program, MANOMETER="1")

    assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stdout) == [8, 1]


def test_X15_loops_come_and_go_in_many_threads(sealed: list[Profile]) -> None:
    def run(number: int) -> int:
        async def main() -> int:
            async with profile(f"loop{number}"):
                return sum(await asyncio.gather(*(waited(n) for n in range(3))))

        return asyncio.run(main())

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(run, range(20)))

    assert found == [3] * 20
    assert sorted(calls(record)["waited"] for record in sealed if record.kind == "block") == [3] * 20
    assert HOT["idle_"] is False
