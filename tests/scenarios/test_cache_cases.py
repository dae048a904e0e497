"""Real problems with caches, rebuilt as plain programs: run live, and judged like any request."""

from __future__ import annotations

import json
import pathlib
import subprocess
import sys
from typing import Any

import pytest
from tests.scenarios.test_outgoing_cases import calls_in, run

from manometer._model import PRODUCTION, STRICT

RUNNER = pathlib.Path(__file__).parent / "grow_case.py"
FILE = "cache_that_never_hits.py"


def judged(name: str, policy: str, *sizes: int) -> list[list[dict[str, Any]]]:
    command = [sys.executable, str(RUNNER), name, policy, *map(str, sizes)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=150)
    assert done.returncode == 0, done.stderr
    return [json.loads(line)["found"] for line in done.stdout.splitlines()]


@pytest.mark.parametrize("policy", ["STRICT", "PRODUCTION"])
def test_a_cache_that_is_asked_for_another_key_than_it_stores_is_named_with_what_is_computed_again(policy):
    for size, found in zip((400, 2000), judged("cache_that_never_hits", policy, 400, 2000), strict=True):
        by_rule = {item["rule"]: item for item in found}

        assert sorted(by_rule) == ["cache-ineffective", "repeated-call"]
        for item in found:
            assert item["function"] == "timestamp_to_datetime"
            assert item["file"].endswith(FILE)
        facts = by_rule["cache-ineffective"]["evidence"]
        assert (facts["cache"], facts["gets"], facts["hits"], facts["distinct"]) == ("CACHE", size, 0, 20)
        assert facts["why"] == "other key"


@pytest.mark.parametrize("policy", [STRICT, PRODUCTION], ids=["strict", "production"])
@pytest.mark.parametrize("at_once", [2, 8, 16])
def test_everybody_who_computes_the_value_that_expired_is_counted(policy, at_once):
    for _ in range(5):  # a thread that comes late on a busy machine is answered, and does not compute
        recorded = run("cache_stampede", at_once, policy)
        if sum(map(calls_in, recorded)) == 2 * at_once:
            break
    found = [item for each in recorded for item in each.findings]

    assert sum(map(calls_in, recorded)) == 2 * at_once
    # Whoever stored first may not yet know that the others compute as well.
    assert all(len(each.findings) <= 1 for each in recorded)
    assert len(found) >= at_once - 1
    assert {item.rule for item in found} == {"cache-stampede"}
    assert max(item.evidence["at_once"] for item in found) == at_once
    for item in found:
        assert item.confidence == "confirmed"
        assert item.callsite.template == "GET report:{id}"
        assert item.callsite.function == "cached_report"
        assert item.callsite.file.endswith("cache_stampede.py")
        assert "lock" in item.advice
