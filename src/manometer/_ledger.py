"""The ledger: which findings this process has seen, and when each may speak."""

from __future__ import annotations

from collections import OrderedDict, deque
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final, final

from . import _limits

if TYPE_CHECKING:
    from collections.abc import Callable

    from ._config import Config
    from ._finding import Finding
    from ._model import Profile

_EXACT: Final = (1, 10, 100, 1_000)
_STATISTICAL: Final = (3, 10, 100, 1_000)
_MINUTE_NS: Final = 60 * 1_000_000_000
_RESOLVED_AFTER_NS: Final = int(_limits.RESOLVED_AFTER_S * 1_000_000_000)
_MAX_ROUTES_PER_FINDING: Final = 32
_OTHER_ROUTES: Final = "(other)"
_MIN_CLEAN_UNITS: Final = 10
_SURE: Final = 3
"""Sightings that must be missing until their absence is no chance (e^-3 = 5 %)."""


@final
@dataclass(frozen=True, slots=True)
class Sighting:
    """What the ledger says about one finding in one unit of work.

    Attributes:
        speak: Whether it is this finding's turn to be said aloud.
        new: Whether it is the first sighting in this process, or the first since it was resolved.
        count: Units of work with it so far, this one included, over all routes.
        held_back: Of those, the ones that might have spoken since it last did, this one left out.
        seen: Units of this route with it, and all units of this route.
        first_seen_unix_ns: Start of the first unit of work with it.
    """

    speak: bool
    new: bool
    count: int
    held_back: int
    seen: tuple[int, int]
    first_seen_unix_ns: int


@dataclass(slots=True, eq=False)
class _Entry:
    """What is known about one finding; `loud` counts the sightings that might speak."""

    finding: Finding
    first_seen_unix_ns: int
    count: int = 0
    loud: int = 0
    turns: int = 0
    refused: bool = False
    spoken_ns: int = 0
    held_back: int = 0
    seen_ns: int = 0
    version: str = ""
    routes: dict[str, int] = field(default_factory=dict)
    route: str = ""
    units: int = 0
    new: bool = True
    sighting: Sighting | None = None


@final
class Ledger:
    """Counts sightings and decides who may speak; bounded, without lock, I/O or clock.

    A finding speaks on its 1st, 10th, 100th and 1,000th sighting, then at most every
    `Config.repeat_after_s`. All findings together speak at most `Config.max_lines_per_min` times
    in any 60 seconds; whoever is refused keeps its turn for its next sighting.

    Args:
        config: Supplies `repeat_after_s` and `max_lines_per_min`.
        units_of: Answers how many units of work of a route were seen, the current one included.

    Attributes:
        suppressed: Turns to speak that were refused because the minute was full.
        evicted: Findings forgotten because too many were known.
    """

    def __init__(self, config: Config, units_of: Callable[[str], int]) -> None:
        self._entries: OrderedDict[str, _Entry] = OrderedDict()
        self._units_of = units_of
        self._repeat_after_ns = int(config.repeat_after_s * 1_000_000_000)
        self._spoken_ns: deque[int] = deque(maxlen=config.max_lines_per_min)
        self._version = ""
        self._unit: Profile | None = None  # the latest only: a profile is large
        self._loud_in_unit: dict[str, bool] = {}
        self.suppressed = 0
        self.evicted = 0

    def __len__(self) -> int:
        """Return how many findings are known."""
        return len(self._entries)

    def sight(self, finding: Finding, profile: Profile, now_ns: int, *, exact: bool = True) -> Sighting:
        """Count that *profile* shows *finding*, and say whether that is worth a line.

        A unit of work counts once per id, however many frames show the same fault: asked again
        about the same unit, the ledger repeats its answer.

        Args:
            finding: One of severity `info`, or an expected one, is counted and never speaks.
            profile: The unit of work.
            now_ns: Monotonic instant.
            exact: False for rules that conclude from samples: they first speak on the third sighting.

        Background thread only; never blocks.
        """
        entry = self._entry(finding, profile)
        loud = finding.severity == "warning" and not finding.expected
        if profile is not self._unit:
            self._unit, self._loud_in_unit = profile, {}
        was_loud = self._loud_in_unit.get(finding.id)
        if was_loud is None or entry.sighting is None:
            self._count(entry, finding, profile, now_ns)
        elif was_loud or not loud:
            return entry.sighting
        self._loud_in_unit[finding.id] = loud
        held_back = entry.held_back
        speak = False
        if loud:
            entry.loud += 1
            speak = self._take_turn(entry, now_ns, _EXACT if exact else _STATISTICAL)
            entry.held_back = 0 if speak else held_back + 1
        with_it = entry.routes[entry.route]
        entry.sighting = Sighting(
            speak=speak,
            new=entry.new,
            count=entry.count,
            held_back=held_back,
            seen=(with_it, max(with_it, entry.units)),
            first_seen_unix_ns=entry.first_seen_unix_ns,
        )
        return entry.sighting

    def resolved(self, now_ns: int) -> list[Finding]:
        """Return the findings that were said aloud and are gone, as last seen; each once, then forgotten.

        Gone means: not seen for an hour, or since the version of the application changed, although
        its route was served often enough that it should have been. Without traffic nothing is
        resolved: silence is no proof.

        Background thread only; never blocks.
        """
        gone = [name for name, entry in self._entries.items() if self._is_gone(entry, now_ns)]
        return [_as_last_seen(self._entries.pop(name)) for name in gone]

    def _entry(self, finding: Finding, profile: Profile) -> _Entry:
        name = finding.id
        entry = self._entries.get(name)
        if entry is not None:
            self._entries.move_to_end(name)
            return entry
        while len(self._entries) >= _limits.MAX_FINDINGS:
            self._entries.popitem(last=False)
            self.evicted += 1
        entry = self._entries[name] = _Entry(finding, profile.started_unix_ns)
        return entry

    def _count(self, entry: _Entry, finding: Finding, profile: Profile, now_ns: int) -> None:
        route = profile.route or profile.name
        entry.units = self._units_of(route)
        if route not in entry.routes and len(entry.routes) >= _MAX_ROUTES_PER_FINDING:
            route = _OTHER_ROUTES
        entry.routes[route] = entry.routes.get(route, 0) + 1
        entry.route = route
        entry.new = entry.count == 0
        entry.count += 1
        entry.finding = finding
        entry.seen_ns = now_ns
        self._version = profile.version or self._version
        entry.version = self._version

    def _take_turn(self, entry: _Entry, now_ns: int, milestones: tuple[int, ...]) -> bool:
        if entry.turns < len(milestones):
            due = entry.loud >= milestones[entry.turns]
        else:
            due = now_ns - entry.spoken_ns >= self._repeat_after_ns
        if not due:
            return False
        if self._is_full(now_ns):
            self.suppressed += not entry.refused
            entry.refused = True
            return False
        self._spoken_ns.append(now_ns)
        entry.spoken_ns = now_ns
        entry.refused = False
        entry.turns = sum(entry.loud >= milestone for milestone in milestones)
        return True

    def _is_full(self, now_ns: int) -> bool:
        spoken = self._spoken_ns
        return len(spoken) == spoken.maxlen and (not spoken or now_ns - spoken[0] < _MINUTE_NS)

    def _is_gone(self, entry: _Entry, now_ns: int) -> bool:
        if not entry.turns:
            return False
        if now_ns - entry.seen_ns < _RESOLVED_AFTER_NS and entry.version == self._version:
            return False
        # The rarer it was, the more units without it are needed.
        with_it = entry.routes[entry.route]
        usual_gap = -(-max(entry.units, with_it) // with_it)
        clean = self._units_of(entry.route) - entry.units
        return clean >= max(_MIN_CLEAN_UNITS, _SURE * usual_gap)


def _as_last_seen(entry: _Entry) -> Finding:
    seen = entry.sighting.seen if entry.sighting is not None else entry.finding.seen
    return replace(
        entry.finding, seen=seen, first_seen_unix_ns=entry.first_seen_unix_ns, version=entry.version
    )
