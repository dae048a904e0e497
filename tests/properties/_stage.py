"""Runs one generated program in this process, and tells all that can be seen of it from outside."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import contextvars
import functools
import gc
import io
import linecache
import os
import signal
import sys
import threading
import warnings
from typing import Any

FILE = "<program>"
FUEL = 25
"""Calls of one thread after which every callable returns at once: no program runs for ever."""
_MOST_EVENTS = 1_000
"""Events of one thread; generators that loop over one another yield 2 ** `FUEL` times."""
_OURS = os.path.join("src", "manometer") + os.sep


class E0(ValueError):
    pass


class E1(KeyError):
    pass


class E2(Exception):
    pass


class Enough(BaseException):
    """The program did what it can do in a test."""


def seen_of(error: BaseException | None, depth: int = 6) -> Any:
    """Describe an exception: type, arguments, notes, chain, and the frames that are not manometer's."""
    if error is None or depth == 0:
        return None
    frames = []
    traceback = error.__traceback__
    while traceback is not None:
        code = traceback.tb_frame.f_code
        # A generator or coroutine thrown into before it began shows the line where it is defined; a measured
        # one shows the wrapper instead, and has not been called yet.
        unbegun = traceback.tb_lineno == code.co_firstlineno
        if not unbegun and not code.co_filename.startswith("<manometer") and _OURS not in code.co_filename:
            frames.append([os.path.basename(code.co_filename), code.co_name, traceback.tb_lineno])
        traceback = traceback.tb_next
    return {
        "type": type(error).__qualname__,
        "args": repr(error.args),
        "notes": getattr(error, "__notes__", None),
        "cause": seen_of(error.__cause__, depth - 1),
        "context": seen_of(error.__context__, depth - 1),
        "suppressed": error.__suppress_context__,
        "frames": frames[-40:],
    }


class _Stage:
    """What a program can call, and what it did."""

    def __init__(self) -> None:
        self.main_log: list[str] = []
        self.other_logs: list[list[str]] = []
        self.kept: list[Any] = []
        self.local = threading.local()
        self.local.log = self.main_log
        self.local.fuel = FUEL
        self.entered: dict[str, int] = {}
        self.over = False

    def log(self, *items: Any) -> None:
        log = getattr(self.local, "log", self.main_log)
        if len(log) >= _MOST_EVENTS:
            raise Enough
        log.append(" ".join(map(self.text, items)))

    @staticmethod
    def text(item: Any) -> str:
        if isinstance(item, BaseException):
            return f"{type(item).__name__}{item.args}"
        if isinstance(item, list | tuple):
            return "[" + ", ".join(map(_Stage.text, item)) + "]"
        text = repr(item)
        return type(item).__name__ if " at 0x" in text else text

    def fuel(self, name: str) -> bool:
        left = getattr(self.local, "fuel", FUEL)
        if self.over or left <= 0:
            return False
        self.local.fuel = left - 1
        return True

    def keep(self, thing: Any) -> None:
        self.kept.append(thing)

    def is_enough(self) -> bool:
        """Tell whether no further thread may start: in a thread, and after a dozen."""
        return len(self.other_logs) >= 12 or self.local.__dict__.get("log") is not self.main_log

    def _elsewhere(self, function: Any) -> Any:
        log: list[str] = []
        self.local.log, self.local.fuel = log, 12
        self.other_logs.append(log)
        try:
            return function()
        except BaseException as error:
            with contextlib.suppress(Enough):
                self.log("escaped", seen_of(error))
            return None

    def in_thread(self, function: Any) -> Any:
        if self.is_enough():
            return "enough"
        found: list[Any] = []
        thread = threading.Thread(target=lambda: found.append(self._elsewhere(function)))
        thread.start()
        thread.join()
        return found[0]

    def in_pool(self, function: Any) -> Any:
        if self.is_enough():
            return "enough"
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            return pool.submit(self._elsewhere, function).result()

    async def to_thread(self, function: Any) -> Any:
        if self.is_enough():
            return "enough"
        with concurrent.futures.ThreadPoolExecutor(
            1
        ) as pool:  # which waits, or a cancelled task would race it
            return await asyncio.get_running_loop().run_in_executor(pool, self._in_copy(function))

    def _in_copy(self, function: Any) -> Any:
        context = contextvars.copy_context()

        def work() -> Any:
            return context.run(self._elsewhere, function)

        return work

    def run(self, make: Any) -> Any:
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            return asyncio.run(self._main(make))
        return "a loop runs here"

    async def _main(self, make: Any) -> Any:
        found = make()
        try:
            return await found
        finally:
            self.log("tasks", len(asyncio.all_tasks()), asyncio.get_running_loop().get_task_factory())

    def step(self, generator: Any, how: str, *value: Any) -> None:
        try:
            if how == "next":
                self.log("item", next(generator))
            elif how == "close":
                self.log("closed", generator.close())
            elif how == "throw":
                self.log("item", generator.throw(value[0]("thrown")))
            else:
                self.log("item", generator.send(*value))
        except Exception as error:
            self.log("step", seen_of(error))

    async def astep(self, generator: Any, how: str, *value: Any) -> None:
        try:
            if how == "anext":
                self.log("item", await generator.__anext__())
            elif how == "aclose":
                self.log("closed", await generator.aclose())
            elif how == "elsewhere":
                await self.settle(asyncio.ensure_future(generator.aclose()))
            elif how == "athrow":
                self.log("item", await generator.athrow(value[0]("thrown")))
            else:
                self.log("item", await generator.asend(*value))
        except (Exception, asyncio.CancelledError) as error:
            self.log("step", seen_of(error))

    async def settle(self, awaitable: Any) -> None:
        try:
            self.log("settled", await awaitable)
        except (Exception, asyncio.CancelledError) as error:
            self.log("settled", seen_of(error))


def _surroundings() -> dict[str, Any]:
    """What belongs to the process and must be as it was: hooks, slots, handlers, settings, threads, files."""
    return {
        "threads": sorted(
            type(thread).__name__
            for thread in threading.enumerate()
            if not thread.name.startswith("manometer")
        ),
        "files": len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0,
        "signals": [str(signal.getsignal(number)) for number in sorted(signal.valid_signals())],
        "timers": [signal.getitimer(which) for which in (signal.ITIMER_REAL, signal.ITIMER_PROF)],
        "hooks": [
            hook is original
            for hook, original in (
                (sys.excepthook, sys.__excepthook__),
                (threading.excepthook, threading.__excepthook__),
                (sys.breakpointhook, sys.__breakpointhook__),
            )
        ],
        "slots": [sys.getprofile(), sys.gettrace(), threading._profile_hook, threading._trace_hook],
        "gc": [gc.isenabled(), gc.get_debug(), list(gc.get_threshold())],
        "limits": [sys.getrecursionlimit(), sys.getswitchinterval()],
        "modules": type(sys.modules).__name__,
        "importers": [
            type(finder).__name__ for finder in sys.meta_path if "Import" not in type(finder).__name__
        ],
        "asyncgen": [str(hook) for hook in sys.get_asyncgen_hooks()],
    }


def _first(kind: type, message: object) -> str:
    # What follows is where a coroutine was created, manometer's frames among them: that is a traceback.
    return f"{kind.__name__} {str(message).partition(chr(10))[0]}"


def run(source: str, extra: dict[str, Any] | None = None) -> dict[str, Any]:
    """Run *source* and return everything an observer outside could tell, as JSON."""
    import manometer

    stage = _Stage()
    unraisable: list[str] = []
    said: list[str] = []
    out, err = io.StringIO(), io.StringIO()
    before = sys.unraisablehook, warnings.showwarning
    sys.unraisablehook = lambda found: unraisable.append(
        f"{type(found.exc_value).__name__} {found.exc_value}"
    )
    warnings.showwarning = lambda message, kind, *_, **__: said.append(_first(kind, message))
    namespace: dict[str, Any] = {
        "__name__": "program", "measure": manometer.measure, "profile": manometer.profile, "asyncio": asyncio,
        "functools": functools, "contextlib": contextlib, "E0": E0, "E1": E1, "E2": E2,
        **{name: getattr(stage, name) for name in (
            "log", "fuel", "keep", "in_thread", "in_pool", "to_thread", "run", "step", "astep", "settle")},
        **(extra or {}),
    }  # fmt: skip
    linecache.cache[FILE] = (len(source), None, source.splitlines(keepends=True), FILE)
    exec(compile(source, FILE, "exec"), namespace)
    result: Any = None
    escaped: Any = None
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            try:
                result = stage.text(contextvars.copy_context().run(namespace["main"]))
            except BaseException as error:
                escaped = seen_of(error)
            stage.over = True
            stage.kept.clear()
            namespace.clear()
            gc.collect()
    finally:
        sys.unraisablehook, warnings.showwarning = before
    return {
        "result": result,
        "escaped": escaped,
        "log": stage.main_log,
        "threads": sorted(map(str, stage.other_logs)),
        "unraisable": unraisable,
        "warnings": said,
        "out": out.getvalue(),
        "err": err.getvalue(),
        "around": _surroundings(),
    }
