"""The collector of the harness is as ill as it says."""

from __future__ import annotations

import http.client
import urllib.error
import urllib.request

import pytest
from tests.properties._collector import MODES, Collector


def post(collector: Collector, timeout_s: float = 5.0) -> int:
    request = urllib.request.Request(collector.url + "/v1/traces", data=b"body" * 10_000, method="POST")
    with urllib.request.urlopen(request, timeout=timeout_s) as answer:
        answer.read(10)
        return answer.status


def test_a_well_collector_keeps_what_it_gets() -> None:
    with Collector("ok") as collector:
        assert post(collector) == 200

    assert collector.bodies == [b"body" * 10_000]
    assert collector.requests == ["POST /v1/traces HTTP/1.1"]


@pytest.mark.parametrize("mode", ["400", "401", "413", "429", "503"])
def test_a_refusing_collector_answers_its_status(mode: str) -> None:
    with Collector(mode, retry_after_s=7) as collector, pytest.raises(urllib.error.HTTPError) as caught:
        post(collector)

    with caught.value as answer:
        assert answer.code == int(mode)
        assert answer.headers["Retry-After"] == "7"


@pytest.mark.parametrize(
    ("mode", "error"),
    [
        ("refused", urllib.error.URLError), ("reset", (urllib.error.URLError, ConnectionError)),
        ("garbage", http.client.HTTPException), ("redirect", urllib.error.HTTPError),
    ],
)  # fmt: skip
def test_a_broken_collector_breaks_the_request(mode: str, error: type[Exception]) -> None:
    with Collector(mode) as collector, pytest.raises(error) as caught:
        post(collector)
    if isinstance(caught.value, urllib.error.HTTPError):
        caught.value.close()

    assert collector.connections == (0 if mode == "refused" else 1)


@pytest.mark.parametrize("mode", ["silent", "slow"])
def test_a_slow_collector_outlasts_its_client(mode: str) -> None:
    with Collector(mode) as collector, pytest.raises((TimeoutError, OSError)):
        post(collector, timeout_s=0.3)

    assert len(collector.bodies) == 1


def test_an_endless_answer_can_be_left() -> None:
    with Collector("long") as collector:
        assert post(collector) == 200


def test_every_mode_closes_with_nobody_there() -> None:
    for mode in MODES:
        with Collector(mode) as collector:
            pass
        assert collector.connections == 0
