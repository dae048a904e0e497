"""Real problems with calls to other services, rebuilt as plain programs: run live, and judged like any request.

Each program has `request()`, the unit of work, and `main(n)`, which runs it on data of size n. Nothing in it is
measured; the sources alone see it. Units of one case share a history, as those of one route do.
"""

from __future__ import annotations

import inspect
import re
import sys
from typing import Any

import pytest
from tests.scenarios.loading import load

from manometer._history import History
from manometer._model import PRODUCTION, STRICT
from manometer.testing import install_sources, raising, record

SOURCES = (
    "aiohttp-client", "asyncio-streams", "httpx", "redis", "redis-asyncio", "redis-cluster", "requests", "tenacity",
    "urllib3",
)  # fmt: skip
KINDS = ("http", "cache", "queue", "db", "other")

# case: rule, function (the call's, or one that leads to it), shape of the call; and nothing else
EXPECTED: dict[str, list[tuple[str, str, str]]] = {
    "redis_identical_cache_reads": [("duplicate-read", "site_root_paths", r"^GET site_root_paths$")],
    "http_n_plus_1_behind_property": [("n-plus-one", "Issue.pull_request", r"^GET /issues/\{id\}$")],
    "nested_retries_multiply": [("retry-amplification", "RetryingClient.post", r"^POST /v1/chat$")],
    "http_call_without_timeout": [("no-timeout", "verify_api_key", r"^GET /me$")],
    "token_paging_is_fine": [],
}


def run(name: str, size: int, policy: Any, history: History | None = None) -> list[record]:
    """Run one case at one size; one recording per call of its `request`."""
    recorded: list[record] = []
    with raising(), install_sources(*SOURCES):
        module = load(name)
        original = module.request

        def recording() -> record:
            recorded.append(record(name, kind="request", policy=policy, history=history))
            return recorded[-1]

        async def request_async(*args: Any, **kwargs: Any) -> Any:
            async with recording():
                return await original(*args, **kwargs)

        def request(*args: Any, **kwargs: Any) -> Any:
            with recording():
                return original(*args, **kwargs)

        module.request = request_async if inspect.iscoroutinefunction(original) else request  # type: ignore[attr-defined]
        module.main(size)
    return recorded


def calls_in(recorded: record) -> int:
    return sum(frame.calls for frame in recorded.profile.root.walk() if frame.callsite.kind in KINDS)


def qualified(names: str) -> str:
    """Write functions as this Python can tell them: 3.10 knows no class of a frame."""
    return names if sys.version_info >= (3, 11) else re.sub(r"\w+\.", "", names)


def functions_of(finding: Any) -> str:
    return f"{finding.callsite.function} < {finding.evidence.get('called_from', '')}"


@pytest.mark.parametrize("policy", [STRICT, PRODUCTION], ids=["strict", "production"])
@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_a_case_shows_exactly_what_is_expected(name, policy):
    for size in load(name).SIZES:
        for recorded in run(name, size, policy):
            # How long calls take is the machine's affair here; the rules about size have tests of their own.
            found = [item for item in recorded.findings if item.question != "size"]

            assert calls_in(recorded) >= 2, "a case whose calls were not seen proves nothing"
            assert [item.rule for item in found] == [rule for rule, _, _ in EXPECTED[name]], (size, found)
            for item, (_, function, shape) in zip(found, EXPECTED[name], strict=True):
                assert qualified(function) in functions_of(item)
                assert re.search(shape, item.callsite.template)
                assert item.callsite.file.endswith(f"{name}.py")
                assert item.callsite.line > 0


def test_every_page_and_every_issue_is_counted_and_the_list_is_named_as_the_source():
    (recorded,) = run("http_n_plus_1_behind_property", 80, PRODUCTION)

    (finding,) = recorded.findings
    assert calls_in(recorded) == 2 + 60
    assert (finding.evidence["calls"], finding.confidence) == (60, "confirmed")
    assert finding.source is not None
    assert finding.source.template == "GET /issues"


@pytest.mark.parametrize("attempts", [1, 2, 3])
def test_nested_retries_are_counted_exactly_and_their_layers_named(attempts):
    (recorded,) = run("nested_retries_multiply", attempts, PRODUCTION)

    (finding,) = recorded.findings
    assert finding.evidence["calls"] == 15 * attempts
    assert finding.evidence["logical_calls"] == 1
    assert finding.evidence["answers"] == f"429:{15 * attempts}"
    chain = "RetryingClient.post < Sdk.create < stream_completion < request"
    assert finding.evidence["called_from"] == qualified(chain)
    assert ("tenacity Sdk.create x" in finding.evidence["layers"]) is (attempts > 1)
    assert "x15" in finding.evidence["layers"]


def test_a_fan_out_is_found_from_the_second_size_on():
    history = History()
    found = [run("unbounded_fan_out", size, PRODUCTION, history)[0] for size in (8, 32, 128)]

    assert [calls_in(recorded) for recorded in found] == [8, 32, 128]
    wide = ["unbounded-fanout"]
    assert [[item.rule for item in recorded.findings] for recorded in found] == [[], wide, wide]
    (finding,) = found[-1].findings
    assert finding.callsite.function == "query_metrics"
    assert finding.evidence["peak_in_flight"] == 128


@pytest.mark.parametrize("policy", [STRICT, PRODUCTION], ids=["strict", "production"])
def test_a_wide_fan_out_needs_no_history(policy):
    (recorded,) = run("unbounded_fan_out", 32, policy)

    assert [item.rule for item in recorded.findings] == ["unbounded-fanout"]
