"""httpx over real servers, sync and async: one call for each request that goes over the network."""

from __future__ import annotations

import asyncio
import pickle
import socket

import httpx
import pytest
from tests.profiles import rules
from tests.sources.web import serving

from manometer.testing import install_sources, raising, record


@pytest.fixture(autouse=True)
def sources():
    with raising(), install_sources("httpx") as installed:
        assert installed.states["httpx"] == ("active", "")
        yield


def calls(recorded):
    return [frame for frame in recorded.profile.root.walk() if frame.callsite.kind == "http"]


def only(recorded):
    (frame,) = calls(recorded)
    return frame


def client(**options):
    return httpx.Client(timeout=options.pop("timeout", 5), verify=False, **options)


def async_client(**options):
    return httpx.AsyncClient(timeout=options.pop("timeout", 5), verify=False, **options)


def test_a_request_is_one_call_with_its_shape_host_and_line():
    with serving() as site, client(base_url=site.url) as http, record() as recorded:
        answer = http.get("/users/42?limit=5")

    callsite = only(recorded).callsite
    assert answer.json() == {"method": "GET", "ok": True}
    assert callsite.template == "GET /users/{id}"
    assert (callsite.target, callsite.library, callsite.operation) == (site.target, "httpx", "read")
    assert callsite.file == __file__
    assert only(recorded).more().bytes_sum == len(answer.content)


def test_an_awaited_request_is_one_call_with_its_line():
    async def main(url):
        async with async_client() as http, record() as recorded:
            await http.post(f"{url}/users", json={"name": "x"})
        return recorded

    with serving() as site:
        recorded = asyncio.run(main(site.url))

    frame = only(recorded)
    assert (frame.calls, frame.callsite.name, frame.callsite.operation) == (1, "POST /users", "write")
    assert frame.callsite.function.endswith("main")
    assert frame.more().boundary.awaited is True


def test_gathered_requests_overlap_and_are_counted_exactly():
    async def main(url):
        async with async_client() as http, record() as recorded:
            await asyncio.gather(*(http.get(f"{url}/held/{at}") for at in range(9)), release())
        return recorded

    async def release():
        await asyncio.to_thread(site.wait_for, 9)
        site.held.set()

    with serving() as site:
        recorded = asyncio.run(main(site.url))

    frame = only(recorded)
    assert (frame.calls, frame.more().peak_in_flight, len(frame.more().keys)) == (9, 9, 9)
    assert frame.callsite.function.endswith("main")


@pytest.mark.parametrize(
    ("timeout", "expected"),
    [(5, (0, 5_000_000_000)), (None, (1, 0)), (httpx.Timeout(2, read=None), (1, 0))],
)
def test_the_time_limit_of_a_read_is_noted(timeout, expected):
    with serving() as site, client(timeout=timeout) as http, record() as recorded:
        http.get(site.url)

    boundary = only(recorded).more().boundary
    assert (boundary.without_timeout, boundary.timeout_ns) == expected


def test_without_any_argument_the_limit_is_the_five_seconds_of_the_library():
    with serving() as site, httpx.Client(verify=False) as http, record() as recorded:
        http.get(site.url)

    assert only(recorded).more().boundary.timeout_ns == 5_000_000_000


def test_a_time_limit_that_ends_the_call_is_an_error_that_passes():
    with (
        serving() as site,
        client(timeout=0.05) as http,
        record() as recorded,
        pytest.raises(httpx.ReadTimeout),
    ):
        http.get(f"{site.url}/held")

    assert only(recorded).more().outcomes == {"ReadTimeout": 1}


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def test_connections_that_a_transport_tries_again_are_counted_inside_the_call():
    transport = httpx.HTTPTransport(retries=1, verify=False)
    with client(transport=transport) as http, record() as recorded, pytest.raises(httpx.ConnectError):
        http.get(f"http://127.0.0.1:{free_port()}/a")

    frame = only(recorded)
    assert (frame.calls, frame.errors, frame.more().boundary.retries_inside) == (1, 1, 1)


def test_connections_that_an_async_transport_tries_again_are_counted_inside_the_call():
    async def main():
        transport = httpx.AsyncHTTPTransport(retries=1, verify=False)
        async with async_client(transport=transport) as http, record() as recorded:
            request = http.build_request("GET", f"http://127.0.0.1:{free_port()}/a")
            with pytest.raises(httpx.ConnectError):
                await http.send(request)
        assert "trace" not in request.extensions
        return recorded

    frame = only(asyncio.run(main()))
    assert (frame.calls, frame.more().boundary.retries_inside) == (1, 1)


def test_a_transport_of_a_test_is_no_network():
    mock = httpx.MockTransport(lambda request: httpx.Response(200, json={}))
    with httpx.Client(transport=mock) as http, record() as recorded:
        http.get("http://somewhere/")

    assert calls(recorded) == []


def test_a_cancelled_request_is_cancelled_and_no_error():
    async def main(url):
        async with async_client() as http, record() as recorded:
            task = asyncio.ensure_future(http.get(f"{url}/held"))
            await asyncio.to_thread(site.wait_for, 1)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        return recorded

    with serving() as site:
        recorded = asyncio.run(main(site.url))

    assert (only(recorded).errors, only(recorded).more().cancelled) == (0, 1)


def test_ids_that_json_returned_prove_the_n_plus_one():
    def answer(method, path):
        return 200, ({"data": [{"id": f"u-{at}99"} for at in range(8)]} if path == "/users" else {"ok": True})

    with serving(answer) as site, client(base_url=site.url) as http, record() as recorded:
        for user in http.get("/users").json()["data"]:
            http.get(f"/users/{user['id']}").json()

    (finding,) = recorded.findings
    assert (finding.rule, finding.confidence) == ("n-plus-one", "confirmed")
    assert finding.source.name == "GET /users"


def test_tokens_that_lead_from_page_to_page_are_no_n_plus_one():
    def answer(method, path):
        at = int(path.rpartition("/t")[2], 36)
        return 200, {"items": [{"amount": at}], "next": f"/payments/t{at + 1}" if at < 9 else None}

    with serving(answer) as site, client(base_url=site.url) as http, record() as recorded:
        link = "/payments/t1"
        while link:
            link = http.get(link).json()["next"]

    assert len(site.asked) == 9
    assert recorded.findings == ()


def test_polling_until_the_answer_changes_is_no_duplicate():
    states = iter(["queued", "queued", "running", "done"])
    with serving(lambda *_: (200, {"state": next(states)})) as site, client() as http, record() as recorded:
        while http.get(f"{site.url}/job").json()["state"] != "done":
            pass

    assert recorded.findings == ()


def test_the_same_answer_again_is_a_confirmed_duplicate():
    with serving() as site, client() as http, record() as recorded:
        for _ in range(3):
            http.get(f"{site.url}/settings").json()

    (finding,) = recorded.findings
    assert (finding.rule, finding.confidence) == ("duplicate-read", "confirmed")


def test_a_streamed_upload_is_sent_and_its_arguments_are_unknown():
    with serving() as site, client() as http, record() as recorded:
        http.post(f"{site.url}/upload", content=iter([b"a", b"b"]), headers={"Content-Length": "2"})

    assert rules(recorded.findings) == []
    assert only(recorded).more().unkeyed == 1


def test_a_response_can_still_be_pickled():
    with serving() as site, client() as http, record():
        answer = http.get(site.url)

    assert pickle.loads(pickle.dumps(answer)).json() == {"method": "GET", "ok": True}
