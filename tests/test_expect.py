from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from tests.profiles import Unit, site

from manometer._expect import Expectations
from manometer._finding import Finding
from manometer._model import Profile

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def profile() -> Profile:
    profile = Unit(name="GET /admin/users").close()
    profile.route = "/admin/users"
    return profile


@pytest.fixture
def finding() -> Finding:
    return Finding(rule="n-plus-one", question="repetition", severity="warning", callsite=site())


@pytest.mark.parametrize(
    "what",
    ["n-plus-one", "*", "n-plus-one@/admin/*", "n-plus-one@GET /admin/*", "n-plus-one@*users", "*@*min*us*"],
)
def test_an_entry_explains_what_it_names(what: str, finding: Finding, profile: Profile) -> None:
    expectations = Expectations([(what, "by design")])

    found = expectations.apply(finding, profile)

    assert (found.expected, found.severity, expectations.unused()) == ("by design", "info", [])


@pytest.mark.parametrize(
    "what",
    ["duplicate-read", "n-plus-one@/public/*", "n-plus-one@/admin", "mn-000000", "n-plus-one@*users*users"],
)
def test_an_entry_explains_nothing_else(what: str, finding: Finding, profile: Profile) -> None:
    expectations = Expectations([(what, "by design")])

    assert expectations.apply(finding, profile) is finding
    assert expectations.unused() == [what]


def test_an_entry_may_name_the_id(finding: Finding, profile: Profile) -> None:
    found = Expectations([(finding.id, "by design")]).apply(finding, profile)

    assert found.expected == "by design"


def test_the_reason_stated_in_the_code_stays(finding: Finding, profile: Profile) -> None:
    expectations = Expectations([("n-plus-one", "by configuration")])

    found = expectations.apply(replace(finding, expected="in code", severity="info"), profile)

    assert (found.expected, expectations.unused()) == ("in code", [])


SOURCE = """
def page(posts):
    for post in posts:
        show(post.author)  # manometer: expected[n-plus-one] three authors at most
        # manometer: expected[n-plus-one, duplicate-read] the line above a call
        show(post.author)
        show(post.author)  # manometer: expected[*] anything
        show(post.author)  # manometer: expected[duplicate-read] another rule
        show(post.author)  # manometer: expected[n-plus-one]
        show(post.author)
"""


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (4, "three authors at most"),
        (6, "the line above a call"),
        (7, "anything"),
        (8, ""),
        (9, ""),  # the reason is mandatory
        (10, ""),  # a comment behind the code of the line above belongs to that line
        (99, ""),
    ],
)
def test_a_comment_at_the_line_explains(
    line: int, expected: str, tmp_path: Path, finding: Finding, profile: Profile
) -> None:
    (tmp_path / "views.py").write_text(SOURCE)
    place = site(file=str(tmp_path / "views.py"), line=line)
    expectations = Expectations()

    found = [expectations.apply(replace(finding, callsite=place), profile).expected for _ in range(2)]

    assert found == [expected, expected]


def test_a_file_that_is_gone_explains_nothing(finding: Finding, profile: Profile) -> None:
    lost = replace(finding, callsite=site(file="/gone/views.py"))

    assert Expectations().apply(lost, profile) is lost


def test_a_hostile_line_takes_no_time(tmp_path: Path, finding: Finding, profile: Profile) -> None:
    (tmp_path / "views.py").write_text("# manometer: expected[" + "[" * 100_000 + "\n")
    place = site(file=str(tmp_path / "views.py"), line=1)

    assert Expectations().apply(replace(finding, callsite=place), profile).expected == ""
