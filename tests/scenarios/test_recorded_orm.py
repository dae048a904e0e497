"""Every recording of two ORMs, guilty and innocent, through the entry points of live traffic."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import pytest
from tests.recordings import Case, load, renamed, replay, round_trip_ms

from manometer._model import PRODUCTION

if TYPE_CHECKING:
    from manometer._finding import Finding

CASES = load()
BY_LABEL = {
    label: [case for case in CASES if case.label == label]
    for label in ("positive", "negative", "suppressed", "unclear")
}

# Innocent of an N+1, and reviewed one by one: what other rules say of them is true.
TRUE_OF_NEGATIVES = {
    # Two lines load the author of two posts by the same author: the same row is read twice.
    "zeal-005": ["duplicate-read"],
    "zeal-006": ["duplicate-read"],
    "zeal-007": ["duplicate-read"],
    # iterator(chunk_size=2) with a prefetch: 10 to 23 queries for two rows each, where one would do.
    "zeal-011": ["chunk-too-small"],
    "zeal-031": ["chunk-too-small"],
    "zeal-038": ["chunk-too-small"],
    "zeal-077": ["chunk-too-small"],
    "zeal-086": ["chunk-too-small"],
}

# Guilty of two N+1 at the same line: teams one by one, and for each of them its members.
TWICE_GUILTY = {"qspy-006"}


def said(findings: tuple[Finding, ...]) -> list[str]:
    return sorted(finding.rule for finding in findings)


def expected_of(case: Case) -> list[str]:
    if case.label == "positive":
        return ["n-plus-one"] * (2 if case.id in TWICE_GUILTY else 1)
    return TRUE_OF_NEGATIVES.get(case.id, [])


def test_the_corpus_is_whole() -> None:
    assert {label: len(cases) for label, cases in BY_LABEL.items()} == {
        "positive": 41,
        "negative": 70,
        "suppressed": 2,
        "unclear": 1,
    }


@pytest.mark.parametrize("case", BY_LABEL["positive"] + BY_LABEL["negative"], ids=lambda case: case.id)
def test_recording(case: Case) -> None:
    profile, found = replay(case)

    assert said(found) == expected_of(case)
    assert profile.frames > 1  # silence is worth something only where calls were seen
    assert {finding.severity for finding in found} <= {"warning"}
    assert profile.not_judged == {}


@pytest.mark.parametrize("case", BY_LABEL["positive"] + BY_LABEL["negative"], ids=lambda case: case.id)
@pytest.mark.parametrize("scale", [0.0, 1e-3, 1e3])
def test_recording_under_other_names_and_durations(case: Case, scale: float) -> None:
    _, found = replay(case, rename=renamed, scale=scale)

    assert said(found) == expected_of(case)


def test_renaming_leaves_no_name() -> None:
    text = renamed('SELECT "social_user"."id" FROM "social_user" WHERE "social_user"."id" = %s LIMIT 21')

    assert "social" not in text
    assert text.endswith("= %s LIMIT 21")


@pytest.mark.parametrize("case", BY_LABEL["suppressed"], ids=lambda case: case.id)
def test_suppressed_recordings_are_guilty_until_somebody_says_expected(case: Case) -> None:
    """What suppresses them is a statement in the code, which a recording of queries does not hold."""
    _, found = replay(case)

    assert said(found) == ["n-plus-one"]


@pytest.mark.parametrize("case", BY_LABEL["unclear"], ids=lambda case: case.id)
def test_unclear_recording(case: Case) -> None:
    """A view that two requests enter once each: its lines ran twice, and there is no loop in it."""
    _, found = replay(case)

    assert said(found) == []


def test_data_flow_proves_each_n_plus_one_whose_source_was_recorded() -> None:
    confidence = Counter(finding.confidence for case in BY_LABEL["positive"] for finding in replay(case)[1])

    assert confidence == {"confirmed": 30, "likely": 12}


TABLE = """
label       recordings   n-plus-one warning/info   chunk-too-small warning/info   others   silent
positive            41                      40/0                            0/0        0        1
negative            70                       0/0                            5/0        0       65
suppressed           2                       2/0                            0/0        0        0
unclear              1                       0/0                            0/0        0        1
"""


def test_at_production_thresholds_with_a_round_trip_of_a_millisecond() -> None:
    """The one miss has two calls, below five."""
    lines = ["", TABLE.splitlines()[1]]
    for label, cases in BY_LABEL.items():
        told: Counter[tuple[str, str]] = Counter()
        silent = 0
        for case in cases:
            _, found = replay(case, policy=PRODUCTION, scale=1 / round_trip_ms(case))
            told.update({(finding.rule, finding.severity) for finding in found})
            silent += not found
        pairs = [
            f"{told.pop((rule, 'warning'), 0)}/{told.pop((rule, 'info'), 0)}"
            for rule in ("n-plus-one", "chunk-too-small")
        ]
        lines.append(
            f"{label:<11} {len(cases):>10} {pairs[0]:>25} {pairs[1]:>30} {sum(told.values()):>8} {silent:>8}"
        )

    assert "\n".join(lines) + "\n" == TABLE
