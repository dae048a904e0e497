"""Where OpenTelemetry's own variables say that each signal goes."""

from __future__ import annotations

import os
import secrets
import socket
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, final
from urllib.parse import unquote, urlsplit

from ._sender import Target

if TYPE_CHECKING:
    from collections.abc import Mapping

SIGNALS: Final = ("traces", "logs", "metrics")


@final
@dataclass(frozen=True, slots=True)
class Settings:
    """What the environment says.

    Attributes:
        targets: By signal; a signal that goes nowhere is missing.
        resource: Who we are.
        interval_s: Seconds between two exports of metrics.
        delta: Metrics are sent as differences.
        problems: What cannot be obeyed, for the log.
    """

    targets: Mapping[str, Target] = field(default_factory=dict)
    resource: Mapping[str, Any] = field(default_factory=dict)
    interval_s: float = 60.0
    delta: bool = False
    problems: tuple[str, ...] = ()


def read(variables: Mapping[str, str], version: str) -> Settings:
    """Read the variables that start with `OTEL_`.

    Args:
        variables: Of the environment.
        version: The application's, where nothing else says it.
    """
    if variables.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return Settings()
    targets: dict[str, Target] = {}
    problems: list[str] = []
    for signal in SIGNALS:
        if variables.get(f"OTEL_{signal.upper()}_EXPORTER", "").strip().lower() == "none":
            continue
        found = _target(variables, signal)
        if isinstance(found, str):
            problems.append(found)
        elif found is not None:
            targets[signal] = found
    interval = variables.get("OTEL_METRIC_EXPORT_INTERVAL", "").strip()
    preference = variables.get("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", "").strip().lower()
    return Settings(
        targets,
        resource(variables, version),
        max(1.0, int(interval) / 1_000) if interval.isdigit() else 60.0,
        preference in ("delta", "lowmemory"),
        tuple(dict.fromkeys(problems)),
    )


def _target(variables: Mapping[str, str], signal: str) -> Target | str | None:
    def option(name: str) -> str:
        own = variables.get(f"OTEL_EXPORTER_OTLP_{signal.upper()}_{name}", "").strip()
        return own or variables.get(f"OTEL_EXPORTER_OTLP_{name}", "").strip()

    own = variables.get(f"OTEL_EXPORTER_OTLP_{signal.upper()}_ENDPOINT", "").strip()
    general = variables.get("OTEL_EXPORTER_OTLP_ENDPOINT", "").strip()
    url = own or (f"{general.rstrip('/')}/v1/{signal}" if general else "")
    if not url:
        return None
    protocol = option("PROTOCOL").lower() or "http/protobuf"
    if protocol != "http/protobuf":
        return f"OTEL_EXPORTER_OTLP_PROTOCOL {protocol} needs the application's own exporters; http/protobuf does not"
    try:
        parts = urlsplit(url)
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        good = False
    if not good:
        return "OTEL_EXPORTER_OTLP_ENDPOINT must be a URL that begins with http:// or https://"
    return Target(
        url, _pairs(option("HEADERS")), option("COMPRESSION").lower() == "gzip", option("CERTIFICATE")
    )


def _pairs(text: str) -> dict[str, str]:
    found = {}
    for item in text.split(","):
        name, _, value = item.partition("=")
        value = unquote(value.strip())
        if name.strip() and value.isprintable():
            found[name.strip()] = value
    return found


def resource(variables: Mapping[str, str], version: str) -> dict[str, Any]:
    """Return who we are; a forked child is somebody else, so it is asked for again there."""
    found: dict[str, Any] = {
        "service.name": "unknown_service:python",
        "telemetry.sdk.language": "python",
        "telemetry.sdk.name": "manometer",
        "service.instance.id": secrets.token_hex(16),
        "host.name": socket.gethostname(),
        "process.pid": os.getpid(),
    }
    if version:
        found["service.version"] = version
    found.update(_pairs(variables.get("OTEL_RESOURCE_ATTRIBUTES", "")))
    name = variables.get("OTEL_SERVICE_NAME", "").strip()
    if name:
        found["service.name"] = name
    return found
