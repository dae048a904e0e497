"""The console exporter: reports as pictures for a person at a terminal."""

from __future__ import annotations

import os
import sys
import time
from typing import TYPE_CHECKING, Final, final

from .. import _limits
from .._config import no_color
from . import _event, _logfmt
from ._minute import Rate
from ._tree import Look, picture

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from typing import Any, TextIO

    from .._config import Config
    from .._finding import Finding, Report, Status

_WIDTH: Final = 100
"""Columns where there is no terminal to ask."""


@final
class ConsoleExporter:
    """Draws the units of work that the log exporter would write a line about.

    Colour, and characters beyond ASCII, only on a terminal that wants them. Each picture is one write.

    Args:
        config: Supplies `slow_ms`.
        stream: Where to draw; standard error, as it is at the time, when None.
        clock_ns: Monotonic clock.
    """

    def __init__(
        self,
        config: Config,
        stream: TextIO | None = None,
        clock_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self._config = config
        self._stream = stream
        self._clock_ns = clock_ns
        self._rate = Rate(_limits.MAX_SUMMARY_LINES_PER_MIN)

    def export(self, report: Report) -> None:
        """Draw one unit of work if it is slow or has a finding whose turn it is.

        Background thread; blocks as long as the terminal does.
        """
        slow = _event.is_slow(report.profile, self._config)
        if not (slow or report.speaking) or not self._rate.passes(self._clock_ns()):
            return
        refused = self._rate.take_refused()
        before = f"({refused} more units of work were not shown)\n" if refused else ""
        stream = self._stream if self._stream is not None else sys.stderr
        if stream is not None:
            self._write(before + picture(report, look_of(stream), slow))

    def heartbeat(self, status: Status) -> None:
        """Write one line about manometer itself."""
        self._write(_logfmt.line(_event.up(status)) + "\n")

    def questions(self, page: str, _answers: Iterable[Mapping[str, Any]]) -> None:
        """Write, at exit, the four questions with their answers."""
        self._write(f"\n{page}\n")

    def resolved(self, finding: Finding) -> None:
        """Write that a finding is gone."""
        self._write(_logfmt.line(_event.gone(finding)) + "\n")

    def warning(self, text: str) -> None:
        """Write that something about the configuration is not as the user meant it."""
        self._write(_logfmt.line(_event.warning(text)) + "\n")

    def tick(self) -> None:
        """Do nothing: a person needs no summary of a minute just watched."""

    def shutdown(self) -> None:
        """Do nothing: nothing is held back."""

    def _write(self, text: str) -> None:
        stream = self._stream if self._stream is not None else sys.stderr
        if stream is not None:  # None under pythonw
            stream.write(text)
            stream.flush()


def look_of(stream: TextIO) -> Look:
    """Find out what can be drawn on *stream*: plain ASCII unless it is a terminal."""
    if not stream.isatty():
        return Look(_WIDTH)
    try:
        width = os.get_terminal_size(stream.fileno()).columns or _WIDTH
    except (OSError, ValueError):
        width = _WIDTH
    encoding = (getattr(stream, "encoding", None) or "").lower().replace("-", "")
    return Look(width, colour=not no_color(), unicode=encoding == "utf8")
