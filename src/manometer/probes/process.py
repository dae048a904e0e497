"""The probe of the process: memory, CPU, files, threads, collections, limits of its container."""

from __future__ import annotations

import gc
import os
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, final

if TYPE_CHECKING:
    from collections.abc import Callable

_CGROUP: Final = Path("/sys/fs/cgroup")
_UNLIMITED: Final = 1 << 60


@final
class ProcessProbe:
    """Reads the process. Made where manometer starts, 30 ms for importing psutil; read by the background thread, 0.3 ms."""

    def __init__(self) -> None:
        # Here and not at the first reading: a child forked while another thread imports waits for its lock for ever.
        import psutil

        self._psutil = psutil
        self._process: Any = None
        self._pid = 0
        self._before: dict[str, float] = {}
        self._read_s = 0.0

    def read(self) -> dict[str, float]:
        """Return the readings of now, those that only grow as rates since the last one.

        Returns:
            `rss_bytes`, `threads`, `open_files`, `children`, `cpu_share` (1.0 is one core), `switches_per_s`,
            `preempted_per_s`, `read_bytes_per_s`, `written_bytes_per_s`, `gc_per_s` and
            `gc_full_per_s` collections, and in a container `memory_limit_bytes`, `memory_used_share`, `throttled_ms`. What the
            system does not tell is missing; nothing is estimated.
        """
        process = self._open()
        found: dict[str, float] = {}
        totals: dict[str, float] = {}
        with process.oneshot():
            _put(found, "rss_bytes", lambda: process.memory_info().rss)
            _put(found, "threads", process.num_threads)
            _put(found, "open_files", process.num_fds if hasattr(process, "num_fds") else process.num_handles)
            _put(totals, "cpu", lambda: sum(process.cpu_times()[:2]))
            _put(totals, "switches", lambda: process.num_ctx_switches().voluntary)
            _put(totals, "preempted", lambda: process.num_ctx_switches().involuntary)
            _put(totals, "read_bytes", lambda: process.io_counters().read_bytes)
            _put(totals, "written_bytes", lambda: process.io_counters().write_bytes)
        _put(found, "children", lambda: len(process.children()))
        _put(totals, "throttled", _throttled_us)
        # Not through `gc.callbacks`: an interrupt that falls into one is lost, for what they raise cannot go anywhere.
        _put(totals, "gc_full", lambda: gc.get_stats()[-1]["collections"])
        _put(totals, "gc", lambda: sum(each["collections"] for each in gc.get_stats()))
        found |= self._rates(totals)
        found |= _limits_of_container()
        return found

    def _open(self) -> Any:
        if self._process is None or self._pid != os.getpid():  # a child after a fork
            self._process, self._pid, self._before = self._psutil.Process(), os.getpid(), {}
        return self._process

    def _rates(self, totals: dict[str, float]) -> dict[str, float]:
        now_s = time.monotonic()
        elapsed_s, self._read_s = now_s - self._read_s, now_s
        before, self._before = self._before, totals
        grown = {name: totals[name] - before[name] for name in totals if name in before}
        found: dict[str, float] = {}
        if "cpu" in grown:
            found["cpu_share"] = round(grown.pop("cpu") / elapsed_s, 4)
        if "throttled" in grown:
            found["throttled_ms"] = round(grown.pop("throttled") / 1e3, 3)
        return found | {f"{name}_per_s": round(value / elapsed_s, 1) for name, value in grown.items()}


def _put(into: dict[str, float], name: str, read: Callable[[], float]) -> None:
    # Not every system, and not every container, allows every reading.
    with suppress(Exception):
        into[name] = float(read())


def _throttled_us() -> float:
    for line in (_CGROUP / "cpu.stat").read_text(encoding="ascii").splitlines():
        name, _, value = line.partition(" ")
        if name == "throttled_usec":
            return float(value)
    raise LookupError("throttled_usec")


def _limits_of_container() -> dict[str, float]:
    found: dict[str, float] = {}
    with suppress(OSError, ValueError):
        limit = float((_CGROUP / "memory.max").read_text(encoding="ascii"))
        if 0 < limit < _UNLIMITED:
            used = float((_CGROUP / "memory.current").read_text(encoding="ascii"))
            found = {"memory_limit_bytes": limit, "memory_used_share": round(used / limit, 4)}
    return found
