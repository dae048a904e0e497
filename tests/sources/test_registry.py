"""Every bundled source is awake once its library is imported, before manometer or after it."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys

import pytest
from tests.releases import is_too_old

from manometer.sources import SOURCES

PROGRAM = """
import importlib, json, sys, warnings
warnings.simplefilter("ignore")
early, triggers = json.loads(sys.argv[1])
def load():
    for trigger in triggers:
        importlib.import_module(trigger.partition(".")[0])
        importlib.import_module(trigger)
if early:
    load()
import manometer
from manometer._runtime import running
load()
print(json.dumps(running().states))
"""


def is_there(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:
        return False


@pytest.mark.parametrize("early", [False, True], ids=["after", "before"])
def test_every_source_is_active_once_its_library_is_imported(early: bool) -> None:
    """Packages import the module that a source patches before they have their own names."""
    there = {name: entry.trigger for name, entry in SOURCES.items() if is_there(entry.trigger)}
    clean = {key: value for key, value in os.environ.items() if not key.startswith("MANOMETER")}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, json.dumps([early, sorted(there.values())])],
        env={**clean, "MANOMETER": "1", "MANOMETER_HEARTBEAT_S": "0"}, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    states = json.loads(done.stdout)

    seen = {name: state for name, state in states.items() if name in there and not is_too_old(name)}
    assert {name: state for name, state in seen.items() if state[0] != "active"} == {}
    unseen = {name: state for name, state in states.items() if name in there and is_too_old(name)}
    assert {name: state for name, state in unseen.items() if "and later" not in state[1]} == {}
    assert len(there) >= 8, "hardly any library is installed: this proves little"
