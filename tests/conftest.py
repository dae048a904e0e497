"""What every test is held to: manometer leaves no thread and no current profile behind."""

from __future__ import annotations

import os
import sys
import threading
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from collections.abc import Iterator

pytest_plugins = ["tests.servers"]
pytest.register_assert_rewrite("tests.sources.drivers")

# A change lands or not by the same examples on every machine; `make test-long` searches for others.
settings.register_profile("same", derandomize=True, database=None)
settings.register_profile("search", derandomize=False)

# A developer's own settings must not decide whether a test passes. Before the first import of manometer.
for _variable in [
    name
    for name in os.environ
    if name == "MANOMETER" or (name.startswith("MANOMETER_") and name != "MANOMETER_CORE")
]:
    del os.environ[_variable]


@pytest.fixture(autouse=True)
def no_leaks() -> Iterator[None]:
    """Fail a test that leaves manometer running; stop it, so that the next test is not judged for it."""
    before = set(threading.enumerate())

    yield

    leaks = [
        f"thread {thread.name}"
        for thread in threading.enumerate()
        if thread not in before and thread.name.startswith("manometer") and thread.is_alive()
    ]
    manometer = sys.modules.get("manometer")
    if manometer is not None and manometer.current_profile() is not None:
        leaks.append("a current profile")
    if leaks and manometer is not None:
        manometer.stop()
        manometer._context.variable.set(None)
        manometer._context.live.clear()
    assert not leaks, f"left behind: {', '.join(leaks)}"
