"""B of the catalogue: everything is bounded, what reaches a bound is counted, and nothing of the host's is kept."""

from __future__ import annotations

import contextlib
import gc
import json
import random
import string
import subprocess
import sys
import tracemalloc
import weakref
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings, strategies as st
from tests.properties._twin import ROOT, environment

from manometer import Profile, _context, _limits, _site, measure
from manometer._calls import add_rows, begin, end
from manometer._context import close_profile, current, open_profile, restore, variable
from manometer._history import History
from manometer._model import Callsite
from manometer._statement import statement
from manometer.detectors import judge
from manometer.sources import _route
from manometer.testing import install_sources

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MIB = 1 << 20


@contextlib.contextmanager
def unit() -> Iterator[list[Profile]]:
    done: list[Profile] = []
    opened = open_profile("unit", to=done.append, cpu=False)
    try:
        yield done
    finally:
        close_profile(opened)
        restore(opened)


def _bytes_of(profiles: list[Profile]) -> int:
    """What is given back when the profiles go."""
    gc.collect()
    before = tracemalloc.get_traced_memory()[0]
    profiles.clear()
    variable.set(None)
    gc.collect()
    return before - tracemalloc.get_traced_memory()[0]


def _query(number: int) -> None:
    on = current()
    assert on is not None
    site = _site.callsite(
        "db", f"SELECT t{number}", f"SELECT * FROM t{number}", ("/app/a.py", 3, "f"), operation="read"
    )
    call = begin(on, site)
    end(
        call, key=hash(("key", number)), values=(hash(("value", number)),),
        callers=(("/app/b.py", 7, "g"), ("/app/c.py", 8, "h")),
    )  # fmt: skip
    add_rows(call, 2, [hash(("value", number + 1)), hash(("row", number))], hash(("result", number)))


def assert_distinct_queries(count: int) -> None:
    tracemalloc.start()
    try:
        with unit() as done:
            for number in range(count):
                _query(number)
        (record,) = done
        frames = list(record.root.walk())[1:]
        calls = sum(frame.calls for frame in frames)
        spent_ns = sum(frame.total_ns for frame in frames)
        keys = sum(len(frame.detail.keys) for frame in frames if frame.detail is not None)
        found = judge(record, History())
        folded = record.dropped["frames"]
        frames.clear()
        del record
        size = _bytes_of(done)
    finally:
        tracemalloc.stop()
        _site.forget()

    assert calls == count
    assert spent_ns > 0
    assert folded == count - 500
    assert keys <= _limits.MAX_KEYS_PER_PROFILE
    assert len(found) <= _limits.MAX_FINDINGS_PER_PROFILE
    assert size < MIB, f"{size / 1024:.0f} KiB"


@pytest.mark.timeout(120)
def test_B1_a_unit_with_many_distinct_queries_stays_below_1_mib_and_its_sums_exact() -> None:
    assert_distinct_queries(20_000)


@pytest.mark.long
@pytest.mark.timeout(900)
def test_B1_a_unit_with_a_million_distinct_queries_stays_below_1_mib_and_its_sums_exact() -> None:
    assert_distinct_queries(1_000_000)


def test_B1_distinct_measured_functions_fold_and_their_sums_stay_exact() -> None:
    functions = [_fresh_function(number) for number in range(3_000)]
    tracemalloc.start()
    try:
        with unit() as done:
            for function in functions:
                function(1)
                function(2)
        (record,) = done
        calls = sum(frame.calls for frame in record.root.walk()) - 1
        dropped = dict(record.dropped)
        del record
        size = _bytes_of(done)
    finally:
        tracemalloc.stop()

    assert calls == 6_000
    assert dropped == {"frames": 2 * (3_000 - 1_999)}
    assert size < MIB


def test_B1_errors_callers_values_and_outcomes_are_bounded_on_one_frame() -> None:
    site = Callsite(name="q", kind="db", operation="read")
    with unit() as done:
        for number in range(5_000):
            on = current()
            assert on is not None
            call = begin(on, site)
            end(
                call,
                key=number,
                error=f"E{number}" if number % 2 else "",
                callers=((f"/app/{number}.py", number, "f"),),
            )
            add_rows(call, 1, [number * 100 + at for at in range(64)])
    (frame,) = done[0].root.own_children()
    detail = frame.more()

    assert frame.calls == 5_000
    assert frame.errors == 2_500
    assert len(detail.outcomes) == _limits.MAX_OUTCOMES
    assert len(detail.callers) <= _limits.MAX_CALLERS_PER_FRAME + 1
    assert sum(detail.callers.values()) == 5_000
    assert len(detail.keys) == _limits.MAX_KEYS_PER_FRAME
    assert len(detail.exemplars) <= _limits.MAX_EXEMPLARS
    assert all(len(read.values) <= _limits.MAX_VALUES_PER_FRAME + 64 for read in done[0].returned.values())


def _word(chance: random.Random) -> str:
    return "".join(chance.choices(string.ascii_lowercase, k=12))


def assert_names(count: int) -> None:
    chance = random.Random(3)
    history = History()
    gc.collect()
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    try:
        for _ in range(count):
            word = _word(chance)
            _site.callsite("http", word * 50, f"GET /{word}", (f"/app/{word}.py", 1, word))
            statement(f"SELECT {word} FROM {word} WHERE id = 3")
            _route.templated(f"/{word}/{word}/3")
            _route.rule_of(f"/{word}/<int:n>")
            with unit() as done:
                pass
            done[0].name = done[0].route = word
            history.add(done[0])
        grown = tracemalloc.get_traced_memory()[0] - before
        longest = max(len(site.name) for site in _site._callsites.values())
        names = len(_site._callsites)
    finally:
        tracemalloc.stop()
        _site.forget()

    assert names <= _limits.MAX_CALLSITES + 1
    assert longest <= _limits.MAX_NAME
    assert grown < 16 * MIB, f"{grown / MIB:.1f} MiB"


@pytest.mark.timeout(120)
def test_B2_random_names_of_everything_stay_within_their_bounds() -> None:
    assert_names(6_000)


@pytest.mark.long
@pytest.mark.timeout(1_800)
def test_B2_a_million_random_names_of_everything_stay_within_their_bounds() -> None:
    assert_names(1_000_000)


def test_B3_units_that_never_end_are_forgotten_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_limits, "MAX_LIVE_PROFILES", 100)
    before, others = _context.drops.get("evicted", 0), len(_context.live)
    opened = [open_profile("unit", to=lambda _: None, cpu=False) for _ in range(1_000)]
    live = len(_context.live)
    for one in reversed(opened):
        restore(one)
        close_profile(one)

    assert live <= 100
    assert _context.drops.pop("evicted") - before == 900 + others
    assert not _context.live


def test_B3_an_infinite_generator_and_an_endless_loop_use_one_frame() -> None:
    @measure
    def endless() -> Iterator[int]:
        while True:
            yield 1

    with unit() as done:
        for number, _ in enumerate(endless()):
            if number == 20_000:
                break

    assert len(list(done[0].root.walk())) == 2


def _fresh_function(number: int) -> Callable[[int], int]:
    namespace: dict[str, Any] = {}
    exec(f"def f{number}(a): return a", namespace)  # another code object each time
    return measure(namespace[f"f{number}"])


PINNING = """
import gc, sys, json, weakref, asyncio, sqlite3
import manometer
from manometer import measure, profile
from manometer.testing import install_sources
import logging, os
logging.getLogger("manometer").addHandler(logging.StreamHandler(open(os.devnull, "w")))
manometer.start(manometer.Config(heartbeat_s=0))

class Thing:
    def method(self): return self
class Own(Exception): pass

def use():
    refs = {}
    def note(name, thing): refs[name] = weakref.ref(thing)
    @measure
    def through(thing, *, fail=False):
        if fail: raise Own(thing)
        return thing
    class Local:
        @measure
        def method(self): return Thing()
    note("function", through); note("class", Local)
    gc.disable()
    argument, result = Thing(), None
    note("argument", argument)
    with profile("unit"):
        for _ in range(20): through(argument)
        result = Local().method(); note("result", result)
        try: through(argument, fail=True)
        except Own as error:
            note("exception", error)
            class Tb: pass
    del argument, result
    dead = {name: ref() is None for name, ref in refs.items() if name in ("argument", "result", "exception")}
    gc.enable()
    return refs, dead

refs, dead = use()
async def main():
    return weakref.ref(asyncio.get_running_loop())
async def measured_main():
    async with profile("async"):
        return await measure(main)()
loop = asyncio.run(measured_main())
connection = sqlite3.connect(":memory:")
connections = weakref.ref(connection)
with profile("db"):
    cursor = connection.execute("SELECT 1 FROM sqlite_master"); cursors = weakref.ref(cursor); cursor.fetchall()
del connection, cursor
manometer.flush()
gc.collect()
dead |= {"function": refs["function"]() is None, "class": refs["class"]() is None, "loop": loop() is None,
         "connection": connections() is None, "cursor": cursors() is None}
print(json.dumps(dead))
manometer.stop()
"""


def _run(program: str, *flags: str, timeout: int = 60, **variables: str) -> Any:
    ran = subprocess.run(
        [sys.executable, *flags, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=timeout,
        env=environment(**variables),
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr[-3_000:]
    return json.loads(ran.stdout.splitlines()[-1])


def test_B4_nothing_of_the_hosts_is_kept_alive() -> None:
    dead = _run(PINNING)

    assert dead == dict.fromkeys(dead, True)
    assert len(dead) == 8


def assert_dynamic(count: int) -> None:
    from manometer import _template

    _fresh_function(0)
    import linecache

    def ours() -> tuple[int, int, int]:
        lines = sum(name.startswith("<manometer") for name in linecache.cache)
        return len(_template._makers), lines, len(_site._callsites)

    before = ours()
    with unit() as done:
        for number in range(count):
            function = _fresh_function(number)
            function(number)
    dead = weakref.ref(function)
    del function
    done.clear()
    gc.collect()

    assert ours() == before
    assert dead() is None


def test_B4_functions_decorated_at_run_time_leave_no_entry() -> None:
    assert_dynamic(2_000)


@pytest.mark.long
@pytest.mark.timeout(900)
def test_B4_a_hundred_thousand_functions_decorated_at_run_time_leave_no_entry() -> None:
    assert_dynamic(100_000)


def test_B4_signatures_of_endless_variety_share_one_shape_beyond_the_bound(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from manometer import _template

    monkeypatch.setattr(_template, "_MAX_SHAPES", len(_template._makers) + 5)
    for number in range(50):
        namespace: dict[str, Any] = {}
        exec(f"def f(own_{number}): return own_{number}", namespace)
        assert measure(namespace["f"])(number) == number

    assert len(_template._makers) <= _template._MAX_SHAPES + 1


GARBAGE = """
import gc, json, asyncio, sqlite3, logging, os
import manometer
from manometer import measure, profile
logging.getLogger("manometer").addHandler(logging.StreamHandler(open(os.devnull, "w")))
manometer.start(manometer.Config(heartbeat_s=0))
from tests.properties import _hosts
connection = sqlite3.connect(":memory:")
def once():
    with profile("unit"):
        for n in range(%d): _hosts.leaf(n %% 3)
        try: _hosts.leaf(3)
        except ValueError: pass
        _hosts.recursive(3)
        list(_hosts.items(2))
        next(_hosts.items(2))
        with measure("block"): pass
        connection.execute("SELECT 1 FROM sqlite_master WHERE name = ?", ("a",)).fetchall()
    _hosts.stepped()
    _hosts.requests()
    _hosts.threaded()
for _ in range(3): once()
manometer.flush(); gc.collect()
gc.disable(); gc.set_debug(gc.DEBUG_SAVEALL)
for _ in range(%d): once()
manometer.flush()
gc.collect()
kinds = {}
for thing in gc.garbage:
    name = type(thing).__module__ + "." + type(thing).__qualname__
    kinds[name] = kinds.get(name, 0) + 1
ours = {name: count for name, count in kinds.items() if name.startswith("manometer")}
print(json.dumps({"ours": ours, "all": kinds}))
gc.set_debug(0); gc.garbage.clear(); os._exit(0)
"""


@pytest.mark.parametrize(("calls", "units"), [(100, 100), pytest.param(100, 1_000, marks=pytest.mark.long)])
def test_B5_measuring_makes_no_cycles(calls: int, units: int) -> None:
    found = _run(GARBAGE % (calls, units), timeout=300)

    assert found["ours"] == {}
    assert sum(found["all"].values()) < units, found["all"]


def test_B6_deep_stacks_and_cyclic_values_take_no_time() -> None:
    with install_sources("sqlite3"):
        import sqlite3

        connection = sqlite3.connect(":memory:")

        def down(n: int) -> Any:
            return down(n - 1) if n else connection.execute("SELECT 1 FROM sqlite_master").fetchall()

        with unit() as done:
            down(500)
            cycle: list[Any] = []
            cycle.append(cycle)
            with contextlib.suppress(sqlite3.ProgrammingError, sqlite3.InterfaceError):
                connection.execute("SELECT name FROM sqlite_master WHERE name = ?", (cycle,))
        connection.close()

    assert sum(frame.calls for frame in done[0].root.walk()) == 3
    assert all(len(frame.path()) <= 64 for frame in done[0].root.walk())


HARD = st.sampled_from(
    [
        "'",
        '"',
        "/*",
        "*/",
        "--",
        "(",
        ")",
        "$$",
        "E'",
        "\\",
        ",",
        " ",
        "0",
        "a",
        ".",
        "`",
        "[",
        "{",
        "?",
        "\n",
    ]
)


@settings(max_examples=100, deadline=None, database=None)
@given(
    parts=st.lists(HARD, min_size=1, max_size=6),
    start=st.sampled_from(["", "SELECT ", "INSERT INTO t VALUES ("]),
)
def test_B7_text_is_read_up_to_a_bound_and_what_comes_out_is_bounded(parts: list[str], start: str) -> None:
    text = start + "".join(parts) * (60_000 // len("".join(parts)))

    shape = statement(text)

    assert len(shape.shape) <= _limits.MAX_STATEMENT_SHAPE
    assert len(shape.summary) <= _limits.MAX_STATEMENT_SHAPE
    assert len(_route.templated(text)) <= 600
    beyond = statement(text[: _limits.MAX_STATEMENT_READ] + "x" * (len(text) - _limits.MAX_STATEMENT_READ))
    assert shape.shape == beyond.shape


@pytest.mark.parametrize("seed", ["('", "/*", "((", "$a$", "a.", "1,", "--\n", "'\\'", '""'])
def test_B7_twice_the_text_takes_at_most_two_and_a_half_times_the_work(seed: str) -> None:
    """Counted in steps of the interpreter: a duration would depend on who else is running."""
    if sys.version_info < (3, 12):
        steps = [_lines(lambda n=n: statement("SELECT " + seed * (n // len(seed)))) for n in (2_000, 4_000)]
        assert steps[1] <= 2.5 * steps[0] + 200
    short, long = (statement("SELECT " + seed * (n // len(seed))) for n in (4_000, 40_000))
    assert len(long.shape) <= _limits.MAX_STATEMENT_SHAPE
    assert len(short.shape) <= _limits.MAX_STATEMENT_SHAPE


def _lines(function: Callable[[], Any]) -> int:
    count = 0

    def trace(frame: Any, event: str, _: Any) -> Any:
        nonlocal count
        count += 1
        return trace

    sys.settrace(trace)
    try:
        function()
    finally:
        sys.settrace(None)
    return count


def test_B8_a_full_queue_drops_counts_and_never_waits() -> None:
    from manometer import Config
    from manometer._pipeline import Pipeline

    pipeline = Pipeline(Config(max_queue=10), lambda *_: (), [])
    pipeline._stopping = True  # no thread: nobody takes anything out
    record = _context.make_profile("unit", "block")
    for _ in range(100):
        pipeline.put(record)

    assert pipeline._queue.qsize() == 10
    assert pipeline.drops == {"queue": 90}


SOAK = """
import asyncio, gc, json, logging, os, sqlite3, sys, threading, time
import manometer
from manometer import measure, profile
logging.getLogger("manometer").addHandler(logging.StreamHandler(open(os.devnull, "w")))
manometer.start(manometer.Config(heartbeat_s=5))
from tests.properties import _hosts
import tracemalloc
tracemalloc.start()
def ours():
    gc.collect()
    return tracemalloc.get_traced_memory()[0]
minutes = float(sys.argv[1])
end, samples, n = time.monotonic() + 60 * minutes, [], 0
began = time.monotonic()
while time.monotonic() < end:
    for _ in range(20):
        n += 1
        for host in (_hosts.plain, _hosts.stepped, _hosts.queries, _hosts.requests, _hosts.outside): host()
        with profile("unit" + str(n % 500), kind="request"):
            with measure("block" + str(n % 50)): _hosts.leaf(1)
    thread = threading.Thread(target=_hosts.leaf, args=(1,)); thread.start(); thread.join()
    samples.append((time.monotonic() - began, ours()))
half = samples[len(samples) // 2:]
mean_t = sum(t for t, _ in half) / len(half); mean_y = sum(y for _, y in half) / len(half)
slope = sum((t - mean_t) * (y - mean_y) for t, y in half) / sum((t - mean_t) ** 2 for t, _ in half)
print(json.dumps({"kib_a_minute": slope * 60 / 1024, "mib": half[-1][1] / 1048576, "units": n, "samples": len(samples)}))
manometer.stop()
"""


def _soak(minutes: float) -> dict[str, float]:
    ran = subprocess.run(
        [sys.executable, "-c", SOAK, str(minutes)], cwd=ROOT, capture_output=True, text=True,
        timeout=minutes * 60 + 120, env=environment(),
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr[-3_000:]
    return json.loads(ran.stdout.splitlines()[-1])


def test_B3_a_short_soak_stays_small() -> None:
    found = _soak(0.15)

    assert found["samples"] >= 5
    assert found["mib"] < 16  # half of it are units that wait in the queue of a busy machine


@pytest.mark.long
@pytest.mark.timeout(1_200)
def test_B3_memory_does_not_grow_over_ten_minutes() -> None:
    found = _soak(10)

    assert found["kib_a_minute"] < 1
    assert found["mib"] < 8
