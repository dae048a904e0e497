"""Starting and stopping: the one place that knows all parts."""

from __future__ import annotations

import atexit
import logging
import os
import sys
from dataclasses import dataclass, field
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from . import _caches, _context, _guard, _level, _loops, _rolling, _site, _spans, _watching
from ._config import Config, service_version
from ._context import HOT
from ._pipeline import Pipeline

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from .protocols import Detector, Exporter, Undo

_log: Final = logging.getLogger("manometer")
_log.addHandler(logging.NullHandler())

_EXPORTERS: Final = {
    "log": ("log", "LogExporter"),
    "console": ("console", "ConsoleExporter"),
    "file": ("file", "FileExporter"),
    "otlp": ("otlp", "OtlpExporter"),
}


@dataclass(slots=True)
class _Running:
    """Everything that `stop` has to take back."""

    config: Config
    pipeline: Pipeline
    questions: Any
    undo: list[Callable[[], None]] = field(default_factory=list)
    states: dict[str, tuple[str, str]] = field(default_factory=dict)
    pid: int = field(default_factory=os.getpid)


_running: _Running | None = None
_hooked = False


def start(
    config: Config | None = None,
    *,
    detectors: Iterable[Detector] = (),
    exporters: Iterable[Exporter] = (),
) -> Undo:
    """Switch manometer on in this process.

    Args:
        config: The configuration; read from the environment when None.
        detectors: Further detectors, called after the bundled ones.
        exporters: Further exporters.

    Returns:
        What undoes it; the same as `stop`.

    Raises:
        RuntimeError: It is on already. Two configurations in one process would be a silent mistake.
        TypeError: A wrong argument.

    Called once, by the main thread, before the application serves; about 100 ms, mostly imports.
    """
    global _running
    if _running is not None:
        msg = "manometer is already on; call stop() first, or configure it in one place"
        raise RuntimeError(msg)
    warnings: list[str] = []
    config = _checked(config) if config is not None else Config.from_env(warn=warnings.append)
    if config.enabled is False:
        return _nothing
    running = _assemble(config, tuple(detectors), tuple(exporters))
    _running = running
    _hook_process()
    _apply(config)
    _install_sources(running)
    _rolling.install()
    _rolling.finish, _rolling.end = _finish, _at_exit
    _context.sink = running.pipeline.put
    _level.allow(True)
    _guard.call("calibrate", running.pipeline.governor.calibrate)
    for warning in warnings:
        running.pipeline.say(warning)
    running.pipeline.heartbeat("start")
    running.pipeline.start_thread()
    return stop


def _checked(config: object) -> Config:
    if not isinstance(config, Config):
        msg = f"start: config must be a manometer.Config, not {type(config).__name__}"
        raise TypeError(msg)
    return config


def _nothing() -> None:
    pass


def _assemble(config: Config, detectors: tuple[Any, ...], extra: tuple[Any, ...]) -> _Running:
    from ._version import version
    from .detectors import judge
    from .exporters.questions import Questions

    asked = Questions()
    names = dict.fromkeys(_exporter_of(name, config) for name in config.exporters if not config.is_off(name))
    made = [(name, _make_exporter(name, config)) for name in names]
    made += [(type(exporter).__name__, exporter) for exporter in extra]
    made.append(("questions", asked))
    states: dict[str, tuple[str, str]] = {}

    def sources() -> tuple[tuple[str, ...], dict[str, str]]:
        active = tuple(sorted(name for name, (state, _) in states.items() if state == "active"))
        return active, {name: reason for name, (state, reason) in states.items() if state == "inactive"}

    read = _probe(config)
    pipeline = Pipeline(
        config, judge, made, detectors, sources, version(), os.getpid(), _answers(asked), read
    )
    return _Running(config, pipeline, asked, states=states)


def _probe(config: Config) -> Callable[[], dict[str, float]] | None:
    if config.is_off("process"):
        return None
    from .probes.process import ProcessProbe

    return ProcessProbe().read


def _answers(asked: Any) -> Callable[[], tuple[str, list[dict[str, Any]]]]:
    return lambda: (asked.page(), asked.answers())


def _exporter_of(name: str, config: Config) -> str:
    """Return the exporter that writes the log: a tree is the console's form."""
    return "console" if name == "log" and config.log_format == "tree" else name


def _make_exporter(name: str, config: Config) -> Any:
    module, attribute = _EXPORTERS[name]
    return getattr(import_module(f".exporters.{module}", __package__), attribute)(config)


def _apply(config: Config) -> None:
    _context.sample = config.sample
    _context.max_frames = config.max_frames
    _context.version = service_version()
    _spans.record_unsampled = config.record_unsampled
    HOT["limit_"] = int(config.frame_slow_ms * 1e6)
    _site.application = config.app
    _site.forget()


def _install_sources(running: _Running) -> None:
    from .sources import install_all

    def report(name: str, state: str, reason: str) -> None:
        running.states[name] = (state, reason)
        if state == "inactive":
            _log.warning("source=%s is inactive: %s; the application is not affected", name, reason)

    running.undo.append(install_all(running.config, report))


def stop() -> None:
    """Switch manometer off: export what is there within two seconds and restore every patch.

    Does nothing when it is off. Blocks at most two seconds; never raises.
    """
    global _running
    running, _running = _running, None
    if running is None:
        return
    _level.allow(False)
    for undo in reversed(running.undo):
        _guard.call("stop", undo)
    _watching.stop()
    _rolling.uninstall()
    _rolling.finish = _rolling.end = None
    running.pipeline.stop()
    _context.sink = None
    _apply(Config())
    _context.drops.clear()
    _caches.forget()


def disable() -> None:
    """Stop recording at once, in a running process: the kill switch. `enable` takes it back.

    Patches stay; a call costs what it costs without an active profile. Any thread; never blocks.
    """
    _level.allow(False)
    for profile in list(_context.live.values()):
        profile.sealed = True
        _context.live.pop(id(profile), None)
        for branch in list(profile.branches):
            branch.owner = None  # its next call takes the slow path, and lets go of it
        profile.branches.clear()
    _rolling.cut()


def enable() -> None:
    """Record again after `disable`.

    Raises:
        RuntimeError: It was never started.
    """
    if _running is None:
        msg = "manometer is not on; call start() first, or set MANOMETER=1"
        raise RuntimeError(msg)
    _rolling.install()
    _level.allow(True)


def flush(timeout_s: float = 2.0) -> bool:
    """Wait until all finished profiles are exported; at most *timeout_s* seconds.

    Returns:
        Whether that was reached in time; True when manometer is off.
    """
    return _running is None or _running.pipeline.flush(timeout_s)


def _finish(timeout_s: float = 2.0) -> None:
    """Export all that is finished, what lies outside units of work too; a process is about to end."""
    _rolling.flush()
    flush(timeout_s)


def questions(timeout_s: float = 2.0) -> str:
    """Return the four questions with their answers so far, as text: what to read before deciding what to optimise.

    Answers are ranked by what a fix saves times how often it was seen. Also said is what is not
    worth optimising, and what could not be judged. Waits at most *timeout_s* seconds for profiles
    that are finished and not yet judged.

    Raises:
        RuntimeError: Manometer is not on.
    """
    if _running is None:
        msg = "manometer is not on; call start() first, or set MANOMETER=1"
        raise RuntimeError(msg)
    _running.pipeline.flush(timeout_s)
    _running.questions.heartbeat(_running.pipeline.status())
    page: str = _running.questions.page()
    return page


def running() -> Any:
    """Return what is running, for the command line and tests; None when off."""
    return _running


def _hook_process() -> None:
    """Register for exit and fork, once: neither can be unregistered safely."""
    global _hooked
    if _hooked:
        return
    _hooked = True
    atexit.register(_at_exit)
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=_after_fork)


def _at_exit() -> None:
    if _running is not None and _running.pid == os.getpid():
        _guard.call("exit", stop)


def _after_fork() -> None:
    running = _running
    _context.after_fork()
    _caches.after_fork()
    _rolling.after_fork()
    _loops.after_fork()
    _guard.clear()
    if running is not None:
        running.pid = os.getpid()
        running.pipeline.after_fork(running.pid)


def autostart() -> None:
    """Obey `MANOMETER` when the package is imported; never raises into the application."""
    quiet: list[str] = []
    config = Config.from_env(warn=quiet.append)
    if config.enabled is False:
        _context.absent = True
    elif config.enabled:
        try:
            start()
        except Exception as error:
            sys.stderr.write(f"manometer could not start: {type(error).__name__}: {error}\n")
