"""In-process profiling that says what happens when this grows; names only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ._block import current_profile, profile
from ._config import Config
from ._finding import Finding, Report
from ._measure import expected, measure
from ._model import Callsite, Frame, Profile
from .protocols import Detector, Exporter, Probe, Source

if TYPE_CHECKING:
    from ._analyze import analyze
    from ._locks import watch_lock
    from ._runtime import disable, enable, flush, questions, start, stop
    from ._watch_cache import watch_cache

__all__ = [
    "Callsite",
    "Config",
    "Detector",
    "Exporter",
    "Finding",
    "Frame",
    "Probe",
    "Profile",
    "Report",
    "Source",
    "analyze",
    "current_profile",
    "disable",
    "enable",
    "expected",
    "flush",
    "measure",
    "profile",
    "questions",
    "start",
    "stop",
    "watch_cache",
    "watch_lock",
]

_LAZY = frozenset({"disable", "enable", "flush", "questions", "start", "stop"})


def __getattr__(name: str) -> Any:
    """Load the runtime, and the version, when somebody asks for them."""
    if name in _LAZY:
        from . import _runtime

        return getattr(_runtime, name)
    if name == "analyze":
        from ._analyze import analyze

        return analyze
    if name == "watch_cache":
        from ._watch_cache import watch_cache

        return watch_cache
    if name == "watch_lock":
        from ._locks import watch_lock

        return watch_lock
    if name == "__version__":
        from ._version import version

        return version()
    msg = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(msg)


def _obey_environment() -> None:
    from ._config import switch

    wanted = switch()
    if wanted is False:
        from . import _context

        _context.absent = True
    elif wanted:
        from . import _runtime

        _runtime.autostart()


_obey_environment()
