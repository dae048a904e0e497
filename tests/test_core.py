"""The compiled core: the same tree, and no reference more, than the core in Python."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import os
import subprocess
import sys
import threading
import time
import weakref

import pytest

from manometer import Profile, _guard, _limits, _native, measure, profile
from manometer._context import HOT, Branch, close_profile, open_profile, restore, variable
from manometer._model import ACTIVE_OPEN, Callsite, Frame
from manometer._untie import untie
from manometer.testing import FakeClock

compiled = pytest.mark.skipif(_native.core is None, reason="the compiled core is not built, or not asked for")

PROGRAM = """
import sys
from manometer import measure, profile
from manometer._context import open_profile, close_profile

@measure
def leaf(n): return n
@measure
def recursive(n): return leaf(n) if n == 0 else recursive(n - 1)
@measure
def odd(n): return even(n - 1) if n else 0
@measure
def even(n): return odd(n - 1) if n else 0
@measure
def broken(n):
    raise KeyError(n)
@measure
def items(n):
    for i in range(n):
        yield leaf(i)
@measure
async def waits(n): return leaf(n)

def run(coroutine):
    try: coroutine.send(None)
    except StopIteration: pass

done = []
opened = open_profile("unit", to=done.append)
block = measure("block")
for n in range(12):
    leaf(n); recursive(n); odd(n); list(items(n)); run(waits(n))
    with block:
        leaf(n)
        with block: leaf(n)
    try: broken(n)
    except KeyError: pass
close_profile(opened)
def show(frame, depth=0):
    detail = frame.detail
    outcomes = sorted(detail.outcomes.items()) if detail else []  # whether arguments are watched depends on time
    print("  " * depth, frame.callsite.name, frame.calls, frame.errors, frame.active & 1, frame.total_ns > 0, outcomes)
    for child in frame.own_children(): show(child, depth + 1)
show(done[0].root)
print(done[0].frames, done[0].dropped, done[0].late)
"""


def output(core: str, program: str) -> subprocess.CompletedProcess[str]:
    environment = dict(os.environ, MANOMETER_CORE=core, PYTHONPATH=os.pathsep.join(sys.path))
    return subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, timeout=50
    )


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


class TestWhichCore:
    @compiled
    def test_both_cores_count_the_same_tree(self):
        in_python = output("python", PROGRAM)

        assert in_python.returncode == 0, in_python.stderr
        assert output("c", PROGRAM).stdout == in_python.stdout

    def test_python_is_there_without_the_extension(self):
        found = output("python", "from manometer import _native; print(_native.name())")

        assert found.stdout == "python\n"

    def test_an_unknown_core_is_no_reason_not_to_start(self):
        found = output("rust", "from manometer import _native, measure; print(_native.name())")

        assert found.stdout.strip() in ("c", "python")

    @compiled
    def test_the_bounds_written_in_c_are_those_of_limits(self):
        assert _native.core.MAX_RECURSION_WALK == _limits.MAX_RECURSION_WALK


class TestReferences:
    """Whatever is opened and closed, forked, abandoned or raised through leaves no object behind."""

    def test_a_finished_profile_is_freed(self):
        @measure
        def f(n):
            return f(n - 1) if n else 0

        with profile("unit"):
            pass
        gc.collect()
        before = len(gc.get_objects())
        for _ in range(50):
            done: list[Profile] = []
            opened = open_profile("unit", to=done.append)
            f(5)
            with measure("block"):
                f(2)
            close_profile(opened)
            restore(opened)
            del done, opened
        untie()  # what a bounded number of finished units still holds, until the background thread comes by
        gc.collect()

        assert len(gc.get_objects()) - before < 100

    @compiled
    def test_a_finished_profile_without_recursion_is_freed_without_the_garbage_collector(self):
        @measure
        def leaf(n):
            return n

        @measure
        def f(n):
            return leaf(n) + leaf(n)

        gc.collect()
        gc.disable()
        try:
            before = len(gc.get_objects())
            for _ in range(50):
                opened = open_profile("unit", to=lambda _: None)
                f(5)
                close_profile(opened)
                restore(opened)
                del opened
            untie()
            left = len(gc.get_objects()) - before
        finally:
            gc.enable()

        assert left < 100

    @pytest.mark.parametrize("kind", ["returns", "raises", "generator", "coroutine", "block", "abandoned"])
    def test_a_call_leaves_the_counts_of_what_it_touched_as_they_were(self, unit, kind):
        thing = object()
        calls = {
            "returns": measure(lambda x: x),
            "raises": measure(lambda x: {}[x]),
            "generator": measure(_each),
            "coroutine": measure(_wait),
        }

        def once() -> None:
            if kind == "block":
                with measure("block"):
                    pass
                return
            if kind == "abandoned":
                next(calls["generator"](thing))
                return
            try:
                result = calls[kind](thing)
                if kind == "generator":
                    list(result)
                if kind == "coroutine":
                    asyncio.run(result)
            except KeyError:
                pass

        for _ in range(20):
            once()
        touched = (thing, None, True, False, unit, variable.get(), variable.get().profile, Frame, Branch)
        gc.collect()
        before = [sys.getrefcount(each) for each in touched]
        for _ in range(500):
            once()
        gc.collect()
        after = [sys.getrefcount(each) for each in touched]

        assert max(abs(b - a) for a, b in zip(before, after, strict=True)) < 100

    def test_memory_does_not_grow_with_calls(self, unit):
        import tracemalloc

        @measure
        def f(n):
            return n

        @measure
        def fails(n):
            raise KeyError

        def work() -> None:
            for n in range(2_000):
                f(n)
                with measure("block"):
                    f(n)
                try:
                    fails(n)
                except KeyError:
                    pass

        work()
        tracemalloc.start()
        try:
            work()
            first = tracemalloc.get_traced_memory()[0]
            work()
            second = tracemalloc.get_traced_memory()[0]
        finally:
            tracemalloc.stop()

        assert second - first < 20_000


async def _wait(x):
    return x


def _each(x):
    yield x
    yield x


@compiled
class TestFrames:
    """Frames stay ordinary objects for Python."""

    @pytest.fixture(autouse=True)
    def failures_are_forgotten(self):
        yield
        _guard.clear()

    def test_every_field_is_read_and_written(self):
        frame = Frame(Callsite(name="a"), None)

        for name in ("active", "calls", "errors", "total_ns", "mark_ns", "union_ns", "since_ns"):
            setattr(frame, name, 1 << 61)
            assert getattr(frame, name) == 1 << 61
        with pytest.raises(TypeError):
            frame.calls = "many"

    def test_a_child_outlives_its_parent_and_says_so(self):
        parent = Frame(Callsite(name="a"), None)
        child = Frame(Callsite(name="b"), parent)
        assert child.parent is parent

        del parent

        assert child.parent is None

    def test_a_child_may_change_its_parent(self):
        parents = [Frame(Callsite(name="a"), None) for _ in range(3)]
        children = [Frame(Callsite(name="b"), parents[0]) for _ in range(3)]

        children[1].parent = parents[1]
        children[0].parent = None
        del parents[0]

        assert [child.parent for child in children] == [None, parents[0], None]

    def test_a_parent_is_a_frame_or_none(self):
        with pytest.raises(TypeError):
            Frame(Callsite(name="a"), "parent")
        with pytest.raises(TypeError):
            Frame(Callsite(name="a"), None).parent = 3

    def test_a_deep_tree_and_a_long_chain_of_branches_are_freed_without_a_deep_stack(self):
        program = """
from manometer._model import Frame, Callsite
from manometer._context import Branch, make_profile
site = Callsite(name="a")
root = frame = Frame(site, None)
for _ in range(200_000):
    child = Frame(site, frame)
    frame.children = {site: child}
    frame = child
del frame, child, root
profile = make_profile("unit", "block")
branch = Branch(profile.root, 1, profile, None)
for _ in range(200_000):
    branch = Branch(profile.root, 1, profile, branch)
del branch
print("freed")
"""
        found = output("c", program)

        assert (found.returncode, found.stdout) == (0, "freed\n")

    def test_wrong_arguments_raise_and_never_crash(self):
        core = _native.core

        for call in (core.begin, core.resume, core.open, core.close):
            with pytest.raises(TypeError):
                call()
            with pytest.raises(TypeError):
                call(1, 2, 3)
        assert core.begin(None, None) is False
        assert core.open(3, 4) is False
        assert core.end(None) is None
        assert core.pause("x") is None
        assert core.close(None, None) is None

    @pytest.mark.parametrize("field", ["frame", "owner", "profile", "opened", "base", "outer", "forks"])
    def test_a_branch_with_a_deleted_field_never_crashes(self, field):
        branch = Branch(Frame(Callsite(name="a"), None), HOT["ident_"](), None, None)
        delattr(branch, field)

        def use() -> None:
            for call, done in ((_native.core.begin, _native.core.end), (_native.core.open, None)):
                try:
                    opened = call(branch, Callsite(name="b"))
                    done(opened) if done else _native.core.close(branch, opened)
                except (TypeError, AttributeError):
                    pass

        contextvars.copy_context().run(use)

        assert not hasattr(branch, field) or field == "frame"

    def test_children_that_are_no_dict_raise_and_never_crash(self):
        branch = Branch(Frame(Callsite(name="a"), None), HOT["ident_"](), None, None)
        branch.frame.children = []

        with pytest.raises(TypeError):
            _native.core.begin(branch, Callsite(name="b"))

    def test_a_second_interpreter_measures_in_python(self):
        name = "_xxsubinterpreters" if sys.version_info < (3, 13) else "_interpreters"
        pytest.importorskip(name)
        program = f"""
import sys, {name} as interpreters
from manometer import _native
other = interpreters.create()
text = f"import sys; sys.path[:] = {{sys.path!r}}\\nfrom manometer import _native; print(_native.name())"
print(_native.name(), flush=True)
assert interpreters.run_string(other, text) is None
interpreters.destroy(other)
"""
        found = output("", program)

        assert (found.returncode, found.stdout, found.stderr) == (0, "c\npython\n", "")


class TestBalance:
    def test_deep_recursion_ends_in_recursion_error_whatever_the_limit(self):
        program = """
import sys
from manometer import measure, profile
sys.setrecursionlimit(LIMIT)
@measure
def down(n): return down(n + 1)
with profile("unit"):
    for _ in range(3):
        try: down(0)
        except RecursionError: print("RecursionError")
"""
        for limit in (200, 1_000, 5_000):
            found = output("", program.replace("LIMIT", str(limit)))

            assert (found.returncode, found.stdout) == (0, "RecursionError\n" * 3)

    @compiled
    def test_a_call_opened_and_never_assigned_is_closed(self, unit):
        site = Callsite(name="interrupted", plan=type("Plan", (), {"probed": False})())
        branch = variable.get()
        root = branch.frame

        frame = _native.core.begin(branch, site)
        assert branch.frame is frame
        _native.core.end(site)  # what the wrapper does when a signal handler raised before the assignment

        assert branch.frame is root
        assert (frame.active & ACTIVE_OPEN, frame.calls) == (0, 0)

    def test_a_scripted_clock_is_obeyed_at_once(self, unit):
        @measure
        def f():
            clock.advance(ms=3)

        with FakeClock() as clock:
            f()

        assert unit().root.own_children().__next__().total_ns == 3_000_000

    def test_the_native_clock_is_python_s(self, unit):
        @measure
        def f():
            return time.perf_counter_ns()

        before = time.perf_counter_ns()
        f()
        spent = time.perf_counter_ns() - before

        assert 0 <= next(unit().root.own_children()).total_ns <= spent

    def test_threads_with_copied_contexts_misplace_nothing(self, unit):
        @measure
        def leaf():
            return sum(range(20))

        @measure
        def outer():
            return leaf() + leaf()

        interval = sys.getswitchinterval()
        sys.setswitchinterval(1e-5)
        try:
            contexts = [contextvars.copy_context() for _ in range(4)]
            threads = [
                threading.Thread(target=context.run, args=(lambda: [outer() for _ in range(500)],))
                for context in contexts
            ]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        finally:
            sys.setswitchinterval(interval)
        (outer_frame,) = unit().root.own_children()
        (leaf_frame,) = outer_frame.own_children()

        assert (outer_frame.calls, leaf_frame.calls) == (2_000, 4_000)

    def test_an_instance_of_the_application_is_not_kept(self, unit):
        class Thing:
            @measure
            def method(self):
                return None

        thing = Thing()
        thing.method()
        known = weakref.ref(thing)
        del thing

        assert known() is None
