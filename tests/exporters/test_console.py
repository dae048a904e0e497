"""The console exporter: what a person sees, on a terminal and off one."""

from __future__ import annotations

import io
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st
from tests.exporters.sample import CUSTOMER, MS, child, n_plus_one, profile, repeated_call, report, status

from manometer import _limits
from manometer._config import Config, no_color
from manometer._model import Callsite, Frame
from manometer.exporters._tree import Look, picture
from manometer.exporters.console import ConsoleExporter, look_of

PLAIN = """\
GET /orders/{id} 200  1149 ms  cpu 289  wait 860  sql 201 in 276 ms
|-- n-plus-one      200 x SELECT customer  369 ms  32%  mn-7ae621  confirmed
|   |-- shop/shop.py:32 in serialize_order  arguments from shop/shop.py:29 in load_orders  SELECT...
|   |-- SELECT customer.id, customer.name FROM customer WHERE customer.id = ?
|   |-- fix Add joinedload(...) to the options of the query at shop.py:29.  saves 331 to 366 ms
|   `-- seen in 3 of 4
`-- repeated-call   40 x shop.pricing.quote  247 ms  22%  mn-b884b3  likely
    |-- shop/pricing.py:8 in quote
    `-- fix Compute it once.  saves 240 ms
  total ms   self ms    calls
      1149       672        1  GET /orders/{id}
       447       179       40  |-- shop.pricing.quote  shop/pricing.py:8
       268       268      200  |   `-- SELECT customer  shop/shop.py:32
        22        22        1  |-- stock  shop/shop.py:48
       7.5       7.5        1  |-- SELECT orders  shop/shop.py:29
       0.2       0.2        1  `-- BEGIN
"""


class Terminal(io.StringIO):
    """A stream that says it is a terminal, and counts its writes."""

    encoding = "utf-8"

    def __init__(self) -> None:
        super().__init__()
        self.writes = 0

    def isatty(self) -> bool:
        return True

    def write(self, text: str) -> int:
        self.writes += 1
        return super().write(text)


def shown(*reports: Any, stream: io.StringIO | None = None, **config: Any) -> str:
    stream = stream or io.StringIO()
    exporter = ConsoleExporter(Config(**config), stream, lambda: 0)
    for item in reports:
        exporter.export(item)
    exporter.shutdown()
    return stream.getvalue()


def test_off_a_terminal_it_is_plain_ascii() -> None:
    assert shown(report(n_plus_one(seen=(3, 4)), repeated_call())) == PLAIN


def test_on_a_terminal_it_has_colour_and_boxes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    terminal = Terminal()

    text = shown(report(n_plus_one(), repeated_call()), stream=terminal)

    assert "\x1b[31mn-plus-one" in text
    assert "├── " in text
    assert "└── " in text
    assert text.count("\x1b[0m") * 2 == text.count("\x1b[")
    assert terminal.writes == 1


@pytest.mark.parametrize(
    ("environ", "answer"),
    [({}, False), ({"NO_COLOR": "1"}, True), ({"NO_COLOR": ""}, False), ({"TERM": "dumb"}, True)],
)
def test_who_wants_no_colour(environ: dict[str, str], answer: bool) -> None:
    assert no_color(environ) is answer


def test_no_colour_keeps_the_boxes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")

    text = shown(report(n_plus_one()), stream=Terminal())

    assert "\x1b" not in text
    assert "└── " in text


def test_a_terminal_without_unicode_gets_ascii(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    terminal = Terminal()
    terminal.encoding = "latin-1"  # type: ignore[misc]

    assert shown(report(n_plus_one(advice="Ändere es.")), stream=terminal).isascii()


def test_a_terminal_that_cannot_be_asked_has_a_hundred_columns() -> None:
    assert look_of(Terminal()).width == 100


@pytest.mark.parametrize(
    ("item", "is_shown"),
    [
        (report(duration_ns=999 * MS), False),
        (report(), True),
        (report(n_plus_one(), duration_ns=5 * MS), True),
        (report(n_plus_one(), speaking=False, duration_ns=5 * MS), False),
        (report(kind="process", duration_ns=60_000 * MS), False),
    ],
)
def test_worth_a_picture(item: Any, is_shown: bool) -> None:
    assert bool(shown(item)) is is_shown


def test_pictures_are_limited_and_the_rest_counted() -> None:
    stream, now_ns = io.StringIO(), [0]
    exporter = ConsoleExporter(Config(), stream, lambda: now_ns[0])
    for _ in range(_limits.MAX_SUMMARY_LINES_PER_MIN + 4):
        exporter.export(report())
    before = stream.getvalue().count("GET /orders")
    now_ns[0] = 60_000 * MS

    exporter.export(report())

    assert before == _limits.MAX_SUMMARY_LINES_PER_MIN * 2  # the title, and the root of the tree
    assert "(4 more units of work were not shown)\nGET" in stream.getvalue()


def test_more_than_five_findings_are_counted() -> None:
    text = shown(report(*[n_plus_one(callsite=replace(CUSTOMER, name=f"SELECT t{n}")) for n in range(8)]))

    assert text.count("n-plus-one") == 5
    assert "`-- and 3 more\n" in text


def test_a_large_tree_is_cut_to_what_costs_most() -> None:
    unit = profile()
    frame = unit.root
    for number in range(300):
        child(unit.root, Callsite(name=f"wide{number}"), 1, number)
    for number in range(300):
        frame = child(frame, Callsite(name=f"deep{number}"), 1, 1_000 - number)
    item = replace(report(n_plus_one()), profile=unit)

    lines = picture(item, Look(), slow=True).splitlines()

    assert len(lines) < 60
    assert lines[-1].strip().startswith("and ")
    assert lines[-1].endswith("more frames")


def test_the_frames_of_a_flat_unit_are_not_drawn() -> None:
    unit = profile()
    unit.root = Frame(unit.root.callsite, None)

    assert "self ms" not in picture(replace(report(), profile=unit), Look(), slow=True)


def test_the_other_lines() -> None:
    stream = io.StringIO()
    exporter = ConsoleExporter(Config(), stream)
    exporter.heartbeat(status())
    exporter.resolved(n_plus_one())
    exporter.warning("mind")
    exporter.tick()

    assert [line.split()[0] for line in stream.getvalue().splitlines()] == ["up", "resolved", "warning"]


def test_without_standard_error_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stderr", None)
    exporter = ConsoleExporter(Config())

    exporter.export(report(n_plus_one()))
    exporter.heartbeat(status())


text = st.text(st.characters(exclude_categories=()), max_size=120) | st.sampled_from(
    ["\x1b]0;title\x07", "\x9b31m", "\u202egnp.exe", "a\nb", "\u2028", "\ud83d"]
)


@settings(max_examples=60, deadline=None)
@given(text, st.integers(1, 200), st.booleans())
def test_nothing_in_the_data_can_move_the_cursor(name: str, width: int, unicode: bool) -> None:
    site = Callsite(name=name, function=name, file=name, template=name)
    unit = profile(name=name, status=name)
    child(unit.root, site, 3, 5)
    item = replace(report(n_plus_one(callsite=site, source=site, advice=name, rule=name)), profile=unit)

    drawn = picture(item, Look(width, unicode=unicode), slow=True)

    assert drawn.endswith("\n")
    for line in drawn[:-1].split("\n"):
        assert line.isprintable()
        assert len(line) <= max(40, width)
    drawn.encode("utf-8" if unicode else "ascii")
