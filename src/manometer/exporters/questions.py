"""The page somebody reads before deciding: the four questions, with the answers so far."""

from __future__ import annotations

import textwrap
import time
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, final

from .. import _limits
from .._cache_watch import healthy
from .._line import number
from . import _record
from ._event import finding, seconds_of, where

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from .._finding import Report, Status

QUESTIONS: Final = (
    ("size", "Size: which cost grows faster than its input, which result has no bound?"),
    ("repetition", "Repetition: what work is done again?"),
    ("sharing", "Sharing: who waits for whom?"),
    ("boundaries", "Boundaries: what is missing?"),
)
_WIDTH: Final = 100
_ANSWERS: Final = 5
_NEGLIGIBLE: Final = 0.01
_HOT_CALLS: Final = 1_000
_REASONS: Final = 8


@dataclass(slots=True)
class _Answer:
    """What is known of one finding; `latest` is its last description."""

    latest: Mapping[str, Any]
    units: int = 0
    low_ms: float = 0.0
    high_ms: float = 0.0


@dataclass(slots=True)
class _Place:
    """Calls and time of one callsite, over all units of work."""

    calls: int = 0
    total_ms: float = 0.0


@final
class Questions:
    """Adds reports up until somebody asks. Takes part as an exporter, or reads what the exporter `file` wrote.

    Args:
        clock_s: Seconds, for the time between the start and the question; only of live reports.

    Background thread, but for `page`, which any thread may ask. Bounded: the finding seen least
    recently is forgotten, callsites beyond the bound are left out.
    """

    def __init__(self, clock_s: Callable[[], float] = time.monotonic) -> None:
        self._clock_s = clock_s
        self._began_s = clock_s()
        self._answers: OrderedDict[str, _Answer] = OrderedDict()
        self._places: dict[tuple[str, str, str], _Place] = {}
        self._first_unix_s = self._last_unix_s = 0.0
        self._measured_ms = 0.0
        self._units = 0
        self._not_judged: dict[str, str] = {}
        self._sources: tuple[str, ...] = ()

    def export(self, report: Report) -> None:
        """Add one report; 1 us a frame and 10 us a finding."""
        self._add_unit(report.profile.kind, report.profile.duration_ns / 1e6)
        for item in report.findings:
            self._add_finding(finding(item, False))
        self._add_callsites(_record.callsites(report.profile))

    def heartbeat(self, status: Status) -> None:
        """Note what could not be judged, and what is seen at all."""
        self._note(status.not_judged, status.sources)

    def add_record(self, record: Mapping[str, Any]) -> None:
        """Add one line that the exporter `file` wrote; a record of another kind is ignored.

        Raises:
            KeyError: It is none of ours.
            TypeError: It is none of ours.
            ValueError: It is none of ours.
        """
        if record["event"] == "up":
            self._note(record["not_judged"], record["sources"])
        elif record["event"] == "report":
            unit = record["unit"]
            ended_s = seconds_of(unit["ended"])
            self._first_unix_s = min(self._first_unix_s or ended_s, ended_s - record["dur_ms"] / 1e3)
            self._last_unix_s = max(self._last_unix_s, ended_s)
            self._add_unit(unit["kind"], record["dur_ms"])
            for item in record["findings"]:
                self._add_finding(item)
            self._add_callsites(record["callsites"])
            self._note(record["not_judged"], ())

    def _add_unit(self, kind: str, duration_ms: float) -> None:
        if kind != "process":
            self._units += 1
            self._measured_ms += duration_ms

    def _note(self, not_judged: Mapping[str, str], sources: Iterable[str]) -> None:
        self._not_judged.update(not_judged)
        self._sources = tuple(sources) or self._sources

    def _add_finding(self, item: Mapping[str, Any]) -> None:
        answer = self._answers.get(item["id"])
        if answer is None:
            while len(self._answers) >= _limits.MAX_FINDINGS:
                self._answers.popitem(last=False)
            answer = self._answers[item["id"]] = _Answer(item)
        else:
            self._answers.move_to_end(item["id"])
        answer.latest = item
        answer.units += 1
        answer.low_ms += item["saving_ms"][0]
        answer.high_ms += item["saving_ms"][1]

    def _add_callsites(self, callsites: Iterable[Mapping[str, Any]]) -> None:
        for each in callsites:
            key = (each["kind"], each["label"], each["at"])
            place = self._places.get(key)
            if place is None:
                if len(self._places) >= _limits.MAX_CALLSITES:
                    continue
                place = self._places[key] = _Place()
            place.calls += each["calls"]
            place.total_ms += each["total_ms"]

    def page(self) -> str:
        """Return the page as text of at most 100 columns. Any thread; about 1 ms."""
        elapsed_s = self._elapsed_s()
        title = (
            f"What happens when this grows? {self._units} units of work in {number(elapsed_s)} s, "
            f"{number(self._measured_ms / 1e3)} s in them."
        )
        lines = [title, ""]
        for question, text in QUESTIONS:
            lines.append(text)
            mine = self._ranked(question)
            for rank, answer in enumerate(mine[:_ANSWERS], 1):
                lines += _say(rank, answer, elapsed_s)
            if len(mine) > _ANSWERS:
                lines.append(f"  and {len(mine) - _ANSWERS} more")
            if not mine:
                lines.append("  Nothing was found.")
            lines.append("")
        lines += self._not_worth_it()
        lines += _good_caches()
        lines += self._unknown()
        return "\n".join(lines).rstrip() + "\n"

    def answers(self) -> list[dict[str, Any]]:
        """Return, for each question with an answer, how many there are and the one whose fix saves most."""
        minutes = max(self._elapsed_s(), 1.0) / 60
        found = []
        for question, _ in QUESTIONS:
            mine = self._ranked(question)
            if mine:
                saving = [mine[0].low_ms / minutes, mine[0].high_ms / minutes]
                found.append(
                    {
                        "question": question,
                        "found": len(mine),
                        "first": mine[0].latest,
                        "units": mine[0].units,
                        "saving_ms_per_min": [round(value, 3) for value in saving],
                    }
                )
        return found

    def _elapsed_s(self) -> float:
        return self._last_unix_s - self._first_unix_s or self._clock_s() - self._began_s

    def _ranked(self, question: str) -> list[_Answer]:
        """Return the answers to a question that nobody expected, the one whose fix saves most first."""
        mine = [
            answer
            for answer in list(self._answers.values())
            if answer.latest["question"] == question and not answer.latest["expected"]
        ]
        return sorted(mine, key=lambda answer: (-answer.high_ms - answer.low_ms, answer.latest["id"]))

    def _not_worth_it(self) -> list[str]:
        """Name the function that is called most and whose whole time is less than a hundredth."""
        hot = [
            (place.calls, label, at, place.total_ms)
            for (kind, label, at), place in list(self._places.items())
            if kind == "call" and place.calls >= _HOT_CALLS
        ]
        if not hot or not self._measured_ms:
            return []
        calls, label, at, total_ms = max(hot)
        share = total_ms / self._measured_ms
        if share >= _NEGLIGIBLE:
            return []
        text = (
            f"Not worth optimising: {label} ({at}). It is called most, {calls} times, and without it "
            f"at most {share:.1%} of the time would be saved."
        )
        return [*textwrap.wrap(text, _WIDTH, subsequent_indent="  "), ""]

    def _unknown(self) -> list[str]:
        seen = ", ".join(self._sources) or "no library"
        lines = ["Not judged, so that silence is not taken for health:", f"  seen were calls of: {seen}"]
        lines += [f"  {rule}: {reason}" for rule, reason in sorted(self._not_judged.items())[:_REASONS]]
        expected = [a.latest for a in list(self._answers.values()) if a.latest["expected"]]
        lines += [
            f"  {item['id']} {item['rule']}: expected, {item['expected']}" for item in expected[:_REASONS]
        ]
        return [line[:_WIDTH] for line in lines]


def _good_caches() -> list[str]:
    """Name the caches of this process that do what they are for."""
    lines: list[str] = []
    for gets, ratio, callsite in healthy()[:_ANSWERS]:
        where = f" ({'/'.join(callsite.file.split('/')[-2:])}:{callsite.line})" if callsite.file else ""
        text = f"Not worth optimising: the cache {callsite.name}{where} answers {ratio:.0%} of {gets} reads."
        lines += textwrap.wrap(text, _WIDTH, subsequent_indent="  ")
    return [*lines, ""] if lines else []


def _say(rank: int, answer: _Answer, elapsed_s: float) -> list[str]:
    item = answer.latest
    head = f"  {rank}. {item['rule']} {item['id']} {item['confidence']}: {item['label']}"
    facts = f"{where(item) or 'the process'}; {answer.units} times; {_saving(answer, elapsed_s)}{_growth(item['evidence'])}"
    lines = [head[:_WIDTH]]
    for text in (facts, item["advice"]):
        lines += textwrap.wrap(text, _WIDTH, initial_indent="     ", subsequent_indent="     ")
    return lines


def _saving(answer: _Answer, elapsed_s: float) -> str:
    if answer.high_ms <= 0:
        return "no time to save today, a risk"
    minutes = max(elapsed_s, 1.0) / 60
    low, high = answer.low_ms / minutes, answer.high_ms / minutes
    unit = "ms"
    if high >= 10_000:
        low, high, unit = low / 1e3, high / 1e3, "s"
    return f"a fix saves {number(low)} to {number(high)} {unit} a minute"


def _growth(evidence: Mapping[str, Any]) -> str:
    if "exponent" in evidence:
        return (
            f"; grows as {evidence['size']}^{evidence['exponent']} "
            f"[{evidence['exponent_low']} to {evidence['exponent_high']}], "
            f"seen from {evidence['size_from']} to {evidence['size_to']}"
        )
    if evidence.get("growth") == "exponential":
        return f"; grows exponentially with the {evidence['size']}"
    return ""
