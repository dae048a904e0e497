"""A comparison says what changed, and nothing of what only varies."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from tests.reports.records import finding, report, save, site, traffic

from manometer.reports.difference import Difference, difference
from manometer.reports.recording import read

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path


def compare(
    folder: Path, before: Iterable[dict[str, Any]], after: Iterable[dict[str, Any]], threshold: float = 0.1
) -> Difference:
    return difference(
        read([str(save(folder / "before.jsonl", before))]),
        read([str(save(folder / "after.jsonl", after))]),
        threshold,
    )


def test_the_same_build_did_not_change_in_ninety_nine_of_a_hundred(tmp_path: Path) -> None:
    changed = [
        seed for seed in range(100) if compare(tmp_path, traffic(2 * seed), traffic(2 * seed + 1)).changes
    ]

    assert len(changed) <= 1


@pytest.mark.parametrize(("times", "verdict"), [(2.0, "slower"), (0.5, "faster")])
def test_a_route_that_takes_another_time_is_told_and_no_other(
    tmp_path: Path, times: float, verdict: str
) -> None:
    told = [
        [(change.verdict, change.route) for change in found.changes]
        for found in (
            compare(tmp_path, traffic(2 * seed), traffic(2 * seed + 1, times=times)) for seed in range(20)
        )
    ]

    assert told.count([(verdict, "GET /0")]) >= 18


def test_a_slower_machine_is_told_once_and_accuses_no_route(tmp_path: Path) -> None:
    found = compare(tmp_path, traffic(1), traffic(2, shared=1.6))

    assert found.changes == []
    assert found.shared > 1.3


def test_a_fixed_finding_is_said_first_and_its_calls_after_it(tmp_path: Path) -> None:
    before = [report(at_s=n, duration_ms=30.0 + n % 3, sql=41, findings=[finding()]) for n in range(20)]
    after = [report(at_s=n, duration_ms=9.0 + n % 3, sql=1) for n in range(20)]

    found = compare(tmp_path, before, after)

    assert [change.verdict for change in found.changes] == ["fixed", "fewer-calls", "faster"]
    assert found.changes[0].id == "mn-abc123"


def test_a_new_finding_is_said_first(tmp_path: Path) -> None:
    before = [report(at_s=n, sql=1) for n in range(20)]
    after = [report(at_s=n, sql=1, findings=[finding()]) for n in range(20)]

    assert [change.verdict for change in compare(tmp_path, before, after).changes] == ["new"]


def test_a_finding_that_is_wanted_is_no_change(tmp_path: Path) -> None:
    after = [report(at_s=n, findings=[finding(expected="three at most")]) for n in range(20)]

    assert compare(tmp_path, [report(at_s=n) for n in range(20)], after).changes == []


def test_a_rare_finding_that_is_not_seen_again_is_not_called_fixed(tmp_path: Path) -> None:
    before = [report(at_s=n, findings=[finding()] if n == 7 else []) for n in range(20)]

    found = compare(tmp_path, before, [report(at_s=n) for n in range(20)])

    assert found.changes == []
    assert "mn-abc123 is in one recording only" in found.unsure[0]


def test_a_finding_of_a_route_that_was_not_asked_for_is_not_called_fixed(tmp_path: Path) -> None:
    before = [report("GET /a", n, findings=[finding()]) for n in range(20)]

    assert compare(tmp_path, before, [report("GET /b", n) for n in range(20)]).changes == []


def test_constant_counts_are_compared_exactly(tmp_path: Path) -> None:
    before = [report(at_s=n, sql=3) for n in range(6)]

    found = compare(tmp_path, before, [report(at_s=n, sql=4) for n in range(6)])

    assert [(change.verdict, change.before, change.after) for change in found.changes] == [
        ("more-calls", 3.0, 4.0)
    ]


def test_counts_that_follow_what_is_asked_for_are_no_change(tmp_path: Path) -> None:
    before = [report(at_s=n, sql=(5, 20, 50, 100)[n % 4]) for n in range(40)]

    assert (
        compare(tmp_path, before, [report(at_s=n, sql=(5, 20, 50, 100)[n % 3]) for n in range(40)]).changes
        == []
    )


def test_the_callsite_that_changed_most_is_named(tmp_path: Path) -> None:
    def units(own_ms: float) -> list[dict[str, Any]]:
        sites = [site("render", kind="call", self_ms=own_ms), site(self_ms=2.0)]
        return [report(at_s=n, duration_ms=2.0 + own_ms, cpu_ms=own_ms, callsites=sites) for n in range(20)]

    (change,) = compare(tmp_path, units(3.0), units(30.0)).changes

    assert (change.verdict, change.where) == ("slower", "render shop/views.py:7")


def test_waiting_for_calls_makes_a_route_slower_though_its_cpu_time_stays(tmp_path: Path) -> None:
    def units(query_ms: float) -> list[dict[str, Any]]:
        calls = {"sql": {"count": 3, "ms": 3 * query_ms}}
        return [report(at_s=n, duration_ms=5 + 3 * query_ms, cpu_ms=4.0, calls=calls) for n in range(20)]

    assert [change.verdict for change in compare(tmp_path, units(1.0), units(9.0)).changes] == ["slower"]


def test_too_few_units_say_how_many_would_do(tmp_path: Path) -> None:
    found = compare(tmp_path, traffic(1, 8), traffic(2, 8))

    assert found.changes == []
    assert "would be told from noise with" in found.unsure[0]
