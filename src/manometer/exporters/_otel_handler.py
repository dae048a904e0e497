"""Whether a logger leads to OpenTelemetry: then a record of it is a log event as well."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import logging


def is_otel(handler: logging.Handler) -> bool:
    """Tell a handler of OpenTelemetry's, the SDK's or the one of its instrumentation."""
    return type(handler).__module__.startswith("opentelemetry.")


def has_otel_handler(logger: logging.Logger) -> bool:
    """Tell whether a record of *logger* reaches a handler of OpenTelemetry's."""
    current: logging.Logger | None = logger
    while current is not None:
        if any(is_otel(handler) for handler in current.handlers):
            return True
        current = current.parent if current.propagate else None
    return False
