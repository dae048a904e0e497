from __future__ import annotations

import asyncio
import contextvars
import threading

import pytest

from manometer import _exclusive, measure
from manometer.testing import raising, record


class Account:
    def __init__(self):
        self.inside, self.go_on = threading.Event(), threading.Event()

    @measure(exclusive="self")
    def slow(self):
        self.inside.set()
        assert self.go_on.wait(10)

    @measure(exclusive="self")
    def quick(self, again=False):
        return self.quick() if again else 1


@measure(exclusive="account")
def book(account, then=lambda: None):
    then()


def overlap(first, second, *, wait_for):
    """Call *second* while another thread is inside *first*."""
    with raising(), record() as unit:
        thread = threading.Thread(target=contextvars.copy_context().run, args=(first,))
        thread.start()
        assert wait_for.inside.wait(10)
        second()
        wait_for.go_on.set()
        thread.join()
    return unit.named("overlapping-calls")


class TestGuilty:
    def test_two_threads_in_one_object(self):
        account = Account()
        (item,) = overlap(account.slow, account.quick, wait_for=account)

        assert (item.confidence, item.severity, item.question) == ("confirmed", "warning", "sharing")
        assert item.callsite.function == "Account.quick"
        assert item.holder.function == "Account.slow"

    def test_values_are_the_same_where_they_are_equal(self):
        account = Account()
        found = overlap(
            lambda: book("".join(["a", "1"]), account.slow), lambda: book(account="a1"), wait_for=account
        )

        assert [item.evidence["overlaps"] for item in found] == [1]

    def test_two_tasks_in_one_object(self):
        async def main():
            @measure(exclusive="account")
            async def add(account):
                await asyncio.sleep(0)

            async with record() as unit:
                await asyncio.gather(add(7), add(7), add(8))
            return unit

        (item,) = asyncio.run(main()).named("overlapping-calls")

        assert item.evidence["overlaps"] == 1


class TestInnocent:
    def test_two_objects(self):
        account = Account()

        assert overlap(account.slow, Account().quick, wait_for=account) == ()

    def test_one_thread_inside_twice(self):
        with raising(), record() as unit:
            assert Account().quick(again=True) == 1

        assert unit.named("overlapping-calls") == ()

    def test_one_after_the_other(self):
        account = Account()
        with record() as unit:
            for _ in range(3):
                account.quick()

        assert unit.named("overlapping-calls") == ()


def test_nothing_stays_inside_after_an_error():
    def fail():
        raise KeyError(1)

    with record(), pytest.raises(KeyError):
        book(1, fail)

    assert _exclusive._inside == {}


def test_a_wrong_parameter_is_told_at_decoration():
    with pytest.raises(ValueError, match="exclusive"):
        measure(exclusive="nobody")(lambda: None)
    with pytest.raises(TypeError, match="exclusive"):
        measure(exclusive=3)


def test_a_generator_is_refused():
    def numbers(self):
        yield self

    with pytest.raises(TypeError, match="exclusive"):
        measure(exclusive="self")(numbers)
