"""The log exporter: which lines, what they say, and that each one is a line."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.exporters.sample import (
    CUSTOMER,
    MS,
    Lines,
    child,
    n_plus_one,
    parse,
    profile,
    repeated_call,
    report,
    status,
)

from manometer import _limits
from manometer._config import Config
from manometer._finding import Report
from manometer._model import Callsite
from manometer.exporters.log import LogExporter

ROOT = Path(__file__).parents[2]


def test_a_slow_unit_with_findings() -> None:
    lines = Lines().of(report(n_plus_one(), repeated_call(), speaking=False))

    assert lines == [
        (
            "GET /orders/{id} 200 dur_ms=1149 cpu_ms=289 wait_ms=860 lock_ms=22 sql=201 sql_ms=276 found=2 "
            'worst=n-plus-one f1="n-plus-one x200 SELECT customer shop.py:32 serialize_order 369ms mn-7ae621" '
            'f2="repeated-call x40 shop.pricing.quote pricing.py:8 247ms mn-b884b3" self_ms=0.3 '
            "trace=79f120d1972a1cc8d7a67373a4366d82"
        )
    ]


def test_a_finding_whose_turn_it_is() -> None:
    lines = Lines().of(report(n_plus_one(seen=(10, 12)), held_back=8))

    assert lines[1:] == [
        (
            'n-plus-one mn-7ae621 confirmed calls=200 what="SELECT customer" at=shop/shop.py:32 in=serialize_order '
            'args_from=shop/shop.py:29 args_in=load_orders args_what="SELECT orders" route="GET /orders/{id}" '
            "cost_ms=369 share=0.32 saving_ms=331..366 move=remove "
            'fix="Add joinedload(...) to the options of the query at shop.py:29." '
            'statement="SELECT customer.id, customer.name FROM customer WHERE customer.id = ?" '
            "seen=10/12 first=2026-11-18T11:05:40.000Z held_back=8 ev_distinct=200 ev_round_trip_ms=1.25 "
            "trace=79f120d1972a1cc8d7a67373a4366d82"
        )
    ]


def test_a_slow_unit_without_findings_says_where_its_time_went() -> None:
    (line,) = Lines().of(report())

    assert line == (
        "GET /orders/{id} 200 dur_ms=1149 cpu_ms=289 wait_ms=860 lock_ms=22 sql=201 sql_ms=276 found=0 "
        'top1="(unmeasured) 672ms x1" top2="SELECT customer shop.py:32 serialize_order 268ms x200" '
        'top3="shop.pricing.quote pricing.py:8 179ms x40" self_ms=0.3 trace=79f120d1972a1cc8d7a67373a4366d82'
    )


def test_heartbeat() -> None:
    lines = Lines()
    lines.exporter.heartbeat(status())
    lines.exporter.heartbeat(
        status(
            state="stop",
            sources=(),
            missing={"redis": "version 9 is not supported"},
            overhead_share=None,
            dropped={"queue": 3, "frames": 9},
            not_judged={"cache-stale": "no cache seen"},
            unused_expected=("mn-7f3a21",),
        )
    )

    assert lines == [
        (
            "up state=running ver=0.1.0 pid=4711 uptime_s=600 units=18233 found=3 new=1 sources=flask,sqlalchemy "
            "missing=none overhead=0.6% self_ms=412 dropped=0 late=0 errors=0 not_judged=none"
        ),
        (
            "up state=stop ver=0.1.0 pid=4711 uptime_s=600 units=18233 found=3 new=1 sources=none "
            'missing="redis: version 9 is not supported" overhead=n/a self_ms=412 dropped=12 late=0 errors=0 '
            'not_judged="cache-stale: no cache seen" dropped_by="queue:3 frames:9" unused_expected=mn-7f3a21'
        ),
    ]


def test_resolved_and_warning() -> None:
    lines = Lines()
    lines.exporter.resolved(n_plus_one(seen=(412, 9000)))
    lines.exporter.warning("MANOMETER_SLOW_MS must be a number")

    assert lines == [
        (
            'resolved mn-7ae621 n-plus-one what="SELECT customer" at=shop/shop.py:32 in=serialize_order '
            "seen=412/9000 first=2026-11-18T11:05:40.000Z"
        ),
        'warning text="MANOMETER_SLOW_MS must be a number"',
    ]


@pytest.mark.parametrize(
    ("fields", "head"),
    [
        ({}, ["GET", "/orders/{id}", "200"]),
        ({"status": "", "outcome": "ValueError"}, ["GET", "/orders/{id}", "ValueError"]),
        ({"kind": "job", "name": "import orders", "status": ""}, ["job", "import orders", "ok"]),
        ({"kind": "process", "name": "process", "status": ""}, ["process", "ok"]),
        ({"name": "a name with=signs"}, ["a name with=signs", "200"]),
        ({"name": "GET /a b"}, ["GET", "/a b", "200"]),
    ],
)
def test_what_stands_in_front(fields: dict[str, Any], head: list[str]) -> None:
    assert parse(Lines().of(report(n_plus_one(), **fields))[0])[0] == head


# Which units of work get a line.


@pytest.mark.parametrize(
    ("item", "count"),
    [
        (report(duration_ns=999 * MS), 0),
        (report(duration_ns=1_000 * MS), 1),
        (report(duration_ns=1_000 * MS, slow_ns=5_000 * MS), 0),
        (report(duration_ns=10 * MS, slow_ns=5 * MS), 1),
        (report(n_plus_one(), speaking=False, duration_ns=999 * MS), 0),
        (report(n_plus_one(), duration_ns=999 * MS), 2),
        (report(kind="process", duration_ns=60_000 * MS), 0),
        (report(outcome="ValueError", status="500", duration_ns=5 * MS), 0),
    ],
)
def test_worth_a_line(item: Report, count: int) -> None:
    assert len(Lines().of(item)) == count


def test_at_most_three_findings_inline_warnings_first_then_by_cost() -> None:
    findings = [
        n_plus_one(
            callsite=replace(CUSTOMER, name=f"SELECT t{cost}"),
            cost_ns=cost * MS,
            severity="info" if cost == 400 else "warning",
        )
        for cost in (20, 400, 10, 30, 40)
    ]
    _, pairs = parse(Lines().of(report(*findings))[0])

    assert [pairs[f"f{number}"].split()[3] for number in (1, 2, 3)] == ["t40", "t30", "t20"]
    assert (pairs["found"], pairs["more"], "f4" in pairs) == ("5", "2", False)


def test_expected_findings_are_counted_apart() -> None:
    _, pairs = parse(Lines().of(report(n_plus_one(expected="few tenants")))[0])

    assert (pairs["found"], pairs["expected"], "f1" in pairs) == ("0", "1", False)


def test_a_finding_shown_by_two_frames_is_said_once() -> None:
    assert len(Lines().of(report(n_plus_one(), n_plus_one(cost_ns=1)))) == 2


def test_unknown_cpu_is_said_to_be_unknown() -> None:
    _, pairs = parse(Lines().of(report(cpu_ns=-1))[0])

    assert (pairs["cpu_ms"], pairs["wait_ms"]) == ("n/a", "n/a")


def test_a_call_inside_a_call_of_its_kind_is_one_call() -> None:
    unit = profile()
    orm = child(unit.root, Callsite(name="SELECT stock", kind="db"), 10, 100)
    child(orm, Callsite(name="SELECT stock", kind="db", library="sqlite3"), 10, 90)
    _, pairs = parse(Lines().of(Report(unit))[0])

    assert (pairs["sql"], pairs["sql_ms"]) == ("211", "376")


def test_what_was_dropped_is_told() -> None:
    item = report(dropped={"frames": 3}, late=2, not_judged={"n-plus-one": "arguments unknown"})
    _, pairs = parse(Lines().of(item)[0])

    assert (pairs["dropped"], pairs["late"], pairs["not_judged"]) == ("frames:3", "2", "n-plus-one")


# Rates.


def test_request_lines_are_limited_and_the_rest_counted_into_the_next() -> None:
    lines = Lines()
    lines.of(*[report()] * (_limits.MAX_SUMMARY_LINES_PER_MIN + 7))
    lines.now_ns = 60_000 * MS - 1
    assert len(lines.of(report())) == _limits.MAX_SUMMARY_LINES_PER_MIN
    lines.now_ns += 1

    lines.of(report())

    summary, first = lines[-2:]
    assert parse(summary)[1]["suppressed"] == "8"
    assert parse(first)[1]["suppressed"] == "8"
    assert "suppressed" not in parse(lines.of(report())[-1])[1]


def test_a_minute_with_silent_findings_gets_one_line() -> None:
    lines = Lines()
    lines.of(*[report(n_plus_one(), repeated_call(), speaking=False, duration_ns=500 * MS)] * 3)
    assert lines == []
    lines.now_ns = 60_000 * MS

    lines.exporter.tick()
    lines.exporter.tick()

    assert lines == [
        (
            "summary win_s=60 units=3 slow=0 guilty=3 found=2 suppressed=0 "
            'f1="n-plus-one mn-7ae621 x3 1107ms GET /orders/{id}" '
            'f2="repeated-call mn-b884b3 x3 741ms GET /orders/{id}"'
        )
    ]


def test_a_minute_that_left_nothing_unsaid_gets_none() -> None:
    lines = Lines()
    lines.of(report(n_plus_one()), report(duration_ns=1))
    lines.now_ns = 61_000 * MS

    lines.exporter.tick()

    assert len(lines) == 2


def test_the_last_minute_is_told_before_the_goodbye() -> None:
    lines = Lines()
    lines.of(report(n_plus_one(), speaking=False, duration_ns=1))

    lines.exporter.heartbeat(status(state="stop"))
    lines.exporter.shutdown()

    assert [line.split()[0] for line in lines] == ["summary", "up"]


def test_findings_of_a_minute_are_bounded() -> None:
    lines = Lines()
    for number in range(_limits.MAX_FINDINGS + 50):
        lines.exporter.export(
            report(n_plus_one(callsite=Callsite(name=str(number))), speaking=False, duration_ns=1)
        )
    lines.exporter.shutdown()

    assert parse(lines[0])[1]["found"] == str(_limits.MAX_FINDINGS)


# JSON, and the record beside the message.


def test_json_carries_what_the_line_carries() -> None:
    item = report(n_plus_one(), repeated_call(), dropped={"frames": 3})
    request, first, _ = map(json.loads, Lines(log_format="json").of(item))
    logfmt = Lines().of(item)
    _, pairs = parse(logfmt[0])
    _, told = parse(logfmt[1])

    event = request["manometer"]
    assert request["level"] == "INFO"
    assert request["logger"] == "manometer.request"
    assert request["message"] == "GET /orders/{id} 200 dur_ms=1149 cpu_ms=289 found=2 worst=n-plus-one"
    assert (event["schema"], event["event"]) == (1, "request")
    assert event["unit"]["name"] == "GET /orders/{id}"
    assert event["unit"]["trace_id"] == pairs["trace"]
    assert [round(event[key]) for key in ("dur_ms", "cpu_ms", "wait_ms")] == [1149, 289, 860]
    assert event["calls"] == {"sql": {"count": 201, "ms": 275.7}}
    assert [found["id"] for found in event["findings"]] == [pairs[key].split()[-1] for key in ("f1", "f2")]
    finding = first["manometer"]["finding"]
    assert first["level"] == "WARNING"
    assert finding["statement"] == told["statement"]
    assert (finding["at"], finding["in"], finding["advice"]) == (told["at"], told["in"], told["fix"])
    assert finding["source"] == {"label": "SELECT orders", "at": told["args_from"], "in": told["args_in"]}
    assert finding["saving_ms"] == [331.0, 366.0]
    assert finding["evidence"] == {"calls": 200, "distinct": 200, "round_trip_ms": 1.25}


def test_a_number_json_has_no_word_for_is_null() -> None:
    item = n_plus_one(evidence={"slope": float("nan"), "limit": float("inf"), "rows": 3})
    lines = Lines(log_format="json").of(report(item))

    assert json.loads(lines[1])["manometer"]["finding"]["evidence"] == {
        "slope": None,
        "limit": None,
        "rows": 3,
    }


def test_through_logging_the_message_and_the_record_are_each_complete(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    exporter = LogExporter(Config())

    exporter.export(report(n_plus_one()))
    exporter.heartbeat(status())
    exporter.resolved(n_plus_one())
    exporter.warning("100 % {0} sure")

    assert [(record.name, record.levelname, record.msg) for record in caplog.records] == [
        ("manometer.request", "INFO", "%s"),
        ("manometer.finding", "WARNING", "%s"),
        ("manometer.summary", "INFO", "%s"),
        ("manometer.finding", "INFO", "%s"),
        ("manometer", "WARNING", "%s"),
    ]
    assert caplog.messages == [*Lines().of(report(n_plus_one())), *caplog.messages[2:]]
    assert caplog.messages[4] == 'warning text="100 % {0} sure"'
    assert caplog.records[0].manometer["unit"]["name"] == "GET /orders/{id}"  # type: ignore[attr-defined]
    assert caplog.records[1].manometer["finding"]["id"] == "mn-7ae621"  # type: ignore[attr-defined]


def test_a_log_that_hides_info_is_told_once_that_manometer_is_there(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    exporter = LogExporter(Config())

    exporter.heartbeat(status(state="start"))
    exporter.heartbeat(status())
    exporter.export(report(n_plus_one()))

    assert [(record.name, record.levelname) for record in caplog.records] == [
        ("manometer.summary", "WARNING"),
        ("manometer.finding", "WARNING"),
    ]
    assert parse(caplog.messages[0])[1]["info"] == "hidden"


# With and without a handler of the application's; in a process of its own, as pytest has handlers.

PROGRAM = """
import logging, sys
sys.path[:0] = [{root!r}, {source!r}]
from manometer._config import Config
from manometer.exporters.log import LogExporter
from tests.exporters.sample import n_plus_one, report, status
{setup}
before = logging.getLogger().handlers[:], logging.getLogger("manometer").handlers[:]
exporter = LogExporter(Config(log_format={format!r}))
exporter.heartbeat(status(state="start"))
exporter.export(report(n_plus_one()))
assert before == (logging.getLogger().handlers, logging.getLogger("manometer").handlers)
"""


def run(setup: str, log_format: str = "logfmt") -> tuple[list[str], list[str]]:
    source = PROGRAM.format(root=str(ROOT), source=str(ROOT / "src"), setup=setup, format=log_format)
    done = subprocess.run(
        [sys.executable, "-c", source], capture_output=True, text=True, timeout=30, check=True
    )
    return done.stdout.splitlines(), done.stderr.splitlines()


def starts(lines: list[str]) -> list[str]:
    return [line.split()[0] for line in lines]


def test_without_handlers_everything_goes_to_standard_error() -> None:
    out, err = run("")

    assert out == []
    assert starts(err) == [
        "INFO:manometer.summary:up",
        "INFO:manometer.request:GET",
        "WARNING:manometer.finding:n-plus-one",
    ]


def test_without_handlers_json_stays_json() -> None:
    _, err = run("", "json")

    assert [json.loads(line)["level"] for line in err] == ["INFO", "INFO", "WARNING"]


def test_a_null_handler_is_no_handler() -> None:
    _, err = run("logging.getLogger('manometer').addHandler(logging.NullHandler())")

    assert len(err) == 3


def test_with_a_handler_nothing_is_written_beside_it() -> None:
    out, err = run("logging.basicConfig(level=logging.INFO, stream=sys.stdout, format='%(name)s')")

    assert (out, err) == (["manometer.summary", "manometer.request", "manometer.finding"], [])


def test_a_handler_on_our_logger_alone_counts() -> None:
    out, err = run(
        "logging.getLogger('manometer').addHandler(logging.StreamHandler(sys.stdout));"
        "logging.getLogger('manometer').setLevel('INFO')"
    )

    assert (len(out), err) == (3, [])


@pytest.mark.parametrize(
    ("setup", "count"),
    [
        ("logging.getLogger('manometer').setLevel('WARNING')", 1),
        ("logging.getLogger('manometer').setLevel('CRITICAL')", 0),
        ("logging.getLogger('manometer.finding').setLevel('ERROR')", 2),
        ("logging.disable(logging.CRITICAL)", 0),
        ("sys.stderr = None", 0),
    ],
)
def test_without_handlers_silence_asked_for_is_kept(setup: str, count: int) -> None:
    _, err = run(setup)

    assert len(err) == count


def test_each_line_is_one_write() -> None:
    class Raw:
        def __init__(self) -> None:
            self.writes: list[str] = []

        def write(self, text: str) -> int:
            self.writes.append(text)
            return len(text)

        def flush(self) -> None:
            pass

    raw, kept = Raw(), sys.stderr
    root = logging.getLogger()
    handlers, root.handlers = root.handlers, []
    try:
        sys.stderr = raw  # type: ignore[assignment]
        LogExporter(Config()).export(report(n_plus_one(), repeated_call()))
    finally:
        sys.stderr, root.handlers = kept, handlers

    assert len(raw.writes) == 3
    assert all(text.endswith("\n") and text.count("\n") == 1 for text in raw.writes)
