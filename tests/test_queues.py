"""Queues without a bound are followed, weakly, and named only while they keep filling."""

from __future__ import annotations

import asyncio
import gc
import queue

import pytest
from tests.profiles import Unit

from manometer import _limits, _queues
from manometer._model import PRODUCTION
from manometer.testing import install_sources, raising


@pytest.fixture(autouse=True)
def sources():
    with raising(), install_sources("queues", "asyncio-queues") as installed:
        assert installed.states["queues"] == ("active", "")
        assert installed.states["asyncio-queues"] == ("active", "")
        yield
    assert _queues.filling() == []


def pass_window(times=1):
    for _ in range(times * _queues.WINDOW):
        _queues.sample()


def fill(made, windows, *, each=60, taken=0):
    """Put items in and take some out, window by window."""
    for _ in range(windows):
        for item in range(each):
            made.put_nowait(item)
        for _ in range(taken):
            made.get_nowait()
        pass_window()


@pytest.mark.parametrize("kind", [queue.Queue, queue.LifoQueue, asyncio.Queue, asyncio.PriorityQueue])
def test_a_queue_that_only_fills_is_named_with_the_line_that_made_it(kind):
    made = kind()
    fill(made, 6)

    (found,) = _queues.filling()
    assert found.name == f"{kind.__module__.partition('.')[0]}.{kind.__name__}"
    assert (found.place[0], found.length) == (__file__, 360)


def test_a_queue_that_is_emptied_as_fast_is_healthy():
    made = queue.Queue()
    fill(made, 8, taken=60)

    assert _queues.filling() == []


def test_a_queue_that_was_empty_for_a_moment_is_healthy():
    made = queue.Queue()
    fill(made, 3)
    while not made.empty():
        made.get_nowait()
    _queues.sample()
    fill(made, 3)

    assert _queues.filling() == []


def test_a_queue_that_grew_and_stays_is_no_longer_filling():
    made = queue.Queue()
    fill(made, 6)
    pass_window(2)

    assert _queues.filling() == []


def test_a_queue_with_a_bound_is_not_followed():
    made = queue.Queue(maxsize=10_000)
    fill(made, 6)

    assert _queues.filling() == []


def test_a_queue_that_a_library_made_is_not_followed():
    from concurrent.futures import ThreadPoolExecutor
    from logging.handlers import QueueHandler

    kept = queue.Queue.__new__(queue.Queue)
    exec(compile("made.__init__()", queue.__file__, "exec"), {"made": kept})
    with ThreadPoolExecutor(1):
        QueueHandler(kept).close()
    fill(kept, 6)

    assert _queues.filling() == []


def test_a_queue_is_held_weakly():
    made = queue.Queue()
    fill(made, 6)
    del made
    gc.collect()
    _queues.sample()

    assert _queues._watched == {}


def test_beyond_the_bound_queues_are_left_out():
    kept = [queue.Queue() for _ in range(_limits.MAX_QUEUES + 3)]

    assert (len(kept), len(_queues._watched)) == (_limits.MAX_QUEUES + 3, _limits.MAX_QUEUES)


def test_it_is_a_finding_of_the_process_and_of_no_unit_of_work():
    made = queue.Queue()
    fill(made, 6)

    (finding,) = Unit(PRODUCTION, kind="process").judge()
    assert (finding.rule, finding.severity, finding.confidence) == ("unbounded-queue", "warning", "confirmed")
    assert (finding.callsite.name, finding.evidence["length"]) == ("queue.Queue", 360)
    assert "maxsize" in finding.advice
    assert Unit(PRODUCTION).judge() == ()
