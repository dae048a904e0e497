"""Whatever names, statements and facts hold: each event is one line, short, and says the same."""

from __future__ import annotations

import json
from dataclasses import replace

from hypothesis import HealthCheck, given, settings, strategies as st
from tests.exporters.sample import CUSTOMER, ORDERS, Lines, n_plus_one, parse, report, status

from manometer import _limits
from manometer._finding import Finding
from manometer._line import clean
from manometer._model import Callsite

text = st.text(st.characters(exclude_categories=()), max_size=300) | st.sampled_from(
    [
        "\x1b]0;title\x07",
        "a\r\nWARNING:fake:line",
        "%s%n{0.__class__}",
        '" found=0 x="',
        "\u202eevil",
        "\ud83d",
        "\\",
    ]
)
sites = st.builds(
    Callsite,
    name=text,
    function=text,
    file=text,
    line=st.integers(0, 10**9),
    template=text.map(lambda some: some * 20),
)
findings = st.builds(
    Finding,
    rule=text,
    question=st.just("repetition"),
    severity=st.sampled_from(["info", "warning"]),
    callsite=sites,
    source=st.none() | sites,
    holder=st.none() | sites,
    evidence=st.dictionaries(text, st.integers() | st.floats() | text, max_size=20),
    cost_ns=st.integers(0, 10**18),
    advice=text,
    version=text,
)


def lines_of(items: list[Finding], name: str, log_format: str) -> list[str]:
    lines = Lines(log_format=log_format)
    dropped = {f"{name}{number}": number for number in range(9)}
    same = dict.fromkeys(("name", "status", "outcome", "trace_id", "version"), name)
    lines.of(report(*items, **same, dropped=dropped, not_judged={name: name}))
    many = {"sources": (name,) * 40, "unused_expected": (name,) * 40, "missing": dict.fromkeys(dropped, name)}
    lines.exporter.heartbeat(status(version=name, dropped=dropped, not_judged={name: name}, **many))
    lines.exporter.warning(name)
    for finding in items:
        lines.exporter.resolved(finding)
    lines.exporter.shutdown()
    return lines


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
@given(st.lists(findings, max_size=5), text)
def test_each_event_is_one_short_line_that_parses(items: list[Finding], name: str) -> None:
    for line in lines_of(items, name, "logfmt"):
        assert len("WARNING:manometer.finding:" + line + "\n") <= _limits.MAX_LINE_BYTES
        parse(line)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
@given(st.lists(findings, max_size=5), text)
def test_each_event_is_one_short_line_of_json(items: list[Finding], name: str) -> None:
    for line in lines_of(items, name, "json"):
        assert len(line + "\n") <= _limits.MAX_LINE_BYTES
        assert line.isascii()
        assert line.isprintable()
        record = json.loads(line)
        assert record["manometer"]["schema"] == 1
        json.dumps(record, ensure_ascii=False).encode("utf-8")


@settings(max_examples=60, deadline=None)
@given(text)
def test_a_name_arrives_as_it_was(name: str) -> None:
    site = replace(ORDERS, name=name)
    lines = Lines().of(report(n_plus_one(callsite=site), name="job", kind="job", trace_id=""))

    told = parse(lines[1])[1].get("what", "")

    assert told == clean(name, 100)


def test_soft_bound_drops_findings_from_the_end_and_says_so() -> None:
    long = [
        n_plus_one(
            callsite=replace(CUSTOMER, name="SELECT " + letter * 300, function="f" * 300, file="g" * 300)
        )
        for letter in "abc"
    ]
    line = Lines().of(report(*long))[0]
    words, pairs = parse(line)

    assert len(line) <= _limits.SOFT_LINE_BYTES
    assert words == ["GET", "/orders/{id}", "200"]
    assert (pairs["found"], pairs["cut"]) == ("3", "1")
    assert "f2" in pairs
    assert "f3" not in pairs
    assert pairs["f1"].endswith(long[0].id)
