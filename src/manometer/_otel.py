"""What `opentelemetry-instrument` finds of manometer through its entry points."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, ClassVar, final

from . import _guard, _runtime
from ._config import Config, switch


def pre_instrument() -> None:
    """Obey `MANOMETER` before the instrumentations are loaded; importing the package has done it. Never raises."""


@final
class Instrumentor:
    """Starts manometer as one instrumentation among others: `opentelemetry-instrument python app.py`.

    It is asked twice with declarative configuration, first with its options, so it is one object
    for the process. Options are fields of `Config`. `OTEL_PYTHON_DISABLED_INSTRUMENTATIONS=manometer`
    and `MANOMETER=0` keep it away.
    """

    _only: ClassVar[Instrumentor | None] = None
    is_instrumented_by_opentelemetry = False

    def __new__(cls) -> Instrumentor:
        """Return the one object."""
        if cls._only is None:
            cls._only = super().__new__(cls)
        return cls._only

    def instrument(self, **options: Any) -> None:
        """Start manometer, unless it is on already or switched off. Never raises: that would stop all others."""
        _guard.call("otel.instrument", self._instrument, options)

    def _instrument(self, options: dict[str, Any]) -> None:
        if switch() is False or _runtime.running() is not None:
            return
        wanted = {name: _plain(value) for name, value in options.items() if name in Config.__slots__}
        _runtime.start(replace(Config.from_env(), **wanted))
        self.is_instrumented_by_opentelemetry = True

    def uninstrument(self, **_: Any) -> None:
        """Stop what `instrument` started. Never raises."""
        if self.is_instrumented_by_opentelemetry:
            self.is_instrumented_by_opentelemetry = False
            _guard.call("otel.instrument", _runtime.stop)


def _plain(value: Any) -> Any:
    """Return what YAML gave as what a field takes."""
    if type(value) is list:
        return tuple(value)
    return value
