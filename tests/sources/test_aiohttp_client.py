"""aiohttp's client over real servers: one call for each request, whatever redirects it takes."""

from __future__ import annotations

import asyncio

import aiohttp
import pytest
from tests.sources.web import serving

from manometer.testing import install_sources, raising, record


@pytest.fixture(autouse=True)
def sources():
    with raising(), install_sources("aiohttp-client") as installed:
        assert installed.states["aiohttp-client"] == ("active", "")
        yield


def calls(recorded):
    return [frame for frame in recorded.profile.root.walk() if frame.callsite.kind == "http"]


def only(recorded):
    (frame,) = calls(recorded)
    return frame


def run(work, **options):
    """Record what `work(session)` does with a session of its own."""

    async def main():
        async with aiohttp.ClientSession(**options) as session, record() as recorded:
            await work(session)
        return recorded

    return asyncio.run(main())


def test_a_request_is_one_call_with_its_shape_host_and_line():
    async def work(session):
        async with session.get(f"{site.url}/users/42", params={"limit": 5}) as answer:
            assert (await answer.json())["ok"] is True

    with serving() as site:
        recorded = run(work)

    frame = only(recorded)
    assert site.asked == ["GET /users/42?limit=5"]
    assert (frame.callsite.template, frame.callsite.target) == ("GET /users/{id}", site.target)
    assert frame.callsite.library == "aiohttp-client"
    assert frame.callsite.file == __file__
    assert frame.callsite.function.endswith("work")
    assert (frame.calls, frame.more().boundary.awaited) == (1, True)


def test_gathered_requests_know_the_line_that_made_them():
    async def work(session):
        task = asyncio.gather(*(session.get(f"{site.url}/held/{at}") for at in range(5)))
        await asyncio.to_thread(site.wait_for, 5)
        site.held.set()
        for answer in await task:
            answer.release()

    with serving() as site:
        recorded = run(work)

    frame = only(recorded)
    assert (frame.calls, frame.more().peak_in_flight, len(frame.more().keys)) == (5, 5, 5)
    assert frame.callsite.function.endswith("work")
    assert frame.callsite.file == __file__


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, (0, 300_000_000_000)),
        ({"timeout": aiohttp.ClientTimeout(total=7)}, (0, 7_000_000_000)),
        ({"timeout": aiohttp.ClientTimeout(total=None)}, (1, 0)),
        ({"timeout": aiohttp.ClientTimeout(total=9, sock_read=2)}, (0, 2_000_000_000)),
    ],
)
def test_the_time_limit_of_the_session_is_noted(options, expected):
    async def work(session):
        async with session.get(site.url):
            pass

    with serving() as site:
        recorded = run(work, **options)

    boundary = only(recorded).more().boundary
    assert (boundary.without_timeout, boundary.timeout_ns) == expected


def test_the_time_limit_of_one_request_counts():
    async def work(session):
        async with session.get(site.url, timeout=aiohttp.ClientTimeout(total=3)):
            pass

    with serving() as site:
        recorded = run(work)

    assert only(recorded).more().boundary.timeout_ns == 3_000_000_000


def test_a_time_limit_that_ends_the_call_is_an_error_that_passes():
    async def work(session):
        with pytest.raises(asyncio.TimeoutError):
            await session.get(f"{site.url}/held", timeout=aiohttp.ClientTimeout(total=0.1))

    with serving() as site:
        recorded = run(work)

    assert (only(recorded).errors, list(only(recorded).more().outcomes)) == (1, ["TimeoutError"])


def test_a_redirect_is_the_same_call():
    def answer(method, path):
        return (302, "/new") if path == "/old" else (200, {})

    async def work(session):
        async with session.get(f"{site.url}/old"):
            pass

    with serving(answer) as site:
        recorded = run(work)

    assert (len(site.asked), only(recorded).calls) == (2, 1)


def test_ids_that_json_returned_prove_the_n_plus_one():
    def answer(method, path):
        return 200, ([{"id": 700 + at} for at in range(8)] if path == "/users" else {"ok": True})

    async def work(session):
        async with session.get(f"{site.url}/users") as answer:
            users = await answer.json()
        for user in users:
            async with session.get(f"{site.url}/users/{user['id']}") as answer:
                await answer.json()

    with serving(answer) as site:
        recorded = run(work)

    (finding,) = recorded.findings
    assert (finding.rule, finding.confidence, finding.source.name) == (
        "n-plus-one",
        "confirmed",
        "GET /users",
    )


def test_the_same_answer_again_is_a_confirmed_duplicate():
    async def work(session):
        for _ in range(3):
            async with session.post(f"{site.url}/shop/_search", json={"q": 1}) as answer:
                await answer.json()

    with serving() as site:
        recorded = run(work)

    (finding,) = recorded.findings
    assert (finding.rule, finding.confidence) == ("duplicate-read", "confirmed")


def test_polling_until_the_answer_changes_is_no_duplicate():
    states = iter(["queued", "queued", "done"])

    async def work(session):
        state = ""
        while state != "done":
            async with session.get(f"{site.url}/job") as answer:
                state = (await answer.json())["state"]

    with serving(lambda *_: (200, {"state": next(states)})) as site:
        recorded = run(work)

    assert recorded.findings == ()
