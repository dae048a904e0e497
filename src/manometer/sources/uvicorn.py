"""The tap on uvicorn's end: it dies by the signal it was sent, and what runs at exit would not run."""

from __future__ import annotations

import signal
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, final

from .. import _guard, _rolling
from ._patch import nothing, patch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ..protocols import Undo

_POINT: Final = "sources.uvicorn"


@final
class UvicornSource:
    """uvicorn's servers, in workers of gunicorn too. Its requests are seen by the tap on the application."""

    def install(self) -> Undo:
        """Patch the context in which a server hears signals.

        Releases before 0.29 have none: they end as any program does.
        """
        from uvicorn.server import Server

        if not hasattr(Server, "capture_signals"):
            return nothing
        return patch(Server, "capture_signals", _listening)


@contextmanager
def _listening(
    wrapped: Callable[..., Any], server: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Iterator[Any]:
    """Stop manometer once the server has ended, if the signal that ended it is about to end the process.

    Main thread; blocks at most two seconds, once, after the last request.
    """
    deadly = [number for number in (signal.SIGTERM, signal.SIGINT) if _is_deadly(number)]
    with wrapped(*args, **kwargs) as entered:
        try:
            yield entered
        finally:
            _guard.call(_POINT, _ended, server, deadly)


def _is_deadly(number: int) -> bool:
    return signal.getsignal(number) is signal.SIG_DFL


def _ended(server: Any, deadly: list[int]) -> None:
    heard = getattr(server, "_captured_signals", None)
    if type(heard) is list and _rolling.end is not None and any(number in heard for number in deadly):
        _rolling.end()
