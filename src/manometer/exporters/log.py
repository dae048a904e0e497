"""The log exporter: reports as lines of the application's own log."""

from __future__ import annotations

import logging
import sys
import time
from typing import TYPE_CHECKING, Final, final

from .. import _limits
from .._line import to_json
from . import _attributes, _event, _logfmt
from ._minute import Minute, Rate
from ._otel_handler import has_otel_handler, is_otel

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from typing import Any

    from .._config import Config
    from .._finding import Finding, Report, Status
    from ._event import Event

_EVENT_LOGGERS: Final = {
    "request": "manometer.request",
    "finding": "manometer.finding",
    "resolved": "manometer.finding",
    "answer": "manometer.summary",
    "summary": "manometer.summary",
    "up": "manometer.summary",
    "warning": "manometer",
}


@final
class LogExporter:
    """Writes one line for a unit of work worth reading, one for a finding whose turn it is.

    Lines go through `logging`: `manometer.request` and `manometer.summary` at INFO,
    `manometer.finding` at WARNING. Where the application configured no handler they go to standard
    error, each in one write. Nothing of the application's logging is ever changed.

    Args:
        config: Supplies `slow_ms` and `log_format`.
        write: Takes each line, without line feed, in place of `logging` and standard error.
        clock_ns: Monotonic clock.
    """

    def __init__(
        self,
        config: Config,
        write: Callable[[str], None] | None = None,
        clock_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self._config = config
        self._json = config.log_format == "json"
        self._write = write
        self._clock_ns = clock_ns
        self._rate = Rate(_limits.MAX_SUMMARY_LINES_PER_MIN)
        self._minute = Minute(clock_ns())

    def export(self, report: Report) -> None:
        """Write what is worth reading of one unit of work; a clean and fast one is only counted.

        Background thread only; blocks as long as the application's handlers do, raises what they raise.
        """
        self.tick()
        slow = _event.is_slow(report.profile, self._config)
        worth_it = slow or bool(report.speaking)
        printed = worth_it and self._rate.passes(self._clock_ns())
        self._minute.add(report, slow, printed)
        if printed:
            self._emit(_event.request(report, self._rate.take_refused()), logging.INFO)
        elif worth_it:
            self._minute.suppressed += 1
        spoken: set[str] = set()
        for item in _event.by_weight(report.findings):
            if item.id in report.speaking and item.id not in spoken:
                spoken.add(item.id)
                level = logging.WARNING if item.severity == "warning" else logging.INFO
                self._emit(_event.said(item, report), level, (item, report))

    def heartbeat(self, status: Status) -> None:
        """Write one line about manometer itself.

        It is INFO, but for the first one of a process whose log hides INFO: that one is a WARNING
        with `info=hidden`, so that silence is never taken for health.
        """
        now_ns = self._clock_ns()
        if status.state == "stop" or self._minute.is_over(now_ns):
            self._close_minute(now_ns)
        hidden = status.state == "start" and self._hides_info()
        self._emit(_event.up(status, hidden), logging.WARNING if hidden else logging.INFO)

    def questions(self, _page: str, answers: Iterable[Mapping[str, Any]]) -> None:
        """Write, at exit, one line for each of the four questions that has an answer."""
        for found in answers:
            self._emit(_event.answer(found), logging.INFO)

    def resolved(self, finding: Finding) -> None:
        """Write that a finding is gone."""
        self._emit(_event.gone(finding), logging.INFO)

    def warning(self, text: str) -> None:
        """Write that something about the configuration is not as the user meant it."""
        self._emit(_event.warning(text), logging.WARNING)

    def tick(self) -> None:
        """Write the summary of a minute that is over, if something in it had no line."""
        now_ns = self._clock_ns()
        if self._minute.is_over(now_ns):
            self._close_minute(now_ns)

    def shutdown(self) -> None:
        """Write the summary of the minute that has begun."""
        self._close_minute(self._clock_ns())

    def _close_minute(self, now_ns: int) -> None:
        minute, self._minute = self._minute, Minute(now_ns)
        event = minute.event(now_ns)
        if event is not None:
            self._emit(event, logging.INFO)

    def _hides_info(self) -> bool:
        logger = logging.getLogger(_EVENT_LOGGERS["up"])
        return self._write is None and _has_handler(logger) and not logger.isEnabledFor(logging.INFO)

    def _emit(self, event: Event, level: int, about: tuple[Finding, Report] | None = None) -> None:
        name = _EVENT_LOGGERS[event["event"]]
        logger = logging.getLogger(name)
        if self._write is not None:
            self._write(self._text(event, level, name))
        elif _has_handler(logger):
            if logger.isEnabledFor(level):
                text = self._text(event, level, name)
                # The text is an argument: data must never be read as a format.
                extra = {"manometer": _event.fit(event), **_otel_extra(logger, about)}
                logger.log(level, "%s", text, extra=extra)
        elif not _is_silenced(logger, level):
            prefix = "" if self._json else f"{logging.getLevelName(level)}:{name}:"
            _to_stderr(prefix + self._text(event, level, name))
            if has_otel_handler(logger) and logger.isEnabledFor(level):
                # Nobody reads it here; whatever collects it gets the record as an event, without prose.
                logger.log(level, "%s", _logfmt.line(event), extra=_otel_extra(logger, about))

    def _text(self, event: Event, level: int, name: str) -> str:
        if not self._json:
            return _logfmt.line(event)
        return to_json(
            {
                "ts": _event.instant(time.time_ns()),
                "level": logging.getLevelName(level),
                "logger": name,
                "message": _logfmt.short(event),
                "manometer": _event.fit(event),
            }
        )


def _otel_extra(logger: logging.Logger, about: tuple[Finding, Report] | None) -> dict[str, object]:
    """Return what makes the record of a finding an event of OpenTelemetry's, where a handler of it listens."""
    if about is None or not has_otel_handler(logger):
        return {}
    return {"otel.event.name": _attributes.EVENT_NAME, **_attributes.of_finding(*about)}


def _has_handler(logger: logging.Logger) -> bool:
    """Tell whether anybody would see a record of *logger*."""
    current: logging.Logger | None = logger
    while current is not None:
        if any(not isinstance(one, logging.NullHandler) and not is_otel(one) for one in current.handlers):
            return True
        current = current.parent if current.propagate else None
    return False


def _is_silenced(logger: logging.Logger, level: int) -> bool:
    """Tell whether the application, though without handlers, asked for silence.

    The level of the root logger does not count: WARNING is its default, nobody chose it.
    """
    if logger.manager.disable >= level:
        return True
    current: logging.Logger | None = logger
    while current is not None and current.parent is not None:
        if current.level:
            return current.level > level
        current = current.parent
    return False


def _to_stderr(line: str) -> None:
    stream = sys.stderr
    if stream is not None:  # None under pythonw
        # One write a line: what two processes write to the same pipe must not mix.
        stream.write(f"{line}\n")
        stream.flush()
