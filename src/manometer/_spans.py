"""Which open calls of a profile are spans of a trace as well, and under which parent."""

from __future__ import annotations

from contextlib import nullcontext
from random import Random
from typing import TYPE_CHECKING, Any, Final, NamedTuple, final

from . import _guard, _limits
from ._context import variable
from ._model import Frame

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from ._context import Branch
    from ._detail import Place
    from ._model import Callsite, Profile

Key = tuple[Frame, int]
"""One open call: its frame, and its start where calls of the frame may overlap, else 0."""

promoting = False
"""Calls may become spans: somebody exports them. Set by the exporter."""
record_unsampled = False
"""Spans of traces that are not sampled shall be seen as well (`Config.record_unsampled`)."""
on_open: Callable[[Profile], None] | None = None
"""Called where a unit of work begins, on its thread; set by the source of OpenTelemetry."""
sampler = ""
"""What decides which traces are recorded, in its own words; empty when all are."""

starter: Callable[[str], AbstractContextManager[object]] | None = None
"""Starts a live span by its name and makes it current; set while there is a provider."""
LIVE_SCOPE: Final = "manometer.measure"
"""Name of the tracer of live spans: each of them is the call that it is started in."""

_ids: Final = Random()  # noqa: S311 - ids, and the application may seed the global generator
_NEVER: Final = frozenset({"root", "expected", "other"})
_POINT: Final = "spans"
_MAX_WALK: Final = 256


class SpanId(NamedTuple):
    """What a child needs to know of its parent: 128 and 64 bit numbers, and the flags of the trace."""

    trace_id: int
    span_id: int
    flags: int


@final
class Promotion:
    """One call of a measured function that becomes a span; complete once it ended.

    Attributes:
        callsite: What was called.
        frame: Its aggregate.
        own: Its own identity.
        parent_id: Identity of its parent, in the same trace.
        started_ns: Monotonic start in nanoseconds; the start of its first child while it is open.
        ended_ns: Monotonic end; 0 while it is open.
        error: Type of the exception that ended it.
    """

    __slots__ = ("callsite", "ended_ns", "error", "frame", "own", "parent_id", "started_ns")

    def __init__(self, frame: Frame, parent: SpanId, started_ns: int) -> None:
        self.callsite: Callsite = frame.callsite
        self.frame = frame
        self.own = SpanId(parent.trace_id, _ids.getrandbits(64) or 1, parent.flags)
        self.parent_id = parent.span_id
        self.started_ns = started_ns
        self.ended_ns = 0
        self.error = ""


@final
class Spans:
    """What one profile has to do with a trace. Written on its threads, read once it is sealed.

    Attributes:
        seen: Spans that other instrumentations started in it.
        first: The first of them, to say which trace this is about.
        superseded: A tap opened the same unit of work again, and describes it better.
        anchors: Where in the tree the open spans of others are.
        chains: Places of the application that started spans, with the starts whose callers were looked at.
        live: Frames whose calls are live spans, and need none of ours.
        pending: Calls that are spans and still open.
        promoted: Those that ended.
        refused: Calls that were not promoted because a budget was used up.
    """

    __slots__ = (
        "_asked",
        "_slow",
        "anchors",
        "chains",
        "errors",
        "first",
        "live",
        "pending",
        "promoted",
        "refused",
        "seen",
        "superseded",
    )

    def __init__(self) -> None:
        self.seen = 0
        self.first: SpanId | None = None
        self.superseded = False
        self.anchors: dict[tuple[Branch, Frame], SpanId] = {}
        self.chains: dict[Place, int] = {}
        self.pending: dict[Key, Promotion] = {}
        self.promoted: list[Promotion] = []
        self.errors: dict[Frame, str] = {}
        self.live: set[Frame] = set()
        self.refused = 0
        self._asked = _limits.MAX_PROMOTED_PARENTS
        self._slow = _limits.MAX_PROMOTED_SLOW

    def parent_for_child(
        self, branch: Branch, top: tuple[Branch, Frame], parent: SpanId, now_ns: int, *, is_call: bool = False
    ) -> SpanId:
        """Return the parent of a span that starts now, and promote the calls in between.

        Args:
            branch: The current one.
            top: Where the span's own parent is in the tree.
            parent: That span.
            now_ns: Monotonic instant in nanoseconds.
            is_call: The span is the innermost call itself, which must not become another one.

        Where the way up does not lead to *top*, the parent stays what it is. Beyond the budget a
        level is left out: its children hang under the nearest ancestor that is a span.
        """
        between: list[Key] = []
        for at, key in open_calls(branch):
            if at == top:
                break
            if at in self.anchors:
                return parent
            if key[0].callsite.kind not in _NEVER:
                between.append(key)
        else:
            return parent
        if is_call:
            between = between[1:]
        for key in reversed(between):
            known = self.pending.get(key)
            if known is None:
                if self._asked <= 0:
                    self.refused += 1
                    continue
                self._asked -= 1
                known = self.pending[key] = Promotion(key[0], parent, now_ns)
                key[0].mark_ns = 0  # the end of this call is told to `closed`
            parent = known.own
        return parent

    def closed(self, branch: Branch, frame: Frame, started_ns: int, duration_ns: int, slow: bool) -> None:
        """Complete the span of a call that just ended; promote it now if it was slow or failed."""
        found = self.pending.pop((frame, started_ns), None) or self.pending.pop((frame, 0), None)
        error = self.errors.pop(frame, "")
        if found is None and (slow or error):
            found = self._late(branch, frame, started_ns)
        if found is not None:
            found.started_ns = started_ns
            found.ended_ns = started_ns + duration_ns
            found.error = error
            self.promoted.append(found)
        if any(key[0] is frame for key in self.pending):
            frame.mark_ns = 0

    def _late(self, branch: Branch, frame: Frame, started_ns: int) -> Promotion | None:
        if frame.callsite.kind in _NEVER or frame in self.live:
            return None
        for at, key in open_calls(branch):
            known = self.pending.get(key)
            parent = self.anchors.get(at) if known is None else known.own
            if parent is not None:
                if not parent.flags & 1:
                    return None
                if self._slow <= 0:
                    self.refused += 1
                    return None
                self._slow -= 1
                return Promotion(frame, parent, started_ns)
        return None

    def finish(self, end_ns: int) -> list[Promotion]:
        """Return all promoted calls; what never ended, ends with the profile. Once it is sealed."""
        left = list(self.pending.values())
        self.pending.clear()
        for promotion in left:
            promotion.ended_ns = max(end_ns, promotion.started_ns)
        return self.promoted + left


def open_calls(branch: Branch) -> Iterator[tuple[tuple[Branch, Frame], Key]]:
    """Yield the calls that are open around here, innermost first, each with its place in the tree."""
    frame = branch.frame
    for _ in range(_MAX_WALK):
        is_base = frame is branch.base
        outer = branch.outer
        since_ns = getattr(branch, "since_ns", 0) if is_base and outer is not None else 0
        parent = frame.parent
        # A subtree of another thread begins where the branch around it began, and is no call of its own.
        is_fork = is_base and parent is None and outer is not None and frame is not outer.base
        if not is_fork:
            yield (branch, frame), (frame, since_ns)
        if is_base:
            if outer is None:
                return
            branch = outer
            parent = parent or branch.base
        if parent is None:
            return
        frame = parent


def of(profile: Profile) -> Spans:
    """Return what *profile* has to do with a trace, made on first use."""
    found: Spans | None = profile.spans
    if found is None:
        found = profile.spans = Spans()
    return found


def live(function: Callable[..., Any], name: str, kind: str) -> Callable[..., Any]:
    """Return *function* with a live span around each call, where a provider is and a profile is recorded.

    Raises:
        TypeError: A generator: its span would stay current while its consumer works.
    """
    if kind not in ("sync", "async"):
        msg = f"measure: span=True is for functions and coroutine functions, not {kind}"
        raise TypeError(msg)

    if kind == "async":

        async def run(*args: Any, **kwargs: Any) -> Any:
            with _started(name):
                return await function(*args, **kwargs)

        return run

    def call(*args: Any, **kwargs: Any) -> Any:
        with _started(name):
            return function(*args, **kwargs)

    return call


def _started(name: str) -> AbstractContextManager[object]:
    start = starter
    found = _guard.call(_POINT, start, name) if start is not None and variable.get() else None
    return nullcontext() if found is None else found


def closed(frame: Frame, started_ns: int, duration_ns: int, slow: bool) -> None:
    """Hear of a call that was slow or is awaited as a span. Application threads; 1 us."""
    branch = variable.get()
    if branch and branch.profile.spans is not None and not branch.profile.sealed:
        _guard.call(_POINT, branch.profile.spans.closed, branch, frame, started_ns, duration_ns, slow)


def failed(frame: Frame, error: str) -> None:
    """Hear of a call that is about to end with an exception. Application threads; 0.5 us."""
    branch = variable.get()
    if branch and branch.profile.spans is not None and not branch.profile.sealed:
        errors = branch.profile.spans.errors
        if len(errors) < _limits.MAX_PROMOTED_SLOW:
            errors[frame] = error
            frame.mark_ns = 0


units = 0
"""Units of work that ended while spans of others were listened to."""
unseen = 0
"""Of those, the ones in which none was seen."""


def tally(profile: Profile) -> None:
    """Count one finished unit of work. Background thread."""
    global units, unseen
    if profile.spans is not None and profile.kind != "process":
        units += 1
        unseen += not profile.spans.seen


def not_seen() -> dict[str, str]:
    """Say what share of the units of work no span could be seen of, because a sampler leaves traces out."""
    if not sampler or not unseen:
        return {}
    return {"spans": f"sampled out in {100 * unseen / units:.0f} % of {units} units of work by {sampler}"}


def forget() -> None:
    """Begin to count anew."""
    global units, unseen
    units = unseen = 0
