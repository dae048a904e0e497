"""urllib3 by itself: what it is asked, how often it tries, how long it would wait."""

from __future__ import annotations

import json

import pytest
import urllib3
from tests.sources.web import serving

from manometer.testing import install_sources, raising, record


@pytest.fixture(autouse=True)
def sources():
    with raising(), install_sources("urllib3"):
        yield


def only(recorded):
    (frame,) = [frame for frame in recorded.profile.root.walk() if frame.callsite.kind == "http"]
    return frame


def pool(**options):
    return urllib3.PoolManager(**{"retries": False, **options})


def test_a_request_is_one_call_with_its_shape_host_and_line():
    with serving() as site, record() as recorded:
        answer = pool().request("GET", f"{site.url}/users/42?limit=5", timeout=3)

    callsite = only(recorded).callsite
    assert json.loads(answer.data) == {"method": "GET", "ok": True}
    assert (callsite.template, callsite.target, callsite.library) == (
        "GET /users/{id}",
        site.target,
        "urllib3",
    )
    assert callsite.file == __file__


def test_its_retries_are_counted_inside_the_one_call():
    retry = urllib3.Retry(total=3, status_forcelist=[503], backoff_factor=0)
    with (
        serving(lambda *_: (503, {})) as site,
        record() as recorded,
        pytest.raises(urllib3.exceptions.MaxRetryError),
    ):
        pool(retries=retry).request("GET", f"{site.url}/a", timeout=3)

    frame = only(recorded)
    assert len(site.asked) == 4
    assert (frame.calls, frame.errors, frame.more().boundary.retries_inside) == (1, 1, 3)
    assert frame.more().outcomes == {"ResponseError": 1}


def test_a_connection_that_breaks_is_tried_again_inside_the_call():
    answers = iter([None, (200, {})])
    with serving(lambda *_: next(answers)) as site, record() as recorded:
        pool(retries=urllib3.Retry(total=2, backoff_factor=0)).request("GET", f"{site.url}/a", timeout=3)

    frame = only(recorded)
    assert (frame.calls, frame.errors, frame.more().boundary.retries_inside) == (1, 0, 1)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, (1, 0)),
        ({"timeout": 2}, (0, 2_000_000_000)),
        ({"timeout": None}, (1, 0)),
        ({"timeout": urllib3.Timeout(total=4)}, (0, 4_000_000_000)),
        ({"timeout": urllib3.Timeout(connect=1, read=2.5)}, (0, 2_500_000_000)),
        ({"timeout": urllib3.Timeout(connect=1)}, (1, 0)),
    ],
)
def test_the_time_limit_of_a_read_is_noted(options, expected):
    with serving() as site, record() as recorded:
        pool().request("GET", site.url, **options)

    assert (
        only(recorded).more().boundary.without_timeout,
        only(recorded).more().boundary.timeout_ns,
    ) == expected


def test_the_time_limit_of_the_pool_counts():
    with serving() as site, record() as recorded:
        pool(timeout=6).request("GET", site.url)

    assert only(recorded).more().boundary.timeout_ns == 6_000_000_000


def test_a_body_that_is_streamed_is_left_to_its_reader():
    with serving() as site, record() as recorded:
        answer = pool().request("GET", site.url, preload_content=False, timeout=3)
        body = b"".join(answer.stream())

    assert body == b'{"method": "GET", "ok": true}'
    assert only(recorded).more().bytes_sum == len(body)
