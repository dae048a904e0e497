"""Recorded traces, from any language, judged by the same detectors as live ones."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final, final

from . import _site
from ._context import Branch, make_profile, new_frame
from ._finding import Report
from ._history import History
from ._model import JOB, PRODUCTION
from .detectors import judge
from .sources._semconv import describe, error_of, folded, is_noise, place_of, unit_of, whole
from .sources._span_call import add_call, add_to_frame, callsite_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from ._model import Policy, Profile, ProfileKind

_KINDS: Final = ("INTERNAL", "INTERNAL", "SERVER", "CLIENT", "PRODUCER", "CONSUMER")
_ERROR: Final = (2, "STATUS_CODE_ERROR", "ERROR")
_MAX_DEPTH: Final = 200
_UNITS: Final[dict[str, ProfileKind]] = {"SERVER": "request", "CONSUMER": "task"}


@final
class _Span:
    """One span of a file, as far as it matters."""

    __slots__ = (
        "attributes",
        "children",
        "ended_ns",
        "error",
        "kind",
        "library",
        "name",
        "parent",
        "span_id",
        "started_ns",
        "trace_id",
    )

    def __init__(self, raw: Mapping[str, Any], library: str) -> None:
        self.trace_id = str(raw.get("traceId") or "")
        self.span_id = str(raw.get("spanId") or "")
        self.parent = str(raw.get("parentSpanId") or "")
        self.name = str(raw.get("name") or "")
        self.kind = _kind(raw.get("kind"))
        self.started_ns = whole(raw.get("startTimeUnixNano"))
        self.ended_ns = max(self.started_ns, whole(raw.get("endTimeUnixNano")))
        self.attributes = _attributes(raw.get("attributes"))
        self.library = library
        status = raw.get("status") or {}
        self.error = error_of(self.attributes, status.get("code") in _ERROR).rpartition(".")[2]
        self.children: list[_Span] = []


def _kind(value: object) -> str:
    if type(value) is int:
        return _KINDS[value] if 0 <= value < len(_KINDS) else "INTERNAL"
    return str(value or "INTERNAL").rpartition("_")[2]


def _attributes(pairs: Any) -> dict[str, Any]:
    return {str(pair.get("key")): _value(pair.get("value") or {}) for pair in pairs or ()}


def _value(value: Mapping[str, Any]) -> Any:
    for kind, found in value.items():
        if kind == "intValue":
            return int(found)
        if kind == "arrayValue":
            return tuple(_value(item) for item in found.get("values") or ())
        if kind == "kvlistValue":
            return _attributes(found.get("values"))
        return found
    return None


def analyze(lines: Iterable[str | Mapping[str, Any]], *, policy: Policy | None = None) -> tuple[Report, ...]:
    """Judge recorded traces.

    Args:
        lines: OTLP in JSON: one export request each, as text or parsed, as the file exporter of the
            OpenTelemetry Collector writes them. Empty lines are left out.
        policy: Thresholds; those of a request or job when None.

    Returns:
        One report for each unit of work, in the order of their starts: each local root span (a
        request, a consumed message, or a span without a parent) with all below it.

    Raises:
        ValueError: A line is no JSON.

    Blocks; 30 us a span. What spans do not say stays unknown: their parameters mostly, and always
    which rows they returned, so that no finding is confirmed by data flow.
    """
    spans: dict[tuple[str, str], _Span] = {}
    for line in lines:
        for span in _spans_of(json.loads(line) if isinstance(line, str) else line) if line else ():
            spans[span.trace_id, span.span_id] = span
    roots = []
    for span in spans.values():
        parent = spans.get((span.trace_id, span.parent))
        if parent is None or parent is span or span.kind in _UNITS:
            roots.append(span)
        else:
            parent.children.append(span)
    history = History()
    return tuple(_judged(root, history, policy) for root in sorted(roots, key=lambda span: span.started_ns))


def _spans_of(request: Mapping[str, Any]) -> Iterator[_Span]:
    for resource in request.get("resourceSpans") or ():
        for scope in resource.get("scopeSpans") or ():
            library = str((scope.get("scope") or {}).get("name") or "").rpartition(".")[2]
            for raw in scope.get("spans") or ():
                yield _Span(raw, library)


def _judged(root: _Span, history: History, policy: Policy | None) -> Report:
    profile = _profile_of(root, policy)
    history.add(profile)
    return Report(profile, judge(profile, history))


def _profile_of(root: _Span, policy: Policy | None) -> Profile:
    kind = _UNITS.get(root.kind, "block")
    profile = make_profile(folded(root.name), kind)
    if root.kind == "SERVER":
        profile.name, profile.route, profile.status = unit_of(root.name, root.attributes)
    profile.policy = policy or (JOB if kind == "task" else PRODUCTION)
    profile.framework, profile.trace_id = "opentelemetry", root.trace_id
    profile.started_ns = profile.started_unix_ns = root.started_ns
    branch = Branch(profile.root, None, profile, None)
    if root.kind in ("CLIENT", "PRODUCER"):
        _add_leaf(branch, root, "")
    else:
        _replay(branch, root, "", 0)
    frame = profile.root
    profile.duration_ns = frame.total_ns = frame.union_ns = root.ended_ns - root.started_ns
    profile.outcome = root.error if root.error and not root.error.isdigit() else "ok"
    frame.errors = 0 if profile.outcome == "ok" else 1
    profile.sealed = True
    return profile


def _replay(branch: Branch, parent: _Span, inside: str, depth: int) -> None:
    """Add what is below a span: calls in the order of their ends, as they would have been seen live."""
    if depth >= _MAX_DEPTH:
        branch.profile.drop("depth")
        return
    for span in sorted(parent.children, key=lambda item: item.ended_ns):
        if span.kind in ("CLIENT", "PRODUCER"):
            said = _add_leaf(branch, span, inside)
            _replay(branch, span, said, depth + 1)
        elif is_noise(span.name, span.attributes):
            _replay(branch, span, inside, depth + 1)
        else:
            _add_inner(branch, span, depth)


def _add_leaf(branch: Branch, span: _Span, inside: str) -> str:
    """Add a call, unless it is inside a call of the same kind; returns its kind."""
    said = describe(span.name, span.kind, span.attributes)
    if said.kind != inside and said.operation != "control":
        callsite = callsite_of(said, place_of(span.attributes), span.library)
        add_call(branch, callsite, said, span.started_ns, span.ended_ns, span.error)
    return said.kind


def _add_inner(branch: Branch, span: _Span, depth: int) -> None:
    name = folded(span.name)
    callsite = _site.callsite("call", name, name, place_of(span.attributes), library=span.library)
    outer = branch.frame
    frame = outer.children.get(callsite) or new_frame(branch, outer, callsite)
    again = frame.parent is not outer
    branch.frame = frame
    _replay(branch, span, "", depth + 1)
    branch.frame = outer
    frame.since_ns = span.started_ns
    add_to_frame(frame, span.started_ns, span.ended_ns, span.error, again=again)


__all__ = ["analyze"]
