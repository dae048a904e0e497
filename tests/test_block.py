"""`profile`: units of work of the user's own."""

from __future__ import annotations

import asyncio
import contextvars
import threading
import time

import pytest

from manometer import Profile, _context, current_profile, measure, profile
from manometer._context import HOT, variable
from manometer._model import JOB, PRODUCTION


@measure
def work():
    return 1


@pytest.fixture
def sealed(monkeypatch):
    """Recording on, without the runtime; gives the sealed profiles."""
    done: list[Profile] = []
    monkeypatch.setattr(_context, "sink", done.append)
    monkeypatch.setitem(HOT, "idle_", False)
    return done


def test_a_block_is_a_unit_with_its_outcome(sealed):
    with profile("nightly", kind="job") as record:
        work()
        assert current_profile() is record

    assert current_profile() is None
    assert sealed == [record]
    assert (record.name, record.kind, record.outcome, record.policy, record.sealed) == (
        "nightly",
        "job",
        "ok",
        JOB,
        True,
    )
    assert [frame.calls for frame in record.root.own_children()] == [1]


def test_an_exception_is_its_outcome_and_passes(sealed):
    with pytest.raises(KeyError), profile("block"):
        raise KeyError("theirs")

    assert (sealed[0].outcome, sealed[0].policy) == ("KeyError", PRODUCTION)


def test_units_nest_and_the_outer_one_goes_on(sealed):
    with profile("outer"):
        work()
        with profile("inner"):
            work()
            work()
        work()

    assert {record.name: [f.calls for f in record.root.own_children()] for record in sealed} == {
        "outer": [2],
        "inner": [2],
    }


def test_it_decorates_functions_and_coroutine_functions(sealed):
    @profile("job", kind="job")
    def job(n):
        return work() + n

    @profile("task", kind="task")
    async def task(n):
        await asyncio.sleep(0)
        return work() + n

    assert job(1) == 2
    assert asyncio.run(task(2)) == 3
    assert [record.name for record in sealed] == ["job", "task"]
    with pytest.raises(TypeError, match="not generator"):

        @profile("wrong")
        def wrong():
            yield 1


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (("",), TypeError, "name must be a non-empty str"),
        ((3,), TypeError, "name must be a non-empty str"),
    ],
)
def test_a_wrong_name_raises_where_it_is_written(arguments, error, message):
    with pytest.raises(error, match=message):
        profile(*arguments)


def test_an_unknown_kind_raises_and_lists_what_is_allowed():
    with pytest.raises(ValueError, match="kind must be one of request, job, task, block, not 'cron'"):
        profile("x", kind="cron")


def test_dormant_units_record_nothing():
    with profile("x") as record:
        assert record is None
        assert work() == 1
        assert current_profile() is None

    assert variable.get() is None


def test_sampled_out_units_record_nothing_and_neither_does_what_is_inside(sealed, monkeypatch):
    monkeypatch.setattr(_context, "sample", 0.0)
    with profile("x") as record:
        work()

    assert record is None
    assert sealed == []


def test_cpu_time_is_the_thread_s_own_and_only_where_that_is_true(sealed):
    def burn(ms):
        until = time.thread_time() + ms / 1e3
        while time.thread_time() < until:
            pass

    with profile("sync"):
        burn(20)

    async def main():
        async with profile("async"):
            burn(5)

    asyncio.run(main())
    with profile("outer"), profile("inner"):
        pass

    by_name = {record.name: record.cpu_ns for record in sealed}
    assert by_name["sync"] >= 20_000_000
    assert by_name["async"] == -1
    assert by_name["inner"] == -1


def test_units_in_flight_are_counted(sealed):
    inside, leave = threading.Event(), threading.Event()

    def other():
        with profile("other"):
            inside.set()
            leave.wait(5)

    thread = threading.Thread(target=other)
    thread.start()
    inside.wait(5)
    with profile("mine") as mine:
        pass
    leave.set()
    thread.join()

    assert mine.concurrency == 2


def test_leaving_in_another_context_neither_raises_nor_changes_it(sealed):
    block = profile("moved")
    contextvars.Context().run(block.__enter__)
    before = variable.get()
    block.__exit__(None, None, None)

    assert variable.get() is before
    assert [record.name for record in sealed] == ["moved"]


def test_more_units_than_the_bound_evict_the_oldest(sealed, monkeypatch):
    from manometer import _limits

    monkeypatch.setattr(_limits, "MAX_LIVE_PROFILES", 3)
    opened = [_context.open_profile(f"u{n}") for n in range(5)]

    assert len(_context.live) == 3
    assert _context.drops.pop("evicted") == 2
    for item in reversed(opened):
        _context.close_profile(item)
        _context.restore(item)
    assert _context.live == {}
