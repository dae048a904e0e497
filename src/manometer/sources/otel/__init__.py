"""The source that listens to OpenTelemetry: whatever any instrumentation emits becomes frames."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Final, final
from weakref import WeakSet

from ... import _guard, _spans
from ..._context import HOT, variable
from ..._version import version
from .._patch import Unsupported, nothing, patch

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..._model import Profile
    from ...protocols import Undo

_POINT: Final = "sources.opentelemetry"
_joined: WeakSet[Any] = WeakSet()
_undos: list[Undo] = []
_last: Any = None
_installed = False


@final
class OpenTelemetrySource:
    """OpenTelemetry's SDK 1.20 and later, or any provider that takes span processors (logfire's does)."""

    def install(self) -> Undo:
        """Join the provider that exists, and each one that comes later.

        The global provider is never set, no view is added. Providers that are set by a function
        somebody imported before us are found where the next unit of work begins.

        Raises:
            Unsupported: The API has no providers to ask for.
        """
        global _installed
        from opentelemetry import trace

        if not callable(getattr(trace, "get_tracer_provider", None)):
            msg = "opentelemetry.trace has no get_tracer_provider"
            raise Unsupported(msg)
        if _installed:
            return nothing
        _undos.append(patch(trace, "set_tracer_provider", _set))
        before = HOT["made_"]
        HOT["made_"] = _made
        _installed = True
        join()

        def undo() -> None:
            global _installed, _last
            if not _installed:
                return
            _installed, _last = False, None
            if HOT["made_"] is _made:
                HOT["made_"] = before
            while _undos:
                _guard.call(_POINT, _undos.pop())
            _joined.clear()
            _spans.sampler = ""
            _spans.starter = None
            _spans.forget()

        return undo


def _set(wrapped: Callable[..., Any], _: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    result = wrapped(*args, **kwargs)
    _guard.call(_POINT, join)
    return result


def _made(profile: Profile) -> None:
    """Hear of a unit of work that begins, on its thread; 0.3 us."""
    _guard.call(_POINT, _begin, profile)


def _begin(profile: Profile) -> None:
    outer = variable.get()
    if outer and outer.profile.framework == "opentelemetry" and outer.profile.spans is not None:
        outer.profile.spans.superseded = True
    join()
    if _joined:
        _spans.of(profile)


def join() -> None:
    """Join the current global provider, once. Any thread; 0.2 us where it is joined already."""
    global _last
    from opentelemetry import trace

    provider = trace.get_tracer_provider()
    # logfire's proxy stays the same object while the provider inside is replaced.
    inner = getattr(provider, "provider", provider)
    if inner is not _last:
        _last = inner
        attach(provider)


def attach(provider: Any) -> bool:
    """Listen to a provider that is not the global one.

    Args:
        provider: Anything with `add_span_processor`.

    Returns:
        Whether it is listened to now.
    """
    inner = getattr(provider, "provider", provider)
    if inner in _joined:
        return True
    # Without an SDK nothing ever starts a recording span, and importing it takes 60 ms.
    if (
        not callable(getattr(inner, "add_span_processor", None))
        or "opentelemetry.sdk.trace" not in sys.modules
    ):
        return False
    from . import _processor

    _joined.add(inner)
    _undos.append(_processor.add_to(inner))
    _spans.starter = inner.get_tracer(_spans.LIVE_SCOPE, version()).start_as_current_span
    return True


__all__ = ["OpenTelemetrySource", "attach", "join"]
