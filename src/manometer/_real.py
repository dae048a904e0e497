"""The primitives of real threads, as they were before gevent or eventlet replaced them."""

from __future__ import annotations

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any, final

if TYPE_CHECKING:
    from collections.abc import Callable


def original(module: str, name: str) -> Any:
    """Return an attribute of a standard module, the unpatched one where a library patched it.

    Args:
        module: Name of the module.
        name: Name of the attribute.

    Any thread; imports *module* where nobody has.
    """
    monkey = sys.modules.get("gevent.monkey")
    if monkey is not None:
        return monkey.get_original(module, name)
    patcher = sys.modules.get("eventlet.patcher")
    if patcher is not None:
        return getattr(patcher.original(module), name)
    return getattr(import_module(module), name)


def is_patched() -> bool:
    """Tell whether starting a thread would start a greenlet."""
    import _thread

    return original("_thread", "start_new_thread") is not _thread.start_new_thread


@final
class Thread:
    """A daemon thread of the operating system, in a process whose `threading.Thread` starts greenlets.

    Args:
        run: What it runs.

    Has of `threading.Thread` what the pipeline needs.
    """

    def __init__(self, run: Callable[[], None]) -> None:
        self._run = run
        self._done = original("_thread", "allocate_lock")()

    def start(self) -> None:
        """Start it; raises RuntimeError where none can start."""
        self._done.acquire()
        try:
            original("_thread", "start_new_thread")(self._main, ())
        except BaseException:
            self._done.release()
            raise

    def _main(self) -> None:
        try:
            self._run()
        finally:
            self._done.release()

    def is_alive(self) -> bool:
        """Tell whether it runs."""
        return bool(self._done.locked())

    def join(self, timeout_s: float) -> None:
        """Wait for its end, at most *timeout_s* seconds. Blocks the whole hub, so only at the process's end."""
        if self._done.acquire(timeout=timeout_s):
            self._done.release()
