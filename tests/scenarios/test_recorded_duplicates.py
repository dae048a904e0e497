"""Facts about repeated calls, with the settings that their labels assume: three calls, 500 ms, no call site."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from manometer._calls import add_rows, begin, end
from manometer._context import HOT, close_profile, open_profile, restore
from manometer._fingerprint import key_of
from manometer._history import History
from manometer._model import Callsite, Frame, Policy, Profile
from manometer._plan import NOTHING, count
from manometer.detectors import judge

DATA = Path(__file__).parents[1] / "data" / "redundant_call_scenarios.json"
SCENARIOS = {item["id"]: item for item in json.loads(DATA.read_text(encoding="utf-8"))["scenarios"]}
AMBIGUOUS = "rc02"
"""Arguments that are the same for a person and not for a machine: other case, order and spaces."""
MS = 1_000_000

AS_LABELLED = Policy(repeats=3, saving_ns=500 * MS, many=1_000_000)
WRITE = Callsite(name="write", kind="http", template="POST /", operation="write")


def events(scenario: dict[str, Any]) -> list[dict[str, Any]]:
    writes = [{"name": "", "start_ms": at, "dur_ms": 0} for at in scenario.get("writes", ())]
    return sorted([*scenario["calls"], *writes], key=lambda event: event["start_ms"])  # type: ignore[no-any-return]


def play(scenario: dict[str, Any], kind: str) -> Profile:
    """Record the calls as reads (`http`) or as calls of measured functions (`call`)."""
    done: list[Profile] = []
    opened = open_profile(scenario["id"], cpu=False, policy=AS_LABELLED, to=done.append)
    restore(opened)
    branch = opened.branch
    assert branch
    began_ns = branch.profile.started_ns
    sites: dict[str, Callsite] = {}
    for event in events(scenario):
        started_ns = began_ns + event["start_ms"] * MS
        ended_ns = started_ns + event["dur_ms"] * MS
        if not event["name"]:
            end(begin(branch, WRITE, started_ns), key=1, ended_ns=ended_ns)
            continue
        failed = event["status"] != "ok"
        key = None if event["args"] is None else key_of(event["args"])
        if kind == "call":
            callsite = sites.setdefault(event["name"], Callsite(name=event["name"], function=event["name"]))
            frame = branch.frame.children.get(callsite) or HOT["new_"](branch, branch.frame, callsite)
            assert isinstance(frame, Frame)
            frame.calls += 1
            frame.errors += failed
            frame.total_ns += ended_ns - started_ns
            count(
                branch, frame, key, started_ns, ended_ns - started_ns, NOTHING if failed else event["result"]
            )
            continue
        callsite = sites.setdefault(
            event["name"],
            Callsite(name=event["name"], kind="http", template=event["name"], operation="read"),
        )
        call = begin(branch, callsite, started_ns)
        end(call, key=key, error="Error" if failed else "", ended_ns=ended_ns)
        if not failed:
            add_rows(call, 1, (), key_of(event["result"]))
    close_profile(opened)
    profile = done[0]
    profile.duration_ns = ended_ns - began_ns
    return profile


def warnings(scenario: dict[str, Any], kind: str) -> list[tuple[str, int]]:
    found = judge(play(scenario, kind), History())
    return [
        (finding.rule, int(finding.evidence["repeats"]))
        for finding in found
        if finding.severity == "warning" and "repeats" in finding.evidence
    ]


@pytest.mark.parametrize("kind", ["http", "call"])
@pytest.mark.parametrize("name", [name for name in SCENARIOS if name != AMBIGUOUS])
def test_scenario(name: str, kind: str) -> None:
    scenario = SCENARIOS[name]
    rule = "duplicate-read" if kind == "http" else "repeated-call"
    expected = scenario.get("expected_findings", 1) if scenario["label"].startswith("duplicate") else 0

    assert Counter(rule for rule, _ in warnings(scenario, kind)) == ({rule: expected} if expected else {})


def test_only_successes_are_counted() -> None:
    assert warnings(SCENARIOS["rc07"], "http") == [
        ("duplicate-read", SCENARIOS["rc07"]["expected_count"] - 1)
    ]


def test_the_ambiguous_one_is_left_to_people() -> None:
    """Equal only after canonicalisation, which would have to know what the arguments mean."""
    assert warnings(SCENARIOS[AMBIGUOUS], "http") == []


def test_unknown_arguments_are_said_to_be_unknown() -> None:
    profile = play(SCENARIOS["rc13"], "http")

    found = judge(profile, History())

    assert [(finding.rule, finding.confidence) for finding in found] == [("n-plus-one", "possible")]
    assert profile.not_judged
