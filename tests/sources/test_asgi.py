"""The ASGI middleware, driven by hand: what a request is, when it ends, and that nothing else changes."""

from __future__ import annotations

import asyncio
import sqlite3
from typing import TYPE_CHECKING, Any

import pytest
from tests.sources.asgi_driver import ask, drive, scope_of
from tests.sources.collect import counts, queries, strict_guard, switched_on

from manometer import Config, _context, _guard, _limits, measure
from manometer.sources import _route
from manometer.sources.asgi import ASGISource, Middleware
from manometer.sources.sqlite import SQLiteSource

if TYPE_CHECKING:
    from collections.abc import Iterator

    from manometer._model import Profile

OK = {"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]}
END = {"type": "http.response.body", "body": b"hello"}


@pytest.fixture(autouse=True)
def profiles() -> Iterator[list[Profile]]:
    undos = [ASGISource().install(), SQLiteSource().install()]
    with strict_guard(), switched_on() as collected:
        yield collected
    [undo() for undo in reversed(undos)]
    _guard.clear()
    assert not _context.live
    assert _context.variable.get() is None


async def plain(scope: Any, receive: Any, send: Any) -> None:
    await send(OK)
    await send(END)


def lookup(times: int = 1) -> None:
    connection = sqlite3.connect(":memory:")
    for number in range(times):
        connection.execute("SELECT name FROM sqlite_master WHERE rowid = ?", (number,)).fetchall()
    connection.close()


# The unit of work.


def test_request_is_a_profile_named_after_its_templated_path(profiles: list[Profile]) -> None:
    answer = ask(Middleware(plain), "/orders/4711/items/9f8b2c1d-0000-4000-8000-123456789abc")

    (profile,) = profiles
    assert answer == ask(plain)
    assert (profile.name, profile.route) == ("GET /orders/{id}/items/{id}", "/orders/{id}/items/{id}")
    assert (profile.kind, profile.status, profile.outcome) == ("request", "200", "ok")
    assert (profile.framework, profile.cpu_ns) == ("asgi", -1)
    assert 0 < profile.first_byte_ns <= profile.duration_ns


@pytest.mark.parametrize(
    ("path", "method", "status", "name"),
    [
        ("/no/such/page", "GET", 404, "GET (unmatched)"),
        ("/orders", "DELETE", 405, "DELETE (unmatched)"),
        ("/orders", "OPTIONS", 200, "OPTIONS (unmatched)"),
        ("/orders", "PURGE", 200, "_OTHER /orders"),
        ("/orders/7", "GET", 401, "GET /orders/{id}"),
    ],
)
def test_name_is_of_few_values(
    profiles: list[Profile], path: str, method: str, status: int, name: str
) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({**OK, "status": status})
        await send(END)

    ask(Middleware(app), path, method)

    assert [profile.name for profile in profiles] == [name]


def test_trace_id_is_that_of_the_traceparent(profiles: list[Profile]) -> None:
    header = (b"Traceparent", b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")

    ask(Middleware(plain), headers=[(b"host", b"x"), header])
    ask(Middleware(plain), headers=[(b"traceparent", b"00-zz-b7ad6b7169203331-01")])

    assert [profile.trace_id for profile in profiles] == ["0af7651916cd43dd8448eb211c80319c", ""]


def test_excluded_path_is_muted_with_all_below_it(profiles: list[Profile]) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        lookup()
        await plain(scope, receive, send)

    ask(Middleware(app), "/health")

    assert profiles == []


def test_excluded_route_is_what_the_configuration_says(profiles: list[Profile]) -> None:
    undo = _route.exclude((*Config().exclude, "/internal/*"))

    ask(Middleware(plain), "/internal/7")
    ask(Middleware(plain), "/public/7")

    undo()
    assert [profile.name for profile in profiles] == ["GET /public/{id}"]


@pytest.mark.parametrize("kind", ["lifespan", "telepathy"])
def test_other_scopes_pass_untouched(profiles: list[Profile], kind: str) -> None:
    seen: list[Any] = []

    async def app(*arguments: Any) -> None:
        seen.extend(arguments)

    scope, receive, send = {"type": kind}, object(), object()
    asyncio.run(Middleware(app)(scope, receive, send))

    assert profiles == []
    assert seen == [{"type": kind}, receive, send]


def test_middleware_twice_is_one_request(profiles: list[Profile]) -> None:
    ask(Middleware(Middleware(plain)))

    assert [profile.name for profile in profiles] == ["GET /"]


def test_middleware_needs_an_application() -> None:
    with pytest.raises(TypeError, match="app must be an ASGI application, not str"):
        Middleware("app")  # type: ignore[arg-type]


def test_middleware_only_calls_through_when_off(profiles: list[Profile]) -> None:
    ASGISource().install()()
    scope = scope_of()

    asyncio.run(drive(Middleware(plain), scope))

    assert profiles == []
    assert scope == scope_of()
    ASGISource().install()


# The end.


def test_work_after_the_last_byte_is_no_part_of_the_request(profiles: list[Profile]) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        lookup(2)
        await send(OK)
        lookup(3)
        await send(END)
        assert [profile.name for profile in profiles] == ["GET /"]
        lookup(4)

    ask(Middleware(app))

    (profile,) = profiles
    assert counts(profile) == {"SELECT sqlite_master": 5}


def test_error_behind_an_answer_is_the_outcome(profiles: list[Profile]) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({**OK, "status": 500})
        await send(END)
        raise LookupError("canary")

    with pytest.raises(LookupError, match="canary"):
        ask(Middleware(app))

    (profile,) = profiles
    assert (profile.status, profile.outcome, profile.root.errors) == ("500", "LookupError", 1)


def test_error_after_a_good_answer_is_not_the_outcome(profiles: list[Profile]) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await plain(scope, receive, send)
        raise LookupError("canary")

    with pytest.raises(LookupError, match="canary"):
        ask(Middleware(app))

    assert [(profile.status, profile.outcome) for profile in profiles] == [("200", "ok")]


def test_error_without_an_answer_is_the_same_object(profiles: list[Profile]) -> None:
    error = LookupError("canary")

    async def app(scope: Any, receive: Any, send: Any) -> None:
        raise error

    with pytest.raises(LookupError) as caught:
        ask(Middleware(app))

    assert caught.value is error
    assert [(profile.status, profile.outcome) for profile in profiles] == [("", "LookupError")]


def test_measured_coroutine_around_the_answer_is_counted(profiles: list[Profile]) -> None:
    @measure
    async def outer(scope: Any, receive: Any, send: Any) -> None:
        lookup()
        await plain(scope, receive, send)

    ask(Middleware(outer))

    (profile,) = profiles
    (frame,) = profile.root.own_children()
    assert (frame.callsite.function.rpartition(".")[2], frame.calls) == ("outer", 1)


def test_stream_ends_at_its_last_chunk(profiles: list[Profile]) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(OK)
        for _ in range(3):
            lookup()
            await send({**END, "more_body": True})
            assert not profiles
        await send({"type": "http.response.body"})

    sent = ask(Middleware(app))

    (profile,) = profiles
    assert [message.get("more_body") for message in sent] == [None, True, True, True, None]
    assert counts(profile) == {"SELECT sqlite_master": 3}
    assert 0 < profile.first_byte_ns < profile.duration_ns


def test_trailers_follow_the_body(profiles: list[Profile]) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({**OK, "trailers": True})
        await send(END)
        lookup()
        await send({"type": "http.response.trailers", "headers": []})

    ask(Middleware(app))

    assert [counts(profile) for profile in profiles] == [{"SELECT sqlite_master": 1}]


DISCONNECT = {"type": "http.disconnect"}


def test_client_that_left_is_no_error(profiles: list[Profile]) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(OK)
        await receive()

    ask(Middleware(app), "/", "GET", DISCONNECT)

    (profile,) = profiles
    assert (profile.status, profile.outcome, profile.root.errors) == ("200", "disconnected", 0)


def test_response_finished_for_nobody_is_no_success(profiles: list[Profile]) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await plain(scope, receive, send)

    ask(Middleware(app), "/", "GET", DISCONNECT)

    assert [(profile.outcome, profile.root.errors) for profile in profiles] == [("disconnected", 0)]


def test_client_that_leaves_after_the_last_byte_had_its_answer(profiles: list[Profile]) -> None:
    @measure
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await plain(scope, receive, send)
        await receive()

    ask(Middleware(app), "/", "GET", DISCONNECT)

    assert [profile.outcome for profile in profiles] == ["ok"]


@pytest.mark.parametrize(
    ("error", "outcome"),
    [(OSError("gone"), "disconnected"), (KeyError("canary"), "KeyError")],
)
def test_only_the_fault_of_the_application_is_its_error(
    profiles: list[Profile], error: Exception, outcome: str
) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        raise error

    with pytest.raises(type(error)):
        ask(Middleware(app), "/", "GET", DISCONNECT)

    assert [profile.outcome for profile in profiles] == [outcome]


@pytest.mark.parametrize(("count", "outcome"), [(1, "LookupError"), (2, "ExceptionGroup")])
def test_group_of_one_is_that_one(profiles: list[Profile], count: int, outcome: str) -> None:
    class ExceptionGroup(Exception):  # noqa: N818 - Python 3.10 has none
        exceptions = (LookupError("canary"),) * count

    async def app(scope: Any, receive: Any, send: Any) -> None:
        raise ExceptionGroup

    with pytest.raises(ExceptionGroup):
        ask(Middleware(app))

    assert [profile.outcome for profile in profiles] == [outcome]


def test_own_os_error_is_an_error(profiles: list[Profile]) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        raise FileNotFoundError("canary")

    with pytest.raises(FileNotFoundError):
        ask(Middleware(app))

    assert [profile.outcome for profile in profiles] == ["FileNotFoundError"]


def test_server_that_refuses_to_send_says_that_the_client_left(profiles: list[Profile]) -> None:
    async def refuse(message: Any) -> None:
        raise OSError("gone")

    with pytest.raises(OSError, match="gone"):
        asyncio.run(Middleware(plain)(scope_of(), None, refuse))

    assert [profile.outcome for profile in profiles] == ["disconnected"]


def test_cancelled_request_is_no_error(profiles: list[Profile]) -> None:
    async def main() -> None:
        begun = asyncio.Event()

        async def app(scope: Any, receive: Any, send: Any) -> None:
            begun.set()
            await asyncio.Event().wait()

        task = asyncio.create_task(Middleware(app)(scope_of(), None, None))
        await begun.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())

    assert [(profile.outcome, profile.root.errors) for profile in profiles] == [("cancelled", 0)]


# Concurrency.

WORDS = [chr(97 + number // 26) + chr(97 + number % 26) for number in range(50)]


def test_concurrent_requests_keep_their_own_counts(profiles: list[Profile]) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        for _ in range(int(scope["query_string"])):
            lookup()
            await asyncio.sleep(0)
        await asyncio.to_thread(lookup, 2)
        await plain(scope, receive, send)

    async def main() -> None:
        numbers = [
            drive(Middleware(app), scope_of(f"/{WORDS[number]}", query_string=str(number)))
            for number in range(50)
        ]
        await asyncio.gather(*numbers)

    asyncio.run(main())

    assert len(profiles) == 50
    assert {profile.route: counts(profile)["SELECT sqlite_master"] for profile in profiles} == {
        f"/{WORDS[number]}": number + 2 for number in range(50)
    }


def test_request_within_a_request_is_a_unit_of_its_own(profiles: list[Profile]) -> None:
    async def outer(scope: Any, receive: Any, send: Any) -> None:
        lookup()
        await Middleware(plain)(scope_of("/inner"), None, _swallow)
        lookup()
        await plain(scope, receive, send)

    ask(Middleware(outer), "/outer")

    assert [(profile.name, counts(profile)) for profile in profiles] == [
        ("GET /inner", {}), ("GET /outer", {"SELECT sqlite_master": 2}),
    ]  # fmt: skip


async def _swallow(message: Any) -> None:
    pass


# What lasts.


class Clock:
    """A clock that stands until it is told to go on."""

    def __init__(self) -> None:
        self.now_ns = 1_000_000_000

    def __call__(self) -> int:
        self.now_ns += 1_000
        return self.now_ns

    def pass_s(self, seconds: float) -> None:
        self.now_ns += int(seconds * 1e9)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setitem(_context.HOT, "clock_", made)
    return made


MESSAGE = {"type": "websocket.receive", "text": "canary"}


def test_websocket_is_handed_on_once_a_minute(profiles: list[Profile], clock: Clock) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "websocket.accept"})
        while (await receive())["type"] == "websocket.receive":
            lookup()
            clock.pass_s(25)

    gone = {"type": "websocket.disconnect", "code": 1000}
    ask(Middleware(app), "/chat/7", "GET", *[MESSAGE] * 7, gone, kind="websocket")

    assert [(profile.name, profile.status, profile.outcome) for profile in profiles] == [
        ("WEBSOCKET /chat/{id}", "101", "ok")
    ] * 3
    assert [counts(profile)["SELECT sqlite_master"] for profile in profiles] == [3, 3, 1]
    assert [round(profile.duration_ns / 1e9) for profile in profiles] == [75, 75, 25]


def test_measured_websocket_is_handed_on_while_it_is_open(profiles: list[Profile], clock: Clock) -> None:
    @measure
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "websocket.accept"})
        while (await receive())["type"] == "websocket.receive":
            lookup()
            await asyncio.to_thread(lookup, 2)
            clock.pass_s(61)

    gone = {"type": "websocket.disconnect", "code": 1000}
    ask(Middleware(app), "/chat", "GET", *[MESSAGE] * 3, gone, kind="websocket")

    assert [sum(frame.calls for frame in queries(profile)) for profile in profiles] == [3, 3, 3]
    assert [profile.late for profile in profiles] == [0, 0, 0]


def test_refused_websocket_has_the_status_of_its_refusal(profiles: list[Profile]) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "websocket.close", "code": 1008})

    ask(Middleware(app), "/chat", "GET", kind="websocket")

    assert [(profile.status, profile.outcome) for profile in profiles] == [("403", "ok")]


def test_events_are_handed_on_once_a_minute_and_never_slow(profiles: list[Profile], clock: Clock) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({**OK, "headers": [(b"Content-Type", b"text/event-stream; charset=utf-8")]})
        for _ in range(4):
            lookup()
            clock.pass_s(31)
            await send({**END, "more_body": True})
        await receive()

    ask(Middleware(app), "/events", "GET", DISCONNECT)

    assert [counts(profile).get("SELECT sqlite_master", 0) for profile in profiles] == [2, 2, 0]
    assert [profile.outcome for profile in profiles] == ["ok", "ok", "disconnected"]
    assert {profile.slow_ns is None for profile in profiles} == {False}
    assert [profile.first_byte_ns > 0 for profile in profiles] == [True, False, False]


def test_short_answer_is_one_unit(profiles: list[Profile], clock: Clock) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(OK)
        for _ in range(4):
            clock.pass_s(_limits.PART_S / 5)
            await send({**END, "more_body": True})
        await send(END)

    ask(Middleware(app))

    assert [profile.slow_ns for profile in profiles] == [None]


def test_call_open_at_the_boundary_counts_once(profiles: list[Profile], clock: Clock) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        @measure
        async def slow(gate: asyncio.Event) -> None:
            await gate.wait()

        gate = asyncio.Event()
        await send(OK)
        task = asyncio.create_task(slow(gate))
        await asyncio.sleep(0)
        clock.pass_s(61)
        await send({**END, "more_body": True})
        gate.set()
        await task
        await send(END)

    ask(Middleware(app))

    calls = [sum(frame.calls for frame in profile.root.own_children()) for profile in profiles]
    assert calls == [0, 1]
