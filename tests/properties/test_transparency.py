"""T of the catalogue: what is measured behaves, looks and serialises as if it were not."""

from __future__ import annotations

import abc
import asyncio
import contextlib
import copy
import dataclasses
import doctest
import functools
import gc
import inspect
import multiprocessing
import pickle
import subprocess
import sys
import traceback
import types
import typing
import warnings
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, Protocol
from unittest import mock

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test
from tests.properties import _zoo
from tests.properties._programs import programs
from tests.properties._twin import ROOT, Twin, environment

from manometer import Profile, _context, _cpu, measure, profile
from manometer._context import close_profile, open_profile, restore, variable
from manometer._model import ACTIVE_OPEN
from manometer._template import is_wrapper
from manometer.testing import install_sources


@pytest.fixture
def unit() -> Iterator[Profile]:
    """An open unit of work."""
    opened = open_profile("unit", to=lambda _: None)
    assert opened.profile is not None
    yield opened.profile
    close_profile(opened)
    restore(opened)


# One of each kind, at module level: they are pickled, and found by their names.
def bare_sync(a: int, /, b: str = "b", *more: Any, c: float, d: int = 4, **rest: Any) -> list[Any]:
    """Add nothing.

    >>> bare_sync(1, c=2)
    [1, 'b', (), 2, 4, {}]
    """
    return [a, b, more, c, d, rest]


async def bare_async(a: int = 1) -> int:
    await asyncio.sleep(0)
    return a


def bare_generator(n: int) -> Iterator[int]:
    """Yield."""
    yield from range(n)


async def bare_async_generator(n: int) -> AsyncIterator[int]:
    for at in range(n):
        yield at


BARE = (bare_sync, bare_async, bare_generator, bare_async_generator)
MEASURED = tuple(measure(function) for function in BARE)
measured_sync, measured_async, measured_generator, measured_async_generator = MEASURED
PAIRS = pytest.mark.parametrize(
    ("bare", "measured"), list(zip(BARE, MEASURED, strict=True)), ids=[f.__name__ for f in BARE]
)


@PAIRS
def test_T1_metadata_is_that_of_the_original(bare: Any, measured: Any) -> None:
    assert type(measured) is types.FunctionType
    assert inspect.unwrap(measured) is bare
    for name in ("__name__", "__qualname__", "__module__", "__doc__", "__defaults__", "__kwdefaults__"):
        assert getattr(measured, name) == getattr(bare, name)
    assert inspect.signature(measured) == inspect.signature(bare)
    assert (
        inspect.signature(measured, follow_wrapped=False).parameters.keys()
        == inspect.signature(bare).parameters.keys()
    )
    assert typing.get_type_hints(measured) == typing.get_type_hints(bare)
    assert inspect.getsource(measured) == inspect.getsource(bare)


def test_T1_doctests_are_found_and_run() -> None:
    found = doctest.DocTestFinder().find(measured_sync, "measured_sync", globs={"bare_sync": measured_sync})

    assert sum(len(test.examples) for test in found) == 1
    assert doctest.DocTestRunner().run(found[0]).failed == 0


def test_T1_click_takes_it_as_a_command() -> None:
    click = pytest.importorskip("click")
    from click.testing import CliRunner

    @click.command()
    @click.option("--count", default=1)
    @measure
    def command(count: int) -> None:
        """Say it."""
        click.echo("x" * count)

    assert CliRunner().invoke(command, ["--count", "3"]).output == "xxx\n"


def test_T1_fastapi_reads_its_parameters() -> None:
    fastapi = pytest.importorskip("fastapi")
    testclient = pytest.importorskip("fastapi.testclient")
    app = fastapi.FastAPI()

    @app.get("/items/{number}")
    @measure
    def item(number: int, q: str = "none") -> dict[str, Any]:
        import threading

        return {"number": number, "q": q, "main": threading.current_thread() is threading.main_thread()}

    with testclient.TestClient(app) as client:
        assert client.get("/items/3?q=a").json() == {"number": 3, "q": "a", "main": False}
        assert client.get("/items/x").status_code == 422


@PAIRS
def test_T2_every_question_about_its_kind_is_answered_alike(bare: Any, measured: Any) -> None:
    class Holder:
        method = measured

    class Bare:
        method = bare

    for asks in (
        inspect.iscoroutinefunction,
        inspect.isgeneratorfunction,
        inspect.isasyncgenfunction,
        inspect.isfunction,
    ):
        for look in (lambda f: f, functools.partial, inspect.unwrap):
            assert asks(look(measured)) == asks(look(bare))
        assert asks(Holder().method) == asks(Bare().method)


def _nameless() -> dict[str, Any]:
    class Instance:
        def __call__(self, *_: Any) -> str:
            return "called"

    class Odd(Instance):
        def __getattr__(self, name: str) -> Any:
            raise RuntimeError(name)

    return {
        "partial": functools.partial(bare_sync, 1, c=2), "instance": Instance(), "odd": Odd(), "builtin": len,
        "class method": dict.fromkeys, "mock": mock.Mock(return_value=3), "magic": mock.MagicMock(return_value=3),
        "operator": __import__("operator").itemgetter(0), "lambda": lambda *_: 4,
    }  # fmt: skip


@pytest.mark.parametrize("name", sorted(_nameless()))
def test_T3_callables_without_a_name_can_be_measured_and_called(name: str, unit: Profile) -> None:
    target = _nameless()[name]
    arguments = () if name == "partial" else ([1, 2],)

    assert measure(target)(*arguments) == target(*arguments)


@pytest.mark.parametrize("name", ["raises", "recurses", "starves", "magic"])
def test_T3_decorating_a_hostile_callable_raises_nothing(name: str) -> None:
    _zoo.touched.clear()

    wrapped = measure(_zoo.ANIMALS[name])

    assert type(wrapped) is types.FunctionType


# T4: every kind of descriptor, both orders where both make sense, three ways to call.
def _class_with(above: Any, below: Any) -> dict[str, type]:
    class Base:
        log: typing.ClassVar[list[str]] = []

        @above
        @classmethod
        @below
        def of_class(cls, n: int = 1) -> tuple[str, int]:
            return cls.__name__, n

        @above
        @staticmethod
        @below
        def of_none(n: int = 1) -> int:
            return n

        @above
        @property
        @below
        def value(self) -> str:
            return type(self).__name__

        @value.setter
        def value(self, n: int) -> None:
            self.log.append(f"set {n}")

        @value.deleter
        def value(self) -> None:
            self.log.append("deleted")

        @above
        @functools.cached_property
        @below
        def cached(self) -> list[int]:
            return [1]

        @above
        @functools.lru_cache(2)  # noqa: B019 - the class dies with the test
        @below
        def remembered(self, n: int = 1) -> list[int]:
            return [n]

        @above
        @below
        def plain(self, n: int = 1) -> tuple[str, int]:
            return type(self).__name__, n

    class Derived(Base):
        @above
        @below
        def plain(self, n: int = 1) -> tuple[str, int]:
            return super().plain(n + 1)

    return {"Base": Base, "Derived": Derived}


def _ways(classes: dict[str, type]) -> list[Any]:
    said: list[Any] = []
    for owner in classes.values():
        instance: Any = owner()
        said += [
            instance.of_class(2), owner.of_class(), instance.of_none(3), owner.of_none(), instance.value,  # type: ignore[attr-defined]
            instance.cached is instance.cached, instance.remembered(2) is instance.remembered(2), instance.plain(4),
            owner.plain(instance), type(inspect.getattr_static(owner, "value")) is property,  # type: ignore[attr-defined]
            inspect.getattr_static(owner, "remembered").cache_info()[:2],
            inspect.getattr_static(owner, "remembered").cache_parameters(),
        ]  # fmt: skip
        instance.value = 3
        del instance.value
        said.append(list(instance.log))
    return said


def _as_it_is(function: Any) -> Any:
    return function


@pytest.mark.parametrize("order", ["above", "below", "both"])
def test_T4_descriptors_measured_in_any_order_do_what_they_did(order: str, unit: Profile) -> None:
    above = measure if order in ("above", "both") else _as_it_is
    below = measure if order in ("below", "both") else _as_it_is

    assert _ways(_class_with(above, below)) == _ways(_class_with(_as_it_is, _as_it_is))


def test_T4_abstract_methods_stay_abstract_and_protocols_stay_protocols() -> None:
    class Abstract(abc.ABC):
        @measure
        @abc.abstractmethod
        def first(self) -> None: ...

        @abc.abstractmethod
        @measure
        def second(self) -> None: ...

    @typing.runtime_checkable
    class Speaks(Protocol):
        @measure
        def speak(self) -> str: ...

    class Dog:
        @measure
        def speak(self) -> str:
            return "woof"

    assert Abstract.__abstractmethods__ == {"first", "second"}
    with pytest.raises(TypeError):
        Abstract()  # type: ignore[abstract]
    assert isinstance(Dog(), Speaks)


def test_T4_dispatch_dataclasses_slots_and_whole_classes(unit: Profile) -> None:
    @functools.singledispatch
    def shown(value: object) -> str:
        return "object"

    @shown.register
    @measure
    def _(value: int) -> str:
        return "int"

    @measure
    @dataclasses.dataclass(slots=True)
    class Point:
        x: int = 1

        def moved(self) -> int:
            return self.x + 1

    class Base:
        def inherited(self) -> int:
            return 1

    before = Base.inherited

    @measure
    class Child(Base):
        def own(self) -> int:
            return super().inherited() + 1

    assert (shown(1), shown("a")) == ("int", "object")
    assert Point(4).moved() == 5
    assert not hasattr(Point(), "__dict__")
    assert Child().own() == 2
    assert Base.inherited is before
    assert "inherited" not in vars(Child)


# T5: a generator and its measured twin, driven by the same hand.
def _script(log: list[Any], stubborn: bool) -> Any:
    def generator(n: int) -> Any:
        try:
            for at in range(n):
                try:
                    log.append(("sent", (yield at)))
                except KeyError as error:
                    log.append(("caught", repr(error)))
                except GeneratorExit:
                    log.append("exit")
                    if stubborn:
                        yield "no"
                    raise
            return ("returned", n)
        finally:
            log.append("finally")

    return generator


class Generators(RuleBasedStateMachine):
    """Two generators of one function, one of them measured: whatever is done, the same is seen."""

    @initialize(n=st.integers(0, 5), stubborn=st.booleans())
    def start(self, n: int, stubborn: bool) -> None:
        self.logs: tuple[list[Any], list[Any]] = ([], [])
        self.opened = open_profile("unit", to=lambda _: None)
        self.pair: list[Any] = [
            _script(self.logs[0], stubborn)(n), measure(_script(self.logs[1], stubborn))(n),
        ]  # fmt: skip

    def do(self, action: Any) -> None:
        seen = []
        for generator in self.pair:
            before = variable.get(), getattr(variable.get(), "frame", None)
            try:
                seen.append(("value", action(generator)))
            except BaseException as error:
                seen.append(
                    (
                        type(error).__name__,
                        error.args,
                        repr(error.__cause__),
                        type(error.__context__).__name__,
                    )
                )
            assert (variable.get(), getattr(variable.get(), "frame", None)) == before
        assert seen[0] == seen[1]
        assert self.logs[0] == self.logs[1]

    @rule()
    def next(self) -> None:
        self.do(next)

    @rule(value=st.integers())
    def send(self, value: int) -> None:
        self.do(lambda generator: generator.send(value))

    @rule(error=st.sampled_from([KeyError, ValueError, KeyboardInterrupt, StopIteration, GeneratorExit]))
    def throw(self, error: type[BaseException]) -> None:
        self.do(lambda generator: generator.throw(error("thrown")))

    @rule()
    def close(self) -> None:
        self.do(lambda generator: generator.close())

    @rule()
    def delegate(self) -> None:
        def through(generator: Any) -> Any:
            return (yield from generator)

        self.do(lambda generator: next(through(generator)))

    def teardown(self) -> None:
        if hasattr(self, "pair"):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                hook, sys.unraisablehook = sys.unraisablehook, lambda _: None
                self.pair.clear()
                sys.unraisablehook = hook
            close_profile(self.opened)
            restore(self.opened)
            assert self.logs[0] == self.logs[1]


STUBBORN = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
"""A generator that yields when it is closed says so through the unraisable hook, measured or not."""


@STUBBORN
def test_T5_generators_obey_the_same_laws() -> None:
    few = settings(max_examples=150, stateful_step_count=12, deadline=None, database=None)

    run_state_machine_as_test(Generators, settings=few)  # type: ignore[no-untyped-call]


@STUBBORN
@pytest.mark.long
@pytest.mark.timeout(900)
def test_T5_generators_obey_the_same_laws_in_many_orders() -> None:
    many = settings(max_examples=10_000, stateful_step_count=20, deadline=None, database=None)

    run_state_machine_as_test(Generators, settings=many)  # type: ignore[no-untyped-call]


async def _drive(actions: list[Any], make: Any, log: list[Any]) -> list[Any]:
    generator = make(4)
    seen: list[Any] = []
    for action, value in actions:
        try:
            if action == "anext":
                seen.append(await generator.__anext__())
            elif action == "asend":
                seen.append(await generator.asend(value))
            elif action == "athrow":
                seen.append(await generator.athrow(value("thrown")))
            elif action == "aclose":
                seen.append(await generator.aclose())
            elif action == "elsewhere":
                seen.append(await asyncio.ensure_future(generator.aclose()))
            elif action == "cancelled":
                task = asyncio.ensure_future(generator.__anext__())
                await asyncio.sleep(0)
                task.cancel()
                seen.append(await task)
        except BaseException as error:
            seen.append((type(error).__name__, error.args))
    del generator
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    return [seen, log]


ACTIONS = st.lists(
    st.sampled_from([
        ("anext", None), ("asend", 3), ("athrow", KeyError), ("athrow", ValueError), ("aclose", None),
        ("elsewhere", None), ("cancelled", None),
    ]),
    min_size=1, max_size=8,
)  # fmt: skip


@settings(max_examples=150, deadline=None, database=None)
@given(actions=ACTIONS, pause=st.booleans())
def test_T6_async_generators_obey_the_same_laws(actions: list[Any], pause: bool) -> None:
    seen = []
    for wrap in (_as_it_is, measure):
        log: list[Any] = []

        @wrap
        async def generator(n: int, log: list[Any] = log) -> Any:
            try:
                for at in range(n):
                    if pause:
                        await asyncio.sleep(0)
                    try:
                        log.append(("sent", (yield at)))
                    except KeyError:
                        log.append("caught")
            finally:
                await asyncio.sleep(0)
                log.append("finally")

        async def main(make: Any = generator, log: list[Any] = log) -> Any:
            async with profile("unit"):
                return await _drive(actions, make, log)

        opened = open_profile("outer", to=lambda _: None)
        seen.append(asyncio.run(main()))
        close_profile(opened)
        restore(opened)

    assert seen[0] == seen[1]


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_T6_context_managers_and_their_bodies_errors_under_anyio(backend: str) -> None:
    anyio = pytest.importorskip("anyio")
    pytest.importorskip(backend)
    log: list[str] = []

    @contextlib.asynccontextmanager
    @measure
    async def resource() -> Any:
        log.append("open")
        try:
            async with anyio.create_task_group():
                yield 1
        finally:
            log.append("closed")

    async def main() -> None:
        with contextlib.suppress(BaseException):
            async with resource() as value:
                raise KeyError(value)
        with anyio.move_on_after(0):
            async with resource():
                await anyio.sleep(1)

    anyio.run(main, backend=backend)

    assert log == ["open", "closed", "open", "closed"]


WEB = """
import json, sys, io
{start}
from flask import Flask, Response, request, stream_with_context
import sqlite3
app = Flask(__name__)
def ask():
    c = sqlite3.connect(":memory:")
    return [c.execute("select ?", (n,)).fetchone() for n in range(5)]
@app.get("/plain/<int:n>")
def plain(n): return {{"n": n, "rows": ask()}}
@app.get("/stream")
def stream(): return Response((str(n) * n for n in range(5)), mimetype="text/plain")
@app.post("/echo")
def echo(): return request.get_data(), 201, {{"X-Own": "1"}}
@app.get("/fail")
def fail(): raise ValueError("no")
@app.get("/file")
def file():
    from flask import send_file
    return send_file(io.BytesIO(b"abc" * 1000), download_name="a.bin", last_modified=0, etag=False)
seen = []
for method, path, body in [("GET", "/plain/3", b""), ("GET", "/stream", b""), ("POST", "/echo", b"x" * 5000),
                           ("GET", "/fail", b""), ("GET", "/none", b""), ("HEAD", "/plain/1", b""), ("GET", "/file", b"")]:
    said = []
    environ = {{"REQUEST_METHOD": method, "PATH_INFO": path, "SERVER_NAME": "h", "SERVER_PORT": "80",
               "wsgi.input": io.BytesIO(body), "CONTENT_LENGTH": str(len(body)), "wsgi.url_scheme": "http",
               "wsgi.errors": sys.stderr, "wsgi.version": (1, 0), "SERVER_PROTOCOL": "HTTP/1.1"}}
    answer = app(environ, lambda status, headers, exc=None: said.append((status, sorted(h for h in headers if h[0] not in ('Date', 'Expires')))))
    chunks = [chunk.hex() for chunk in answer]
    if hasattr(answer, "close"): answer.close()
    seen.append([said, chunks])
print(json.dumps(seen))
"""


def test_T7_flasks_answers_are_the_same_to_the_byte() -> None:
    pytest.importorskip("flask")
    answers = []
    for variables in ({"MANOMETER": "0"}, {"MANOMETER": "1"}):
        ran = subprocess.run(
            [sys.executable, "-c", WEB.format(start="import manometer")],
            capture_output=True, text=True, env=environment(**variables), timeout=60,
        )  # fmt: skip
        assert ran.returncode == 0, ran.stderr
        answers.append(ran.stdout)

    assert answers[0] == answers[1]
    assert "Vary" not in answers[1]


@settings(max_examples=40, deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.sampled_from(["in", "in", "out"]), max_size=8))
def test_T8_any_sequence_of_installs_and_undos_ends_where_it_began(steps: list[str]) -> None:
    import sqlite3

    before = sqlite3.connect, sqlite3.dbapi2.connect
    entered: list[Any] = []
    for step in steps:
        if step == "in":
            entered.append(install_sources("sqlite3"))
            entered[-1].__enter__()
        elif entered:
            entered.pop().__exit__()
    while entered:
        entered.pop().__exit__()

    assert (sqlite3.connect, sqlite3.dbapi2.connect) == before


def test_T8_measuring_twice_measures_once(unit: Profile) -> None:
    twice = measure(measure(bare_generator))

    assert list(twice(2)) == [0, 1]
    assert inspect.unwrap(twice) is bare_generator
    assert [frame.calls for frame in unit.root.own_children()] == [1]


@dataclasses.dataclass
class Held:
    """An instance with a measured method."""

    n: int = 2

    @measure
    def doubled(self) -> int:
        return 2 * self.n


@measure
def squared(n: int) -> int:
    return n * n


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_T9_pickling_leaves_no_trace_of_manometer(protocol: int, unit: Profile) -> None:
    for thing in (squared, Held(3), Held(3).doubled, [squared]):
        data = pickle.dumps(thing, protocol)

        assert b"manometer" not in data
        pickle.loads(data)
    assert pickle.loads(pickle.dumps(squared, protocol)) is squared
    assert pickle.loads(pickle.dumps(Held(3), protocol)) == Held(3)
    assert copy.deepcopy(squared) is squared


@pytest.mark.parametrize("method", multiprocessing.get_all_start_methods())
def test_T9_measured_functions_run_in_other_processes(method: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # 3.12 warns of forks with threads
        with multiprocessing.get_context(method).Pool(1) as pool:
            assert pool.map(squared, [1, 2, 3]) == [1, 4, 9]


def test_T10_recursion_goes_at_least_half_as_deep_and_leaves_the_stack_empty(unit: Profile) -> None:
    depths = []

    @measure
    def even(n: int) -> int:
        depths.append(n)
        return odd(n + 1)

    @measure
    def odd(n: int) -> int:
        depths.append(n)
        return even(n + 1)

    limit = sys.getrecursionlimit()
    base = len(inspect.stack(0))
    sys.setrecursionlimit(base + 400)
    try:
        for _ in range(100):
            with pytest.raises(RecursionError):
                even(1)
    finally:
        sys.setrecursionlimit(limit)

    assert max(depths) >= (400 - 20) / 2
    branch = variable.get()
    assert branch
    assert branch.frame is unit.root
    assert not any(frame.active & ACTIVE_OPEN or frame.active >> 2 for frame in unit.root.walk())


@pytest.mark.parametrize("kind", ["sync", "async", "generator", "asyncgen", "block", "unit"])
def test_T10_near_the_end_of_the_stack_every_kind_stays_balanced(kind: str, unit: Profile) -> None:
    def down(n: int) -> None:
        if n:
            down(n - 1)
            return
        if kind == "sync":
            measured_sync(1, c=2)
        elif kind == "generator":
            list(measured_generator(2))
        elif kind == "block":
            with measure("deep"):
                bare_sync(1, c=2)
        elif kind == "unit":
            with profile("deep"):
                bare_sync(1, c=2)
        else:
            coroutine = measured_async() if kind == "async" else measured_async_generator(1).__anext__()
            try:
                coroutine.send(None)
            finally:
                coroutine.close()

    limit = sys.getrecursionlimit()
    base = len(inspect.stack(0))
    sys.setrecursionlimit(base + 60)
    failed = 0
    try:
        for depth in range(60):
            try:
                down(depth)
            except RecursionError:
                failed += 1
            except StopIteration:
                pass
    finally:
        sys.setrecursionlimit(limit)

    _context.live.clear()  # a unit that could be opened here, and not closed for want of stack: see the promises
    _cpu.after_fork()
    assert 0 < failed < 60
    assert _context.current().profile is unit
    assert not any(frame.active & ACTIVE_OPEN or frame.active >> 2 for frame in unit.root.walk())


def test_T11_a_traceback_has_one_more_frame_a_measured_call_and_none_else(unit: Profile) -> None:
    @measure
    def inner() -> None:
        raise KeyError

    @measure
    def outer() -> None:
        inner()

    with pytest.raises(KeyError) as caught:
        outer()

    files = [frame.filename for frame in traceback.extract_tb(caught.value.__traceback__)]
    assert sum(file.startswith("<manometer/") for file in files) == 2
    assert [file for file in files if not file.startswith("<manometer/")] == [__file__] * 3
    wrapper = caught.value.__traceback__.tb_next.tb_frame
    assert wrapper.f_globals["__tracebackhide__"] is True
    assert caught.value.__context__ is None
    assert caught.value.__suppress_context__ is False


def test_T11_no_reference_to_an_exception_is_kept(unit: Profile) -> None:
    counts = []
    for wrap in (_as_it_is, measure):
        error = KeyError()

        @wrap
        def raising(error: KeyError = error) -> None:
            raise error

        with contextlib.suppress(KeyError):
            raising()
        error.__traceback__ = None
        counts.append(sys.getrefcount(error))

    assert counts[0] == counts[1]


def test_T12_a_program_of_a_users_keeps_its_types_under_mypy(tmp_path: Path) -> None:
    pytest.importorskip("mypy")
    (tmp_path / "program.py").write_text(
        "from manometer import measure\n"
        "@measure\ndef f(a: int, *, b: str = '') -> list[int]: return [a]\n"
        "@measure('named')\nasync def g(a: int) -> str: return ''\n"
        "reveal_type(f)\nreveal_type(g)\nf('wrong')\n"
    )
    ran = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "program.py"], cwd=tmp_path, capture_output=True, text=True, timeout=120,
        env=environment(MYPYPATH=str(ROOT / "src")),
    )  # fmt: skip

    assert "def (a: int, *, b: str =) -> list[int]" in ran.stdout.replace("builtins.", "")
    assert "def (a: int) -> " in ran.stdout
    assert ran.stdout.count("error:") == 1


def test_T13_doubles_made_of_measured_functions_have_their_signature() -> None:
    double = mock.create_autospec(measured_sync, return_value=3)
    holder = types.SimpleNamespace(f=measured_sync)

    assert double(1, c=2) == 3
    with pytest.raises(TypeError):
        double()
    with mock.patch.object(holder, "f", autospec=True) as patched:
        patched(1, c=2)
        with pytest.raises(TypeError):
            patched(1, 2, nonsense=3, d=4)
    assert holder.f is measured_sync
    assert is_wrapper(measured_sync)
    assert mock.MagicMock(spec=Held()).doubled() is not None


@pytest.fixture(scope="module")
def twin() -> Iterator[Twin]:
    with Twin() as pair:
        yield pair


def compare(twin: Twin, examples: int) -> None:
    # The short run looks at the same programs each time; the long one searches.
    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        derandomize=examples < 1_000,
        suppress_health_check=list(HealthCheck),
    )
    @given(st.lists(programs(), min_size=4, max_size=4))
    def search(sources: list[str]) -> None:
        for inside in twin.compare(*sources):
            assert inside == {"failed": {}, "live": 0}

    search()


@pytest.mark.timeout(150)
def test_T14_random_programs_cannot_tell_whether_they_are_measured(twin: Twin) -> None:
    compare(twin, 60)


@pytest.mark.long
@pytest.mark.timeout(5400)
def test_T14_many_random_programs_cannot_tell_whether_they_are_measured(twin: Twin) -> None:
    compare(twin, 5_000)


def test_T14_a_coroutine_never_awaited_gives_its_one_warning_and_counts_nothing(unit: Profile) -> None:
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        measured_async()
        gc.collect()

    assert [str(warning.message).partition("\n")[0] for warning in said] == [
        "coroutine 'bare_async' was never awaited"
    ]
    assert list(unit.root.own_children()) == []


def test_T14_the_twin_sees_what_a_guest_may_not_do(twin: Twin) -> None:
    guilty = "def main():\n    log(type(measure(main)).__name__, measure(main) is main)\n"

    with pytest.raises(AssertionError, match="log differs"):
        twin.compare(guilty)


assert ROOT
