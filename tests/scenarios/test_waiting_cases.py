"""A pool that runs dry because its connections are held during a slow call: run live, with requests at once."""

from __future__ import annotations

import json
import pathlib
import subprocess
import sys

import pytest

RUNNER = pathlib.Path(__file__).parent / "wait_case.py"
CASE = "connection_held_during_slow_call"


@pytest.mark.parametrize("policy", ["PRODUCTION", "STRICT"])
def test_a_pool_that_runs_dry_is_blamed_on_what_its_holders_did(policy):
    pytest.importorskip("fastapi")
    pytest.importorskip("sqlalchemy")
    command = [sys.executable, str(RUNNER), CASE, policy, "3", "12"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    few, many = (json.loads(line) for line in done.stdout.splitlines())

    assert few == []
    assert {item["rule"] for item in many} == {"pool-wait"}
    # Twelve requests, a pool of three: all but the first three wait, 50 ms and more.
    assert 6 <= len(many) <= 9
    assert {item["function"] for item in many} == {"quote"}
    # Whoever waits for the shortest time may have seen no more of a holder than where it took its connection.
    assert sum(item["holder"] == "quote_shipping" for item in many) >= len(many) - 2
    assert {item["holder"] for item in many} <= {"quote_shipping", "quote"}
    assert any("before quote_shipping" in item["advice"] for item in many)
    assert all(item["severity"] == "warning" for item in many)
