from __future__ import annotations

import pytest
from tests.profiles import MS, Unit, n_plus_one, rules, site

from manometer._history import History
from manometer._model import JOB, PRODUCTION, STRICT, Callsite

PRICES = site("GET /prices/{id}", 12, kind="http", library="httpx", system="")


def test_arguments_that_an_earlier_read_returned_confirm_it() -> None:
    unit = Unit(PRODUCTION)
    n_plus_one(unit, 18, ms=2.0)

    (finding,) = unit.judge()

    assert (finding.rule, finding.confidence, finding.severity) == ("n-plus-one", "confirmed", "warning")
    assert finding.source is not None
    assert finding.source.template == "SELECT id, author FROM posts"
    assert finding.evidence["calls"] == 18
    assert finding.evidence["source_rows"] == 18
    assert finding.cost_ns == 36 * MS
    assert finding.saving_ns == (34 * MS, 34 * MS)
    assert round(finding.share, 3) == round(36 / 38, 3)


def test_a_hundred_calls_are_confirmed_though_only_32_arguments_are_kept() -> None:
    unit = Unit()
    n_plus_one(unit, 100)

    (finding,) = unit.judge()

    assert (finding.confidence, finding.evidence["keys_not_kept"]) == ("confirmed", 68)


def test_distinct_arguments_of_unknown_origin_are_likely() -> None:
    unit = Unit()
    n_plus_one(unit, 5, proven=False)

    (finding,) = unit.judge()

    assert (finding.rule, finding.confidence, finding.source) == ("n-plus-one", "likely", None)


def test_unknown_arguments_are_a_repeated_statement_at_most() -> None:
    unit = Unit()
    for _ in range(5):
        unit.call(site(), keyed=False)

    (finding,) = unit.judge()

    assert (finding.rule, finding.confidence) == ("n-plus-one", "possible")
    assert unit.profile.not_judged["n-plus-one"] == "the arguments of some calls could not be read"


def test_one_query_for_all_is_none() -> None:
    unit = Unit()
    unit.call(site("SELECT id, author FROM posts", 38), rows=[(at, at) for at in range(18)])
    unit.call(site("SELECT id FROM users WHERE id IN (?)"), *range(18), batch=18)

    assert unit.judge() == ()


@pytest.mark.parametrize(("n", "expected"), [(4, []), (5, ["n-plus-one"])])
def test_production_speaks_from_five_calls(n: int, expected: list[str]) -> None:
    unit = Unit(PRODUCTION)
    n_plus_one(unit, n)

    assert rules(unit.judge()) == expected


@pytest.mark.parametrize(
    ("n", "ms", "work_ms", "policy", "severity"),
    [
        (12, 1.0, 0, PRODUCTION, "warning"),  # saves 11 ms
        (10, 1.0, 0, PRODUCTION, "info"),  # saves 9 ms
        (20, 0.1, 10, PRODUCTION, "warning"),  # 20 repeats, 17 % of the unit
        (20, 0.1, 100, PRODUCTION, "info"),  # 20 repeats, 2 % of it
        (12, 1.0, 1000, JOB, "info"),  # nobody waits for a job
        (2, 0.0, 1000, STRICT, "warning"),
    ],
)
def test_materiality(n: int, ms: float, work_ms: float, policy: object, severity: str) -> None:
    unit = Unit(policy)  # type: ignore[arg-type]
    unit.work(work_ms)
    n_plus_one(unit, n, ms=ms)

    (finding,) = unit.judge()

    assert finding.severity == severity


def test_a_recording_without_durations_is_judged_by_its_counts() -> None:
    unit = Unit()
    n_plus_one(unit, 5, ms=0)

    (finding,) = unit.judge()

    assert (finding.cost_ns, finding.share, finding.saving_ns) == (0, 0.0, (0, 0))


def test_requests_and_lookups_count_as_well_as_queries() -> None:
    unit = Unit()
    for at in range(3):
        unit.call(PRICES, 100 + at)
    for at in range(3):
        unit.call(site("GET price", 14, kind="cache", system="redis", library="redis"), 100 + at)

    found = unit.judge()

    assert rules(found) == ["n-plus-one", "n-plus-one"]
    assert {"batch endpoint" in finding.advice or "MGET" in finding.advice for finding in found} == {True}


def test_a_list_of_one_value_is_an_n_plus_one() -> None:
    unit = Unit()
    for at in range(18):
        unit.call(site("SELECT id FROM posts WHERE author_id IN (?)"), 500 + at, batch=1)

    assert rules(unit.judge()) == ["n-plus-one"]


# Innocent twins.


def test_calls_at_different_lines_are_no_loop() -> None:
    unit = Unit()
    for at in range(3):
        unit.call(site(line=40 + at), 5000 + at)

    assert unit.judge() == ()


def test_a_helper_called_once_from_each_of_many_places_is_no_loop() -> None:
    unit = Unit()
    helper = site()
    for at in range(12):
        unit.call(helper, 5000 + at, callers=(("/app/shop/views.py", 100 + at, "page"),))

    assert unit.judge() == ()


def test_a_helper_called_in_a_loop_is_one() -> None:
    unit = Unit()
    helper = site()
    for at in range(12):
        unit.call(helper, 5000 + at, callers=(("/app/shop/views.py", 100, "page"),))

    assert rules(unit.judge()) == ["n-plus-one"]


def test_retries_of_a_failing_call_are_none() -> None:
    unit = Unit()
    for at in range(10):
        unit.call(PRICES, at, error="Timeout")
    unit.call(PRICES, 9)

    assert unit.judge() == ()


def test_the_same_arguments_again_are_a_duplicate_and_no_n_plus_one() -> None:
    unit = Unit()
    for _ in range(18):
        unit.call(site(), 5)

    assert rules(unit.judge()) == ["duplicate-read"]


@pytest.mark.parametrize("operation", ["locking", "control"])
def test_locking_reads_and_control_statements_are_none(operation: str) -> None:
    unit = Unit()
    for at in range(18):
        unit.call(site("SELECT id FROM jobs WHERE id = ? FOR UPDATE", operation=operation), at)  # type: ignore[arg-type]

    assert unit.judge() == ()


def test_keys_of_a_single_row_are_none() -> None:
    """A billing and a delivery address: the columns bound the number, not the data."""
    unit = Unit()
    unit.call(site("SELECT billing, delivery FROM orders WHERE id = ?", 30), 1, rows=[(7001, 7002)])
    for key in (7001, 7002):
        unit.call(site("SELECT street FROM addresses WHERE id = ?"), key, rows=[(key, "street")])

    assert unit.judge() == ()


def test_keys_of_two_rows_read_singly_are_none() -> None:
    unit = Unit()
    unit.call(site(line=30), 1, rows=[(7001,)])
    unit.call(site(line=31), 2, rows=[(7002,)])
    for key in (7001, 7002):
        unit.call(site("SELECT text FROM posts WHERE author = ?"), key)

    assert unit.judge() == ()


def test_a_chain_in_which_each_call_needs_the_one_before_is_none() -> None:
    unit = Unit()
    for at in range(12):
        unit.call(site("SELECT id, parent FROM nodes WHERE id = ?"), 900 + at, rows=[(900 + at, 901 + at)])

    assert unit.judge() == ()


def test_pages_of_one_result_are_none() -> None:
    unit = Unit()
    page = site("SELECT id FROM advisories ORDER BY id LIMIT ? OFFSET ?")
    for at in range(12):
        unit.call(page, 500, 500 * at, rows=500)

    assert unit.judge() == ()


def test_the_first_row_for_each_of_many_is_one_though_sqlite_gets_an_offset() -> None:
    unit = Unit()
    for at in range(12):
        unit.call(site("SELECT id FROM posts WHERE author = ? LIMIT ? OFFSET ?"), 5000 + at, 1, 0, rows=1)

    assert rules(unit.judge()) == ["n-plus-one"]


def test_pages_of_a_service_are_none() -> None:
    unit = Unit()
    for at in range(12):
        unit.call(site("GET /issues?page={}", 12, kind="http", library="httpx"), at)

    assert unit.judge() == ()


def test_a_block_around_queries_is_not_told_beside_them() -> None:
    unit = Unit()
    block = Callsite(name="load", kind="db", file="/app/shop/views.py", line=5)
    for at in range(5):
        with unit.within(block):
            unit.call(site(), 5000 + at)

    (finding,) = unit.judge()

    assert finding.callsite.template


def test_without_a_line_of_the_application_strict_mode_is_silent_and_says_so() -> None:
    unit = Unit()
    n_plus_one(unit, 5, child=site(file="", line=0))

    assert unit.judge() == ()
    assert unit.profile.not_judged["n-plus-one"] == "no line of the application above the call"


def test_overlapping_calls_save_no_more_than_they_cover() -> None:
    unit = Unit()
    began_ns = unit.now_ns
    for at in range(10):
        unit.call(PRICES, at, ms=20, started_ns=began_ns + at)

    (finding,) = unit.judge()

    assert finding.saving_ns[0] <= finding.saving_ns[1] < 200 * MS


# What is wanted.


def test_inside_expected_it_is_told_with_its_reason_and_warns_not() -> None:
    unit = Unit()
    with unit.within(Callsite(name="by design", kind="expected", expect=(("n-plus-one", "by design"),))):
        n_plus_one(unit, 5)

    (finding,) = unit.judge()

    assert (finding.severity, finding.expected) == ("info", "by design")


def test_an_expected_rule_does_not_cover_another_one() -> None:
    unit = Unit()
    with unit.within(Callsite(name="x", kind="expected", expect=(("duplicate-read", "by design"),))):
        n_plus_one(unit, 5)

    (finding,) = unit.judge()

    assert (finding.severity, finding.expected) == ("warning", "")


def test_calls_outside_expected_are_judged_for_themselves() -> None:
    unit = Unit()
    child = site()
    with unit.within(Callsite(name="x", kind="expected", expect=(("*", "by design"),))):
        n_plus_one(unit, 5, child=child)
    n_plus_one(unit, 5, child=child)

    found = unit.judge()

    assert sorted((finding.expected, finding.evidence["calls"]) for finding in found) == [
        ("", 5),
        ("by design", 5),
    ]


# What many profiles show.


def grown(history: History, sizes: list[int], calls_of: object) -> tuple[object, ...]:
    posts, child = site("SELECT id, author FROM posts", 38), site()
    found: tuple[object, ...] = ()
    for size in sizes:
        unit = Unit()
        unit.call(posts, rows=size)
        for at in range(calls_of(size)):  # type: ignore[operator]
            unit.call(child, 5000 + at)
        found = unit.judge(history)
    return found


def test_a_count_that_follows_the_rows_over_requests_confirms_it() -> None:
    (finding,) = grown(History(), [3, 6, 9, 12, 15, 18, 21, 24], lambda rows: rows)

    assert (finding.confidence, finding.evidence["calls_per_source_row"]) == ("confirmed", 1.0)  # type: ignore[attr-defined]


def test_a_constant_count_while_rows_vary_is_a_bounded_loop() -> None:
    (finding,) = grown(History(), list(range(3, 30)), lambda _: 6)

    assert (finding.severity, finding.confidence) == ("info", "possible")  # type: ignore[attr-defined]
    assert "bounded" in finding.evidence  # type: ignore[attr-defined]


def test_a_constant_count_of_few_requests_says_nothing_yet() -> None:
    (finding,) = grown(History(), list(range(3, 15)), lambda _: 6)

    assert (finding.severity, finding.confidence) == ("warning", "likely")  # type: ignore[attr-defined]


# Advice.


@pytest.mark.parametrize(
    ("library", "version", "rows", "expected"),
    [
        ("sqlalchemy", "2.0.40", 2, "selectinload(...) to the options of the query at views.py:38"),
        ("sqlalchemy", "2.0.40", 1, "joinedload"),
        ("django", "5.2", 1, "select_related"),
        ("django", "5.2", 3, "prefetch_related"),
        ("django", "6.1", 1, "FETCH_PEERS"),
        ("psycopg", "3.2", 1, "ANY"),
        ("sqlite3", "", 1, "IN (...)"),
    ],
)
def test_advice_is_in_the_words_of_the_library(library: str, version: str, rows: int, expected: str) -> None:
    unit = Unit()
    unit.call(site("SELECT id, author FROM posts", 38), rows=[(1000 + at, 5000 + at) for at in range(5)])
    one = " LIMIT ?" if rows == 1 else ""  # Django asks so for a single object
    child = site(f"SELECT id, name FROM users WHERE id = ?{one}", library=library, version=version)
    for at in range(5):
        unit.call(child, 5000 + at, rows=[(9000 + at * 10 + row,) for row in range(rows)])

    (finding,) = unit.judge()

    assert expected in finding.advice


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        ("SELECT id FROM posts WHERE author_id = ?", "prefetch_related"),  # a collection that has one row
        ("SELECT COUNT(*) AS __count FROM posts WHERE author_id = ?", "Count("),
        ("SELECT ? AS a FROM posts WHERE author_id = ? LIMIT ?", "Exists("),
        ("SELECT id, name FROM users WHERE id = ? LIMIT ?", "deferred field"),
        ("SELECT id, name FROM profiles WHERE user_id = ? LIMIT ?", "select_related"),
    ],
)
def test_advice_for_django_follows_the_statement(statement: str, expected: str) -> None:
    unit = Unit()
    unit.call(site("SELECT id FROM users", 38), rows=[(5000 + at,) for at in range(5)])
    child = site(statement, library="django", version="5.2")
    for at in range(5):
        unit.call(child, 5000 + at, rows=[(9000 + at,)])

    (finding,) = unit.judge()

    assert expected in finding.advice


def test_advice_never_asks_for_the_prefetch_that_is_there() -> None:
    unit = Unit()
    unit.call(site("SELECT id FROM users", 38), rows=[(5000 + at,) for at in range(5)])
    child = site("SELECT id FROM posts WHERE author_id IN (?)", library="django", version="6.1")
    for at in range(5):
        unit.call(child, 5000 + at, batch=1)

    (finding,) = unit.judge()

    assert finding.advice.startswith("Prefetch once for all instances")
