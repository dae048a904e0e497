"""tenacity around real calls: a frame for each layer, and attempts that are neither repetitions nor polls."""

from __future__ import annotations

import asyncio

import httpx
import pytest
import requests
from tenacity import (
    AsyncRetrying,
    RetryError,
    Retrying,
    retry,
    retry_if_result,
    stop_after_attempt,
    wait_none,
)
from tests.profiles import rules
from tests.sources.web import serving
from urllib3 import Retry

from manometer.testing import install_sources, raising, record

THREE = {"stop": stop_after_attempt(3), "wait": wait_none(), "reraise": True}


@pytest.fixture(autouse=True)
def sources():
    with raising(), install_sources("httpx", "requests", "tenacity", "urllib3") as installed:
        assert installed.states["tenacity"] == ("active", "")
        yield


def layers(recorded):
    return {
        frame.callsite.name: (frame.calls, frame.more().boundary.retries_inside)
        for frame in recorded.profile.root.walk()
        if frame.callsite.library == "tenacity" and frame.more().boundary
    }


def named(recorded, rule="retry-amplification"):
    (finding,) = [item for item in recorded.findings if item.rule == rule]
    return finding


def test_three_times_three_times_two_more_are_27_requests_of_one_call():
    session = requests.Session()
    kept = Retry(total=2, status_forcelist=[503], backoff_factor=0, raise_on_status=False)
    session.mount("http://", requests.adapters.HTTPAdapter(max_retries=kept))

    @retry(**THREE)
    def inner():
        session.get(f"{site.url}/stock", timeout=3).raise_for_status()

    @retry(**THREE)
    def outer():
        inner()

    with serving(lambda *_: (503, {})) as site, record() as recorded, pytest.raises(requests.HTTPError):
        outer()

    finding = named(recorded)
    assert len(site.asked) == 27
    assert (finding.evidence["calls"], finding.evidence["logical_calls"]) == (27, 1)
    assert finding.evidence["attempts_per_call"] == 27
    assert finding.evidence["layers"].count(" x3") == 3
    assert [part in finding.evidence["layers"] for part in ("outer", "inner", "urllib3")] == [
        True,
        True,
        True,
    ]
    assert finding.evidence["layers"].index("outer") < finding.evidence["layers"].index("inner")
    assert "one layer" in finding.advice
    assert rules(recorded.findings) == ["retry-amplification"]


def test_an_async_layer_counts_its_attempts():
    async def main(url):
        @retry(**THREE)
        async def fetch():
            (await http.get(f"{url}/stock")).raise_for_status()

        async with httpx.AsyncClient(timeout=5, verify=False) as http, record() as recorded:
            with pytest.raises(httpx.HTTPStatusError):
                await fetch()
        return recorded

    with serving(lambda *_: (503, {})) as site:
        recorded = asyncio.run(main(site.url))

    assert list(layers(recorded).values()) == [(1, 2)]
    assert len(site.asked) == 3


def test_a_loop_over_attempts_counts_them_and_lets_go_at_its_end():
    with serving(lambda *_: (503, {})) as site, record() as recorded:
        with pytest.raises(requests.HTTPError):
            for attempt in Retrying(**THREE):
                with attempt:
                    requests.get(f"{site.url}/stock", timeout=3).raise_for_status()
        requests.get(f"{site.url}/after", timeout=3)

    assert layers(recorded) == {"tenacity": (1, 2)}
    (after,) = [frame for frame in recorded.profile.root.walk() if frame.callsite.name == "GET /after"]
    assert after.parent is recorded.profile.root


def test_a_loop_that_is_left_by_a_break_lets_go_as_well():
    with serving() as site, record() as recorded:
        for attempt in Retrying(**THREE):
            with attempt:
                requests.get(f"{site.url}/stock", timeout=3)
                break
        del attempt
        requests.get(f"{site.url}/after", timeout=3)

    (after,) = [frame for frame in recorded.profile.root.walk() if frame.callsite.name == "GET /after"]
    assert after.parent is recorded.profile.root


def test_an_async_loop_notes_its_attempts_as_retries():
    async def main(url):
        async with httpx.AsyncClient(timeout=5, verify=False) as http, record() as recorded:
            async for attempt in AsyncRetrying(**THREE):
                with attempt:
                    await http.get(f"{url}/stock")
                    if len(site.asked) < 3:
                        raise OSError
        return recorded

    with serving() as site:
        recorded = asyncio.run(main(site.url))

    (frame,) = [frame for frame in recorded.profile.root.walk() if frame.callsite.kind == "http"]
    (use,) = frame.more().keys.values()
    assert (use.retries, use.repeats) == (2, 0)


def test_what_succeeded_in_an_attempt_that_failed_is_asked_again_as_a_retry():
    @retry(**THREE)
    def order():
        requests.get(f"{site.url}/token", timeout=3)
        requests.post(f"{site.url}/orders", data=b"x", timeout=3).raise_for_status()

    answers = iter([503, 503, 201])
    with (
        serving(lambda method, _: (next(answers) if method == "POST" else 200, {})) as site,
        record() as recorded,
    ):
        order()

    assert site.asked == ["GET /token", "POST /orders"] * 3
    assert rules(recorded.findings) == []


def test_waiting_for_a_result_is_polling_and_no_retry():
    states = iter(["queued"] * 5 + ["done"])

    @retry(retry=retry_if_result(lambda state: state != "done"), stop=stop_after_attempt(9), wait=wait_none())
    def wait():
        return requests.get(f"{site.url}/job", timeout=3).json()["state"]

    with serving(lambda *_: (200, {"state": next(states)})) as site, record() as recorded:
        assert wait() == "done"

    assert len(site.asked) == 6
    assert recorded.findings == ()


def test_three_attempts_are_good_practice():
    @retry(**THREE)
    def fetch():
        requests.get(f"{site.url}/stock", timeout=3).raise_for_status()

    with serving(lambda *_: (503, {})) as site, record() as recorded, pytest.raises(requests.HTTPError):
        fetch()

    assert recorded.findings == ()


def test_the_error_of_tenacity_passes_untouched():
    @retry(stop=stop_after_attempt(2), wait=wait_none())
    def fail():
        raise KeyError("x")

    with record() as recorded, pytest.raises(RetryError):
        fail()

    assert layers(recorded) == {
        "tenacity test_the_error_of_tenacity_passes_untouched.fail": (1, 1),
    }


def test_a_decorated_function_keeps_its_statistics():
    @retry(**THREE)
    def fetch():
        if fetch.retry.statistics["attempt_number"] < 2:
            raise OSError
        return 1

    with record():
        assert fetch() == 1
    assert fetch.retry.statistics["attempt_number"] == 2
