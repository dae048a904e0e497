"""The way of a finished profile: bounded, off the application's threads, isolated from failures."""

from __future__ import annotations

import threading
import time

import pytest

from manometer import Config, Finding, Profile, Report, _guard
from manometer._context import make_profile, seal
from manometer._finding import Status
from manometer._model import Callsite
from manometer._pipeline import Pipeline

SITE = Callsite(
    name="SELECT users", kind="db", template="SELECT ? FROM users", file="shop/views.py", function="list"
)


class Collector:
    """An exporter that keeps what it gets."""

    def __init__(self, fail: bool = False) -> None:
        self.reports: list[Report] = []
        self.beats: list[Status] = []
        self.threads: set[str] = set()
        self.closed = 0
        self.fail = fail

    def export(self, report: Report) -> None:
        self.threads.add(threading.current_thread().name)
        self.reports.append(report)
        if self.fail:
            raise OSError("disk full")

    def heartbeat(self, status: Status) -> None:
        self.beats.append(status)

    def shutdown(self) -> None:
        self.closed += 1


def done(name: str = "GET /orders") -> Profile:
    profile = make_profile(name, "request")
    seal(profile, set())
    return profile


def finds(profile, history, disabled, extra):
    return (Finding(rule="n-plus-one", question="repetition", severity="warning", callsite=SITE, cost_ns=5),)


@pytest.fixture
def make():
    made: list[Pipeline] = []

    def build(exporters, judge=finds, config=None, **options):
        pipeline = Pipeline(config or Config(heartbeat_s=0), judge, exporters, **options)
        made.append(pipeline)
        return pipeline

    yield build
    for pipeline in made:
        pipeline.stop()
    _guard.clear()


def test_profiles_are_judged_and_exported_on_the_background_thread(make):
    collector = Collector()
    pipeline = make([("collector", collector)])
    for _ in range(3):
        pipeline.put(done())

    assert pipeline.flush(5)
    assert collector.threads == {"manometer"}
    assert [len(report.findings) for report in collector.reports] == [1, 1, 1]
    assert [report.findings[0].seen for report in collector.reports] == [(1, 1), (2, 2), (3, 3)]
    assert [len(report.speaking) for report in collector.reports] == [1, 0, 0]


def test_a_full_queue_drops_the_newest_and_counts_it(make):
    collector = Collector()
    hold = threading.Event()

    def waits(*arguments):
        hold.wait(5)
        return ()

    pipeline = make([("collector", collector)], judge=waits, config=Config(max_queue=2, heartbeat_s=0))
    pipeline.put(done("first"))
    while pipeline._queue.qsize():
        time.sleep(0.001)
    for n in range(5):
        pipeline.put(done(f"more {n}"))
    hold.set()

    assert pipeline.flush(5)
    assert pipeline.drops["queue"] == 3
    assert [report.profile.name for report in collector.reports] == ["first", "more 0", "more 1"]
    assert pipeline.units + pipeline.drops["queue"] == 6


def test_a_failing_exporter_is_counted_switched_off_and_harms_no_other(make):
    bad, good = Collector(fail=True), Collector()
    pipeline = make([("bad", bad), ("good", good)])
    for _ in range(6):
        pipeline.put(done())

    assert pipeline.flush(5)
    assert (len(bad.reports), len(good.reports)) == (3, 6)
    assert _guard.counts["exporters.bad"] == 3
    assert pipeline.drops["export_bad"] == 3
    assert pipeline.status().internal_errors == 3


def test_a_failing_judge_never_stops_the_thread(make):
    def broken(*arguments):
        raise ValueError("theirs")

    collector = Collector()
    pipeline = make([("collector", collector)], judge=broken)
    pipeline.put(done())
    pipeline.put(done())

    assert pipeline.flush(5)
    assert _guard.counts["pipeline"] == 2
    assert pipeline._thread is not None
    assert pipeline._thread.is_alive()


def test_stopping_says_goodbye_once_and_ends_the_thread(make):
    collector = Collector()
    pipeline = make([("collector", collector)])
    pipeline.put(done())
    pipeline.stop()

    assert [status.state for status in collector.beats] == ["stop"]
    assert collector.closed == 1
    assert len(collector.reports) == 1
    assert not any(thread.name == "manometer" for thread in threading.enumerate())


def test_what_cannot_be_exported_in_time_is_counted(make):
    hold = threading.Event()

    def waits(*arguments):
        hold.wait(5)
        return ()

    pipeline = make([], judge=waits)
    for _ in range(4):
        pipeline.put(done())
    thread = pipeline._thread
    began = time.monotonic()
    pipeline.stop(timeout_s=0.2)
    hold.set()
    thread.join(5)

    assert time.monotonic() - began < 2
    assert pipeline.drops["unsent_at_exit"] >= 3


def test_a_child_process_begins_anew(make):
    collector = Collector()
    pipeline = make([("collector", collector)])
    pipeline.put(done())
    pipeline.flush(5)
    old = pipeline._thread
    pipeline.after_fork(1234)

    assert pipeline._thread is None
    assert (pipeline.units, pipeline.status().pid) == (0, 1234)
    pipeline.put(done())
    assert pipeline.flush(5)
    assert pipeline._thread is not old
    old.join(5)
    assert not old.is_alive()
    assert len(collector.reports) == 2


def test_thresholds_of_single_routes_are_handed_to_the_exporters(make):
    collector = Collector()
    config = Config(routes=(("GET /reports/*", 5_000.0), ("/orders", 20.0)), heartbeat_s=0)
    pipeline = make([("collector", collector)], config=config)
    for name, route in (
        ("GET /reports/a", "/reports/a"),
        ("POST /orders", "/orders"),
        ("GET /other", "/other"),
    ):
        profile = done(name)
        profile.route = route
        pipeline.put(profile)

    assert pipeline.flush(5)
    assert [report.profile.slow_ns for report in collector.reports] == [5_000_000_000, 20_000_000, None]
