"""Where reports go: one file each, loaded when it is asked for."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from .._config import Config
    from .._finding import Finding, Report, Status

__all__ = ["FullExporter", "chosen", "make"]

_CLASSES: Final = {"console": "ConsoleExporter", "log": "LogExporter"}


class FullExporter(Protocol):
    """An exporter that also says how manometer itself is doing; background thread only.

    Each method may block on its own output, and may raise, which is counted and isolated.
    """

    def export(self, report: Report) -> None:
        """Take one report; also those of clean units of work, which are counted."""

    def heartbeat(self, status: Status) -> None:
        """Say that manometer is alive, what it sees and what it costs."""

    def resolved(self, finding: Finding) -> None:
        """Say that a finding is gone."""

    def tick(self) -> None:
        """Write what is due by time; about once a second."""

    def shutdown(self) -> None:
        """Write what is held back; the last call."""


def chosen(config: Config) -> tuple[str, ...]:
    """Return the names of the exporters to make, each once and none that is disabled.

    With `log_format="tree"` the log is meant for a person at a terminal, so `log` means `console`.
    """
    asked = [name for name in config.exporters if not config.is_off(name)]
    if config.log_format == "tree":
        asked = ["console" if name == "log" else name for name in asked]
    return tuple(name for name in dict.fromkeys(asked) if not config.is_off(name))


def make(name: str, config: Config) -> FullExporter:
    """Load an exporter and make it.

    Args:
        name: One of `chosen`.
        config: What the user decided.

    Raises:
        KeyError: No exporter has this name.
        ImportError: A library it needs is missing.
    """
    module = import_module(f"{__name__}.{name}")
    exporter: FullExporter = getattr(module, _CLASSES[name])(config)
    return exporter
