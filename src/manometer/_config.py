"""The configuration: one frozen object, read once; the only reader of the environment."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, Final, final

from . import _limits

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

LOG_FORMATS: Final = ("logfmt", "json", "tree")
EXPORTERS: Final = ("log", "console", "file", "otlp")
_TRUE: Final = ("1", "true", "on", "yes")
_FALSE: Final = ("0", "false", "off", "no")

DEFAULT_EXCLUDE: Final = (
    "/health*", "/healthz", "/livez", "/readyz", "/ready", "/live", "/ping", "/status", "/metrics",
    "/favicon.ico", "/robots.txt", "/static/*", "/assets/*",
)  # fmt: skip
"""Routes never worth a profile: probes of orchestrators and files that no code of yours makes."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """What the user decided; field `x` is the variable `MANOMETER_X`, `enabled` is `MANOMETER`.

    Args:
        enabled: False: `measure` returns the function itself. None: dormant until `start()`.
            True: on as soon as manometer is imported.
        sample: Share of units of work that are profiled, 0.0 to 1.0, decided at their root.
        slow_ms: Duration in milliseconds from which a unit of work is worth a line by itself.
        frame_slow_ms: Duration in milliseconds from which one call is kept with its times.
        routes: `(pattern, slow_ms)` pairs, first match wins: thresholds for single routes.
            In the environment `GET /reports/*=5000,/admin/*=2000`.
        exclude: Patterns of routes or paths that are never profiled (`*` matches anything).
        exporters: Names of exporters that receive reports.
        log_format: `logfmt`, `json`, or `tree` for a human at a terminal.
        disable: Names of sources, probes, detectors (rules) or exporters that stay off.
        expect: `(what, reason)` pairs: findings that are wanted. *what* is a finding id
            (`mn-7f3a21`), a rule, or `rule@route-pattern`. The reason is mandatory. In the
            environment `mn-7f3a21=tenant loop is by design;n-plus-one@/admin/*=internal page`.
        measure: Functions to measure without a change to them, `module:pattern` each, such as
            `shop.views:*` or `shop.models:Order.total`.
        file_path: File that the exporter `file` writes; empty stands for `manometer.jsonl` in the
            current directory.
        file_max_bytes: Size in bytes at which that file is rotated; one older file is kept.
        app: Packages or directories that count as the application although they are installed
            among the libraries.
        max_overhead: Share of the process's CPU that measuring may take, 0.001 to 1. Above it the level
            of detail falls, above five times as much recording stops for a while; 1 lets it take what
            it takes.
        repeat_after_s: Seconds until a known finding may speak again.
        heartbeat_s: Seconds between two heartbeat lines; 0 for none.
        record_unsampled: See the spans of OpenTelemetry that a sampler drops, too; costs 12 us a span.
        probe_interval_s: Seconds between two samples of the process.
        max_queue: Finished profiles that may wait for the background thread.
        max_frames: Frames of one profile.
        max_lines_per_min: Finding lines of one process in a minute.

    Raises:
        TypeError: A value of the wrong type.
        ValueError: A value out of range; the message lists what is allowed.
    """

    enabled: bool | None = None
    sample: float = 1.0
    slow_ms: float = 1000.0
    frame_slow_ms: float = 100.0
    routes: tuple[tuple[str, float], ...] = ()
    exclude: tuple[str, ...] = DEFAULT_EXCLUDE
    exporters: tuple[str, ...] = ("log",)
    log_format: str = "logfmt"
    disable: frozenset[str] = field(default_factory=frozenset)
    expect: tuple[tuple[str, str], ...] = ()
    measure: tuple[str, ...] = ()
    file_path: str = ""
    file_max_bytes: int = _limits.MAX_FILE_BYTES
    app: tuple[str, ...] = ()
    max_overhead: float = 0.01
    repeat_after_s: float = 300.0
    heartbeat_s: float = _limits.HEARTBEAT_S
    record_unsampled: bool = False
    probe_interval_s: float = 1.0
    max_queue: int = _limits.MAX_QUEUE
    max_frames: int = _limits.MAX_FRAMES
    max_lines_per_min: int = _limits.MAX_FINDING_LINES_PER_MIN

    def __post_init__(self) -> None:
        """Check every field; the programmer learns of a mistake where it was made."""
        for name, check in _CHECKS.items():
            problem = check(getattr(self, name))
            if problem:
                msg = f"manometer.Config: {name} must be {problem}, not {getattr(self, name)!r}"
                raise TypeError(msg) if problem.startswith("of type") else ValueError(msg)

    @classmethod
    def from_env(
        cls,
        environ: Mapping[str, str] | None = None,
        warn: Callable[[str], None] | None = None,
    ) -> Config:
        """Read the variables once; a bad one is a warning and its default is used.

        Args:
            environ: The environment; the process's own when None.
            warn: Called with one sentence per bad variable. It names the variable and what is
                allowed, never the value.
        """
        source = os.environ if environ is None else environ
        say = warn if warn is not None else _ignore
        values: dict[str, Any] = {}
        for name, variable in VARIABLES.items():
            text = source.get(variable)
            if text is None or not text.strip():
                continue
            try:
                value = _PARSERS[name](text.strip())
                problem = _CHECKS[name](value)
            except ValueError as error:
                value, problem = None, str(error)
            if problem:
                say(f"{variable} must be {problem}; the default is used")
            else:
                values[name] = value
        for variable in sorted(source):
            if variable.startswith("MANOMETER_") and variable not in _KNOWN:
                say(f"{variable} is not known{_near(variable)}; it is ignored")
        return cls(**values)

    def is_off(self, name: str) -> bool:
        """Tell whether a source, probe, rule or exporter was disabled by name."""
        return name in self.disable


def _ignore(_: str) -> None:
    pass


def _near(variable: str) -> str:
    from difflib import get_close_matches  # 6 ms to import, only for a typing error

    close = get_close_matches(variable, _KNOWN, n=1)
    return f" (did you mean {close[0]}?)" if close else ""


def _number(low: float, high: float, unit: str) -> Callable[[Any], str]:
    allowed = f"a number from {low:g} to {high:g}{unit}"

    def check(value: Any) -> str:
        if type(value) not in (int, float):
            return f"of type number ({allowed})"
        return "" if math.isfinite(value) and low <= value <= high else allowed

    return check


def _whole(low: int, high: int) -> Callable[[Any], str]:
    def check(value: Any) -> str:
        if type(value) is not int:
            return f"of type int ({low} to {high})"
        return "" if low <= value <= high else f"a whole number from {low} to {high}"

    return check


def _names(allowed: Iterable[str]) -> Callable[[Any], str]:
    known = tuple(allowed)

    def check(value: Any) -> str:
        if type(value) is not tuple or any(type(item) is not str for item in value):
            return "of type tuple of str"
        bad = [item for item in value if item not in known]
        return f"one or more of {', '.join(known)}" if bad else ""

    return check


def _strings(kind: type[tuple[Any, ...]] | type[frozenset[Any]], what: str) -> Callable[[Any], str]:
    def check(value: Any) -> str:
        if not isinstance(value, kind) or any(type(item) is not str for item in value):
            return f"of type {kind.__name__} of str ({what})"
        return ""

    return check


def _check_enabled(value: Any) -> str:
    return "" if value is None or type(value) is bool else "of type bool (1 or 0)"


def _check_flag(value: Any) -> str:
    return "" if type(value) is bool else "of type bool (1 or 0)"


def _check_format(value: Any) -> str:
    return "" if type(value) is str and value in LOG_FORMATS else f"one of {', '.join(LOG_FORMATS)}"


def _check_routes(value: Any) -> str:
    allowed = "pattern=milliseconds pairs such as /reports/*=5000"
    if type(value) is not tuple:
        return f"of type tuple ({allowed})"
    for pair in value:
        if type(pair) is not tuple or len(pair) != 2 or type(pair[0]) is not str or not pair[0]:
            return allowed
        if _number(0, 86_400_000, " ms")(pair[1]):
            return allowed
    return ""


def _check_path(value: Any) -> str:
    return "" if type(value) is str and "\0" not in value else "of type str (a path)"


def _check_measure(value: Any) -> str:
    allowed = "module:pattern entries such as shop.views:*"
    if type(value) is not tuple or any(type(item) is not str for item in value):
        return f"of type tuple of str ({allowed})"
    parts = [item.partition(":") for item in value]
    return "" if all(module and pattern for module, _, pattern in parts) else allowed


def _check_expect(value: Any) -> str:
    allowed = "what=reason pairs such as mn-7f3a21=by design; the reason is mandatory"
    if type(value) is not tuple:
        return f"of type tuple ({allowed})"
    for pair in value:
        if type(pair) is not tuple or len(pair) != 2 or any(type(item) is not str for item in pair):
            return allowed
        if not pair[0].strip() or not pair[1].strip():
            return allowed
    return ""


_CHECKS: Final[dict[str, Callable[[Any], str]]] = {
    "enabled": _check_enabled,
    "sample": _number(0, 1, ""),
    "slow_ms": _number(0, 86_400_000, " ms"),
    "frame_slow_ms": _number(0, 86_400_000, " ms"),
    "routes": _check_routes,
    "exclude": _strings(tuple, "route patterns"),
    "exporters": _names(EXPORTERS),
    "log_format": _check_format,
    "disable": _strings(frozenset, "names"),
    "expect": _check_expect,
    "measure": _check_measure,
    "file_path": _check_path,
    "file_max_bytes": _whole(10_000, 10_000_000_000),
    "app": _strings(tuple, "packages or directories"),
    "max_overhead": _number(0.001, 1, ""),
    "repeat_after_s": _number(0, 86_400, " s"),
    "heartbeat_s": _number(0, 86_400, " s"),
    "record_unsampled": _check_flag,
    "probe_interval_s": _number(0.1, 3_600, " s"),
    "max_queue": _whole(1, 100_000),
    "max_frames": _whole(10, 100_000),
    "max_lines_per_min": _whole(0, 10_000),
}


def _parse_bool(text: str) -> bool:
    low = text.lower()
    if low in _TRUE:
        return True
    if low in _FALSE:
        return False
    raise ValueError("1 or 0")


def _parse_number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ValueError("a number") from None


def _parse_whole(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise ValueError("a whole number") from None


def _parse_list(text: str) -> tuple[str, ...]:
    return tuple(item.strip() for item in text.split(",") if item.strip())


def _parse_set(text: str) -> frozenset[str]:
    return frozenset(_parse_list(text))


def _parse_routes(text: str) -> tuple[tuple[str, float], ...]:
    pairs = []
    for item in _parse_list(text):
        pattern, _, number = item.rpartition("=")
        pairs.append((pattern.strip(), _parse_number(number)))
    return tuple(pairs)


def _parse_expect(text: str) -> tuple[tuple[str, str], ...]:
    pairs = []
    for item in text.split(";"):
        if item.strip():
            what, _, reason = item.partition("=")
            pairs.append((what.strip(), reason.strip()))
    return tuple(pairs)


_PARSERS: Final[dict[str, Callable[[str], Any]]] = {
    "enabled": _parse_bool,
    "sample": _parse_number,
    "slow_ms": _parse_number,
    "frame_slow_ms": _parse_number,
    "routes": _parse_routes,
    "exclude": _parse_list,
    "exporters": _parse_list,
    "log_format": str.lower,
    "disable": _parse_set,
    "expect": _parse_expect,
    "measure": _parse_list,
    "file_path": str,
    "file_max_bytes": _parse_whole,
    "app": _parse_list,
    "max_overhead": _parse_number,
    "repeat_after_s": _parse_number,
    "heartbeat_s": _parse_number,
    "record_unsampled": _parse_bool,
    "probe_interval_s": _parse_number,
    "max_queue": _parse_whole,
    "max_frames": _parse_whole,
    "max_lines_per_min": _parse_whole,
}

VARIABLES: Final[dict[str, str]] = {
    item.name: "MANOMETER" if item.name == "enabled" else f"MANOMETER_{item.name.upper()}"
    for item in fields(Config)
}
"""Field, with the environment variable that sets it."""
_CORE: Final = "MANOMETER_CORE"
_KNOWN: Final = frozenset((*VARIABLES.values(), _CORE))


def switch() -> bool | None:
    """Return what the variable `MANOMETER` says: on, off, or nothing (a bad value counts as unset)."""
    try:
        return _parse_bool(os.environ.get("MANOMETER", "").strip())
    except ValueError:
        return None


def wanted_core() -> str:
    """Return which core the variable `MANOMETER_CORE` asks for: `python`, `c`, or whichever there is (empty).

    For tests and benchmarks, and read when the package is imported: the two measure the same.
    """
    text = os.environ.get(_CORE, "").strip().lower()
    return text if text in ("python", "c") else ""


def child_environment(folder: str, *, here: bool = False) -> dict[str, str]:
    """Return the environment in which a Python process starts with manometer on.

    Args:
        folder: Where our `sitecustomize` is; goes in front of `PYTHONPATH`.
        here: Change this process's environment too, for the children it will start.
    """
    changed = {"PYTHONPATH": os.pathsep.join(filter(None, (folder, os.environ.get("PYTHONPATH", ""))))}
    if not os.environ.get("MANOMETER"):
        changed["MANOMETER"] = "1"
    if here:
        os.environ.update(changed)
    return {**os.environ, **changed}


def otel_variables() -> dict[str, str]:
    """Return the variables that OpenTelemetry names, for whoever obeys them."""
    return {name: value for name, value in os.environ.items() if name.startswith("OTEL_")}


def service_version(environ: Mapping[str, str] | None = None) -> str:
    """Return `service.version` as OpenTelemetry's own variables state it; empty when they do not."""
    source = os.environ if environ is None else environ
    for pair in source.get("OTEL_RESOURCE_ATTRIBUTES", "").split(","):
        name, _, value = pair.partition("=")
        if name.strip() == "service.version":
            return value.strip()[: _limits.MAX_NAME]
    return ""


def no_color(environ: Mapping[str, str] | None = None) -> bool:
    """Tell whether the person at the terminal asked for no colours (https://no-color.org)."""
    source = os.environ if environ is None else environ
    return bool(source.get("NO_COLOR")) or source.get("TERM") == "dumb"
