"""Two recordings compared: what was fixed, what is repeated now, what got slower or faster, and what cannot be told."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from statistics import fmean, median
from typing import TYPE_CHECKING, Any, Final, Literal, final

from ..exporters._event import where
from .noise import BETWEEN, chance_of_none, shift, units_needed
from .recording import percentile

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from .noise import Shift
    from .recording import Found, Recording, Route

SCHEMA: Final = 1
_DOUBT: Final = 0.01
"""Of all comparisons of a run together, the probability that one says a change that is none."""
_SHARED_ROUTES: Final = 3
_CALLS: Final = 0.1
_WAITING: Final = 2.5
"""How many times the threshold a time must change that the CPU time does not confirm: waits follow the machine's load."""

Verdict = Literal["fixed", "new", "more-calls", "fewer-calls", "slower", "faster"]
_RANK: Final[Mapping[str, int]] = {
    "new": 0, "fixed": 0, "more-calls": 1, "fewer-calls": 1, "slower": 2, "faster": 2,
}  # fmt: skip


@final
@dataclass(frozen=True, slots=True)
class Change:
    """One thing that changed, beyond noise.

    Attributes:
        verdict: What happened.
        what: A finding, a kind of call or a route, in words.
        route: Where.
        before: The value then; None when there was none.
        after: The value now; None when there is none.
        weight_ms: Time a unit of work that it is about, for the order.
        id: Of the finding; empty for times and calls.
        where: The callsite that changed most; empty when unknown.
    """

    verdict: Verdict
    what: str
    route: str
    before: float | None
    after: float | None
    weight_ms: float
    id: str = ""
    where: str = ""


@final
@dataclass(slots=True)
class Difference:
    """What comes of comparing two recordings.

    Attributes:
        changes: What changed, the most important first.
        unsure: What may have changed, with the number of units of work needed to know.
        shared: By what all routes together became slower, as a ratio; 1 when they did not.
        routes: Routes that were compared.
        threshold: Share from which a change of time counts.
    """

    threshold: float
    changes: list[Change] = field(default_factory=list)
    unsure: list[str] = field(default_factory=list)
    shared: float = 1.0
    routes: int = 0

    def as_json(self) -> dict[str, Any]:
        """Return it as an object of JSON values, described in docs/reference/report.md."""
        return {"schema": SCHEMA, "kind": "diff", "changed": bool(self.changes), **asdict(self)}


def difference(before: Recording, after: Recording, threshold: float = 0.1) -> Difference:
    """Compare two recordings of the same application.

    Args:
        before: The older one.
        after: The newer one.
        threshold: Share by which a time must change to be told, 0.1 for a tenth.
    """
    both = [name for name, route in before.routes.items() if name in after.routes and not route.is_window]
    found = Difference(threshold, routes=len(both))
    found.changes += _findings(before, after, found)
    doubt = _DOUBT / max(1, 2 * len(both))
    processes = min(max(1, len(each.processes)) for each in (before, after))
    shifts: dict[str, dict[str, Shift]] = {}
    for name in both:
        old, new = before.routes[name], after.routes[name]
        found.changes += _calls(old, new, doubt)
        shifts[name] = dict(_shifts(old, new, found, doubt, processes))
    found.shared = _shared(shifts)
    for name, mine in shifts.items():
        found.changes += _times(before.routes[name], after.routes[name], mine, found)
    found.changes.sort(key=lambda change: (_RANK[change.verdict], -change.weight_ms, change.what))
    return found


def _findings(before: Recording, after: Recording, found: Difference) -> Iterator[Change]:
    ids = {key for each in (before, after) for key, item in each.found.items() if not item.latest["expected"]}
    doubt = _DOUBT / max(1, len(ids))
    for key in sorted(ids):
        old, new = before.found.get(key), after.found.get(key)
        if (old is None) == (new is None):
            continue
        if old is not None:
            gone = _unseen(old, before, after, doubt, found)
            if gone is not None:
                yield _finding("fixed", old, gone)
        elif new is not None:
            came = _unseen(new, after, before, doubt, found)
            if came is not None:
                yield _finding("new", new, came)


def _unseen(
    item: Found, there: Recording, elsewhere: Recording, doubt: float, found: Difference
) -> str | None:
    """Return the route where its absence elsewhere is no accident, or None."""
    best = ""
    needed = 0
    for name, seen in sorted(item.routes.items(), key=lambda pair: -pair[1]):
        units = len(there.routes[name])
        among = len(elsewhere.routes[name]) if name in elsewhere.routes else 0
        if among and chance_of_none(seen, units, among) < doubt:
            return name
        if not best:
            best, needed = name, units_needed(seen, units, doubt)
    among = len(elsewhere.routes[best]) if best in elsewhere.routes else 0
    found.unsure.append(
        f"{item.latest['rule']} {item.latest['id']} is in one recording only; {needed} units of {best} in the "
        f"other would tell whether that is chance, and there are {among}"
    )
    return None


def _finding(verdict: Verdict, item: Found, route: str) -> Change:
    calls = item.latest["calls"]
    count = None if calls is None else float(calls)
    return Change(
        verdict,
        f"{item.latest['rule']}: {item.latest['label']}",
        route,
        count if verdict == "fixed" else None,
        count if verdict == "new" else None,
        (item.low_ms + item.high_ms) / 2 / item.units,
        item.latest["id"],
        where(item.latest),
    )


def _calls(old: Route, new: Route, doubt: float) -> Iterator[Change]:
    """Compare how many calls a unit makes: exact, unless what is asked for varies."""
    for kind in sorted(old.calls.keys() | new.calls.keys()):
        counts = [_counts(route, kind) for route in (old, new)]
        was, now = (fmean(each) for each in counts)
        if min(map(len, counts)) < 5 or abs(now - was) <= _CALLS * max(was, now):
            continue
        found = shift([n + 1 for n in counts[0]], [n + 1 for n in counts[1]], threshold=_CALLS, doubt=doubt)
        constant = len(set(counts[0])) == len(set(counts[1])) == 1
        if constant or (found is not None and found.is_beyond(_CALLS / 2)):
            verdict: Verdict = "more-calls" if now > was else "fewer-calls"
            weight = abs(new.calls_ms.get(kind, 0.0) / len(new) - old.calls_ms.get(kind, 0.0) / len(old))
            yield Change(verdict, f"{kind} calls", old.name, was, now, weight, where=_place(old, new, 0))


def _counts(route: Route, kind: str) -> list[float]:
    counts = list(route.calls.get(kind, ()))
    return counts + [0.0] * (len(route) - len(counts))


def _shifts(
    old: Route, new: Route, found: Difference, doubt: float, processes: int
) -> Iterator[tuple[str, Shift]]:
    pairs = [("time", old.duration_ms, new.duration_ms)]
    if min(len(old.cpu_ms) / len(old), len(new.cpu_ms) / len(new)) >= 0.9:
        pairs.append(("CPU time", old.cpu_ms, new.cpu_ms))
    between = BETWEEN / processes**0.5
    for name, was, now in pairs:
        measured = shift(was, now, threshold=found.threshold, doubt=doubt, between=between)
        if measured is None:
            continue
        yield name, measured
        if name == "time" and (measured.needed > min(len(old), len(new)) or measured.processes > processes):
            found.unsure.append(
                f"{old.name}: a change of {found.threshold:.0%} would be told from noise with {measured.needed} "
                f"units of {measured.processes} processes in each recording; there are {len(old)} and {len(new)}"
            )


def _shared(shifts: Mapping[str, Mapping[str, Shift]]) -> float:
    """Return what all routes have in common: the machine, the load, the interpreter, but no line of one route."""
    ratios = [mine["time"].ratio for mine in shifts.values() if "time" in mine]
    if len(ratios) < _SHARED_ROUTES:
        return 1.0
    return median(ratios) if all(ratio > 1 for ratio in ratios) or all(ratio < 1 for ratio in ratios) else 1.0


def _times(old: Route, new: Route, mine: Mapping[str, Shift], found: Difference) -> Iterator[Change]:
    """Tell a route whose time changed, by its CPU time where both agree: that is least at the mercy of neighbours."""
    time = mine.get("time")
    if time is None:
        return
    cpu = mine.get("CPU time")
    both = [time] if cpu is None else [time, cpu]
    if not _quick_ones_too(old, new, time, found.threshold):
        return
    by_waiting = time.is_beyond(found.threshold * _WAITING, found.shared) and _waits_more(old, new)
    if by_waiting or all(each.is_beyond(found.threshold, found.shared) for each in both):
        slower = time.ratio > 1
        was, now = median(old.duration_ms), median(new.duration_ms)
        yield Change(
            "slower" if slower else "faster", "time", old.name, was, now, abs(now - was),
            where=_place(old, new, 1),
        )  # fmt: skip


def _quick_ones_too(old: Route, new: Route, time: Shift, threshold: float) -> bool:
    """Tell whether the quickest fifth moved the same way: a busy neighbour delays some units, a change of code all."""
    was, now = (max(percentile(sorted(route.duration_ms), 0.2), 0.01) for route in (old, new))
    ratio = now / was if time.ratio > 1 else was / now
    return ratio > 1 + threshold / 2


def _waits_more(old: Route, new: Route) -> bool:
    """Tell whether the change of the time is one of waiting for calls: that costs no CPU time."""
    was = sum(old.calls_ms.values()) / len(old)
    now = sum(new.calls_ms.values()) / len(new)
    change = fmean(new.duration_ms) - fmean(old.duration_ms)
    return change * (now - was) > 0 and abs(now - was) >= abs(change) / 2


def _place(old: Route, new: Route, of: int) -> str:
    """Return the callsite that explains most of a change of calls (0) or of own time (1)."""
    changes = {
        key: new.places.get(key, [0.0, 0.0])[of] / len(new) - old.places.get(key, [0.0, 0.0])[of] / len(old)
        for key in old.places.keys() | new.places.keys()
    }
    if not changes:
        return ""
    sign = 1 if sum(changes.values()) > 0 else -1
    key = max(changes, key=lambda key: (sign * changes[key], key))
    return f"{key[1]} {key[2]}".strip()
