"""The trees of a recording keep their shape and their time in every format."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.reports.records import report, save, site

from manometer import _limits
from manometer.reports.recording import Recording, read
from manometer.reports.traces import chrome, speedscope

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

SITES = [site("render", kind="call"), site("SELECT pet")]
TREE = [[-1, 0, 1, 8.0, 2.0, 1.0, 9.0], [0, 1, 5, 6.0, 6.0, 2.0, 8.0]]


def recording(folder: Path, units: int = 3, **more: Any) -> Recording:
    records = [report(callsites=SITES, tree=TREE, **more) for _ in range(units)]
    return read([str(save(folder / "a", records))])


def test_the_weights_of_the_samples_are_the_time_of_all_units(tmp_path: Path) -> None:
    (profile,) = speedscope(recording(tmp_path))["profiles"]

    assert sum(profile["weights"]) == profile["endValue"] == 30.0


def test_a_sample_is_the_path_from_the_route_to_the_call(tmp_path: Path) -> None:
    drawn = speedscope(recording(tmp_path))
    names = [frame["name"] for frame in drawn["shared"]["frames"]]

    paths = [[names[at] for at in sample] for sample in drawn["profiles"][0]["samples"]]

    assert paths == [
        ["GET /pets [request]"],
        ["GET /pets [request]", "render"],
        ["GET /pets [request]", "render", "SELECT pet [db]"],
    ]


def test_events_lie_inside_those_of_their_callers(tmp_path: Path) -> None:
    events = [event for event in chrome(recording(tmp_path))["traceEvents"] if event["ph"] == "X"]

    times = [(event["name"], event["ts"], event["ts"] + event["dur"]) for event in events]

    assert times == [("GET /pets", 0.0, 10000.0), ("render", 1000.0, 9000.0), ("SELECT pet", 2000.0, 8000.0)]


def test_nodes_beyond_the_bound_count_for_their_parent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_limits, "MAX_TREE_NODES", 1)

    (profile,) = speedscope(recording(tmp_path))["profiles"]

    assert (len(profile["samples"]), sum(profile["weights"])) == (2, 30.0)


def test_a_record_without_a_tree_is_one_bar(tmp_path: Path) -> None:
    path = save(tmp_path / "a", [report()])

    assert speedscope(read([str(path)]))["profiles"][0]["weights"] == [10.0]
