"""`manometer doctor`, in processes of its own: it imports every library there is."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest


def doctor(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("MANOMETER")}
    return subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "manometer", "doctor", *arguments],
        env={**clean, **variables}, capture_output=True, text=True, timeout=90,
    )  # fmt: skip


def states(text: str) -> dict[str, str]:
    """Source, with its state, from the lines of the page."""
    found = {}
    for line in text.splitlines():
        for state in ("seen", "not seen", "off", "not installed"):
            name, _, rest = line.strip().partition("  ")
            if (line.startswith("  ") and rest.strip().startswith(state + " ")) or rest.strip() == state:
                found[name] = state
    return found


@pytest.mark.timeout(120)
def test_it_says_what_is_seen_what_is_off_and_what_it_costs():
    done = doctor(MANOMETER_DISABLE="flask", MANOMETER_SAMPLE="lots")

    assert done.returncode == 0, done.stderr
    found = states(done.stdout)
    assert found["sqlite3"] == "seen"
    assert found["sqlalchemy"] == "seen"
    assert found["flask"] == "off"
    assert "MANOMETER_SAMPLE must be a number" in done.stdout
    assert " ns on this machine" in done.stdout


@pytest.mark.timeout(120)
def test_a_library_that_cannot_be_seen_is_named_with_the_reason(tmp_path):
    (tmp_path / "httpx.py").write_text("__version__ = '99'\n")
    done = doctor("--fail-on", "not-seen", PYTHONPATH=str(tmp_path))

    assert done.returncode == 1
    (line,) = [line for line in done.stdout.splitlines() if line.strip().startswith("httpx ")]
    assert "not seen" in line
    assert "AttributeError" in line or "ImportError" in line or "not supported" in line
