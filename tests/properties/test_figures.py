"""F of the catalogue: figures that do not lie."""

from __future__ import annotations

import asyncio
import contextlib
import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings, strategies as st
from tests.properties._clock import FakeClock, WallClock
from tests.properties._twin import ROOT, environment

from manometer import Profile, measure, profile
from manometer._context import close_profile, open_profile, restore

if TYPE_CHECKING:
    from collections.abc import Iterator

    from manometer import Frame


@contextlib.contextmanager
def unit(*, cpu: bool = False) -> Iterator[list[Profile]]:
    done: list[Profile] = []
    opened = open_profile("unit", to=done.append, cpu=cpu)
    try:
        yield done
    finally:
        close_profile(opened)
        restore(opened)


def frames(record: Profile) -> dict[str, Frame]:
    return {frame.callsite.name.rpartition(".")[2]: frame for frame in record.root.walk()}


@pytest.mark.parametrize("step_s", [-3_600, 3_600, 0])
def test_F1_durations_follow_the_monotonic_clock_whatever_the_wall_clock_does(
    step_s: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    wall = WallClock(monkeypatch)
    with FakeClock() as clock:

        @measure
        def work() -> None:
            if step_s:
                wall.step(step_s)
            else:
                wall.freeze()
            clock.advance(ms=5)

        with unit() as done:
            before = wall.now_ns()
            work()

    record = done[0]
    assert frames(record)["work"].total_ns == 5_000_000
    assert record.duration_ns == 5_000_000
    assert abs(record.started_unix_ns - before) < 10**9


# F3 and F6: a program as a tree of (function, milliseconds before, children), run and counted by hand.
TREES = st.recursive(
    st.tuples(st.integers(0, 4), st.integers(0, 9), st.just(())),
    lambda below: st.tuples(st.integers(0, 4), st.integers(0, 9), st.lists(below, max_size=4).map(tuple)),
    max_leaves=25,
)


def _length(tree: Any) -> int:
    return tree[1] + sum(map(_length, tree[2]))


def _model(tree: Any, open_sites: frozenset[int], calls: list[int], total: list[int]) -> None:
    site, _, below = tree
    calls[site] += 1
    if site not in open_sites:
        total[site] += _length(tree)
    for child in below:
        _model(child, open_sites | {site}, calls, total)


@settings(max_examples=300, deadline=None, database=None)
@given(tree=TREES)
def test_F3_F6_calls_and_times_of_any_tree_with_recursion_are_those_of_the_model(tree: Any) -> None:
    with FakeClock() as clock:

        def body(node: Any) -> None:
            clock.advance(ms=node[1])
            for child in node[2]:
                functions[child[0]](child)

        functions = []
        for number in range(5):
            namespace: dict[str, Any] = {"body": body}
            exec(f"def f{number}(node): body(node)", namespace)
            functions.append(measure(namespace[f"f{number}"]))
        with unit() as done:
            functions[tree[0]](tree)
    record = done[0]
    calls, total = [0] * 5, [0] * 5
    _model(tree, frozenset(), calls, total)
    counted, timed = [0] * 5, [0] * 5
    for frame in record.root.walk():
        if frame is not record.root:
            counted[int(frame.callsite.name[-1])] += frame.calls
            timed[int(frame.callsite.name[-1])] += frame.total_ns // 1_000_000
        assert 0 <= frame.self_ns <= frame.total_ns

    assert counted == calls
    assert all(found >= true for found, true in zip(timed, total, strict=True))
    # A call that folds into a frame further up takes its time out of the frames between: see the promises.
    if not _folds(tree, ()):
        assert timed == total
        assert sum(frame.self_ns for frame in record.root.walk()) == record.duration_ns


def _folds(tree: Any, above: tuple[int, ...]) -> bool:
    """Tell whether a call recurses through another function."""
    return tree[0] in above[:-1] or any(_folds(child, (*above, tree[0])) for child in tree[2])


@settings(max_examples=150, deadline=None, database=None)
@given(spans=st.lists(st.tuples(st.integers(0, 6), st.integers(1, 6)), min_size=1, max_size=6))
def test_F3_overlapping_children_never_make_a_negative_self_time(spans: list[tuple[int, int]]) -> None:
    """Each child sleeps, works through some ticks, and ends; a tick is a turn of the loop and a millisecond."""
    with FakeClock() as clock:

        @measure
        async def child(start: int, ticks: int) -> None:
            await at(start + ticks)

        async def at(tick: int) -> None:
            while clock.now_ns < began + tick * 1_000_000:  # noqa: ASYNC110 - the clock is scripted
                await asyncio.sleep(0)

        async def starts(start: int, ticks: int) -> None:
            await at(start)
            await child(start, ticks)

        async def ticking(end: int) -> None:
            for _ in range(end):
                for _ in range(8):
                    await asyncio.sleep(0)
                clock.advance(ms=1)

        @measure
        async def parent() -> None:
            await asyncio.gather(ticking(14), *(starts(*span) for span in spans))

        async def main() -> None:
            nonlocal began
            began = clock.now_ns
            await parent()

        began = 0
        with unit() as done:
            asyncio.run(main())
    found = frames(done[0])
    covered = len({tick for start, ticks in spans for tick in range(start, start + ticks)})

    assert found["child"].calls == len(spans)
    assert found["child"].total_ns == sum(ticks for _, ticks in spans) * 1_000_000
    assert found["child"].covered_ns == covered * 1_000_000
    assert found["parent"].self_ns == (14 - covered) * 1_000_000


def test_F4_cpu_time_is_told_only_where_it_is_the_units_own() -> None:
    with unit(cpu=True) as alone:
        pass
    with unit(cpu=True) as outer, unit(cpu=True) as inner:
        pass

    async def two() -> list[Any]:
        async def one() -> Profile | None:
            async with profile("task") as record:
                await asyncio.sleep(0)
            return record

        opened = open_profile("outer", to=lambda _: None)
        try:
            records = []
            for _ in range(2):
                done: list[Profile] = []
                inside = open_profile("task", to=done.append, cpu=False)
                await one()
                restore(inside)
                close_profile(inside)
                records += done
            return records
        finally:
            close_profile(opened)
            restore(opened)

    assert alone[0].cpu_ns >= 0
    assert inner[0].cpu_ns == -1
    assert outer[0].cpu_ns >= 0
    assert [record.cpu_ns for record in asyncio.run(two())] == [-1, -1]


def test_F4_a_unit_that_waited_while_another_greenlet_worked_tells_no_cpu_time() -> None:
    greenlet = pytest.importorskip("greenlet")
    done: list[Profile] = []

    def works() -> None:
        opened = open_profile("works", to=done.append)
        close_profile(opened)
        restore(opened)

    opened = open_profile("waits", to=done.append)
    greenlet.greenlet(works).switch()
    close_profile(opened)
    restore(opened)

    assert {record.name: record.cpu_ns for record in done} == {"works": -1, "waits": -1}


def test_F4_the_kill_switch_does_not_make_later_units_share_a_thread() -> None:
    import manometer

    manometer.start(manometer.Config(exporters=(), heartbeat_s=0))
    try:
        with profile("cut"):
            manometer.disable()
        manometer.enable()
        with profile("after") as record:
            pass
    finally:
        manometer.stop()

    assert record is not None
    assert record.cpu_ns >= 0


class Cancelled(BaseException):
    pass


@pytest.mark.parametrize(
    ("error", "errors", "cancelled"),
    [(ValueError, 1, 0), (asyncio.CancelledError, 0, 1), (GeneratorExit, 0, 1), (KeyboardInterrupt, 1, 0)],
)
def test_F9_how_a_call_ended_is_told_apart(error: type[BaseException], errors: int, cancelled: int) -> None:
    @measure
    def ends() -> None:
        raise error

    with unit() as done, contextlib.suppress(error):
        ends()
    frame = frames(done[0])["ends"]

    assert (frame.errors, frame.more().cancelled) == (errors, cancelled)
    assert frame.more().outcomes == {error.__name__: 1}


def test_F9_a_generator_closed_early_is_no_error_and_ends_when_it_is_closed() -> None:
    with FakeClock() as clock, unit() as done:

        @measure
        def numbers() -> Iterator[int]:
            for number in range(9):
                clock.advance(ms=1)
                yield number

        generator = numbers()
        next(generator)
        clock.advance(ms=50)
        next(generator)
        generator.close()
        clock.advance(ms=500)
        del generator
    frame = frames(done[0])["numbers"]

    assert frame.errors == 0
    assert frame.total_ns == 2_000_000
    assert frame.more().rows_sum == 2


def test_F9_a_unit_that_is_interrupted_says_by_what() -> None:
    import manometer

    records: list[Profile] = []

    class Keep:
        def export(self, report: Any) -> None:
            records.append(report.profile)

    manometer.start(manometer.Config(exporters=(), heartbeat_s=0), exporters=[Keep()])
    try:
        for error in (ValueError, KeyboardInterrupt, asyncio.CancelledError):
            with contextlib.suppress(error), profile("unit"):
                raise error
        manometer.flush()
    finally:
        manometer.stop()

    assert [record.outcome for record in records if record.kind == "block"] == [
        "ValueError",
        "KeyboardInterrupt",
        "CancelledError",
    ]


def test_F10_a_child_after_fork_reports_its_own_process_and_counts_from_zero() -> None:
    program = """
import json, os, logging, sys
import manometer
from manometer import _runtime, profile
logging.getLogger("manometer").addHandler(logging.StreamHandler(open(os.devnull, "w")))
manometer.start(manometer.Config(heartbeat_s=0))
for _ in range(3):
    with profile("unit"): pass
manometer.flush()
r, w = os.pipe()
if os.fork() == 0:
    with profile("unit"): pass
    manometer.flush()
    status = _runtime.running().pipeline.status()
    os.write(w, json.dumps([status.pid == os.getpid(), status.units]).encode())
    os._exit(0)
os.wait()
status = _runtime.running().pipeline.status()
print(json.dumps([json.loads(os.read(r, 100)), [status.pid == os.getpid(), status.units]]))
manometer.stop()
"""
    ran = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        capture_output=True,
        text=True,
        env=environment(),
        timeout=30,
    )

    assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stdout) == [[True, 1], [True, 3]]


def test_F7_a_request_ends_with_the_last_byte_of_its_body_and_not_with_what_comes_after() -> None:
    import manometer
    from manometer.sources.wsgi import Middleware

    kept: list[Profile] = []

    class Keep:
        def export(self, report: Any) -> None:
            kept.append(report.profile)

    with FakeClock() as clock:

        def app(environ: dict[str, Any], start_response: Any) -> Any:
            start_response("200 OK", [])

            def body() -> Iterator[bytes]:
                for _ in range(3):
                    clock.advance(ms=10)
                    yield b"x"

            return body()

        manometer.start(manometer.Config(exporters=(), heartbeat_s=0), exporters=[Keep()])
        try:
            answer = Middleware(app)({"REQUEST_METHOD": "GET", "PATH_INFO": "/x"}, lambda *_: None)
            assert list(answer) == [b"x"] * 3
            clock.advance(ms=500)
            answer.close()
            manometer.flush(5)
        finally:
            manometer.stop()
    (record,) = [record for record in kept if record.kind == "request"]

    assert record.duration_ns == 30_000_000
    assert record.first_byte_ns == 10_000_000


def test_F8_what_the_log_says_in_json_is_what_was_counted() -> None:
    program = """
import sys
import manometer
from manometer import measure, profile
import sqlite3
connection = sqlite3.connect(":memory:")
with profile("GET /x", kind="request"):
    for n in range(40):
        connection.execute("SELECT name FROM sqlite_master WHERE name = ?", (str(n),)).fetchall()
"""
    ran = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=30,
        env=environment(MANOMETER="1", MANOMETER_LOG_FORMAT="json", MANOMETER_SLOW_MS="0", MANOMETER_HEARTBEAT_S="0"),
    )  # fmt: skip
    said = [json.loads(line)["manometer"] for line in ran.stderr.splitlines() if line.startswith("{")]
    (unit,) = [event for event in said if event["event"] == "request" and event["unit"]["name"] == "GET /x"]
    (finding,) = unit["findings"]

    assert unit["calls"]["sql"]["count"] == 40
    assert finding["calls"] == finding["evidence"]["calls"] == 40
    assert finding["cost_ms"] == unit["calls"]["sql"]["ms"]
    assert 0 < finding["cost_ms"] <= unit["dur_ms"]
