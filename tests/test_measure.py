"""`measure`: transparency, counting, and where a call is placed."""

from __future__ import annotations

import asyncio
import copy
import functools
import gc
import inspect
import pickle
import sys
import threading
import traceback
import types
import typing

import pytest

from manometer import Profile, _context, expected, measure, profile
from manometer._context import close_profile, open_profile, restore
from manometer._model import ACTIVE_OPEN, STRICT
from manometer.testing import FakeClock


@pytest.fixture
def unit():
    """An open unit of work; `unit()` ends it and gives the profile."""
    done: list[Profile] = []
    opened = open_profile("unit", to=done.append)

    def end() -> Profile:
        if not done:
            close_profile(opened)
            restore(opened)
        return done[0]

    yield end
    end()


def tree(record: Profile) -> dict[str, typing.Any]:
    """The frames by the last part of their names, as nested dicts of (calls, children)."""

    def of(frame):
        return {
            child.callsite.name.rpartition(".")[2]: (child.calls, of(child)) for child in frame.own_children()
        }

    return of(record.root)


@measure
def plain(a, /, b=2, *more, c, d=4, **rest):
    """Docstring."""
    return (a, b, more, c, d, rest)


@measure
def counted(n):
    return n


@measure
async def waited(n):
    await asyncio.sleep(0)
    return counted(n)


@measure
def generated(n):
    for i in range(n):
        counted(i)
        yield i
    return "end"


@measure
async def streamed(n):
    for i in range(n):
        await asyncio.sleep(0)
        yield counted(i)


class TestTransparency:
    def test_a_wrapper_is_a_plain_function_with_the_signature_and_metadata_of_the_original(self):
        original = plain.__wrapped__

        assert type(plain) is types.FunctionType
        assert inspect.signature(plain) == inspect.signature(original)
        assert (plain.__name__, plain.__qualname__, plain.__doc__) == ("plain", "plain", "Docstring.")
        assert plain.__defaults__ is original.__defaults__
        assert plain.__kwdefaults__ is original.__kwdefaults__
        assert inspect.unwrap(plain) is original
        assert "def plain(a, /, b=2" in inspect.getsource(plain)

    def test_arguments_arrive_as_they_were_given(self):
        assert plain(1, c=3) == (1, 2, (), 3, 4, {})
        assert plain(1, 5, 6, 7, c=3, d=8, a=9) == (1, 5, (6, 7), 3, 8, {"a": 9})

    def test_a_wrong_call_raises_the_same_type_of_error_at_the_call(self):
        with pytest.raises(TypeError, match=r"plain\(\) missing 1 required keyword-only argument: 'c'"):
            plain(1)
        with pytest.raises(TypeError):
            generated()

    @pytest.mark.parametrize(
        ("function", "test"),
        [
            (waited, inspect.iscoroutinefunction),
            (generated, inspect.isgeneratorfunction),
            (streamed, inspect.isasyncgenfunction),
        ],
        ids=["coroutine", "generator", "async generator"],
    )
    def test_the_kind_of_callable_is_kept(self, function, test):
        assert test(function)
        assert test(functools.partial(function, 1))
        assert test(inspect.unwrap(function))

    def test_parameters_named_like_our_own_variables_are_no_trouble(self):
        @measure
        def odd(s_, get_, *, fn_=1, limit_):
            return (s_, get_, fn_, limit_)

        with profile("unit"):
            assert odd(1, 2, limit_=4) == (1, 2, 1, 4)

        assert str(inspect.signature(odd)) == "(s_, get_, *, fn_=1, limit_)"

    def test_measuring_twice_measures_once(self):
        assert measure(counted) is counted

    def test_module_level_functions_pickle_and_copy(self):
        for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1):
            text = pickle.dumps(counted, protocol)

            assert pickle.loads(text) is counted
            assert b"manometer" not in text
        assert copy.deepcopy(counted) is counted

    def test_a_traceback_has_one_frame_more_a_call_that_test_runners_hide(self, unit):
        @measure
        def fails():
            raise ValueError("theirs")

        with pytest.raises(ValueError, match="theirs") as caught:
            fails()

        names = [frame.filename for frame in traceback.extract_tb(caught.value.__traceback__)]
        assert [name.startswith("<manometer/") for name in names] == [False, True, False]
        assert caught.value.__context__ is None
        assert caught.traceback[1].frame.f_globals["__tracebackhide__"] is True

    def test_the_application_s_exception_is_the_very_object(self, unit):
        error = KeyError("x")

        @measure
        def fails():
            raise error

        with pytest.raises(KeyError) as caught:
            fails()

        assert caught.value is error

    def test_no_exception_and_no_argument_is_kept_alive(self, unit):
        import weakref

        class Thing:
            pass

        @measure
        def fails(thing):
            raise ValueError(thing)

        gc.disable()
        try:
            thing = Thing()
            ref = weakref.ref(thing)
            try:
                fails(thing)
            except ValueError:
                pass
            del thing

            assert ref() is None
        finally:
            gc.enable()

    def test_typing_hints_survive(self):
        @measure
        def hinted(a: int, b: str = "") -> list[int]:
            return [a]

        assert typing.get_type_hints(hinted) == {"a": int, "b": str, "return": list[int]}


class TestDescriptors:
    def test_descriptors_are_measured_inside_and_stay_what_they_are(self, unit):
        class Shop:
            @measure
            def method(self):
                return "method"

            @measure
            @classmethod
            def above_class(cls):
                return cls

            @classmethod
            @measure
            def below_class(cls):
                return cls

            @measure
            @staticmethod
            def static():
                return "static"

            @measure
            @property
            def value(self):
                return "value"

            @measure
            @functools.cached_property
            def cached(self):
                return object()

        class Sub(Shop):
            pass

        shop = Sub()
        assert shop.method() == "method"
        assert shop.above_class() is Sub
        assert Shop.above_class() is Shop
        assert shop.below_class() is Sub
        assert Shop.static() == shop.static() == "static"
        assert shop.value == "value"
        assert shop.cached is shop.cached
        calls = {name: count for name, (count, _) in tree(unit()).items()}
        assert calls == {
            "method": 1,
            "above_class": 2,
            "below_class": 1,
            "static": 2,
            "value": 1,
            "cached": 1,
        }

    def test_a_property_keeps_its_setter_and_deleter(self):
        class Shop:
            def _get(self):
                return self.x

            def _set(self, value):
                self.x = value

            def _del(self):
                del self.x

            value = measure(property(_get, _set, _del, "doc"))

        shop = Shop()
        shop.value = 3
        assert shop.value == 3
        del shop.value
        assert not hasattr(shop, "x")
        assert Shop.value.__doc__ == "doc"

    def test_a_cache_keeps_its_controls(self):
        @measure
        @functools.lru_cache(maxsize=2)
        def cached(n):
            return n

        cached(1)
        cached(1)

        assert cached.cache_info().hits == 1
        assert cached.cache_parameters()["maxsize"] == 2
        cached.cache_clear()
        assert cached.cache_info().currsize == 0

    def test_partials_and_nameless_callables_are_measured(self, unit):
        class Callable:
            def __call__(self, n):
                return n + 1

        assert measure(functools.partial(counted, 1))() == 1
        assert measure(Callable())(1) == 2
        assert measure(len)("abc") == 3
        assert "Callable" in tree(unit())

    def test_a_class_has_its_own_members_measured_and_no_inherited_one(self, unit):
        class Base:
            def inherited(self):
                return 1

        @measure
        class Shop(Base):
            def own(self):
                return 2

            @classmethod
            def klass(cls):
                return cls

        assert Shop().own() + Shop().inherited() == 3
        assert Shop.klass() is Shop
        assert set(tree(unit())) == {"own", "klass"}


class TestWrongUse:
    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"key": 3}, "key must be parameter names or a function"),
            ({"size": 3}, "size must be a parameter name or a function"),
            ({"slow_ms": -1}, "slow_ms must be a number of milliseconds"),
            ({"slow_ms": "fast"}, "slow_ms must be a number of milliseconds"),
            ({"kind": "sql"}, "kind must be one of call, db, http"),
            ({"expect": 3}, "'int' object is not iterable|expect must be"),
            ({"expect": {"n-plus-one": ""}}, "expect must be a reason"),
        ],
    )
    def test_a_wrong_option_raises_at_decoration_and_says_what_is_allowed(self, options, message):
        with pytest.raises(TypeError, match=message):
            measure(**options)

    def test_a_key_that_is_no_parameter_raises_and_lists_the_parameters(self):
        with pytest.raises(ValueError, match="key='c' is not a parameter of the function; it has a, b"):

            @measure(key=("c",))
            def function(a, b):
                pass

    def test_what_cannot_be_called_raises(self):
        with pytest.raises(TypeError, match="needs a callable, a descriptor, a class or a name, not int"):
            measure(3)


class TestCounting:
    def test_calls_errors_and_time_add_up_under_the_caller(self):
        done = []
        with FakeClock() as clock:

            @measure
            def inner():
                clock.advance(ms=2)

            @measure
            def outer(fail):
                inner()
                clock.advance(ms=3)
                if fail:
                    raise ValueError

            opened = open_profile("unit", to=done.append)
            outer(False)
            outer(False)
            with pytest.raises(ValueError):
                outer(True)
            close_profile(opened)
            restore(opened)

        (frame,) = done[0].root.own_children()
        (below,) = frame.own_children()
        assert (frame.calls, frame.errors, frame.total_ns, frame.self_ns) == (3, 1, 15_000_000, 9_000_000)
        assert (below.calls, below.errors, below.total_ns) == (3, 0, 6_000_000)
        assert frame.detail.outcomes == {"ValueError": 1}

    def test_recursion_folds_into_one_frame_and_counts_time_once(self):
        done = []
        with FakeClock() as clock:

            @measure
            def even(n):
                clock.advance(ms=1)
                return n == 0 or odd(n - 1)

            @measure
            def odd(n):
                clock.advance(ms=1)
                return n != 0 and even(n - 1)

            @measure
            def fib(n):
                clock.advance(ms=1)
                return n if n < 2 else fib(n - 1) + fib(n - 2)

            opened = open_profile("unit", to=done.append)
            even(9)
            fib(10)
            close_profile(opened)
            restore(opened)

        by_name = {frame.callsite.function.rpartition(".")[2]: frame for frame in done[0].root.walk()}
        assert done[0].frames == 4
        assert (by_name["even"].calls, by_name["odd"].calls) == (5, 5)
        assert (by_name["even"].total_ns, by_name["odd"].total_ns) == (10_000_000, 9_000_000)
        assert (by_name["fib"].calls, by_name["fib"].total_ns) == (177, 177_000_000)
        assert not any(frame.active & ACTIVE_OPEN for frame in done[0].root.walk())

    def test_async_recursion_counts_time_once(self):
        done = []

        @measure
        async def down(n):
            await asyncio.sleep(0)
            if n:
                await across(n - 1)

        @measure
        async def across(n):
            await down(n)

        async def main():
            opened = open_profile("unit", to=done.append, cpu=False)
            await down(5)
            close_profile(opened)
            restore(opened)

        asyncio.run(main())

        frames = {frame.callsite.function.rpartition(".")[2]: frame for frame in done[0].root.walk()}
        assert (frames["down"].calls, frames["across"].calls) == (6, 5)
        assert frames["across"].total_ns <= frames["down"].total_ns <= done[0].duration_ns

    def test_overlapping_calls_have_their_union_and_peak(self):
        done = []

        async def main():
            opened = open_profile("unit", to=done.append, cpu=False)
            await asyncio.gather(*[waited(n) for n in range(7)])
            close_profile(opened)
            restore(opened)

        asyncio.run(main())

        (frame,) = done[0].root.own_children()
        assert (frame.calls, frame.detail.peak_in_flight) == (7, 7)
        assert frame.union_ns <= frame.total_ns
        assert frame.covered_ns <= done[0].duration_ns

    def test_a_cancelled_call_is_no_error(self):
        done = []

        @measure
        async def hangs():
            await asyncio.sleep(60)

        async def main():
            opened = open_profile("unit", to=done.append, cpu=False)
            task = asyncio.create_task(hangs())
            await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            close_profile(opened)
            restore(opened)

        asyncio.run(main())

        (frame,) = done[0].root.own_children()
        assert (frame.calls, frame.errors, frame.detail.cancelled) == (1, 0, 1)

    def test_equal_arguments_are_counted_by_key(self, unit):
        @measure(key=("currency",))
        def rate(when, currency="EUR"):
            return 1.5

        for when in range(4):
            rate(when)
        rate(9, "USD")

        (frame,) = unit().root.own_children()
        uses = sorted(use.calls for use in frame.detail.keys.values())
        assert uses == [1, 4]
        assert max(use.equal for use in frame.detail.keys.values()) == 3

    def test_a_key_may_be_a_function_of_the_call(self, unit):
        @measure(key=lambda order, *rest, lines, **more: (order, lines))
        def price(order, *rest, lines, **more):
            return lines

        price(1, 2, lines=3, x=4)
        price(1, 5, lines=3)

        (frame,) = unit().root.own_children()
        assert [use.calls for use in frame.detail.keys.values()] == [2]

    def test_a_key_function_that_fails_is_counted_and_never_reaches_the_caller(self, unit):
        from manometer import _guard

        @measure(key=lambda n: n / 0)
        def function(n):
            return n

        before = _guard.counts.get("measure.key", 0)
        assert function(3) == 3
        assert _guard.counts.pop("measure.key") == before + 1

    def test_strict_units_fingerprint_every_function(self):
        done = []
        opened = open_profile("unit", to=done.append, policy=STRICT)
        counted(1)
        counted(1)
        close_profile(opened)
        restore(opened)

        (frame,) = done[0].root.own_children()
        assert [use.calls for use in frame.detail.keys.values()] == [2]

    def test_a_slow_function_that_repeats_is_fingerprinted_without_being_asked(self):
        done = []
        with FakeClock() as clock:

            @measure
            def slow(n):
                clock.advance(ms=1)
                return n

            @measure
            def quick(n):
                clock.advance(ns=10)
                return n

            opened = open_profile("unit", to=done.append)
            for _ in range(20):
                slow(3)
                quick(3)
            close_profile(opened)
            restore(opened)

        by_name = {frame.callsite.function.rpartition(".")[2]: frame for frame in done[0].root.own_children()}
        assert [use.calls for use in by_name["slow"].detail.keys.values()] == [12]
        assert by_name["quick"].detail is None

    def test_a_size_is_a_length_or_a_whole_number_of_exact_types_only(self, unit):
        class Lazy(list):
            def __len__(self):
                raise AssertionError("asked the database")

        @measure(size="items")
        def handle(items):
            pass

        handle([1, 2, 3])
        handle(7)
        handle(Lazy())

        (frame,) = unit().root.own_children()
        assert (frame.calls, frame.detail.rows_calls, frame.detail.rows_sum, frame.detail.rows_max) == (
            3,
            2,
            10,
            7,
        )

    def test_frames_beyond_the_bound_are_folded_and_sums_stay_exact(self, monkeypatch):
        monkeypatch.setattr(_context, "max_frames", 5)
        done = []
        functions = [measure(lambda n: n, slow_ms=None) for _ in range(20)]
        opened = open_profile("unit", to=done.append)
        for function in functions:
            function(1)
        close_profile(opened)
        restore(opened)

        children = list(done[0].root.own_children())
        assert sum(frame.calls for frame in children) == 20
        assert done[0].frames == 5
        assert done[0].dropped == {"frames": 16}


class TestGenerators:
    def test_the_consumer_is_not_inside_the_generator(self, unit):
        for n in generated(3):
            waited_here = counted(n)
            assert waited_here == n

        below = tree(unit())
        assert below["counted"] == (3, {})
        assert below["generated"] == (1, {"counted": (3, {})})

    def test_values_sent_thrown_and_returned_pass_through(self):
        @measure
        def echo():
            got = None
            while got != "stop":
                try:
                    got = yield got
                except KeyError as error:
                    got = ("caught", error.args[0])
            return "done"

        with profile("unit"):
            running = echo()
            assert next(running) is None
            assert running.send(1) == 1
            assert running.throw(KeyError("k")) == ("caught", "k")
            with pytest.raises(StopIteration) as stopped:
                running.send("stop")
        assert stopped.value.value == "done"

    def test_closing_early_runs_the_body_s_finally_once(self):
        seen = []

        @measure
        def body():
            try:
                yield 1
            finally:
                seen.append("finally")

        done = []
        opened = open_profile("unit", to=done.append)
        running = body()
        next(running)
        running.close()
        running.close()
        close_profile(opened)
        restore(opened)

        (frame,) = done[0].root.own_children()
        assert seen == ["finally"]
        assert (frame.calls, frame.errors, frame.detail.cancelled, frame.detail.rows_sum) == (1, 0, 1, 1)

    def test_yield_from_gets_the_return_value(self):
        def delegating():
            return (yield from generated(2))

        with profile("unit"):
            assert list(delegating()) == [0, 1]
            running = delegating()
            with pytest.raises(StopIteration) as stopped:
                while True:
                    next(running)
        assert stopped.value.value == "end"

    def test_async_generators_behave_and_count(self):
        done = []
        seen = []

        @measure
        async def body():
            try:
                for i in range(10):
                    got = yield i
                    seen.append(got)
            finally:
                seen.append("finally")

        async def main():
            opened = open_profile("unit", to=done.append, cpu=False)
            running = body()
            assert await running.__anext__() == 0
            assert await running.asend("x") == 1
            await asyncio.create_task(running.aclose())
            async for n in streamed(3):
                counted(n)
            close_profile(opened)
            restore(opened)

        asyncio.run(main())

        below = tree(done[0])
        assert seen == ["x", "finally"]
        assert below["counted"] == (3, {})
        assert below["streamed"] == (1, {"counted": (3, {})})
        assert below["body"][0] == 1


class TestPlaces:
    def test_twenty_concurrent_requests_hold_only_their_own_calls(self):
        async def request(marker: int) -> Profile:
            done: list[Profile] = []
            opened = open_profile(f"r{marker}", to=done.append, cpu=False)
            async with measure("render"):
                await asyncio.gather(*[waited(marker) for _ in range(marker)])
            for _ in range(marker):
                counted(marker)
                await asyncio.sleep(0)
            async for _ in streamed(marker):
                pass
            await asyncio.to_thread(lambda: [counted(n) for n in range(marker)])
            close_profile(opened)
            restore(opened)
            return done[0]

        async def main():
            return await asyncio.gather(*[request(n) for n in range(1, 21)])

        for n, record in enumerate(asyncio.run(main()), 1):
            assert tree(record) == {
                "render": (1, {"waited": (n, {"counted": (n, {})})}),
                "counted": (2 * n, {}),
                "streamed": (1, {"counted": (n, {})}),
            }

    def test_sixteen_threads_lose_no_call(self):
        done: list[Profile] = []

        def work() -> None:
            opened = open_profile("thread", to=done.append)
            for n in range(2_000):
                counted(n)
            close_profile(opened)
            restore(opened)

        interval = sys.getswitchinterval()
        sys.setswitchinterval(1e-6)
        try:
            threads = [threading.Thread(target=work) for _ in range(16)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        finally:
            sys.setswitchinterval(interval)

        assert [tree(record) for record in done] == [{"counted": (2_000, {})}] * 16

    def test_threads_that_share_a_unit_are_merged_exactly(self):
        import contextvars

        done: list[Profile] = []
        opened = open_profile("shared", to=done.append)
        threads = [
            threading.Thread(
                target=contextvars.copy_context().run, args=(lambda: [counted(n) for n in range(5_000)],)
            )
            for _ in range(8)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        close_profile(opened)
        restore(opened)

        assert tree(done[0]) == {"counted": (40_000, {})}
        assert done[0].late == 0

    def test_a_task_that_outlives_its_unit_is_counted_as_late_and_never_into_it(self):
        done: list[Profile] = []

        async def request() -> asyncio.Task[None]:
            opened = open_profile("request", to=done.append, cpu=False)

            async def background() -> None:
                await asyncio.sleep(0.01)
                for n in range(5):
                    counted(n)

            task = asyncio.create_task(background())
            await waited(1)
            close_profile(opened)
            restore(opened)
            return task

        async def main():
            await (await request())

        asyncio.run(main())

        assert tree(done[0]) == {"waited": (1, {"counted": (1, {})})}

    def test_a_block_shared_by_tasks_and_recursion_keeps_its_balance(self):
        block = measure("shared block")
        done: list[Profile] = []

        async def use(n: int) -> None:
            async with block:
                await asyncio.sleep(0)
                with block:
                    counted(n)

        async def main():
            opened = open_profile("unit", to=done.append, cpu=False)
            await asyncio.gather(*[use(n) for n in range(6)])
            close_profile(opened)
            restore(opened)

        asyncio.run(main())

        assert tree(done[0]) == {"shared block": (12, {"counted": (6, {})})}
        assert all(frame.active == 0 for frame in done[0].root.walk())

    def test_expected_marks_what_runs_inside(self, unit):
        with expected("tenant loop, by design", "n-plus-one"):
            counted(1)

        (frame,) = unit().root.own_children()
        assert (frame.callsite.kind, frame.callsite.name) == ("expected", "tenant loop, by design")
        assert frame.callsite.expect == (("n-plus-one", "tenant loop, by design"),)
        with pytest.raises(TypeError, match="given a reason"):
            expected("")


class TestRecursionLimit:
    def test_a_recursion_error_passes_and_leaves_the_stack_balanced(self, unit):
        @measure
        def down():
            down()

        for _ in range(100):
            with pytest.raises(RecursionError) as caught:
                down()
            assert caught.value.__context__ is None

        (frame,) = unit().root.own_children()
        assert not frame.active & ACTIVE_OPEN

    def test_at_most_one_python_frame_is_added_per_call(self):
        depth = 0

        @measure
        def down():
            nonlocal depth
            depth += 1
            down()

        limit = sys.getrecursionlimit()
        sys.setrecursionlimit(600)
        try:
            base = len(inspect.stack(0))
            with profile("unit"), pytest.raises(RecursionError):
                down()
        finally:
            sys.setrecursionlimit(limit)

        assert depth >= (600 - base - 40) / 2
