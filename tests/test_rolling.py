"""The rolling profile: what is measured outside any unit of work."""

from __future__ import annotations

import asyncio
import threading

import pytest

from manometer import Profile, _context, _limits, _rolling, measure
from manometer._context import HOT, variable
from manometer.testing import FakeClock


@measure
def work(n=0):
    return n


@pytest.fixture
def sealed(monkeypatch):
    """Rolling on, without the runtime; gives the profiles handed on."""
    done: list[Profile] = []
    monkeypatch.setattr(_context, "sink", done.append)
    monkeypatch.setitem(HOT, "idle_", False)
    _rolling.install()
    yield done
    _rolling.uninstall()
    variable.set(None)


def calls(record: Profile) -> dict[str, int]:
    return {frame.callsite.function.rpartition(".")[2]: frame.calls for frame in record.root.walk()}


def test_calls_outside_any_unit_are_counted_and_handed_on_at_the_end(sealed):
    for _ in range(3):
        work()
    _rolling.flush()

    assert [record.name for record in sealed] == ["process"]
    assert calls(sealed[0])["work"] == 3
    assert sealed[0].kind == "process"


def test_each_thread_has_its_own(sealed):
    together = threading.Barrier(5)  # or the next thread may get the identity of one that has ended

    def run():
        together.wait()
        for _ in range(100):
            work()
        together.wait()

    threads = [threading.Thread(target=run) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    _rolling.flush()

    assert [calls(record)["work"] for record in sealed] == [100] * 5


def test_tasks_of_one_loop_share_one(sealed):
    async def task():
        for _ in range(10):
            work()
            await asyncio.sleep(0)

    async def main():
        await asyncio.gather(*[task() for _ in range(5)])

    asyncio.run(main())
    _rolling.flush()

    assert [calls(record)["work"] for record in sealed] == [50]


def test_an_old_one_is_sealed_at_the_owner_s_next_call(sealed):
    with FakeClock() as clock:
        work()
        clock.advance(ms=_limits.ROLLING_S * 1e3 + 1)
        _rolling.tick()
        assert sealed == []
        work()
        work()

    assert [calls(record)["work"] for record in sealed] == [1]
    _rolling.flush()
    assert [calls(record)["work"] for record in sealed] == [1, 2]


def test_one_whose_thread_is_at_rest_is_taken_and_the_thread_goes_on(sealed):
    with FakeClock() as clock:
        work()
        clock.advance(ms=_limits.ROLLING_S * 1e3 + 1)
        _rolling.tick()
        clock.advance(ms=2_000)
        _rolling.tick()
        assert [calls(record)["work"] for record in sealed] == [1]
        work()

    _rolling.flush()
    assert [calls(record)["work"] for record in sealed] == [1, 1]


def test_a_roll_inside_an_open_call_loses_nothing(sealed):
    with FakeClock() as clock:

        @measure
        def main():
            for minute in range(3):
                for _ in range(10):
                    work(minute)
                clock.advance(ms=_limits.ROLLING_S * 1e3 + 1)
                _rolling.tick()

        main()
        _rolling.flush()

    assert sum(calls(record).get("work", 0) for record in sealed) == 30
    assert sum(calls(record).get("main", 0) for record in sealed) == 1
    assert len(sealed) == 3


def test_after_the_end_nothing_is_recorded_and_contexts_heal(sealed):
    work()
    HOT["idle_"] = True
    _rolling.uninstall()
    work()
    work()

    assert [calls(record)["work"] for record in sealed] == [1]
    assert variable.get() is None


def test_threads_beyond_the_bound_are_counted(sealed, monkeypatch):
    monkeypatch.setattr(_limits, "MAX_ROLLING_THREADS", 1)
    monkeypatch.setitem(_context.drops, "unattributed", 0)
    work()
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()

    assert _context.drops["unattributed"] == 1
    del _context.drops["unattributed"]


def test_late_calls_of_a_sealed_unit_go_below_their_own_frame(sealed):
    done: list[Profile] = []

    async def main():
        opened = _context.open_profile("request", to=done.append, cpu=False)

        async def background():
            await asyncio.sleep(0.01)
            for _ in range(4):
                work()

        task = asyncio.create_task(background())
        _context.close_profile(opened)
        _context.restore(opened)
        await task

    asyncio.run(main())
    _rolling.flush()

    assert "work" not in calls(done[0])
    late = [frame for frame in sealed[0].root.walk() if frame.callsite is _context.OUTSIDE]
    assert [frame.calls for frame in late[0].own_children()] == [4]
    assert _context.drops.pop("late") == 1
