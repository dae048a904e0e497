"""Until when somebody waits for a unit of work: as told by whoever opens it, or by a proxy."""

from __future__ import annotations

import asyncio

import pytest
import requests
from tests.sources.collect import switched_on
from tests.sources.web import serving

from manometer import profile
from manometer._model import PRODUCTION
from manometer.sources import _asgi, _request
from manometer.testing import install_sources, raising

HEADER = "HTTP_X_ENVOY_EXPECTED_RQ_TIMEOUT_MS"


def past(found):
    return [
        frame.more().boundary.past_deadline
        for frame in found.root.walk()
        if frame.callsite.kind == "http" and frame.more().boundary
    ]


@pytest.mark.parametrize(("timeout", "expected"), [(30, 1), (0.5, 0), (None, 1)])
def test_a_call_that_may_outlast_its_unit_of_work_is_counted(timeout, expected):
    with (
        raising(),
        install_sources("requests", "urllib3"),
        serving() as site,
        switched_on() as seen,
        profile("checkout", deadline_ms=5_000),
    ):
        requests.get(site.url, timeout=timeout)

    assert past(seen[0]) == [expected]


def test_a_decorated_function_has_its_deadline_at_every_call():
    @profile("checkout", deadline_ms=1_500)
    def checkout():
        return None

    with switched_on() as seen:
        checkout()
        checkout()

    assert [each.deadline_ns - each.started_ns for each in seen] == [1_500_000_000] * 2


@pytest.mark.parametrize("wrong", [0, -1, "2000", True])
def test_a_deadline_that_is_none_is_refused(wrong):
    with pytest.raises(TypeError, match="deadline_ms"):
        profile("checkout", deadline_ms=wrong)


@pytest.mark.parametrize(("sent", "expected"), [("250", 250_000_000), ("soon", 0), ("9" * 20, 0), (None, 0)])
def test_a_proxy_says_until_when_it_waits(sent, expected):
    def app(environ, start_response):
        start_response("200 OK", [])
        return [b""]

    environ = {"REQUEST_METHOD": "GET", "PATH_INFO": "/orders", **({HEADER: sent} if sent else {})}
    with switched_on() as seen:
        _request.serve(app, environ, lambda *_: None, "test")

    (found,) = seen
    assert (found.policy, found.deadline_ns and found.deadline_ns - found.started_ns) == (
        PRODUCTION,
        expected,
    )


def asgi(app, *messages, headers=()):
    """Serve one ASGI request whose client says *messages*; return its profile."""
    said = iter(messages)

    async def receive():
        return next(said)

    async def send(message):
        pass

    scope = {"type": "http", "method": "GET", "path": "/orders", "headers": list(headers)}
    with raising(), switched_on() as seen:
        asyncio.run(_asgi.serve(app, scope, receive, send, "test"))
    return seen[0]


async def answer(scope, receive, send):
    await receive()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b""})


def test_a_proxy_says_it_to_an_asgi_application_as_well():
    header = (b"x-envoy-expected-rq-timeout-ms", b"250")
    found = asgi(answer, {"type": "http.request"}, headers=[header])

    assert found.deadline_ns - found.started_ns == 250_000_000


@pytest.mark.parametrize(("message", "left"), [("http.disconnect", True), ("http.request", False)])
def test_a_client_that_leaves_is_noted_at_once(message, left):
    found = asgi(answer, {"type": message})

    assert (found.left_ns > 0) is left
