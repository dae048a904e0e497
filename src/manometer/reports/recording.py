"""What processes wrote with the exporter `file`, added up: units of work by route, callsites, findings."""

from __future__ import annotations

import json
import sys
from array import array
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, Final, final

from .. import _limits
from ..exporters._event import seconds_of
from .forest import Forest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

SCHEMA: Final = 1
"""The newest form of a record that is understood here."""


class UnreadableError(ValueError):
    """A file is not there, or holds no report; the message is one line for whoever asked."""


@final
@dataclass(slots=True)
class Route:
    """All units of work of one kind and name.

    Attributes:
        name: Route, task, command or block.
        kind: `request`, `task`, `job` or another kind of unit.
        duration_ms: Of each unit, in the order of the file.
        cpu_ms: The same for CPU time; only of units where it is known.
        failed: Units that did not end well.
        calls: By kind of call: number of calls of each unit that had any.
        calls_ms: By kind of call: their time in all units.
        waits_ms: By kind of wait: its time in all units.
        places: By kind, label and line of a callsite: its calls, and its own time, in all units.
        slowest: The record of the unit that took longest.
    """

    name: str
    kind: str
    duration_ms: array[float] = field(default_factory=lambda: array("d"))
    cpu_ms: array[float] = field(default_factory=lambda: array("d"))
    failed: int = 0
    calls: dict[str, array[float]] = field(default_factory=dict)
    calls_ms: dict[str, float] = field(default_factory=dict)
    waits_ms: dict[str, float] = field(default_factory=dict)
    places: dict[tuple[str, str, str], list[float]] = field(default_factory=dict)
    slowest: Mapping[str, Any] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.duration_ms)

    @property
    def is_window(self) -> bool:
        """Whether it is what the process did between units of work, and idling is part of its time."""
        return self.kind == "process"

    def add(self, record: Mapping[str, Any]) -> None:
        """Add one unit of work."""
        duration_ms = float(record["dur_ms"])
        if not self.duration_ms or duration_ms > self.slowest["dur_ms"]:
            self.slowest = record
        self.duration_ms.append(duration_ms)
        if record["cpu_ms"] is not None:
            self.cpu_ms.append(float(record["cpu_ms"]))
        self.failed += record["unit"]["outcome"] not in ("ok", "")
        for kind, call in record["calls"].items():
            self.calls.setdefault(kind, array("d")).append(float(call["count"]))
            self.calls_ms[kind] = self.calls_ms.get(kind, 0.0) + call["ms"]
        for kind, wait_ms in record["waits_ms"].items():
            self.waits_ms[kind] = self.waits_ms.get(kind, 0.0) + wait_ms


@final
@dataclass(slots=True)
class Place:
    """One callsite over all units of work."""

    label: str
    kind: str
    at: str
    function: str
    calls: int = 0
    errors: int = 0
    total_ms: float = 0.0
    self_ms: float = 0.0
    routes: set[str] = field(default_factory=set)


@final
@dataclass(slots=True)
class Found:
    """One finding over all units of work; `latest` is its last description."""

    latest: Mapping[str, Any]
    units: int = 0
    routes: dict[str, int] = field(default_factory=dict)
    low_ms: float = 0.0
    high_ms: float = 0.0


@final
class Recording:
    """The reports of one process or of many, of one file or of many.

    Args:
        route: Only units of work whose name fits this pattern (`*`, `?`), and what was found in them.

    About 100 us a record and 100 bytes of memory a unit of work; routes, callsites and findings
    beyond the bounds of the process that wrote them are counted in `left_out`.
    """

    def __init__(self, route: str = "*") -> None:
        self._pattern = route
        self.files: list[str] = []
        self.routes: dict[str, Route] = {}
        self.places: dict[tuple[str, str, str], Place] = {}
        self.found: dict[str, Found] = {}
        self.forest = Forest()
        self.not_judged: dict[str, str] = {}
        self.sources: set[str] = set()
        self.processes: set[int] = set()
        self.versions: set[str] = set()
        self.units = 0
        self.skipped_lines = 0
        self.left_out = 0
        self.from_s = self.to_s = 0.0

    @property
    def minutes(self) -> float:
        """Return the time from the first start to the last end, at least a second."""
        return max(self.to_s - self.from_s, 1.0) / 60

    def read(self, name: str) -> None:
        """Add a file, `-` for standard input; lines that are no record are counted.

        Raises:
            UnreadableError: It cannot be read, or is none of ours, or a newer version wrote it.
        """
        self.skipped_lines += read_file(name, self.add)
        self.files.append(name)

    def add(self, record: Mapping[str, Any]) -> None:
        """Add one record.

        Raises:
            KeyError: It is none of ours.
            TypeError: It is none of ours.
            ValueError: It is none of ours.
        """
        if record["event"] == "up":
            self.processes.add(record["pid"])
            self.not_judged.update(record["not_judged"])
            self.sources.update(record["sources"])
        elif record["event"] == "report":
            self._add_report(record)

    def _add_report(self, record: Mapping[str, Any]) -> None:
        unit = record["unit"]
        name = unit["name"]
        if not fnmatchcase(name, self._pattern):
            return
        route = self.routes.get(name)
        if route is None:
            if len(self.routes) >= _limits.MAX_ROUTES:
                self.left_out += 1
                return
            route = Route(name, unit["kind"])
        route.add(record)
        self.routes[name] = route
        self.units += 1
        ended_s = seconds_of(unit["ended"])
        self.from_s = min(self.from_s or ended_s, ended_s - record["dur_ms"] / 1e3)
        self.to_s = max(self.to_s, ended_s)
        self.versions.add(unit["version"])
        self.not_judged.update(record["not_judged"])
        self.forest.add(record)
        self._add_places(record["callsites"], route)
        for item in record["findings"]:
            self._add_finding(item, name)

    def _add_places(self, callsites: Iterable[Mapping[str, Any]], route: Route) -> None:
        for each in callsites:
            key = (each["kind"], each["label"], each["at"])
            place = self.places.get(key)
            if place is None:
                if len(self.places) >= _limits.MAX_CALLSITES:
                    self.left_out += 1
                    continue
                place = self.places[key] = Place(each["label"], each["kind"], each["at"], each["in"])
            place.calls += each["calls"]
            place.errors += each["errors"]
            place.total_ms += each["total_ms"]
            place.self_ms += each["self_ms"]
            place.routes.add(route.name)
            sums = route.places.setdefault(key, [0.0, 0.0])
            sums[0] += each["calls"]
            sums[1] += each["self_ms"]

    def _add_finding(self, item: Mapping[str, Any], route: str) -> None:
        found = self.found.get(item["id"])
        if found is None:
            if len(self.found) >= _limits.MAX_FINDINGS:
                self.left_out += 1
                return
            found = self.found[item["id"]] = Found(item)
        found.latest = item
        found.units += 1
        found.routes[route] = found.routes.get(route, 0) + 1
        found.low_ms += item["saving_ms"][0]
        found.high_ms += item["saving_ms"][1]

    def ranked(self, *, expected: bool = False) -> list[Found]:
        """Return the findings, the one whose fix saves most in a minute first; those explained away apart."""
        mine = [found for found in self.found.values() if bool(found.latest["expected"]) is expected]
        return sorted(mine, key=lambda found: (-found.low_ms - found.high_ms, found.latest["id"]))

    def busiest(self) -> list[Route]:
        """Return the routes, the one with the most time in all its units first, the process itself last."""
        return sorted(self.routes.values(), key=lambda r: (r.is_window, -sum(r.duration_ms), r.name))

    def hottest(self) -> list[Place]:
        """Return the callsites, the one with the most time of its own first."""
        return sorted(self.places.values(), key=lambda place: (-place.self_ms, place.label))


def read(names: Iterable[str], route: str = "*") -> Recording:
    """Return what the files hold together.

    Raises:
        UnreadableError: One cannot be read, or no unit of work of that route is in any.
    """
    recording = Recording(route)
    for name in names:
        recording.read(name)
    if not recording.units:
        what = "unit of work" if route == "*" else f"unit of work whose name fits {route}"
        raise UnreadableError(f"{', '.join(recording.files)}: there is no {what} in it")
    return recording


def read_file(name: str, add: Callable[[Mapping[str, Any]], None]) -> int:
    """Give each record of a file to *add*, and return how many lines are none.

    Args:
        name: A path, or `-` for standard input.
        add: Raises KeyError, IndexError, TypeError, ValueError or AttributeError on what is no record.

    Raises:
        UnreadableError: It cannot be read, or holds no record, or a newer version wrote it.
    """
    skipped = read = 0
    problem = "it is empty"
    try:
        with _open(name) as lines:
            for number, line in enumerate(lines, 1):
                if not line.strip():
                    continue
                why = _add(line, number, add)
                if why and not skipped:
                    problem = why
                skipped, read = skipped + bool(why), read + (not why)
    except OSError as error:
        raise UnreadableError(f"{name}: {error.strerror or error}") from None
    except UnreadableError as error:
        raise UnreadableError(f"{name}: {error}") from None
    if not read:
        raise UnreadableError(f"{name}: there is no report in it: {problem}")
    return skipped


def _add(line: str, number: int, add: Callable[[Mapping[str, Any]], None]) -> str:
    """Add one line, and return why it is no record, or nothing."""
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        return f"line {number} is not whole JSON"
    if not isinstance(record, dict) or "schema" not in record:
        if isinstance(record, dict) and "resourceSpans" in record:
            return "these are traces, which `manometer analyze` reads"
        return f"line {number} is no record of the exporter `file`"
    if record["schema"] != SCHEMA:
        raise UnreadableError(
            f"line {number} has schema {record['schema']!r}, and this version reads {SCHEMA}: update manometer"
        )
    try:
        add(record)
    except (KeyError, IndexError, TypeError, ValueError, AttributeError):
        return f"line {number} lacks what a report has"
    return ""


def percentile(ordered: list[float], share: float) -> float:
    """Return the value that a share of sorted values does not exceed (nearest rank); 0 without values."""
    if not ordered:
        return 0.0
    rank = max(1, -int(-share * len(ordered) // 1))
    return ordered[min(rank, len(ordered)) - 1]


def _open(name: str) -> Any:
    if name == "-":
        return open(sys.stdin.fileno(), encoding="utf-8", errors="replace", closefd=False)
    return open(name, encoding="utf-8", errors="replace")
