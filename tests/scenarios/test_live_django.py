"""Django live: real problems rebuilt as programs, and the families of the recorded scenarios on our own models.

A program that configures Django does so once a process, and so runs in one of its own.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.recordings import Case, load, replay
from tests.scenarios import django_app

from manometer.testing import install_sources, raising, record

if TYPE_CHECKING:
    from collections.abc import Iterator

HERE = Path(__file__).parent

# case, with the rules it must show (a rule, in which function, about which statements) and nothing else
EXPECTED: dict[str, list[tuple[str, str, str]]] = {
    "drf_permission_checked_per_row": [("n-plus-one", "has_perm", "SELECT .* case_objectpermission")],
    "prefetch_bypassed_by_filter": [
        ("n-plus-one", "available_units", r"SELECT .* case_device WHERE .*rack_id = "),
        ("wasted-eager-load", "request", r"SELECT .* case_device WHERE .*rack_id IN "),
    ],
    "chunked_prefetch_is_fine": [],
}
SIZES = {"drf_permission_checked_per_row": [25, 100], "prefetch_bypassed_by_filter": [20, 80]}
ADVISED_ALREADY = re.compile(r"[Aa]dd .*prefetch_related")


def said(name: str, policy: str) -> list[dict[str, Any]]:
    """Run one case at its sizes; what was said of each."""
    done = subprocess.run(
        [sys.executable, str(HERE / "run_case.py"), name, policy],
        capture_output=True,
        text=True,
        timeout=50,
        env={**os.environ, "PYTHONPATH": str(HERE.parents[1] / "src")},
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.parametrize("policy", ["STRICT", "PRODUCTION"])
@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_a_case_shows_exactly_what_is_expected(name: str, policy: str) -> None:
    answers = said(name, policy)
    found = [item for answer in answers for item in answer["found"]]

    assert len(answers) == 2
    assert all(answer["calls"] >= 2 for answer in answers), "a case whose calls were not seen proves nothing"
    assert len(found) == 2 * len(EXPECTED[name])
    for rule, function, shape in EXPECTED[name]:
        fitting = [
            item
            for item in found
            if item["rule"] == rule
            and item["function"].rpartition(".")[2] == function  # Python 3.10 knows no qualified name
            and re.search(shape, item["template"])
        ]
        assert len(fitting) == 2, found
        if rule == "n-plus-one":
            assert [item["calls"] for item in fitting] == SIZES[name]
    for item in found:
        assert item["file"].endswith(f"{name}.py")


def test_a_prefetch_that_is_there_is_not_advised_again() -> None:
    found = [item for answer in said("prefetch_bypassed_by_filter", "STRICT") for item in answer["found"]]

    assert [item["advice"] for item in found if ADVISED_ALREADY.search(item["advice"])] == []
    assert all("Prefetch(..., queryset=..., to_attr=...)" in item["advice"] for item in found)
    assert all(item["confidence"] == "confirmed" for item in found)


# The families of the recorded scenarios.


@pytest.fixture(params=["sqlite", "postgresql", "mysql"])
def database(request: pytest.FixtureRequest) -> Iterator[str]:
    """The project on one kind of database; a server's is made for the first test that asks."""
    django_app.configure()
    alias = "default"
    if request.param != "sqlite":
        alias = request.param
        pytest.importorskip("psycopg" if alias == "postgresql" else "MySQLdb")
        server = request.getfixturevalue("postgresql_server" if alias == "postgresql" else "mariadb_server")
        if alias not in django_app.ADDED:
            django_app.add_database(alias, alias, server.fresh())
    with raising(), install_sources():
        django_app.use(alias)
        try:
            yield alias
        finally:
            django_app.use("default")


def scenarios(table: str) -> Any:
    django_app.configure()
    from tests.scenarios.django_app import scenarios as tables

    return getattr(tables, table)


def judged(scenario: Any) -> record:
    with record(scenario.__name__) as this:
        scenario()
    assert this.profile.frames > 1, "silence is worth something only where calls were seen"
    assert {frame.callsite.library for frame in this.profile.root.walk() if frame.callsite.kind == "db"} == {
        "django"
    }
    return this


@pytest.mark.parametrize("name", sorted(scenarios("GUILTY")))
def test_a_guilty_scenario_is_one_n_plus_one(name: str, database: str) -> None:
    scenario, advice = scenarios("GUILTY")[name]
    this = judged(scenario)
    (finding,) = this.findings

    assert finding.rule == "n-plus-one"
    assert finding.confidence == ("likely" if name == "get_in_a_loop" else "confirmed")
    assert finding.callsite.function == name
    assert advice in finding.advice
    assert this.profile.not_judged == {}


@pytest.mark.parametrize("name", sorted(scenarios("INNOCENT")))
def test_an_innocent_scenario_is_silent(name: str, database: str) -> None:
    assert judged(scenarios("INNOCENT")[name]).findings == ()


@pytest.mark.parametrize(
    ("table", "name", "rules"),
    [
        (table, name, rules)
        for table, rules in {
            "CHUNKED": ["chunk-too-small"],
            "TWICE": ["duplicate-read", "duplicate-read"],
            "BYPASSED": ["n-plus-one", "wasted-eager-load"],
        }.items()
        for name in sorted(scenarios(table))
    ],
)
def test_other_rules_say_what_is_true(table: str, name: str, rules: list[str], database: str) -> None:
    found = judged(scenarios(table)[name]).findings

    assert sorted(finding.rule for finding in found) == rules
    assert not any(ADVISED_ALREADY.search(finding.advice) for finding in found)
    assert {finding.callsite.function for finding in found} == {name}


RECORDINGS = {case.id: case for case in load() if case.orm == "django"}


def recorded() -> Any:
    django_app.configure()
    from tests.scenarios.django_app import recorded as table

    return table


def test_every_recording_is_rebuilt() -> None:
    assert sorted(recorded().RECORDED) == sorted(RECORDINGS)


@pytest.mark.parametrize("case", RECORDINGS.values(), ids=lambda case: case.id)
def test_live_is_said_what_is_said_of_the_recording(case: Case, database: str) -> None:
    with recorded().more_rows(), record(case.id) as this:
        recorded().RECORDED[case.id]()
    _, of_recording = replay(case)

    assert sorted(finding.rule for finding in this.findings) == sorted(each.rule for each in of_recording)
    assert any(frame.callsite.kind == "db" for frame in this.profile.root.walk())
    assert all(bool(finding.expected) == (case.label == "suppressed") for finding in this.findings)
    assert {Path(finding.callsite.file).parent.name for finding in this.findings} <= {"django_app"}


def test_fetch_modes_end_an_n_plus_one(database: str) -> None:
    import django

    if django.VERSION < (6, 1):
        pytest.skip("Django has fetch modes from 6.1 on")
    from django.db.models import FETCH_PEERS
    from tests.scenarios.django_app.models import Person, Post

    def forward_and_deferred() -> object:
        posts = Post.objects.fetch_mode(FETCH_PEERS)
        people = Person.objects.only("id").fetch_mode(FETCH_PEERS)
        return [post.author.name for post in posts], [person.name for person in people]

    assert judged(forward_and_deferred).findings == ()
