from __future__ import annotations

import pytest
from benchmarks import prediction
from benchmarks.prediction import Outcome


def test_an_outcome_says_whether_it_was_inside_and_by_how_much_it_was_not():
    inside, above, below, nothing = (
        Outcome("n-plus-one", "a", 10, 40, 20),
        Outcome("n-plus-one", "b", 10, 40, 80),
        Outcome("n-plus-one", "c", 10, 40, 5),
        Outcome("n-plus-one", "d", 0, 0, 5),
    )

    assert (inside.inside, above.inside, below.inside) == (True, False, False)
    assert (inside.off, above.off, below.off, nothing.off) == (1.0, 2.0, 2.0, float("inf"))


@pytest.mark.long
@pytest.mark.timeout(900)
def test_what_a_fix_saves_is_what_was_predicted():
    """Real time on a machine that others use too: the best of three runs counts."""
    tried = []
    for _ in range(3):
        found = prediction.outcomes(5)
        tried.append((sum(each.inside for each in found) / len(found), max(each.off for each in found)))
        if tried[-1][0] >= prediction.ENOUGH and tried[-1][1] <= prediction.FACTOR:
            return
    pytest.fail(f"share inside, and the farthest off: {tried}")
