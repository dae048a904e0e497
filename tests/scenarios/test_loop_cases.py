"""Real problems of event loops rebuilt as plain programs: the line that blocked is named, and nobody else."""

from __future__ import annotations

from typing import Any

import pytest
from tests.scenarios.loading import load

from manometer import _stacks
from manometer._model import PRODUCTION, STRICT
from manometer.testing import install_sources, raising, record

MAY_SEE = _stacks.may_read_others()


def run(name: str, size: int, policy: Any) -> list[record]:
    """Run one case at one size; one recording per call of its `request`."""
    recorded: list[record] = []
    with install_sources(), raising():
        module = load(name)
        original = module.request

        async def request(*args: Any, **kwargs: Any) -> Any:
            async with record(name, kind="request", policy=policy) as this:
                recorded.append(this)
                return await original(*args, **kwargs)

        module.request = request  # type: ignore[attr-defined]
        module.main(size)
    return recorded


def blamed(recorded: list[record], rule: str) -> set[str]:
    return {
        finding.callsite.function.rpartition(".")[2]
        for this in recorded
        for finding in this.findings
        if finding.rule == rule
    }


@pytest.mark.skipif(not MAY_SEE, reason="stacks cannot be read here")
@pytest.mark.parametrize("policy", [STRICT, PRODUCTION], ids=["strict", "production"])
@pytest.mark.parametrize(
    ("name", "size", "function"),
    [("sync_handler_blocks_event_loop", 8, "predict"), ("httpx_client_per_poll", 12, "poll")],
)
def test_a_blocked_loop_names_the_line_that_blocks_it(
    name: str, size: int, function: str, policy: Any
) -> None:
    recorded = run(name, size, policy)

    # The client's own first request, with its imports, may hold the loop for 50 ms too.
    assert {function} <= blamed(recorded, "loop-blocked") <= {function, "request"}
    assert blamed(recorded, "gil-contention") == set()


@pytest.mark.parametrize("policy", [STRICT, PRODUCTION], ids=["strict", "production"])
def test_a_starved_loop_blames_the_thread_that_starves_it(policy: Any) -> None:
    starved = False
    for _ in range(
        6
    ):  # on a full machine the threads may each have a core's worth of waiting, and none starves
        recorded = run("loop_starved_by_other_thread", 15, policy)

        assert blamed(recorded, "loop-blocked") == set()
        assert blamed(recorded, "gil-contention") <= {"crunch"}
        starved = any(stall.sort == "starved" for this in recorded for stall in this.profile.stalls)
        if starved:
            break
    assert starved
