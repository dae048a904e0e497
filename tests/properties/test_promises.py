"""The page of promises and the tests say the same."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

HERE = Path(__file__).parent
PAGE = HERE.parents[1] / "docs" / "explanation" / "promises.md"
ROW = re.compile(
    r"^\| (?P<id>[TXNBFSO]\d+) \| (?P<promise>.+?) \| (?P<state>kept|weaker: .+|not yet: .+) \|$",
    re.MULTILINE,
)
TEST = re.compile(r"def test_((?:[TXNBFSO]\d+_)+)")
GROUPS = {"T": 14, "X": 15, "N": 7, "B": 9, "F": 11, "S": 6, "O": 10}
"""What the catalogue of properties holds: so many of each."""

ROWS = {found["id"]: found["state"] for found in ROW.finditer(PAGE.read_text(encoding="utf-8"))}
TESTED = {
    name
    for file in HERE.glob("test_*.py")
    for names in TEST.findall(file.read_text(encoding="utf-8"))
    for name in names.rstrip("_").split("_")
}


def test_every_property_of_the_catalogue_is_on_the_page() -> None:
    assert set(ROWS) == {
        f"{group}{number}" for group, most in GROUPS.items() for number in range(1, most + 1)
    }


def test_every_row_of_the_page_is_read() -> None:
    rows = re.findall(r"^\| [TXNBFSO]\d+ \|", PAGE.read_text(encoding="utf-8"), re.MULTILINE)

    assert len(rows) == len(ROWS)


@pytest.mark.parametrize("name", sorted(ROWS))
def test_a_promise_has_a_test_and_what_is_not_promised_has_none(name: str) -> None:
    assert (name in TESTED) is not ROWS[name].startswith("not yet")


def test_every_test_with_an_id_is_promised() -> None:
    assert set(ROWS) >= TESTED


def test_a_file_that_a_row_points_to_exists() -> None:
    for path in re.findall(r"`(tests/[\w/.]+)`", PAGE.read_text(encoding="utf-8")):
        assert (HERE.parents[1] / path).exists(), path
