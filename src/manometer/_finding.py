"""What detectors say, its stable identity, and the two records that exporters get."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, final

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ._model import Callsite, Profile

Question = Literal["size", "repetition", "sharing", "boundaries"]
Severity = Literal["info", "warning"]
Confidence = Literal["confirmed", "likely", "possible"]
Move = Literal["remove", "move", "restructure", "bound"]


@final
@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Finding:
    """What a detector says about one callsite, with the evidence.

    Attributes:
        rule: Name of the rule, also that of its page under `docs/reference/findings/`.
        question: Which of the four questions it answers.
        severity: `warning` when material, else `info`.
        confidence: How sure: `confirmed`, `likely`, `possible`.
        callsite: The place to change.
        source: The callsite whose result supplied the arguments; None when unknown.
        holder: The callsite that held what was waited for; None where that does not apply.
        path: Callsites from the root to the place.
        evidence: Facts with units in their names.
        cost_ns: Time it takes per unit of work, in nanoseconds; 0 when it is about risk.
        share: Cost divided by the duration of the unit of work, 0 to 1.
        saving_ns: Low and high bound of what a fix saves per unit of work, in nanoseconds.
        move: Which of the four moves fixes it.
        advice: One imperative sentence in the words of the library.
        expected: Reason why it is wanted; empty when it is not.
        seen: Units of work with it, and all of the same route.
        first_seen_unix_ns: When this process saw it first.
        version: The application's version then.
    """

    rule: str
    question: Question
    severity: Severity = "info"
    confidence: Confidence = "likely"
    callsite: Callsite
    source: Callsite | None = None
    holder: Callsite | None = None
    path: tuple[Callsite, ...] = ()
    evidence: Mapping[str, int | float | str] = field(default_factory=dict)
    cost_ns: int = 0
    share: float = 0.0
    saving_ns: tuple[int, int] = (0, 0)
    move: Move = "remove"
    advice: str = ""
    expected: str = ""
    seen: tuple[int, int] = (1, 1)
    first_seen_unix_ns: int = 0
    version: str = ""

    @property
    def id(self) -> str:
        """Stable, process-independent identity: rule, callee, file and function; no line, count or route."""
        return finding_id(self.rule, self.callsite)


def finding_id(rule: str, callsite: Callsite) -> str:
    """Return `mn-` and six hex digits that name a finding in logs, allow-lists and baselines.

    Lines, counts, routes and values stay out, so that it survives edits, load and deployment. Of
    the file only the last two parts count, so that it survives another checkout directory.
    """
    callee = callsite.template or callsite.name
    file = "/".join(callsite.file.replace("\\", "/").split("/")[-2:])
    text = "\x1f".join((rule, callee, file, callsite.function))
    return "mn-" + hashlib.blake2s(text.encode("utf-8", "surrogatepass"), digest_size=3).hexdigest()


@final
@dataclass(frozen=True, slots=True, eq=False)
class Report:
    """A finished profile and its findings: what exporters get.

    Attributes:
        profile: The sealed record of the unit of work.
        findings: All that was found, judged; also what is expected or below a warning.
        speaking: Ids of the findings whose turn it is to be said aloud.
        held_back: By id of a speaking finding, its sightings since it last spoke.
    """

    profile: Profile
    findings: tuple[Finding, ...] = ()
    speaking: frozenset[str] = frozenset()
    held_back: Mapping[str, int] = field(default_factory=dict)


@final
@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Status:
    """How manometer itself is doing: what a heartbeat says.

    Attributes:
        version: The version of manometer.
        pid: The process.
        uptime_s: Seconds since it was started.
        units: Units of work profiled since then.
        findings: Distinct findings known.
        new: Of those, the ones first seen since the last heartbeat.
        sources: Names of the sources that see something.
        missing: Name of what is present and cannot be seen, with the reason.
        overhead_share: Own cost divided by the CPU time of the process; None when not measured.
        self_ms: Own cost since the start, in milliseconds.
        level: The level of detail; below `full` something is not recorded, to keep the cost down.
        level_changes: Changes of it since the start.
        dropped: What reached a bound since the start, by reason.
        late: Calls that ended after their profile was sealed.
        not_judged: Rule, with the reason it could not judge.
        internal_errors: Failures inside manometer since the start.
        unused_expected: Reasoned exceptions that matched nothing so far.
        resources: What the process is doing, as the probe of the process last read it, units in the names.
        state: Whether this is the first line, the last one, or one in between.
    """

    version: str
    pid: int
    uptime_s: float = 0.0
    units: int = 0
    findings: int = 0
    new: int = 0
    sources: tuple[str, ...] = ()
    missing: Mapping[str, str] = field(default_factory=dict)
    overhead_share: float | None = None
    self_ms: float = 0.0
    level: str = "full"
    level_changes: int = 0
    dropped: Mapping[str, int] = field(default_factory=dict)
    late: int = 0
    not_judged: Mapping[str, str] = field(default_factory=dict)
    internal_errors: int = 0
    unused_expected: tuple[str, ...] = ()
    resources: Mapping[str, float] = field(default_factory=dict)
    state: Literal["start", "running", "stop"] = "running"
