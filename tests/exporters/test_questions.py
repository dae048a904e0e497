from __future__ import annotations

import json

import pytest
from tests.profiles import Unit, function, n_plus_one, site

import manometer
from manometer import Config
from manometer._finding import Report, Status
from manometer._history import History
from manometer.cli import main
from manometer.detectors import judge
from manometer.exporters._record import report as record_of
from manometer.exporters.questions import Questions

DUPLICATE = site("SELECT value FROM settings WHERE name = ?", 90)


def report(build):
    unit = Unit()
    build(unit)
    profile = unit.close()
    history = History()
    history.add(profile)
    return Report(profile, judge(profile, history))


def small(unit):
    n_plus_one(unit, 5)


def large(unit):
    for _ in range(60):
        unit.call(DUPLICATE, "theme", rows=[("dark",)], ms=3)


def hot(unit):
    called = function("format_price")
    with unit.within(called):
        pass
    frame = unit.profile.root.children[called]
    frame.calls = 5_000
    unit.work(1_000)


@pytest.fixture
def asked():
    now = [0.0]
    questions = Questions(lambda: now[0])
    now[0] = 120.0
    return questions


def test_the_four_questions_are_always_asked(asked):
    page = asked.page()

    for word in ("Size:", "Repetition:", "Sharing:", "Boundaries:", "Not judged"):
        assert word in page
    assert page.count("Nothing was found.") == 4


def test_answers_are_ranked_by_saving_times_rate(asked):
    for _ in range(3):
        asked.export(report(small))
    asked.export(report(large))
    page = asked.page()

    assert page.index("1. duplicate-read") < page.index("2. n-plus-one")
    for _ in range(90):
        asked.export(report(small))
    assert asked.page().index("1. n-plus-one") < asked.page().index("2. duplicate-read")


def test_a_saving_is_told_a_minute(asked):
    asked.export(report(large))
    (answer,) = asked.answers()

    assert (answer["question"], answer["found"], answer["units"]) == ("repetition", 1, 1)
    estimated = 59 * 3 / 2
    assert answer["saving_ms_per_min"] == pytest.approx([0.8 * estimated, 1.25 * estimated])
    assert "a minute" in asked.page()


def test_what_is_called_most_and_costs_little_is_not_worth_optimising_named_once(asked):
    for _ in range(3):
        asked.export(report(hot))
    page = asked.page()

    assert page.count("Not worth optimising: shop.format_price") == 1
    assert "15000 times" in page


def test_a_hot_function_that_costs_much_is_not_called_so(asked):
    def costly(unit):
        hot(unit)
        unit.profile.root.children[function("format_price")].total_ns = 500_000_000

    asked.export(report(costly))

    assert "format_price" not in asked.page().partition("Not worth optimising")[2]


def test_what_was_not_judged_is_said_with_its_reason(asked):
    asked.heartbeat(Status(version="1", pid=1, sources=("flask",), not_judged={"superlinear": "few sizes"}))

    assert "superlinear: few sizes" in asked.page()
    assert "seen were calls of: flask" in asked.page()


def test_growth_is_told_with_its_interval(asked):
    history = History()
    read = site("SELECT id FROM orders", 12)
    for size in [round(8 * 1.5**at) for at in range(12)] * 3:
        unit = Unit()
        unit.call(read, rows=size, ms=0.002 * size * size)
        profile = unit.close()
        history.add(profile)
        asked.export(Report(profile, judge(profile, history)))

    assert "grows as rows^" in asked.page()


def test_no_line_is_wider_than_a_hundred_columns(asked):
    for build in (small, large, hot):
        asked.export(report(build))

    assert max(map(len, asked.page().splitlines())) <= 100


def test_the_page_of_a_recording_is_that_of_the_live_reports(asked):
    live, recorded = Questions(), Questions()
    for build in (small, large, hot):
        made = report(build)
        live.export(made)
        recorded.add_record(json.loads(json.dumps(record_of(made))))

    def told(questions):
        return [line for line in questions.page().splitlines()[2:] if "a minute" not in line]

    assert "  1. duplicate-read mn-" in live.page()
    assert told(live) == told(recorded)


def test_findings_are_bounded(asked, monkeypatch):
    monkeypatch.setattr("manometer._limits.MAX_FINDINGS", 1)
    asked.export(report(small))
    asked.export(report(large))

    assert len(asked._answers) == 1


class TestCommand:
    def test_it_prints_the_page_of_a_file(self, tmp_path, capsys):
        path = tmp_path / "reports.jsonl"
        path.write_text(json.dumps(record_of(report(large))) + "\n")

        assert main(["questions", str(path)]) == 0
        assert "1. duplicate-read" in capsys.readouterr().out

    def test_lines_that_are_none_of_ours_are_counted_and_left_out(self, tmp_path, capsys):
        path = tmp_path / "reports.jsonl"
        good = json.dumps(record_of(report(large)))
        path.write_text(f'{good}\n{{"schema":1}}\nnot json\n[]\n"x"\n{good[:200]}\n')

        assert main(["questions", str(path)]) == 0
        out, err = capsys.readouterr()
        assert "1 units of work" in out
        assert err == "manometer questions: 5 lines are no whole records\n"

    @pytest.mark.parametrize("content", [None, ""])
    def test_a_missing_or_empty_file_is_an_error(self, tmp_path, capsys, content):
        path = tmp_path / "reports.jsonl"
        if content is not None:
            path.write_text(content)

        assert main(["questions", str(path)]) == 2
        assert capsys.readouterr().err.startswith("manometer questions: ")


class TestLive:
    def test_it_answers_while_the_program_runs(self, tmp_path):
        path = tmp_path / "reports.jsonl"
        manometer.start(Config(exporters=("file",), file_path=str(path), heartbeat_s=0))
        with manometer.profile("import"):
            pass
        page = manometer.questions()
        manometer.stop()

        assert page.startswith("What happens when this grows? 1 units of work")
        assert [json.loads(line)["event"] for line in path.read_text().splitlines()] == ["up", "report", "up"]

    def test_without_a_start_it_says_so(self):
        with pytest.raises(RuntimeError, match="not on"):
            manometer.questions()
