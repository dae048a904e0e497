"""The unit of work that a span opens where no tap did, or that it describes where one did."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Final, Literal, final

from ..._context import close_profile, open_profile, restore
from ..._model import JOB, PRODUCTION
from .._route import UNMATCHED, is_excluded
from .._semconv import folded, path_of, unit_of

if TYPE_CHECKING:
    from ..._context import Branch, OpenProfile
    from ..._model import Profile, ProfileKind

OPENS: Final[dict[str, ProfileKind]] = {"SERVER": "request", "CONSUMER": "task", "INTERNAL": "block"}
"""Kinds of local root spans that are units of work, with the kind of profile."""
DESCRIBES: Final = frozenset({"SERVER", "CONSUMER"})
"""Kinds of spans that are the unit of work in which they begin."""


def _discard(_: Profile) -> None:
    """Take a profile that a tap describes better, or whose route is excluded."""


@final
class Unit:
    """A unit of work in progress, from the point of view of its span."""

    __slots__ = ("_kind", "branch", "opened")

    def __init__(self, branch: Branch | Literal[False], kind: str, opened: OpenProfile | None) -> None:
        self.branch = branch
        self._kind = kind
        self.opened = opened

    def end(self, span: Any, attributes: Any, error: str) -> None:
        """Write what the span says into the profile, and seal it if the span opened it."""
        opened = self.opened
        if self.branch is False or self.branch.profile.sealed:
            return
        profile = self.branch.profile
        name, route, status = unit_of(span.name, attributes)
        if opened is None:
            if self._kind == "SERVER" and not profile.route and attributes.get("http.route"):
                profile.name, profile.route = name, route
            return
        if self._kind == "SERVER":
            profile.name, profile.route, profile.status = name, route, status
            method, _, path = name.partition(" ")
            if is_excluded(method, path or UNMATCHED):
                opened.sink = _discard
        if profile.spans is not None and profile.spans.superseded:
            opened.sink = _discard
        restore(opened)
        # A status of 5xx is told by the profile's status; its outcome is the exception, if there was one.
        close_profile(opened, "" if error.isdigit() else error)


def opened_by(span: Any, kind: str) -> Unit:
    """Open the unit of work of a local root span; its branch is False where it is excluded or not sampled."""
    attributes = dict(span.attributes or ())
    muted = kind == "SERVER" and is_excluded(*path_of(attributes))
    what = OPENS[kind]
    opened = open_profile(
        folded(span.name),
        what,
        cpu=not _in_event_loop(),
        policy=JOB if what == "task" else PRODUCTION,
        muted=muted,
    )
    if opened.profile is not None:
        opened.profile.framework = "opentelemetry"
        opened.profile.trace_id = f"{span.get_span_context().trace_id:032x}"
    return Unit(opened.branch, kind, opened)


def described_by(branch: Branch, span: Any, kind: str) -> Unit | None:
    """Return the unit of work that a tap opened and *span* describes, once; None for a further span."""
    profile = branch.profile
    spans = profile.spans
    if profile.framework == "opentelemetry" or (spans is not None and spans.anchors):
        return None
    profile.trace_id = f"{span.get_span_context().trace_id:032x}"
    return Unit(branch, kind, None)


def _in_event_loop() -> bool:
    events = sys.modules.get("asyncio.events")
    return events is not None and events._get_running_loop() is not None


__all__ = ["DESCRIBES", "OPENS", "Unit", "described_by", "opened_by"]
