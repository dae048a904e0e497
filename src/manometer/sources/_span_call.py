"""A finished span, added to the frame it belongs to as one call."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from .. import _limits, _site
from .._calls import add_rows, begin, end
from .._model import OPEN_CALL

if TYPE_CHECKING:
    from .._context import Branch
    from .._detail import Place
    from .._model import Callsite, Frame
    from ._semconv import Described

CANCELLED: Final = ("CancelledError", "GeneratorExit")
_CHAINS: Final = 16
"""Calls of one frame whose callers are kept; they rarely differ."""


def callsite_of(said: Described, place: Place, library: str) -> Callsite:
    """Return the callsite of a span that is a call by the conventions."""
    return _site.callsite(
        said.kind,
        said.name,
        said.template or said.name,
        place,
        operation=said.operation,
        system=said.system,
        target=said.target,
        library=library,
    )


def add_call(
    on: Branch,
    callsite: Callsite,
    said: Described,
    started_ns: int,
    ended_ns: int,
    error: str = "",
    callers: tuple[Place, ...] = (),
) -> None:
    """Add a call that is known only now that it is over.

    Calls that overlapped count the time that they covered together once: spans arrive in the order
    of their ends. The owner's thread; 5 us.
    """
    call = begin(on, callsite, started_ns)
    frame = call.frame
    detail = frame.more()
    overlap_ns = min(ended_ns, detail.last_ended_ns) - started_ns
    end(
        call,
        key=said.key,
        batch=said.batch,
        error=error,
        cancelled=error in CANCELLED,
        callers=callers if frame.calls < _CHAINS else (),
        ended_ns=ended_ns,
    )
    if overlap_ns > 0:
        detail.peak_in_flight = max(detail.peak_in_flight, 2)
        frame.union_ns -= min(overlap_ns, frame.union_ns)
    if said.rows >= 0:
        add_rows(call, said.rows)


def add_to_frame(
    frame: Frame, started_ns: int, ended_ns: int, error: str = "", *, again: bool = False
) -> None:
    """Add a span with spans below it to its frame, which is not open any more; *again* inside a recursion."""
    frame.calls += 1
    if not again:
        frame.total_ns += max(0, ended_ns - started_ns)
    if frame.active < OPEN_CALL:
        frame.union_ns += max(0, ended_ns - frame.since_ns)
    if not error:
        return
    detail = frame.more()
    if error in CANCELLED:
        detail.cancelled += 1
    else:
        frame.errors += 1
    if error in detail.outcomes or len(detail.outcomes) < _limits.MAX_OUTCOMES:
        detail.outcomes[error] = detail.outcomes.get(error, 0) + 1
