"""Real problems rebuilt as plain programs: run live, and judged like any request.

Each program has `request()`, the unit of work, and `main(n)`, which runs it on data of size n.
Nothing in it is measured; the sources alone see it.
"""

from __future__ import annotations

import re
from typing import Any

import pytest
from tests.scenarios.loading import load

from manometer._model import PRODUCTION, STRICT
from manometer.testing import install_sources, record

# case, with the rules it must show (a rule, in which function, about which statements) and nothing else
EXPECTED: dict[str, list[tuple[str, str, str]]] = {
    "sqlalchemy_lazy_3n_plus_1": [
        ("n-plus-one", "to_entity", "trace_tags"),
        ("n-plus-one", "to_entity", "trace_metadata"),
        ("n-plus-one", "to_entity", "assessments"),
    ],
    "weak_identity_map": [("duplicate-read", "current_user", "users")],
    "repeats_served_from_cache_are_fine": [],
}


def run(name: str, size: int, policy: Any, *, whole: bool = False) -> list[record]:
    """Run one case at one size; one recording per call of its `request`, or one of the whole."""
    recorded: list[record] = []
    with install_sources("sqlalchemy", "sqlite3"):
        module = load(name)
        original = module.request

        def request(*args: Any, **kwargs: Any) -> Any:
            with record(name, kind="request", policy=policy) as this:
                recorded.append(this)
                return original(*args, **kwargs)

        if whole:
            with record(name, kind="request", policy=policy) as this:
                recorded.append(this)
                module.main(size)
            return recorded
        module.request = request  # type: ignore[attr-defined]
        module.main(size)
    return recorded


@pytest.mark.parametrize("policy", [STRICT, PRODUCTION], ids=["strict", "production"])
@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_a_case_shows_exactly_what_is_expected(name, policy):
    for size in load(name).SIZES:
        (recorded,) = run(name, size, policy)
        calls = sum(frame.calls for frame in recorded.profile.root.walk() if frame.callsite.kind == "db")
        found = recorded.findings  # an SQLite in memory costs too little for a warning in production

        assert calls >= 2, "a case whose calls were not seen proves nothing"
        assert len(found) == len(EXPECTED[name]), found
        for rule, function, shape in EXPECTED[name]:
            assert any(
                item.rule == rule
                and item.callsite.function.endswith(function)
                and re.search(shape, item.callsite.template)
                for item in found
            ), (rule, function, shape, found)
        for item in found:
            assert item.callsite.file.endswith(f"{name}.py")
            assert item.callsite.line > 0


def test_the_counts_of_the_lazy_page_are_exact_and_its_source_is_named():
    (recorded,) = run("sqlalchemy_lazy_3n_plus_1", 100, STRICT)

    assert [item.evidence["calls"] for item in recorded.findings] == [100, 100, 100]
    for item in recorded.findings:
        assert item.confidence == "confirmed"
        assert item.source is not None
        assert "traces" in item.source.template
        assert "selectinload" in item.advice


@pytest.mark.parametrize("policy", [STRICT, PRODUCTION], ids=["strict", "production"])
@pytest.mark.parametrize("together", [False, True], ids=["each request", "all requests in one unit"])
def test_pings_control_statements_and_the_drivers_twins_are_no_finding(policy, together):
    recorded = run("driver_noise_is_fine", 25, policy, whole=together)
    calls = [
        sum(
            frame.calls
            for frame in each.profile.root.walk()
            if frame.callsite.kind == "db" and frame.callsite.function.endswith(("load_user", "record_visit"))
        )
        for each in recorded
    ]

    assert calls == ([50] if together else [2] * 25)
    assert [
        item.rule for each in recorded for item in each.findings if "SELECT 1" in item.callsite.template
    ] == []
    if not together:
        assert [item for each in recorded for item in each.findings] == []
