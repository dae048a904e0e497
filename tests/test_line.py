"""Numbers, quoting and lengths of a line."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, strategies as st

from manometer._line import clean, join, milliseconds, number, pair, to_json, word

any_text = st.text(st.characters(exclude_categories=()), max_size=400)


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (0, "0"),
        (7, "7"),
        (201, "201"),
        (0.0, "0.0"),
        (-0.0, "0.0"),
        (0.04, "0.0"),
        (9.94, "9.9"),
        (9.96, "10"),
        (10.4, "10"),
        (1149.0, "1149"),
        (1e15, "1000000000000000"),
        (-3.14, "-3.1"),
        (float("nan"), "n/a"),
        (float("inf"), "n/a"),
    ],
)
def test_number(value: float, written: str) -> None:
    assert number(value) == written


def test_milliseconds_keep_the_microsecond() -> None:
    assert milliseconds(1_234_567) == 1.235


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("shop.py:32", "shop.py:32"),
        ("/orders/{id}", "/orders/{id}"),
        ("", '""'),
        ("a b", '"a b"'),
        ("a=b", '"a=b"'),
        ('say "a"', r'"say \"a\""'),
        ("back\\slash", r'"back\\slash"'),
        ("line\nfeed", r'"line\nfeed"'),
        ("\x1b[31mred", r'"\u001b[31mred"'),
        ("\x7f\x9b\u2028\u2029", r'"\u007f\u009b\u2028\u2029"'),
        ("\udc80", r'"\ufffd"'),
        ("%s{0}", "%s{0}"),
        ("é", r'"\u00e9"'),
    ],
)
def test_word(text: str, written: str) -> None:
    assert word(text) == written


def test_a_long_word_shows_that_it_was_cut() -> None:
    assert word("x" * 50, 20) == "x" * 15 + "..."
    assert word("\U0001f600" * 50, 40) == r'"\ud83d\ude00\ud83d\ude00..."'


def test_pair() -> None:
    assert pair("dur_ms", 1149.2) == "dur_ms=1149"
    assert pair("cpu_ms", None) == "cpu_ms=n/a"
    assert pair("found", 2) == "found=2"
    assert pair("fix", "do it") == 'fix="do it"'


@given(any_text, st.integers(12, 400))
def test_a_word_is_ascii_short_and_says_the_same(text: str, limit: int) -> None:
    written = word(text, limit)

    assert len(written) <= limit
    assert written.isascii()
    assert written.isprintable()
    assert (json.loads(written) if written.startswith('"') else written) == clean(text, limit - 2)


@given(any_text)
def test_clean_changes_nothing_but_surrogates_where_there_is_room(text: str) -> None:
    assert clean(text, 100_000) == text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


@given(any_text, st.integers(12, 400))
def test_cleaned_text_fits_into_json(text: str, limit: int) -> None:
    assert len(to_json({"": clean(text, limit)})) <= limit + len('{"":""}')


def test_join_leaves_out_what_may_go_until_the_line_is_short() -> None:
    parts = [("head", "GET"), ("a", "a=1"), ("f1", "f1=" + "x" * 20), ("f2", "f2=" + "y" * 20), ("z", "z=9")]

    assert join(parts, ("f2", "f1"), soft=50, hard=100) == f"GET a=1 f1={'x' * 20} z=9 cut=1"
    assert join(parts, ("f2", "f1"), soft=20, hard=100) == "GET a=1 z=9 cut=2"
    assert join(parts, (), soft=10, hard=20) == "GET a=1 cut=3"


@given(st.lists(st.integers(0, 60), min_size=1, max_size=20), st.integers(80, 200), st.integers(80, 200))
def test_join_keeps_the_bound_and_the_head(sizes: list[int], soft: int, hard: int) -> None:
    parts = [(str(index), "x" * size) for index, size in enumerate(sizes)]

    line = join(parts, ("3", "2"), soft, hard)

    assert len(line) <= hard
    assert line.startswith(parts[0][1])
