"""Recordings of one process or of many are added up, and what is no recording is refused in one line."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from tests.reports.records import finding, report, save, site, up

from manometer import Config
from manometer.cli import main
from manometer.reports.recording import UnreadableError, percentile, read
from manometer.reports.summary import summary

if TYPE_CHECKING:
    from pathlib import Path


def test_the_files_of_many_workers_are_one_recording(tmp_path: Path) -> None:
    files = [
        str(
            save(
                tmp_path / f"{pid}.jsonl",
                [up(pid), *(report(at_s=n, findings=[finding()]) for n in range(4))],
            )
        )
        for pid in (7, 8, 9)
    ]

    found = summary(read(files))

    assert (found["units"], found["processes"], found["findings"][0]["units"]) == (12, 3, 12)
    assert found["routes"][0]["units"] == 12


def test_findings_are_ranked_by_what_all_their_fixes_save(tmp_path: Path) -> None:
    rare = finding(id="mn-1", saving_ms=[50.0, 60.0])
    often = finding(id="mn-2", saving_ms=[9.0, 9.0])
    units = [report(at_s=n, findings=[often, *([rare] if n == 0 else [])]) for n in range(20)]

    found = summary(read([str(save(tmp_path / "a", units))]))

    assert [item["id"] for item in found["findings"]] == ["mn-2", "mn-1"]
    assert found["questions"]["repetition"] == ["mn-2", "mn-1"]


def test_expected_findings_stand_apart(tmp_path: Path) -> None:
    units = [report(findings=[finding(expected="three at most")])]

    found = summary(read([str(save(tmp_path / "a", units))]))

    assert (found["findings"], len(found["expected"])) == ([], 1)


def test_what_the_process_did_between_units_is_no_share_of_their_time(tmp_path: Path) -> None:
    window = report("process", duration_ms=60_000.0)
    window["unit"]["kind"] = "process"

    found = summary(read([str(save(tmp_path / "a", [report(duration_ms=10.0), window]))]))

    assert found["total_ms"] == 10.0
    assert [(route["name"], route["share"]) for route in found["routes"]] == [
        ("GET /pets", 1.0),
        ("process", None),
    ]


def test_the_slowest_unit_of_a_route_is_kept_whole(tmp_path: Path) -> None:
    units = [
        report(duration_ms=took, callsites=[site()], tree=[[-1, 0, 1, 1, 1, 0, 1]])
        for took in (5.0, 9.0, 7.0)
    ]

    assert read([str(save(tmp_path / "a", units))]).routes["GET /pets"].slowest["dur_ms"] == 9.0


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "it is empty"),
        ("GIF89a\x00\x01", "line 1 is not whole JSON"),
        ('{"schema": 1, "event": "rep', "line 1 is not whole JSON"),
        ('{"resourceSpans": []}', "manometer analyze"),
        ('{"schema": 2, "event": "report"}', "update manometer"),
        ('{"schema": 1, "event": "report"}', "lacks what a report has"),
        ("[" * 100_000, "line 1 is not whole JSON"),
    ],
)
@pytest.mark.parametrize("command", ["report", "diff", "questions"])
def test_what_is_no_recording_is_refused_in_one_line(
    command: str, text: str, says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(text, encoding="utf-8")

    code = main([command, str(path), *([str(path)] if command == "diff" else [])])

    out, error = capsys.readouterr()
    assert (code, out, error.count("\n")) == (2, "", 1)
    assert says in error


@pytest.mark.parametrize("command", ["report", "diff"])
def test_a_recording_without_a_unit_of_work_is_refused(
    command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = str(save(tmp_path / "a.jsonl", [up()]))

    assert main([command, path, *([path] if command == "diff" else [])]) == 2
    assert capsys.readouterr().err.endswith("there is no unit of work in it\n")


def test_a_file_that_is_not_there_is_refused_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    code = main(["report", "not-there.jsonl"])

    assert (code, capsys.readouterr().err) == (
        2,
        "manometer report: not-there.jsonl: No such file or directory\n",
    )


def test_the_line_that_a_killed_process_left_unfinished_is_told_and_the_rest_is_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = save(tmp_path / "a.jsonl", [report()])
    path.write_text(path.read_text() + json.dumps(report())[:99])

    code = main(["report", str(path), "--format", "json"])

    out, error = capsys.readouterr()
    assert (code, json.loads(out)["units"]) == (0, 1)
    assert error == "manometer report: 1 lines are no whole records\n"


def test_only_the_routes_that_were_asked_for_are_read(tmp_path: Path) -> None:
    path = save(tmp_path / "a", [report("GET /a"), report("GET /b"), report("POST /a")])

    assert list(read([str(path)], "GET *").routes) == ["GET /a", "GET /b"]
    with pytest.raises(UnreadableError, match="fits PUT"):
        read([str(path)], "PUT *")


@pytest.mark.parametrize(
    ("what", "code"),
    [("finding", 1), ("warning", 1), ("n-plus-one", 1), ("duplicate-read", 0), ("info", 0)],
)
def test_a_script_can_fail_on_a_finding(what: str, code: int, tmp_path: Path) -> None:
    path = save(tmp_path / "a", [report(findings=[finding()])])

    assert main(["report", str(path), "--output", str(tmp_path / "out"), "--fail-on", what]) == code


@pytest.mark.parametrize("form", ["text", "json", "speedscope", "chrome"])
def test_hostile_texts_reach_no_terminal(
    form: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = "x\x1b[2J\u202e[bold]\r\n"
    units = [report(bad, callsites=[site(bad)], tree=[[-1, 0, 1, 1, 1, 0, 1]], findings=[finding(label=bad)])]

    assert main(["report", str(save(tmp_path / "a", units)), "--format", form]) == 0
    out = capsys.readouterr().out
    assert not {"\x1b", "\u202e", "\r"} & set(out)
    assert "[bold]" in out


def test_the_exporter_writes_what_the_command_reads(tmp_path: Path) -> None:
    import manometer

    path = str(tmp_path / "reports.jsonl")
    manometer.start(Config(exporters=("file",), file_path=path))

    @manometer.measure
    def inner() -> None:
        pass

    @manometer.measure
    def outer() -> None:
        inner()
        inner()

    with manometer.profile("import"):
        outer()
    manometer.stop()

    recording = read([path])
    (root,) = (recording.forest.routes[name] for name in recording.routes if name == "import")
    (node,) = root.children.values()
    (below,) = node.children.values()
    assert [node.key[1].rpartition(".")[2], below.key[1].rpartition(".")[2]] == ["outer", "inner"]
    assert (root.calls, node.calls, below.calls) == (1, 1, 2)


@pytest.mark.parametrize(("share", "value"), [(0.0, 1.0), (0.5, 2.0), (0.51, 3.0), (0.99, 4.0), (1.0, 4.0)])
def test_a_percentile_is_one_of_the_values(share: float, value: float) -> None:
    assert percentile([1.0, 2.0, 3.0, 4.0], share) == value
