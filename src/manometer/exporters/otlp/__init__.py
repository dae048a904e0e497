"""The OTLP exporter: spans, findings and metrics, through the application's own pipelines where it has some."""

from __future__ import annotations

import logging
import os
import time
from typing import TYPE_CHECKING, Any, Final, final

from ... import _spans
from ..._config import otel_variables, service_version
from .. import _attributes, _otel_settings, _protobuf, _whole
from .._measures import Series, Sums, samples_of
from .._otel_handler import has_otel_handler
from .._sender import Sender
from . import _app

if TYPE_CHECKING:
    from ..._config import Config
    from ..._finding import Finding, Report
    from .._measures import Sample

_log: Final = logging.getLogger("manometer")
_WARN, _INFO = 13, 9


@final
class OtlpExporter:
    """Exports over OTLP, whichever of two ways each signal has.

    Where the application has set up a provider, what we say goes through it: its resource, its
    sampler, its processors, its exporter. Where it has none and `OTEL_EXPORTER_OTLP_ENDPOINT` is
    set, it goes there directly (HTTP, protobuf), on a thread of its own with bounds of its own.

    Args:
        config: Says whether findings are also lines of the log.
        variables: Those that begin with `OTEL_`; the environment's when None.
    """

    def __init__(self, config: Config, variables: dict[str, str] | None = None) -> None:
        self._says_in_log = "log" in config.exporters and not config.is_off("log")
        self._variables = otel_variables() if variables is None else variables
        self._settings = _otel_settings.read(self._variables, service_version(self._variables))
        for problem in self._settings.problems:
            _log.warning(problem)
        self._sender = Sender()
        self._series = Series()
        self._sums = Sums(time.time_ns(), self._settings.delta)
        self._meter = _app.Meter()
        self._pid = os.getpid()
        self._metrics_s = time.monotonic()
        _spans.promoting = True

    @property
    def drops(self) -> dict[str, int]:
        """What was lost on the way, by reason."""
        overflow = {"metric_series": self._series.overflowed} if self._series.overflowed else {}
        return self._sender.drops | overflow

    def export(self, report: Report) -> None:
        """Hand on one report. Background thread; never waits for a collector."""
        if self._pid != os.getpid():
            self._begin_child()
        self._spans(report)
        for finding in report.findings:
            if finding.id in report.speaking and not finding.expected:
                self._finding(finding, report)
        for sample in samples_of(report):
            self._measure(self._series.admit(sample))

    def _begin_child(self) -> None:
        self._pid = os.getpid()
        self._settings = _otel_settings.read(self._variables, service_version(self._variables))
        self._sums = Sums(time.time_ns(), self._settings.delta)

    def _spans(self, report: Report) -> None:
        profile = report.profile
        provider = _app.tracer_provider()
        if provider is not None:
            if profile.spans is not None:
                _app.export_promoted(provider, profile)
        elif profile.kind != "process":
            self._send("traces", _protobuf.traces, _whole.spans_of(report))

    def _finding(self, finding: Finding, report: Report) -> None:
        if self._says_in_log and has_otel_handler(logging.getLogger(_attributes.EVENT_NAME)):
            return  # the line of the log carries the name of the event, and all of this
        spans = report.profile.spans
        first = None if spans is None else spans.first
        trace_id = report.profile.trace_id
        event = _protobuf.Event(
            time.time_ns(),
            _attributes.EVENT_NAME,
            _WARN if finding.severity == "warning" else _INFO,
            "WARN" if finding.severity == "warning" else "INFO",
            _attributes.title_of(finding, report),
            _attributes.of_finding(finding, report),
            int(trace_id, 16) if trace_id else 0,
            first.span_id if first is not None else 0,
            first.flags if first is not None else 0,
        )
        if not _app.emit(event):
            self._send("logs", _protobuf.logs, [event])

    def _measure(self, sample: Sample) -> None:
        if not self._meter.record(sample):
            self._sums.add(sample)

    def tick(self) -> None:
        """Send the metrics, once in an interval."""
        if time.monotonic() - self._metrics_s >= self._settings.interval_s:
            self._send_metrics()

    def _send_metrics(self) -> None:
        self._metrics_s = time.monotonic()
        found = self._sums.take(time.time_ns())
        if found:
            self._send("metrics", _protobuf.metrics, found)

    def _send(self, signal: str, encode: Any, items: Any) -> None:
        target = self._settings.targets.get(signal)
        if target is not None:
            self._sender.put(target, encode(self._settings.resource, _app.scope(), items))

    def shutdown(self) -> None:
        """Send what is left, within 1.5 seconds; nothing of the application's is shut down."""
        _spans.promoting = False
        if self._pid == os.getpid():
            self._send_metrics()
            self._sender.shutdown()


__all__ = ["OtlpExporter"]
