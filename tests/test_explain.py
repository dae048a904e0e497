"""The page of a rule is one command away, wherever the package is installed."""

from __future__ import annotations

from pathlib import Path

import pytest

from manometer.cli import main

ROOT = Path(__file__).parents[1]
PAGES = {path.stem for path in (ROOT / "docs" / "reference" / "findings").glob("*.md")} - {"index"}


def test_every_page_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    for rule in sorted(PAGES):
        assert main(["explain", rule]) == 0
        assert capsys.readouterr().out.startswith(f"# {rule}\n")


def test_the_rules_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "--list"]) == 0
    assert set(capsys.readouterr().out.split()) == PAGES


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["n+1"], "there is no rule 'n+1'"),
        (["n-plus-on"], "did you mean n-plus-one?"),
        ([], "--list names all"),
    ],
)
def test_another_word_is_refused_in_one_line(
    arguments: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["explain", *arguments]) == 2
    error = capsys.readouterr().err
    assert says in error
    assert error.count("\n") == 1
