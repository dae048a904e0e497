from __future__ import annotations

from tests.profiles import Unit, site

from manometer import _limits
from manometer._history import MIN_PROFILES, History
from manometer._model import Callsite, ProfileKind

POSTS = site("SELECT id, author FROM posts", 38)
USERS = site()


def learn(
    history: History,
    rows: int,
    calls: int,
    *,
    name: str = "GET /posts",
    kind: ProfileKind = "request",
    ms: float = 1,
) -> None:
    unit = Unit(kind=kind, name=name)
    unit.call(POSTS, rows=rows, ms=ms)
    for at in range(calls):
        unit.call(USERS, 5000 + at, ms=ms)
    history.add(unit.close())


def test_profiles_are_counted_by_route() -> None:
    history = History()
    learn(history, 3, 3)
    learn(history, 3, 3)

    assert (history.profiles("GET /posts"), history.profiles("GET /other")) == (2, 0)


def test_calls_that_follow_the_rows_give_the_line() -> None:
    history = History()
    for rows in range(2, 12):
        learn(history, rows, 1 + 2 * rows)

    fit = history.counts_follow_rows("GET /posts", USERS)

    assert fit is not None
    assert [round(number, 6) for number in fit] == [1, 2, 10, 0]


def test_calls_that_stay_the_same_have_no_slope() -> None:
    history = History()
    for rows in range(2, 12):
        learn(history, rows, 6)

    assert history.counts_follow_rows("GET /posts", USERS) == (6.0, 0.0, 10, 0.0)


def test_units_without_a_row_count_too() -> None:
    history = History()
    learn(history, 5, 5)
    for _ in range(MIN_PROFILES):
        learn(history, 0, 0)

    assert history.counts_follow_rows("GET /posts", USERS) == (0.0, 1.0, MIN_PROFILES + 1, 0.0)


def test_nothing_is_said_below_the_minimum_sample() -> None:
    history = History()
    for rows in range(2, 2 + MIN_PROFILES - 1):
        learn(history, rows, rows)

    assert history.counts_follow_rows("GET /posts", USERS) is None


def test_nothing_is_said_while_the_rows_do_not_vary() -> None:
    history = History()
    for _ in range(30):
        learn(history, 20, 20)

    assert history.counts_follow_rows("GET /posts", USERS) is None


def test_unrelated_counts_leave_most_unexplained() -> None:
    history = History()
    for at in range(24):
        learn(history, 5 + at % 6, 3 + at % 4)

    fit = history.counts_follow_rows("GET /posts", USERS)

    assert fit is not None
    assert fit[3] > 0.9


def test_the_rolling_profile_proves_nothing() -> None:
    """There, all counts grow with the traffic."""
    history = History()
    for rows in range(2, 30):
        learn(history, rows, rows, kind="process")

    assert history.counts_follow_rows("GET /posts", USERS) is None


def test_data_flow_decides_which_read_the_rows_are_of() -> None:
    history = History()
    tags = site("SELECT id FROM tags", 39)
    for rows in range(2, 12):
        unit = Unit()
        unit.call(POSTS, rows=[(1000 + at, 5000 + at) for at in range(rows)])
        unit.call(tags, rows=7)
        for at in range(rows):
            unit.call(USERS, 5000 + at)
        history.add(unit.close())

    fit = history.counts_follow_rows("GET /posts", USERS)

    assert fit is not None
    assert round(fit[1], 6) == 1


def test_latency_is_counted_in_powers_of_two() -> None:
    history = History()
    learn(history, 1, 0, ms=1)

    callsite, route = history.latency("GET /posts", POSTS), history.latency("GET /posts")

    assert (sum(callsite), callsite[(1_000_000).bit_length()], sum(route)) == (1, 1, 1)
    assert history.latency("GET /other") == history.latency("GET /posts", USERS) == ()


def test_routes_are_bounded() -> None:
    history = History()
    for at in range(_limits.MAX_ROUTES + 5):
        history.add(Unit(name=f"GET /{at}").close())

    assert (history.evicted, history.profiles("GET /0"), history.profiles(f"GET /{at}")) == (5, 0, 1)


def test_callsites_of_a_route_are_bounded() -> None:
    history = History()
    unit = Unit()
    for at in range(_limits.MAX_HISTORY_SITES_PER_ROUTE + 5):
        unit.call(Callsite(name=f"{at}", kind="db", template=f"{at}"))
    history.add(unit.close())

    assert history.dropped == 5


def test_callsites_of_all_routes_are_bounded() -> None:
    history = History()
    routes = _limits.MAX_HISTORY_SITES // 100 + 3
    for route in range(routes):
        unit = Unit(name=f"GET /{route}")
        for at in range(100):
            unit.call(Callsite(name=f"{at}", kind="db", template=f"{at}"))
        history.add(unit.close())

    assert (history.evicted, history.profiles("GET /0"), history.profiles("GET /5")) == (3, 0, 1)
