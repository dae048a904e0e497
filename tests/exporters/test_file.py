from __future__ import annotations

import json
import os
import stat

import pytest
from tests.profiles import Unit, n_plus_one, site

from manometer import Config, _limits
from manometer._finding import Report, Status
from manometer._history import History
from manometer.detectors import judge
from manometer.exporters.file import FileExporter


def report(n=10):
    unit = Unit()
    n_plus_one(unit, n)
    profile = unit.close()
    history = History()
    history.add(profile)
    return Report(profile, judge(profile, history))


@pytest.fixture
def path(tmp_path):
    return tmp_path / "reports.jsonl"


@pytest.fixture
def exporter(path):
    made = FileExporter(Config(file_path=str(path), file_max_bytes=10_000))
    yield made
    made.shutdown()


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_report_is_one_line_with_its_findings_and_callsites(exporter, path):
    exporter.export(report())
    (record,) = lines(path)

    assert (record["schema"], record["event"]) == (1, "report")
    assert record["unit"]["name"] == "GET /posts"
    assert [item["rule"] for item in record["findings"]] == ["n-plus-one"]
    assert {(each["label"], each["calls"]) for each in record["callsites"]} == {
        ("SELECT id, author FROM posts", 1),
        ("SELECT id, name FROM users", 10),
    }


def test_clean_units_of_work_are_written_too(exporter, path):
    exporter.export(Report(Unit().close()))

    assert [record["findings"] for record in lines(path)] == [[]]


def test_a_heartbeat_is_a_line_of_its_own(exporter, path):
    exporter.heartbeat(Status(version="1", pid=2, not_judged={"superlinear": "few sizes"}))

    assert lines(path)[0]["not_judged"] == {"superlinear": "few sizes"}


def test_only_its_owner_may_read_the_file(exporter, path):
    path.write_text("")
    path.chmod(0o644)
    exporter.export(report())

    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_link_is_not_followed(exporter, path, tmp_path):
    path.symlink_to(tmp_path / "elsewhere")

    with pytest.raises(OSError):
        exporter.export(report())
    assert not (tmp_path / "elsewhere").exists()


def test_a_pipe_is_refused_and_holds_nobody(exporter, path):
    os.mkfifo(path)

    with pytest.raises(OSError):
        exporter.export(report())


def test_it_is_rotated_and_its_size_bounded(exporter, path):
    for _ in range(40):
        exporter.export(report())
    older = path.with_name("reports.jsonl.1")

    assert path.stat().st_size <= 10_000
    assert older.stat().st_size <= 10_000
    assert all(record["event"] == "report" for record in lines(path) + lines(older))
    assert sorted(each.name for each in path.parent.iterdir()) == ["reports.jsonl", "reports.jsonl.1"]


def test_a_file_that_was_moved_away_is_begun_anew(exporter, path):
    exporter.export(report())
    path.rename(path.with_name("kept"))
    exporter.export(report())

    assert len(lines(path)) == len(lines(path.with_name("kept"))) == 1


def test_two_writers_of_one_file_lose_no_line(exporter, path):
    other = FileExporter(Config(file_path=str(path), file_max_bytes=1_000_000))
    for _ in range(3):
        exporter.export(report())
        other.export(report())
    other.shutdown()

    assert len(lines(path)) == 6


def test_each_line_is_one_write(exporter, path, monkeypatch):
    written = []
    real = os.write
    monkeypatch.setattr(os, "write", lambda file, data: written.append(data) or real(file, data))
    exporter.export(report())

    assert len(written) == 1
    assert written[0].count(b"\n") == 1


def test_a_huge_report_is_cut_to_its_bound(path):
    exporter = FileExporter(Config(file_path=str(path)))
    unit = Unit()
    for number in range(300):
        child = site(f"SELECT {'x' * 200} FROM t{number} WHERE id = ?", number)
        n_plus_one(unit, 5, child=child)
    profile = unit.close()
    history = History()
    history.add(profile)
    exporter.export(Report(profile, judge(profile, history)))
    exporter.shutdown()

    assert len(path.read_bytes()) <= _limits.MAX_RECORD_BYTES + 1
    assert lines(path)[0]["cut"] > 0


def test_no_value_of_the_users_is_in_it(exporter, path):
    unit = Unit()
    for number in range(5):
        unit.call(site(), f"secret {number}", rows=[(f"private {number}",)])
    exporter.export(Report(unit.close()))

    assert "secret" not in path.read_text()
    assert "private" not in path.read_text()
