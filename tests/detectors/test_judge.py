from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.profiles import Unit, n_plus_one, rules, site

from manometer import _guard, _limits, detectors
from manometer._finding import Finding
from manometer._history import History
from manometer.detectors import DEFAULT, _judge, judge

if TYPE_CHECKING:
    from collections.abc import Iterator

    from manometer._model import Profile
    from manometer.protocols import HistoryView


@pytest.fixture(autouse=True)
def fresh_guard(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(_guard, "strict", False)
    _guard.clear()
    yield
    _guard.clear()


def guilty() -> Profile:
    unit = Unit()
    n_plus_one(unit, 5)
    return unit.close()


def broken(profile: Profile, history: HistoryView, /) -> Iterator[Finding]:
    yield Finding(rule="mine", question="size", callsite=site(), cost_ns=1)
    raise LookupError


def test_every_rule_has_a_file_and_a_name() -> None:
    folder = Path(detectors.__file__).parent
    files = [path.stem.replace("_", "-") for path in folder.glob("*/*.py") if path.stem != "__init__"]

    assert sorted(files) == sorted(name for name, _ in DEFAULT)
    assert [detector.__name__.replace("_", "-") for _, detector in DEFAULT] == [name for name, _ in DEFAULT]


def test_a_failing_detector_leaves_the_others_and_what_it_found() -> None:
    found = judge(guilty(), History(), extra=(broken,))

    assert rules(found) == ["n-plus-one", "mine"]
    assert _guard.counts == {"detectors.broken": 1}


def test_a_detector_that_keeps_failing_is_switched_off() -> None:
    for _ in range(_limits.MAX_FAILURES + 2):
        found = judge(guilty(), History(), extra=(broken,))

    assert rules(found) == ["n-plus-one"]
    assert _guard.counts == {"detectors.broken": _limits.MAX_FAILURES}


def test_a_disabled_rule_is_silent_and_claims_nothing() -> None:
    assert judge(guilty(), History(), frozenset({"n-plus-one"})) == ()


def test_a_disabled_extra_detector_is_not_called() -> None:
    assert rules(judge(guilty(), History(), frozenset({"broken"}), (broken,))) == ["n-plus-one"]


def test_a_rule_disabled_by_name_is_left_out_whoever_says_it() -> None:
    assert rules(judge(guilty(), History(), frozenset({"mine"}), (broken,))) == ["n-plus-one"]


def test_the_costliest_comes_first() -> None:
    unit = Unit()
    n_plus_one(unit, 3, child=site(line=1))
    n_plus_one(unit, 30, child=site(line=2))
    n_plus_one(unit, 10, child=site(line=3))

    assert [finding.callsite.line for finding in unit.judge()] == [2, 3, 1]


def test_findings_are_bounded_and_the_rest_is_counted() -> None:
    unit = Unit()
    for line in range(_limits.MAX_FINDINGS_PER_PROFILE + 9):
        n_plus_one(unit, 2, child=site(line=100 + line), proven=False)

    assert len(unit.judge()) == _limits.MAX_FINDINGS_PER_PROFILE
    assert unit.profile.dropped["findings"] > 0


def test_a_detector_that_never_ends_is_cut_off() -> None:
    def endless(profile: Profile, history: HistoryView, /) -> Iterator[Finding]:
        while True:
            yield Finding(rule="mine", question="size", callsite=site())

    found = _judge.run((), guilty(), History(), extra=(endless,))

    assert len(found) == _limits.MAX_FINDINGS_PER_PROFILE


def test_what_one_rule_explains_no_other_one_does() -> None:
    unit = Unit()
    for at in (1, 2, 3, 4, 4, 4):
        unit.call(site(), at)

    assert rules(unit.judge()) == ["n-plus-one"]


def test_a_rule_alone_works_without_claims() -> None:
    profile = guilty()

    for name, detector in DEFAULT:
        assert [finding.rule for finding in detector(profile, History(), None)] in ([], [name])


def test_dropped_frames_are_said_to_limit_the_judgement() -> None:
    profile = guilty()
    profile.drop("frames", 3)

    judge(profile, History())

    assert profile.not_judged["write-loop"] == "the profile reached its bound of frames"


def test_an_empty_profile_is_clean() -> None:
    assert Unit().judge() == ()
