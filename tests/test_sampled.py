"""Functions called very often: every call is counted, a sample is timed, and the tree stays the same."""

from __future__ import annotations

import inspect
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from manometer import measure
from manometer._context import HOT, close_profile, open_profile, restore
from manometer._level import FULL, SAMPLED, UNITS
from manometer._limits import MAX_SAMPLED
from manometer._sampled import ALWAYS_TIMED, RATE, Wrappers, is_timed, scale
from manometer.testing import FakeClock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from manometer._model import Callsite, Frame, Profile


@contextmanager
def recorded() -> Iterator[list[Profile]]:
    """A unit of work as in production: nothing is looked at from its first call on."""
    profiles: list[Profile] = []
    opened = open_profile("test", to=profiles.append, cpu=False)
    try:
        yield profiles
    finally:
        close_profile(opened)
        restore(opened)


def site_of(function: Any) -> Callsite:
    (found,) = (cell.cell_contents for cell in function.__closure__ if hasattr(cell.cell_contents, "slow_ns"))
    site: Callsite = found
    return site


@pytest.fixture
def wrappers() -> Iterator[Wrappers]:
    found = Wrappers()
    yield found
    found.put_level(FULL)


@pytest.fixture(autouse=True)
def clock() -> Iterator[FakeClock]:
    """Calls take no time, or a busy machine could make them long enough to be looked at one by one."""
    with FakeClock() as fake:
        yield fake


def frames_of(record: Profile) -> dict[str, Frame]:
    return {frame.callsite.function.rpartition(".")[2]: frame for frame in record.root.walk()}


def make(body: Callable[[], Any] = lambda: None) -> Any:
    @measure
    def hot(n: int, *, word: str = "a") -> int:
        body()
        return n

    return hot


def test_counts_are_exact_and_the_time_is_that_of_all_calls(wrappers: Wrappers, clock: FakeClock) -> None:
    hot = make(lambda: clock.advance(ns=1_000))
    assert wrappers.add(site_of(hot), SAMPLED)
    with recorded() as profiles:
        results = [hot(n, word="b") for n in range(10_000)]
    frame = frames_of(profiles[0])["hot"]
    timed = frame.calls - frame.untimed

    assert results == list(range(10_000))
    assert frame.calls == 10_000
    assert timed == sum(is_timed(n) for n in range(10_000))
    assert frame.total_ns == timed * 1_000
    error = scale(profiles[0])
    assert frame.total_ns == 10_000 * 1_000
    assert error == pytest.approx(timed**-0.5)


def test_about_one_call_in_sixteen_is_timed_whatever_the_period_of_the_loop() -> None:
    timed = [is_timed(n) for n in range(ALWAYS_TIMED, 60_000)]

    for period in range(1, 65):
        for offset in range(period):
            chosen = timed[offset::period]
            assert 0.6 / RATE < sum(chosen) / len(chosen) < 1.5 / RATE


def test_the_first_calls_of_every_frame_are_timed(wrappers: Wrappers) -> None:
    hot = make()
    wrappers.add(site_of(hot), SAMPLED)
    with recorded() as profiles:
        for n in range(ALWAYS_TIMED):
            hot(n)

    assert frames_of(profiles[0])["hot"].untimed == 0


def test_errors_of_calls_that_are_only_counted_are_counted_and_pass(wrappers: Wrappers) -> None:
    raised = KeyError("theirs")

    def body() -> None:
        raise raised

    hot = make(body)
    wrappers.add(site_of(hot), SAMPLED)
    with recorded() as profiles:
        for n in range(500):
            with pytest.raises(KeyError) as caught:
                hot(n)
            assert caught.value is raised
    frame = frames_of(profiles[0])["hot"]

    assert frame.calls == frame.errors == 500
    assert frame.untimed > 0


def test_a_function_that_calls_measured_ones_keeps_them_below_itself(wrappers: Wrappers) -> None:
    inner = make()

    @measure
    def outer() -> None:
        inner(1)

    wrappers.add(site_of(outer), SAMPLED)
    wrappers.add(site_of(inner), SAMPLED)
    with recorded() as profiles:
        for _ in range(1_000):
            outer()
    (above,) = profiles[0].root.own_children()
    (below,) = above.own_children()

    assert (above.callsite.function.rpartition(".")[2], above.calls, above.untimed) == ("outer", 1_000, 0)
    assert below.calls == 1_000
    assert below.untimed > 800


def test_recursion_is_measured(wrappers: Wrappers) -> None:
    @measure
    def down(n: int) -> int:
        return n and down(n - 1)

    wrappers.add(site_of(down), SAMPLED)
    with recorded() as profiles:
        for _ in range(20):
            down(5)

    assert frames_of(profiles[0])["down"].calls == 120


def test_a_thread_that_does_not_own_the_branch_is_measured_in_its_own_subtree(wrappers: Wrappers) -> None:
    import contextvars

    hot = make()
    wrappers.add(site_of(hot), SAMPLED)
    with recorded() as profiles:
        for n in range(200):
            hot(n)
        context = contextvars.copy_context()
        other = threading.Thread(target=context.run, args=(lambda: [hot(n) for n in range(300)],))
        other.start()
        other.join()

    assert frames_of(profiles[0])["hot"].calls == 500


def test_the_wrapper_stays_the_same_object_with_the_same_signature(wrappers: Wrappers) -> None:
    hot = make()
    before = hot.__code__, inspect.signature(hot), hot.__name__, hot.__kwdefaults__
    wrappers.add(site_of(hot), SAMPLED)
    assert hot.__code__ is not before[0]
    assert (inspect.signature(hot), hot.__name__, hot.__kwdefaults__) == before[1:]
    wrappers.put_level(FULL)

    assert hot.__code__ is before[0]
    assert len(wrappers) == 0


def test_where_only_units_are_recorded_its_calls_are_the_functions_own(wrappers: Wrappers) -> None:
    hot = make()
    wrappers.add(site_of(hot), UNITS)
    with recorded() as profiles:
        assert hot(3) == 3

    assert list(profiles[0].root.own_children()) == []


def test_a_code_that_somebody_else_put_there_is_theirs(wrappers: Wrappers) -> None:
    hot = make()
    wrappers.add(site_of(hot), SAMPLED)
    theirs = hot.__code__.replace(co_name="theirs")
    hot.__code__ = theirs
    wrappers.put_level(FULL)

    assert hot.__code__ is theirs


def test_the_code_may_change_while_calls_are_open(wrappers: Wrappers) -> None:
    levels = iter([SAMPLED, UNITS, FULL] * 400)

    @measure
    def hot(depth: int) -> int:
        if depth == 0:
            level = next(levels)
            wrappers.put_level(level)
            wrappers.add(site_of(hot), level)
            return 1
        return 1 + hot(depth - 1)

    wrappers.add(site_of(hot), SAMPLED)
    with recorded() as profiles:
        for _ in range(300):
            assert hot(2) == 3

    for frame in profiles[0].root.walk():
        assert frame.active & ~2 == 0
        assert 0 <= frame.untimed <= frame.calls


def test_only_plain_functions_without_an_option_are_sampled(wrappers: Wrappers) -> None:
    @measure(key="n")
    def keyed(n: int) -> None: ...

    @measure(size="n")
    def sized(n: int) -> None: ...

    @measure
    async def task() -> None: ...

    @measure
    def items() -> Iterator[int]:
        yield 1

    assert not any(wrappers.add(site_of(each), SAMPLED) for each in (keyed, sized, task, items))


def test_their_number_is_bounded_and_they_are_not_kept_alive(wrappers: Wrappers) -> None:
    functions = [make() for _ in range(MAX_SAMPLED + 3)]
    added = [wrappers.add(site_of(each), SAMPLED) for each in functions]
    del functions[:]
    wrappers.put_level(SAMPLED)

    assert sum(added) == MAX_SAMPLED
    assert len(wrappers) == 0


def test_names_of_the_wrapper_itself_are_no_trap_for_parameters(wrappers: Wrappers) -> None:
    @measure
    def odd(skip_: int, leaf_: int, own_: int) -> tuple[int, ...]:
        return skip_, leaf_, own_

    wrappers.add(site_of(odd), SAMPLED)
    with recorded():
        assert [odd(1, n, 3) for n in range(40)] == [(1, n, 3) for n in range(40)]


assert HOT["leaf_"] == {}
