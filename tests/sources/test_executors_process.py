"""Work sent to pools of processes is a call of the unit that sent it, and is pickled without a trace of ours."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import subprocess
import sys
import textwrap
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import TYPE_CHECKING, Any

import pytest

from manometer.testing import install_sources, raising, record

if TYPE_CHECKING:
    from collections.abc import Iterator
    from concurrent.futures import Future

    from manometer._model import Frame


@pytest.fixture(autouse=True)
def sources() -> Iterator[None]:
    with raising(), install_sources("process-pools"):
        yield


def works(recorded: record) -> list[Frame]:
    return [frame for frame in recorded.profile.root.walk() if frame.callsite.system == "process"]


def double(number: int) -> int:
    return number * 2


def fail(number: int) -> int:
    raise ValueError(number)


def leave() -> None:
    os._exit(7)


class Told:
    """Says what it is pickled with."""

    def __reduce__(self) -> Any:
        return str, ("pickled as it is",)


def echo(thing: Any) -> Any:
    return thing


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_each_piece_is_a_call_of_the_unit_and_its_result_is_the_hosts(method: str) -> None:
    if method not in multiprocessing.get_all_start_methods():
        pytest.skip(f"this platform has no {method}")
    with record() as recorded, ProcessPoolExecutor(2, multiprocessing.get_context(method)) as pool:
        assert list(pool.map(double, range(6), chunksize=2)) == [0, 2, 4, 6, 8, 10]
        assert pool.submit(echo, Told()).result() == "pickled as it is"
        error = pool.submit(fail, 3).exception()

    assert (type(error), error.args if error else ()) == (ValueError, (3,))
    found = {frame.callsite.name: (frame.calls, frame.errors) for frame in works(recorded)}
    assert found == {
        "process pool double": (3, 0),
        "process pool echo": (1, 0),
        "process pool fail": (1, 1),
    }
    assert all(frame.callsite.file == __file__ for frame in works(recorded))


def test_a_pool_whose_worker_died_says_so_inside_and_outside() -> None:
    def run() -> type[BaseException] | None:
        with ProcessPoolExecutor(1) as pool:
            return type(pool.submit(leave).exception())

    with record() as recorded:
        inside = run()

    assert inside is BrokenProcessPool
    assert inside is run()
    assert [(frame.calls, frame.errors) for frame in works(recorded)] == [(1, 1)]


def test_nothing_of_ours_is_in_what_a_worker_gets(tmp_path: Any) -> None:
    """The worker here has no manometer at all: it could not read a pickle that names it."""
    program = tmp_path / "program.py"
    program.write_text(
        textwrap.dedent("""
        import sys
        from concurrent.futures import ProcessPoolExecutor
        import multiprocessing

        def work(number):
            return number, sorted(name for name in sys.modules if name.startswith("manometer"))

        def main():
            from manometer.testing import install_sources, record
            with install_sources("process-pools", "executors"), record() as recorded:
                with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
                    print(pool.submit(work, 3).result())
            print(sum(f.calls for f in recorded.profile.root.walk() if f.callsite.system == "process"))

        if __name__ == "__main__":
            main()
        """)
    )
    done = subprocess.run([sys.executable, str(program)], capture_output=True, text=True, timeout=60)

    assert done.stdout.split("\n")[:2] == ["(3, [])", "1"], done.stderr


def test_the_queue_for_workers_is_followed_in_the_order_of_sending() -> None:
    from manometer.sources.executors_process import _Line, _Work

    class Pool:
        _max_workers = 1

    line = _Line(Pool())

    def work(profile: object) -> _Work:
        class Branch:
            pass

        branch: Any = Branch()
        branch.profile = profile
        return _Work(branch, None, ("app.py", 1, "send"), line)  # type: ignore[arg-type]

    first, second, third = work("a"), work("b"), work("b")
    for each in (first, second, third):
        line.enter(each)
    line.leave(second, 50)  # cancelled before its turn
    line.leave(first, 70)

    assert (first.started_ns, second.started_ns, third.started_ns) == (first.sent_ns, 0, 70)
    assert [place for place, _, _ in third.blamed] == [("app.py", 1, "send")]
    assert first.blamed == []


def test_a_future_keeps_nothing_of_ours_alive() -> None:
    import gc
    import weakref

    kept: list[Future[int]] = []
    with ProcessPoolExecutor(1) as pool:
        with record() as recorded:
            kept.append(pool.submit(double, 4))
            assert kept[0].result() == 8
        profile = weakref.ref(recorded.profile)
    del recorded
    gc.collect()

    assert profile() is None
    assert pickle.dumps(kept[0].result())
