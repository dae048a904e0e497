"""The ledger: who may speak, when, and what is gone."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from manometer import _limits
from manometer._config import Config
from manometer._finding import Finding
from manometer._ledger import Ledger, Sighting
from manometer._model import Callsite, Frame, Profile

S = 1_000_000_000
HOUR = 3_600 * S


class Service:
    """A service with a fake clock, which counts the units of each route as the history does."""

    def __init__(self, **config: Any) -> None:
        self.units: Counter[str] = Counter()
        self.ledger = Ledger(Config(**config), lambda route: self.units[route])
        self.now_ns = 0

    def unit(self, route: str = "/orders", version: str = "") -> Profile:
        self.units[route] += 1
        root = Frame(Callsite(name=route, kind="root"), None)
        return Profile(name=f"GET {route}", route=route, root=root, started_unix_ns=1_000 + self.now_ns,
                       version=version)  # fmt: skip

    def sight(self, finding: Finding, route: str = "/orders", version: str = "", **how: Any) -> Sighting:
        return self.ledger.sight(finding, self.unit(route, version), self.now_ns, **how)

    def sights(self, finding: Finding, times: int, **how: Any) -> list[int]:
        """Return which of so many sightings spoke, the first one being 1."""
        return [number for number in range(1, times + 1) if self.sight(finding, **how).speak]

    def resolved(self, after_ns: int) -> list[Finding]:
        self.now_ns += after_ns
        return self.ledger.resolved(self.now_ns)


def finding(name: str = "SELECT customer", **fields: Any) -> Finding:
    return Finding(**({"rule": "n-plus-one", "question": "repetition", "severity": "warning",
                       "callsite": Callsite(name=name)} | fields))  # fmt: skip


def test_speaks_on_powers_of_ten_and_then_holds_its_peace() -> None:
    assert Service().sights(finding(), 20_000) == [1, 10, 100, 1_000]


def test_speaks_again_after_a_while_with_the_count_held_back() -> None:
    service = Service(repeat_after_s=300)
    service.sights(finding(), 1_050)
    service.now_ns = 300 * S - 1
    early = service.sight(finding())
    service.now_ns = 300 * S

    late = service.sight(finding())

    assert (early.speak, late.speak, late.held_back, late.count) == (False, True, 51, 1_052)
    assert not service.sight(finding()).speak


def test_counts_what_it_held_back_between_milestones() -> None:
    service = Service()

    told = [service.sight(finding()).held_back for _ in range(11)]

    assert told == [0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 0]


def test_conclusions_from_samples_wait_for_the_third_sighting() -> None:
    assert Service().sights(finding(), 200, exact=False) == [3, 10, 100]


@pytest.mark.parametrize("quiet", [{"severity": "info"}, {"expected": "tenants are few"}])
def test_counts_but_never_speaks(quiet: dict[str, str]) -> None:
    service = Service()

    spoken = service.sights(finding(**quiet), 100)

    assert spoken == []
    assert service.sight(finding(**quiet)).count == 101


def test_becoming_a_warning_is_a_first_time() -> None:
    service = Service()
    service.sights(finding(severity="info"), 5)

    sighting = service.sight(finding())

    assert (sighting.speak, sighting.new, sighting.count) == (True, False, 6)


def test_is_new_once() -> None:
    service = Service()

    assert [service.sight(finding()).new for _ in range(3)] == [True, False, False]


def test_remembers_the_first_time() -> None:
    service = Service()
    service.sight(finding())
    service.now_ns = 5 * S

    assert service.sight(finding()).first_seen_unix_ns == 1_000


def test_says_in_how_many_units_of_the_route() -> None:
    service = Service()
    for route in ("/orders", "/orders", "/users", "/orders"):
        service.unit(route)
    service.sight(finding(), "/users")

    assert service.sight(finding(), "/orders").seen == (1, 4)
    assert service.sight(finding(), "/orders").seen == (2, 5)
    assert service.sight(finding(), "/users").seen == (2, 3)


def test_a_unit_counts_once_however_many_frames_show_the_fault() -> None:
    service = Service()
    unit = service.unit()

    first = service.ledger.sight(finding(), unit, 0)
    second = service.ledger.sight(finding(), unit, 0)

    assert first is second
    assert (first.speak, first.new, first.count, first.seen) == (True, True, 1, (1, 1))


def test_a_warning_speaks_though_the_unit_showed_it_as_information_before() -> None:
    service = Service()
    unit = service.unit()
    service.ledger.sight(finding(severity="info"), unit, 0)

    loud = service.ledger.sight(finding(), unit, 0)

    assert (loud.speak, loud.new, loud.count) == (True, True, 1)


def test_all_together_speak_so_often_in_any_minute() -> None:
    service = Service(max_lines_per_min=3)
    many = [finding(f"SELECT t{number}") for number in range(10)]
    spoken: list[int] = []
    for second in range(0, 120, 10):
        service.now_ns = second * S
        spoken += [second for item in many if service.sight(item).speak]

    assert spoken == [0, 0, 0, 60, 60, 60]
    assert max(sum(at <= other < at + 60 for other in spoken) for at in spoken) == 3


def test_whoever_was_refused_keeps_its_turn_and_is_counted_once() -> None:
    service = Service(max_lines_per_min=1)
    service.sight(finding("SELECT a"))
    refused = [service.sight(finding("SELECT b")).speak for _ in range(5)]
    suppressed = service.ledger.suppressed
    service.now_ns = 60 * S

    late = service.sight(finding("SELECT b"))

    assert (refused, suppressed) == ([False] * 5, 1)
    assert (late.speak, late.held_back) == (True, 5)


def test_no_lines_allowed_means_none() -> None:
    service = Service(max_lines_per_min=0)

    assert service.sights(finding(), 100) == []
    assert service.ledger.suppressed == 1


def test_forgets_the_one_not_seen_for_longest() -> None:
    service = Service()
    kept = finding("SELECT kept")
    service.sight(kept)
    for number in range(_limits.MAX_FINDINGS + 9):
        service.sight(finding(f"SELECT t{number}"))
        service.sight(kept)

    assert len(service.ledger) == _limits.MAX_FINDINGS
    assert service.ledger.evicted == 10
    assert not service.sight(kept).new
    assert service.sight(finding("SELECT t0")).new


def test_routes_of_one_finding_are_bounded() -> None:
    service = Service()
    for number in range(1_000):
        service.sight(finding(), f"/tenant{number}")

    (entry,) = service.ledger._entries.values()

    assert len(entry.routes) == 33
    assert sum(entry.routes.values()) == 1_000


def test_gone_for_an_hour_is_resolved_once_and_then_new() -> None:
    service = Service()
    service.sight(finding())
    for _ in range(20):
        service.unit()

    assert service.resolved(HOUR - 1) == []
    (gone,) = service.resolved(1)
    assert (gone.id, gone.seen, gone.first_seen_unix_ns) == (finding().id, (1, 1), 1_000)
    assert service.resolved(HOUR) == []
    again = service.sight(finding())
    assert (again.new, again.speak) == (True, True)


def test_silence_without_traffic_resolves_nothing() -> None:
    service = Service()
    service.sight(finding())

    assert service.resolved(24 * HOUR) == []


def test_a_rare_one_needs_more_traffic_to_be_gone() -> None:
    service = Service()
    for _ in range(99):
        service.unit()
    service.sight(finding())  # in one of a hundred
    for _ in range(299):
        service.unit()

    before = service.resolved(HOUR)
    service.unit()

    assert before == []
    assert len(service.resolved(0)) == 1


def test_a_new_version_need_not_wait_for_the_hour() -> None:
    service = Service()
    service.sight(finding(), version="1")
    service.sight(finding("SELECT other"), version="2")
    for _ in range(10):
        service.unit(version="2")

    assert [item.callsite.name for item in service.resolved(S)] == ["SELECT customer"]


def test_what_never_spoke_is_not_said_to_be_gone() -> None:
    service = Service()
    service.sight(finding(severity="info"))
    for _ in range(100):
        service.unit()

    assert service.resolved(2 * HOUR) == []
