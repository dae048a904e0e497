"""Beside other tools in one process: what manometer finds is the same, and what they have is the same."""

from __future__ import annotations

import functools
import importlib.util
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = {
    "sentry": "sentry_sdk",
    "datadog": "ddtrace",
    "opentelemetry": "opentelemetry.instrumentation.sqlite3",
}
# Their own services, which are none of this test's.
QUIET = {
    "DD_INSTRUMENTATION_TELEMETRY_ENABLED": "false",
    "DD_REMOTE_CONFIGURATION_ENABLED": "false",
    "DD_TRACE_STARTUP_LOGS": "false",
    "DD_CRASHTRACKING_ENABLED": "false",
}
REQUESTS = 3
WHO = ["sentry", "datadog", "opentelemetry", "sentry+datadog+opentelemetry"]


@functools.cache
def run(who: str, order: str) -> dict[str, Any]:
    """Run the program in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.scenarios.neighbours", who, order],
        capture_output=True, text=True, timeout=50, cwd=ROOT, env={**os.environ, **QUIET, "PYTHONPATH": "src"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(re.sub(r"127\.0\.0\.1:\d+", "HOST", done.stdout))
    return found


def skip_without(who: str) -> None:
    missing = [name for name in who.split("+") if not _is_there(PACKAGES[name])]
    if missing:
        pytest.skip(f"{', '.join(missing)} is not installed")


def _is_there(package: str) -> bool:
    try:
        return importlib.util.find_spec(package) is not None
    except ModuleNotFoundError:
        return False


def test_alone_the_page_with_the_loop_is_found_and_no_other() -> None:
    units = run("", "last")["units"]

    assert len(units) == 3 * REQUESTS
    assert [len(unit["calls"]) for unit in units] == [3, 2, 2] * REQUESTS
    assert [[item[:2] for item in unit["findings"]] for unit in units] == [
        [["n-plus-one", 12]], [], [],
    ] * REQUESTS  # fmt: skip


@pytest.mark.parametrize("order", ["first", "last"])
@pytest.mark.parametrize("who", WHO)
def test_beside_other_tools_the_same_is_found_and_nothing_twice(who: str, order: str) -> None:
    skip_without(who)

    assert run(who, order)["units"] == run("", "last")["units"]


@pytest.mark.parametrize("order", ["first", "last"])
@pytest.mark.parametrize("who", WHO)
def test_what_the_other_tools_have_is_what_they_have_without_manometer(who: str, order: str) -> None:
    skip_without(who)
    without, beside = run(who, "off"), run(who, order)

    assert all(without["tools"].values()), "a tool that saw nothing proves nothing"
    assert beside["tools"] == without["tools"]
    assert beside["answers"] == without["answers"]
