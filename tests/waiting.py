"""Somebody holds, somebody waits: threads that meet without luck."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from manometer import _watching
from manometer.testing import record

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

HELD_S = 0.04
"""How long something is held on while somebody waits for it: far above the floor of 1 ms."""


def slow_part(seconds: float = HELD_S) -> None:
    time.sleep(seconds)


def meet(hold: Callable[[], AbstractContextManager[object]], waiters: int = 1) -> list[record]:
    """Hold what *hold* gives while *waiters* ask for it; return the recording of each waiter."""
    held, units = threading.Event(), []

    def holder() -> None:
        with record("holder", kind="request"), hold():
            held.set()
            slow_part()

    def waiter() -> None:
        assert held.wait(10)
        with record("waiter", kind="request") as unit, hold():
            pass
        units.append(unit)

    threads = [threading.Thread(target=holder), *(threading.Thread(target=waiter) for _ in range(waiters))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    return units


def stop_watching() -> Iterator[None]:
    """Body of a fixture: the thread that looks at holders ends with the test."""
    yield
    _watching.stop()
