from __future__ import annotations

import asyncio
import queue
import threading
from functools import partial

import pytest
from tests.waiting import HELD_S, meet, slow_part, stop_watching

import manometer
from manometer import _context, _guard, watch_lock
from manometer.testing import raising, record

ended = pytest.fixture(autouse=True)(stop_watching)


@pytest.fixture(autouse=True)
def strict():
    with raising():
        yield


class TestThreads:
    @pytest.mark.parametrize("make", [threading.Lock, threading.RLock, partial(threading.Semaphore, 1)])
    def test_a_wait_names_the_holder(self, make):
        lock = watch_lock(make(), "prices")
        (unit,) = meet(lambda: lock)
        (item,) = unit.named("lock-wait")

        assert item.evidence["resource"] == "prices"
        assert item.evidence["total_ns"] >= HELD_S * 1e9 / 2
        assert item.holder.function == "slow_part"

    def test_what_is_free_leaves_no_trace(self):
        lock = watch_lock(threading.Lock(), "prices")
        with record() as unit:
            for _ in range(3):
                with lock:
                    pass

        assert list(unit.profile.root.own_children()) == []

    @pytest.mark.parametrize("make", [threading.Lock, threading.RLock, threading.Semaphore])
    def test_it_behaves_as_the_lock_does(self, make):
        lock = watch_lock(make(), "prices")

        assert lock.acquire(False) is True
        others: list[bool] = []
        thread = threading.Thread(target=lambda: others.append(lock.acquire(timeout=0.01)))
        thread.start()
        thread.join()

        assert others == [False]
        assert lock.release() is None
        assert lock.acquire(blocking=True, timeout=1) is True
        lock.release()

    def test_a_recursive_lock_is_given_back_by_its_outermost_release(self):
        lock = watch_lock(threading.RLock(), "tree")
        with lock, lock:
            pass
        taken: list[bool] = []
        thread = threading.Thread(target=lambda: taken.append(lock.acquire(False)))
        thread.start()
        thread.join()

        assert taken == [True]

    def test_a_condition_takes_a_watched_lock(self):
        for make in (threading.Lock, threading.RLock):
            condition = threading.Condition(watch_lock(make(), "ready"))
            with condition:
                assert condition.wait(0.001) is False
                condition.notify_all()

    def test_wrong_arguments_are_told_by_the_lock(self):
        lock = watch_lock(threading.Lock(), "prices")
        lock.acquire()
        with pytest.raises(ValueError, match="timeout"):
            lock.acquire(False, 1)
        with pytest.raises(RuntimeError):
            watch_lock(threading.Lock(), "other").release()

    def test_a_timeout_is_counted_as_failed(self):
        lock = watch_lock(threading.Lock(), "prices")
        lock.acquire()
        with record() as unit:
            assert lock.acquire(timeout=0.03) is False
        (item,) = unit.named("lock-wait")

        assert item.evidence["failed"] == 1

    def test_a_full_queue_makes_its_producer_wait(self):
        jobs = watch_lock(queue.Queue(1), "jobs")
        jobs.put("first")
        thread = threading.Thread(target=lambda: (slow_part(), jobs.get()))
        with record() as unit:
            thread.start()
            jobs.put("second")
        thread.join()

        assert [item.evidence["resource"] for item in unit.named("lock-wait")] == ["jobs"]

    def test_a_full_queue_refuses_as_before(self):
        jobs = watch_lock(queue.Queue(1), "jobs")
        jobs.put("first")
        with pytest.raises(queue.Full):
            jobs.put("second", timeout=0.001)
        with pytest.raises(queue.Full):
            jobs.put_nowait("second")


class TestTasks:
    @pytest.mark.parametrize(
        "make", [asyncio.Lock, partial(asyncio.Semaphore, 1), partial(asyncio.BoundedSemaphore, 1)]
    )
    def test_a_wait_names_what_the_holder_awaited(self, make):
        async def far_away():
            await asyncio.sleep(HELD_S)

        async def main():
            lock = watch_lock(make(), "quota")

            async def one():
                async with record(kind="request") as unit, lock:
                    await far_away()
                return unit

            return await asyncio.gather(one(), one())

        first, second = asyncio.run(main())
        (item,) = second.named("lock-wait")

        assert first.named("lock-wait") == ()
        assert item.holder.function.endswith("far_away")

    def test_a_full_queue_makes_its_producer_wait(self):
        async def main():
            jobs = watch_lock(asyncio.Queue(1), "jobs")
            await jobs.put(1)

            async def consume():
                await asyncio.sleep(HELD_S)
                await jobs.get()

            task = asyncio.create_task(consume())
            async with record() as unit:
                await jobs.put(2)
            await task
            return unit

        assert len(asyncio.run(main()).named("lock-wait")) == 1

    def test_a_consumer_that_waits_for_work_is_idle(self):
        async def main():
            jobs = watch_lock(asyncio.Queue(1), "jobs")
            asyncio.get_running_loop().call_later(HELD_S, jobs.put_nowait, 1)
            async with record() as unit:
                await jobs.get()
            return unit

        assert asyncio.run(main()).findings == ()

    def test_a_cancelled_wait_passes_untouched(self):
        async def main():
            lock = watch_lock(asyncio.Lock(), "quota")
            await lock.acquire()
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(lock.acquire(), 0.02)
            lock.release()
            return lock.locked()

        assert asyncio.run(main()) is False


class TestOptions:
    @pytest.mark.parametrize("wrong", [object(), 3, threading.Event()])
    def test_something_else_is_refused(self, wrong):
        with pytest.raises(TypeError, match="cannot be watched"):
            watch_lock(wrong, "x")

    @pytest.mark.parametrize("name", ["", None, 3])
    def test_a_name_is_needed(self, name):
        with pytest.raises(TypeError, match="name"):
            watch_lock(threading.Lock(), name)

    def test_where_manometer_is_absent_it_is_the_lock_itself(self, monkeypatch):
        monkeypatch.setattr(_context, "absent", True)
        lock = threading.Lock()

        assert manometer.watch_lock(lock, "x") is lock


def test_a_failure_inside_goes_no_further(monkeypatch):
    monkeypatch.setattr(_guard, "strict", False)
    monkeypatch.setattr("manometer._waiting.blame", lambda _: 1 / 0)
    _guard.clear()
    lock = watch_lock(threading.Lock(), "prices")
    units = meet(lambda: lock)
    failures = _guard.total()
    _guard.clear()

    assert failures >= 1
    assert units[0].findings == ()
