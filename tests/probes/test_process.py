"""The process as a whole: what it uses is read in manometer's thread, and what is not known is missing."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import time

import pytest

import manometer
from manometer import Config
from manometer.probes import process as module
from manometer.probes.process import ProcessProbe


def test_what_the_process_uses_is_read() -> None:
    probe = ProcessProbe()
    first = probe.read()
    kept = bytearray(30_000_000)
    kept[::4096] = b"x" * len(kept[::4096])
    ended_s = time.process_time() + 0.1
    while time.process_time() < ended_s:
        pass
    second = probe.read()

    assert second["rss_bytes"] - first["rss_bytes"] > 20_000_000
    assert second["threads"] >= 1
    assert second["open_files"] >= 1
    assert second["cpu_share"] > 0
    assert "cpu_share" not in first, "a rate needs two readings"


def test_an_open_file_is_counted(tmp_path) -> None:
    probe = ProcessProbe()
    before = probe.read()["open_files"]
    with open(tmp_path / "file", "w"):
        assert probe.read()["open_files"] == before + 1


def test_collections_are_counted() -> None:
    probe = ProcessProbe()
    probe.read()
    gc.collect()
    found = probe.read()

    assert found["gc_per_s"] >= found["gc_full_per_s"] > 0


def test_the_limits_of_a_container_are_read(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "memory.max").write_text("1000000\n")
    (tmp_path / "memory.current").write_text("250000\n")
    (tmp_path / "cpu.stat").write_text("usage_usec 9\nthrottled_usec 1000\n")
    monkeypatch.setattr(module, "_CGROUP", tmp_path)
    probe = ProcessProbe()
    probe.read()
    (tmp_path / "cpu.stat").write_text("usage_usec 9\nthrottled_usec 3500\n")

    found = probe.read()

    assert (found["memory_limit_bytes"], found["memory_used_share"]) == (1_000_000, 0.25)
    assert found["throttled_ms"] == 2.5


def test_without_a_limit_nothing_is_said_of_one(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "memory.max").write_text("max\n")
    monkeypatch.setattr(module, "_CGROUP", tmp_path)

    assert not {"memory_limit_bytes", "memory_used_share", "throttled_ms"} & ProcessProbe().read().keys()


def test_a_child_reads_itself_and_not_its_parent() -> None:
    probe = ProcessProbe()
    probe.read()
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.write(writer, str(probe.read().get("cpu_share", "none")).encode())
        os._exit(0)
    os.waitpid(pid, 0)

    assert os.read(reader, 20) == b"none"
    os.close(reader)
    os.close(writer)


class Collect:
    def __init__(self) -> None:
        self.reports: list = []
        self.statuses: list = []

    def export(self, report) -> None:
        self.reports.append(report)

    def heartbeat(self, status) -> None:
        self.statuses.append(status)


def test_a_summary_has_the_readings_of_its_time_and_the_heartbeat_the_last() -> None:
    collect = Collect()
    manometer.start(Config(exporters=(), probe_interval_s=0.1), exporters=[collect])
    try:
        with manometer.profile("long"):
            deadline_s = time.monotonic() + 20
            while len(manometer._runtime.running().pipeline.readings) < 2 and time.monotonic() < deadline_s:
                time.sleep(0.02)
        manometer.flush(10)
    finally:
        manometer.stop()

    (report,) = [each for each in collect.reports if each.profile.name == "long"]
    readings = report.profile.readings
    assert len(readings) >= 1
    assert all(report.profile.started_ns <= at_ns for at_ns, _ in readings)
    assert collect.statuses[-1].resources["rss_bytes"] > 0


def test_switched_off_by_name_it_reads_nothing() -> None:
    collect = Collect()
    manometer.start(Config(exporters=(), disable=frozenset({"process"})), exporters=[collect])
    manometer.stop()

    assert collect.statuses[-1].resources == {}


def test_psutil_is_imported_where_manometer_starts_and_never_by_importing_it() -> None:
    program = "import sys, manometer; print('psutil' in sys.modules); manometer.start(); print('psutil' in sys.modules); manometer.stop()"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    # A thread that imports while the process forks would leave the child a lock that nobody holds.
    assert done.stdout == "False\nTrue\n"
