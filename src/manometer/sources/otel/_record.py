"""The spans in progress: where in the tree each one is, and what becomes of it when it ends."""

from __future__ import annotations

import time
from collections import OrderedDict
from typing import TYPE_CHECKING, Any, Final, Literal, final
from weakref import ref

from ... import _limits, _site, _spans
from ..._context import HOT, Branch, drops, fork, make_current, new_frame, restore, variable
from ..._model import OPEN_CALL
from ..._spans import SpanId
from .._outgoing import around
from .._query import branch as current_branch, is_covered
from .._semconv import describe, error_of, folded, is_noise, place_of
from .._span_call import add_call, add_to_frame, callsite_of
from . import _unit

if TYPE_CHECKING:
    from ..._context import OpenProfile
    from ..._detail import Place
    from ..._model import Frame
    from .._semconv import Described
    from ._unit import Unit

_OWN_FRAMES: Final = 7
"""`nearest` up to the SDK's function that starts a span."""
_RETROACTIVE_NS: Final = 20_000_000
"""From this far on a span's own times were given by hand, or a clock was set."""
_OWN_SCOPE: Final = "manometer"
_CHAINS: Final = 16
"""Spans of one place in a unit of work whose callers are looked at; they rarely differ."""


@final
class Record:
    """A span in progress.

    Attributes:
        on: The branch in which it began, and which its call belongs to.
        branch: The branch of what runs inside; *on* itself where the span is no call of its own.
        frame: Where in the tree what runs inside it begins.
        leaf: It becomes a call when it ends: only then it says which.
        within: The call around it that is one as well, if there is one.
        unit: The unit of work that it opened, or that it is.
    """

    __slots__ = (
        "again", "before", "branch", "callers", "frame", "leaf", "library", "on", "place", "previous", "retroactive", "span",
        "started_ns", "unit", "within",
    )  # fmt: skip

    def __init__(self, span: Any, on: Branch, started_ns: int) -> None:
        # Weakly: a span that nobody ends must not be kept alive by us.
        self.span = ref(span)
        scope = span.instrumentation_scope
        self.library: str = "" if scope is None else scope.name.rpartition(".")[2]
        self.on = on
        self.branch = on
        self.frame: Frame = on.frame
        self.started_ns = started_ns
        self.retroactive = False
        self.leaf = False
        self.again = False
        self.within: Record | None = None
        self.unit: Unit | None = None
        self.place: Place = _site.NOWHERE
        self.callers: tuple[Place, ...] = ()
        self.previous: Any = None
        self.before: SpanId | None = None


@final
class Listener:
    """Knows the spans in progress of one provider, at most `MAX_OPEN_SPANS`; operations are atomic, no lock."""

    def __init__(self) -> None:
        self._open: dict[int, Record] = {}
        self._by_branch: dict[Branch, Record] = {}
        self._muted: dict[int, OpenProfile] = {}

    def started(self, span: Any) -> SpanId | None:
        """Hear of a span that begins.

        Returns:
            Another parent that it shall have, or None.
        """
        scope = span.instrumentation_scope
        previous = variable.get()
        if previous is False or (previous and HOT["blind_"]) or getattr(scope, "name", "") == _OWN_SCOPE:
            return None
        context, parent = span.get_span_context(), span.parent
        over = self._open.get(parent.span_id) if parent is not None and not parent.is_remote else None
        kind: str = span.kind.name
        is_live = scope is not None and scope.name == _spans.LIVE_SCOPE
        now_ns: int = HOT["clock_"]()
        lag_ns = time.time_ns() - span.start_time
        retroactive = abs(lag_ns) > _RETROACTIVE_NS
        on, unit = self._place(over, span, kind)
        if on is False:
            self._mute(context.span_id, unit)
        if not on or on.profile.sealed:
            return None
        spans = _spans.of(on.profile)
        spans.seen += 1
        own = SpanId(context.trace_id, context.span_id, int(context.trace_flags))
        if spans.first is None:
            spans.first = own
        record = Record(span, on, now_ns - lag_ns if retroactive else now_ns)
        record.retroactive, record.previous, record.unit = retroactive, previous, unit
        new_parent = None
        if over is not None and _spans.promoting and parent.trace_flags & 1:
            known = SpanId(parent.trace_id, parent.span_id, int(parent.trace_flags))
            top = (over.branch, over.frame)
            new_parent = spans.parent_for_child(on, top, known, record.started_ns, is_call=is_live)
            new_parent = None if new_parent is known else new_parent
        if is_live:
            spans.live.add(on.frame)
        else:
            self._enter(record, span, kind)
        key = (record.branch, record.frame)
        record.before = spans.anchors.get(key)
        spans.anchors[key] = own
        self._remember(own.span_id, record)
        return new_parent

    def _mute(self, span_id: int, unit: Unit | None) -> None:
        """Keep in mind what ends an excluded unit of work."""
        if unit is not None and unit.opened is not None:
            if len(self._muted) < _limits.MAX_LIVE_PROFILES:
                self._muted[span_id] = unit.opened
            else:
                restore(unit.opened)

    def _remember(self, span_id: int, record: Record) -> None:
        if len(self._open) >= _limits.MAX_OPEN_SPANS:
            oldest = self._open.pop(next(iter(self._open)), None)
            if oldest is not None:
                self._by_branch.pop(oldest.branch, None)
            drops["open_spans"] = drops.get("open_spans", 0) + 1
        self._open[span_id] = record

    def _place(
        self, over: Record | None, span: Any, kind: str
    ) -> tuple[Branch | Literal[False] | None, Unit | None]:
        """Return the branch that the span belongs to, False inside an excluded unit, and the unit that it is."""
        on = current_branch()
        if on is None or on.profile.kind == "process":
            # OpenTelemetry's context came along into this thread, and ours did not.
            if over is not None and over.on.profile.kind != "process" and not over.on.profile.sealed:
                mine = over.branch.owner == HOT["ident_"]()
                return (over.branch if mine else fork(over.branch)), None
            if over is None and kind in _unit.OPENS and not HOT["idle_"]:
                unit = _unit.opened_by(span, kind)
                return unit.branch, unit
            return on, None
        if kind in _unit.DESCRIBES and on.frame is on.profile.root:
            return on, _unit.described_by(on, span, kind)
        return on, None

    def _enter(self, record: Record, span: Any, kind: str) -> None:
        """Make the span current in the tree, if it is a call of its own."""
        on = record.on
        if record.unit is not None or is_covered(on) or around() is not None:
            return
        attributes = _attributes(span)
        if is_noise(span.name, attributes):
            return
        if kind in ("CLIENT", "PRODUCER"):
            record.leaf = True
            record.within = self._by_branch.get(on)
            self._find_place(record, attributes)
            if record.place is _site.NOWHERE and on.profile.kind == "process":
                record.leaf = False  # a library's own traffic, outside any unit of work
                return
            record.branch = Branch(on.frame, on.owner, on.profile, on)
            self._by_branch[record.branch] = record
        else:
            self._open_frame(record, folded(span.name), attributes)
        record.branch.opened.add(record.branch)
        make_current(record.branch)

    def _find_place(self, record: Record, attributes: Any) -> None:
        record.place = place_of(attributes)
        if record.place is not _site.NOWHERE:
            return
        frame, greenlet = _site.nearest(_OWN_FRAMES)
        if frame is not None:
            record.place = _site.place_of(frame)
            chains = _spans.of(record.on.profile).chains
            known = chains.get(record.place, 0)
            if known < _CHAINS:
                chains[record.place] = known + 1
                record.callers = _site.above(frame, greenlet)

    def _open_frame(self, record: Record, name: str, attributes: Any) -> None:
        on = record.on
        self._find_place(record, attributes)
        callsite = _site.callsite("call", name, name, record.place, library=record.library)
        parent = on.frame
        frame = parent.children.get(callsite) or new_frame(on, parent, callsite)
        inner = Branch(frame, on.owner, on.profile, on)
        inner.since_ns = record.started_ns
        active = frame.active
        frame.active = active + OPEN_CALL
        if active or on.again:
            HOT["enter_async_"](on, inner, frame, parent, ())
        else:
            frame.since_ns = record.started_ns
        record.branch, record.frame = inner, frame

    def ended(self, span: Any) -> None:
        """Hear of a span that ended: in any thread, perhaps twice, perhaps never begun."""
        scope = span.instrumentation_scope
        if scope is not None and scope.name == _OWN_SCOPE:
            return
        span_id = span.get_span_context().span_id
        record = self._open.pop(span_id, None)
        if record is None:
            muted = self._muted.pop(span_id, None)
            if muted is not None:
                restore(muted)
            return
        profile = record.on.profile
        now_ns: int = HOT["clock_"]()
        ended_ns = now_ns
        if record.retroactive or abs(time.time_ns() - span.end_time) > _RETROACTIVE_NS:
            ended_ns = record.started_ns + max(0, span.end_time - span.start_time)
        self._leave(record)
        attributes = _attributes(span)
        error = _error(span, attributes)
        if record.unit is not None:
            record.unit.end(span, attributes, error)
        elif profile.sealed:
            if record.leaf or record.branch is not record.on:
                drops["late"] = drops.get("late", 0) + 1
        elif record.leaf:
            if not record.branch.ended_ns:  # else a tap has described the call inside, and knows more
                self._add_call(record, describe(span.name, span.kind.name, attributes), error, ended_ns)
        elif record.branch is not record.on:
            add_to_frame(record.frame, record.started_ns, ended_ns, error, again=record.branch.again)

    def _leave(self, record: Record) -> None:
        spans, key = _spans.of(record.on.profile), (record.branch, record.frame)
        if record.before is not None:
            spans.anchors[key] = record.before
        else:
            spans.anchors.pop(key, None)
        inner = record.branch
        if inner is record.on:
            return
        self._by_branch.pop(inner, None)
        inner.opened.discard(inner)
        if variable.get() is inner:
            make_current(record.previous)
        if not record.leaf:
            record.frame.active -= OPEN_CALL
            # Whoever still has this branch as current (ended elsewhere) goes on above it.
            inner.frame = record.frame.parent or record.frame

    def _add_call(self, record: Record, said: Described, error: str, ended_ns: int) -> None:
        if said.operation == "control":
            return  # transactions, settings and pings are no calls
        around_it = record.within
        if around_it is not None and _kind_of(around_it) == said.kind:
            return  # an object layer around its driver, a client around its transport: the outer one counts
        on = record.on
        if on.owner != HOT["ident_"]():
            on = fork(on)
        callsite = callsite_of(said, record.place, record.library)
        moved, before_ns = on.frame, on.ended_ns
        if on is record.on:
            on.frame = record.frame
        add_call(on, callsite, said, record.started_ns, ended_ns, error, record.callers)
        on.frame = moved
        if around_it is not None:
            on.ended_ns = before_ns  # a call of another kind inside is no description of this one


def _attributes(span: Any) -> dict[str, Any]:
    """Return the attributes as a plain mapping: each look into the SDK's own takes 2 us, and there are twenty.

    Its private dict is read where it is one: the public way asks a lock for each attribute. Nobody
    writes to it where this is called, as the span begins and once it has ended.
    """
    try:
        inside = span._attributes._dict
    except AttributeError:
        inside = None
    return inside if type(inside) is dict or type(inside) is OrderedDict else dict(span.attributes or ())


def _kind_of(record: Record) -> str:
    span = record.span()
    return "" if span is None else describe(span.name, span.kind.name, dict(_attributes(span))).kind


def _error(span: Any, attributes: Any) -> str:
    status = span.status
    if status.is_unset or status.is_ok:
        return ""
    error = error_of(attributes, is_error=True)
    if error == "error":
        for event in span.events[-2:]:
            found = (event.attributes or {}).get("exception.type")
            if type(found) is str:
                return found.rpartition(".")[2]
    return error.rpartition(".")[2]
