"""N of the catalogue: what fails inside manometer stays inside, and what the application raises passes untouched."""

from __future__ import annotations

import ast
import contextlib
import gc
import json
import logging
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings, strategies as st
from tests.properties import _chaos, _zoo
from tests.properties._hosts import HOSTS
from tests.properties._twin import FLAGS, ROOT, environment

import manometer
from manometer import _guard, measure, profile
from manometer._context import close_profile, open_profile, restore

if TYPE_CHECKING:
    from collections.abc import Iterator

SOURCE = ROOT / "src" / "manometer"
MODULES = sorted(SOURCE.rglob("*.py"))


@pytest.fixture
def on() -> Iterator[None]:
    """Manometer on, as in production: what fails is counted."""
    handler = logging.StreamHandler(open(os.devnull, "w"))  # noqa: SIM115
    logging.getLogger("manometer").addHandler(handler)
    manometer.start(manometer.Config(heartbeat_s=0))
    try:
        yield
    finally:
        manometer.stop()
        _guard.clear()
        logging.getLogger("manometer").removeHandler(handler)
        handler.stream.close()


def _points(host: Any) -> list[tuple[_chaos.Point, int]]:
    counts = _chaos.entered(host)
    return sorted(((point, n) for point, n in counts.items() if not _chaos.is_shell(point)), key=str)


@pytest.mark.parametrize("error", _chaos.ERRORS, ids=lambda error: error.__name__)
@pytest.mark.parametrize("name", sorted(HOSTS))
def test_N1_a_failure_at_any_function_of_ours_is_counted_and_changes_nothing(
    on: None, name: str, error: type[Exception]
) -> None:
    host = HOSTS[name]
    expected = host()
    wrong = []
    points = _points(host)
    for point, entries in points:
        for nth in range(1, min(entries, 3) + 1):
            _guard.clear()
            found = _chaos.inject(host, point, error, nth)
            said = []
            if found.escaped is not None or found.result != expected:
                said.append(f"the host saw {found.escaped or found.result!r}")
            # `key_of` answers a RuntimeError, of which RecursionError is one, with "unknown" and that is no failure.
            least = 0 if error is RecursionError else found.injected
            if not least <= found.counted <= found.injected:
                said.append(f"{found.injected} injected, {found.counted} counted")
            if said:
                wrong.append((str(point), nth, said))

    assert len(points) >= 12
    assert wrong == []


def test_N1_a_point_that_goes_on_failing_is_switched_off_and_the_rest_goes_on(
    on: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    from manometer._context import HOT

    calls = []

    def fails(*_: Any) -> Any:
        calls.append(1)
        raise _chaos.Injected

    monkeypatch.setitem(HOT, "fail_", _guard.shield("measure.fail", fails, lambda *_: None))

    @measure
    def raising() -> None:
        raise KeyError

    with profile("unit") as record:
        for _ in range(10):
            with contextlib.suppress(KeyError):
                raising()

    assert len(calls) == 3
    assert _guard.is_off("measure.fail")
    (frame,) = record.root.own_children()
    assert frame.calls == 10


@pytest.mark.parametrize("error", _chaos.ERRORS, ids=lambda error: error.__name__)
def test_N2_a_failing_span_processor_changes_no_exception_and_lets_every_body_run(
    on: None, error: type[Exception]
) -> None:
    trace = pytest.importorskip("opentelemetry.sdk.trace")
    from manometer.sources.otel._processor import add_to

    heard: list[str] = []

    class Other(trace.SpanProcessor):  # type: ignore[misc, name-defined]
        def on_end(self, span: Any) -> None:
            heard.append(span.name)

    provider = trace.TracerProvider(shutdown_on_exit=False)
    undo = add_to(provider)
    provider.add_span_processor(Other())
    tracer = provider.get_tracer("app")
    raised = ValueError("theirs")

    def host() -> list[Any]:
        log: list[Any] = []
        heard.clear()
        with profile("unit"):
            for _ in range(3):
                try:
                    with tracer.start_as_current_span("outer"), tracer.start_as_current_span("SELECT"):
                        log.append("body")
                        raise raised
                except ValueError as caught:
                    log.append(caught is raised)
        return [*log, len(heard)]

    assert host() == ["body", True] * 3 + [6]
    wrong = []
    for point, entries in _points(host):
        for nth in range(1, min(entries, 3) + 1):
            _guard.clear()
            found = _chaos.inject(host, point, error, nth)
            if found.escaped is not None or found.result != ["body", True] * 3 + [6]:
                wrong.append((str(point), nth, found.escaped, found.result))
    undo()
    provider.shutdown()

    assert wrong == []


@pytest.mark.parametrize("exporter", ["raises", "wrong"])
def test_N4_extensions_of_the_users_that_fail_are_counted_then_left_out(exporter: str) -> None:
    calls = []

    class Bad:
        def export(self, report: Any) -> Any:
            calls.append(report)
            if exporter == "raises":
                raise _chaos.Injected
            return object()

        def tick(self) -> Any:
            return "nonsense"

    def detector(*_: Any) -> Any:
        raise _chaos.Injected

    manometer.start(manometer.Config(exporters=(), heartbeat_s=0), exporters=[Bad()], detectors=[detector])
    try:
        for _ in range(10):
            with profile("unit"):
                pass
            assert manometer.flush()
        failures = dict(_guard.counts)
    finally:
        manometer.stop()
        _guard.clear()

    assert len(calls) == (3 if exporter == "raises" else 10)
    assert failures.get("exporters.Bad", 0) == (3 if exporter == "raises" else 0)


def test_N4_a_key_function_that_raises_is_counted_and_the_call_goes_on(on: None) -> None:
    def key(n: int) -> int:
        raise _chaos.Injected

    @measure(key=key)
    def keyed(n: int) -> int:
        return n

    with profile("unit"):
        assert keyed(3) == 3

    assert _guard.total() == 1


_BOXES = (lambda animals: animals[0], list, tuple, lambda animals: {"key": animals[0]})


@settings(max_examples=150, deadline=None, database=None)
@given(
    names=st.lists(st.sampled_from(sorted(_zoo.ANIMALS)), min_size=1, max_size=3), box=st.sampled_from(_BOXES)
)
def test_N5_hostile_arguments_and_results_are_not_touched(names: list[str], box: Any) -> None:
    value = box([_zoo.ANIMALS[name] for name in names])

    @measure(key="value")
    def through(value: Any, *rest: Any, **more: Any) -> Any:
        return value

    @measure
    def generated(value: Any) -> Iterator[Any]:
        yield value

    _zoo.touched.clear()
    opened = open_profile("unit", to=lambda _: None)
    try:
        same = [through(value, value, more=value) is value for _ in range(10)]
        same.append(next(generated(value)) is value)
    finally:
        close_profile(opened)
        restore(opened)

    touched = list(_zoo.touched)
    assert all(same)
    assert touched == []


@pytest.mark.parametrize("error", _zoo.ERRORS, ids=["hostile", "nameless"])
def test_N5_hostile_exceptions_pass_as_the_same_object_untouched(error: type[Exception]) -> None:
    raised = error()

    @measure
    def raising() -> None:
        raise raised

    _zoo.touched.clear()
    opened = open_profile("unit", to=lambda _: None)
    try:
        with profile("inner"), measure("block"):
            raising()
    except Exception as caught:
        found = caught
    finally:
        close_profile(opened)
        restore(opened)

    assert found is raised
    assert _zoo.touched == []


def test_N3_no_interrupt_is_swallowed_and_measured_calls_stay_balanced() -> None:
    assert_interrupts(500)


@pytest.mark.long
def test_N3_ten_thousand_interrupts_are_not_swallowed() -> None:
    assert_interrupts(10_000)


def assert_interrupts(points: int) -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "tests.properties._interrupts", str(points), "7"],
        cwd=ROOT, env=environment(), capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    found = json.loads(ran.stdout)

    assert found["raised"] == points
    assert found["surfaced"] == found["raised"]
    assert found["failed"] == {}
    # Only the edge of a `with` can be cut in two: the interpreter gives no way to guard it.
    edges = [name for name in found if name.startswith(("unbalanced ", "left current ", "rolling "))]
    allowed = ("__exit__", "__enter__", "__aexit__", "__aenter__", "_exit", "_leave", "_guard.py:call", "_hosts.py", "restore", "_enter", "_open", "_close", "_into", "_out")  # fmt: skip
    if sys.version_info >= (3, 11):  # 3.10 looks for interrupts in the middle of a statement too
        assert [name for name in edges if not name.endswith(allowed) and "_hosts.py" not in name] == []
    assert found.get("unbalanced", 0) + found.get("left current", 0) <= max(10, points // 20)


def test_N3_no_guard_catches_more_than_it_may() -> None:
    wrong = []
    for path in MODULES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.ExceptHandler):
                continue
            caught = (
                {part.id for part in ast.walk(node.type) if isinstance(part, ast.Name)} if node.type else {""}
            )
            if caught & {"", "BaseException", "KeyboardInterrupt", "SystemExit", "GeneratorExit"}:
                last = node.body[-1]
                raises = isinstance(last, ast.Raise) and last.exc is None
                if not raises and f"{path.name}" not in _KEEPS:
                    wrong.append(f"{path.name}:{node.lineno}")

    assert wrong == []


_KEEPS = {"run.py": "the command line ends with the program's own exit"}


def test_N6_sources_whose_library_is_another_than_expected_are_inactive_and_the_application_works(
    tmp_path: Path,
) -> None:
    (tmp_path / "flask.py").write_text("class Flask:\n    def __call__(self, something): return something\n")
    (tmp_path / "sqlalchemy.py").write_text("__version__ = '9.0'\n")
    (tmp_path / "redis.py").write_text("client = None\n")
    program = (
        "import manometer, logging, json, sys; logging.disable()\n"
        "import flask, sqlalchemy, redis\n"
        "assert flask.Flask()(3) == 3\n"
        "print(json.dumps(manometer._runtime.running().states if hasattr(manometer, '_runtime') else {}))\n"
    )
    ran = subprocess.run(
        [sys.executable, "-W", "error", "-c", program], capture_output=True, text=True, timeout=60,
        env=environment(MANOMETER="1", PYTHONPATH=f"{tmp_path}{os.pathsep}{ROOT}"),
    )  # fmt: skip

    assert ran.returncode == 0, ran.stderr
    states = json.loads(ran.stdout.splitlines()[-1])
    assert {states["flask"][0], states["sqlalchemy"][0]} == {"inactive"}


def test_N7_nothing_depends_on_where_it_runs() -> None:
    names = ("PYTEST_CURRENT_TEST", "DJANGO_DEBUG", "FLASK_DEBUG", "GITHUB_ACTIONS")
    found = [
        f"{path.name}: {name}"
        for path in MODULES
        for name in names
        if f'"{name}"' in path.read_text(encoding="utf-8")
    ]

    assert found == []


def test_N7_strictness_is_asked_for_and_never_guessed() -> None:
    assert "PYTEST_CURRENT_TEST" in os.environ
    assert _guard.strict is False


def test_N1_the_host_programs_reach_most_of_what_runs_on_host_threads(on: None) -> None:
    reached = {str(point) for host in HOSTS.values() for point in _chaos.entered(host)}
    files = {name.partition(":")[0] for name in reached}

    assert {
        "_context.py",
        "_plan.py",
        "_calls.py",
        "_rolling.py",
        "sources/sqlite.py",
        "sources/_request.py",
    } <= files
    gc.collect()


assert FLAGS  # the twin's flags are what children run with
