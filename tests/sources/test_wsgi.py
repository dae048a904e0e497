"""The WSGI middleware, driven by hand and by wsgiref's validator."""

from __future__ import annotations

import io
import sqlite3
from typing import TYPE_CHECKING, Any
from wsgiref.util import FileWrapper, setup_testing_defaults
from wsgiref.validate import validator

import pytest
from tests.sources.collect import counts, strict_guard, switched_on

from manometer import Config, _context, _guard
from manometer.sources import _request, _route
from manometer.sources.sqlite import SQLiteSource
from manometer.sources.wsgi import Middleware, WSGISource

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from manometer._model import Profile


@pytest.fixture(autouse=True)
def profiles() -> Iterator[list[Profile]]:
    undo = WSGISource().install()
    with strict_guard(), switched_on() as collected:
        yield collected
    undo()
    _guard.clear()
    assert not _context.live
    assert _context.variable.get() is None


def ask(app: Any, path: str = "/", method: str = "GET", **environ: Any) -> tuple[str, list[Any], list[bytes]]:
    """Make one request as a server does: iterate, then close."""
    made: dict[str, Any] = {
        "PATH_INFO": path,
        "REQUEST_METHOD": method,
        "QUERY_STRING": "",
        "SCRIPT_NAME": "",
        **environ,
    }
    setup_testing_defaults(made)
    started: list[Any] = []

    def start_response(status: str, headers: list[Any], exc_info: Any = None) -> Callable[[bytes], None]:
        started[:] = [status, headers]
        return written.append

    written: list[bytes] = []
    body = app(made, start_response)
    try:
        chunks = list(body)
    finally:
        if hasattr(body, "close"):
            body.close()
    return started[0], started[1], written + chunks


def plain(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"hello"]


# The unit of work.


def test_request_is_a_profile_named_after_its_templated_path(profiles: list[Profile]) -> None:
    answer = ask(Middleware(plain), "/orders/4711/items/9f8b2c1d-0000-4000-8000-123456789abc")

    (profile,) = profiles
    assert answer == ask(plain)
    assert profile.name == "GET /orders/{id}/items/{id}"
    assert (profile.route, profile.kind) == ("/orders/{id}/items/{id}", "request")
    assert (profile.status, profile.outcome, profile.framework) == ("200", "ok", "wsgi")
    assert profile.cpu_ns >= 0
    assert 0 < profile.first_byte_ns <= profile.duration_ns


def test_application_may_say_its_route(profiles: list[Profile]) -> None:
    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        environ["manometer.route"] = "/users/{name}"
        return plain(environ, start_response)

    ask(Middleware(app), "/users/alice", SCRIPT_NAME="/api")

    assert [profile.name for profile in profiles] == ["GET /api/users/{name}"]


def test_what_was_not_found_has_one_name(profiles: list[Profile]) -> None:
    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        start_response("404 Not Found", [("Content-Type", "text/plain")])
        return [b""]

    [ask(Middleware(app), path) for path in ("/wp-admin", "/secret.php")]
    ask(Middleware(plain), method="BREW")

    assert [profile.name for profile in profiles] == ["GET (unmatched)"] * 2 + ["_OTHER /"]


def test_trace_of_the_caller_is_kept(profiles: list[Profile]) -> None:
    trace = "0af7651916cd43dd8448eb211c80319c"

    ask(Middleware(plain), HTTP_TRACEPARENT=f"00-{trace}-b7ad6b7169203331-01")
    ask(Middleware(plain), HTTP_TRACEPARENT="<script>")

    assert [profile.trace_id for profile in profiles] == [trace, ""]


def test_excluded_routes_record_nothing(profiles: list[Profile]) -> None:
    undo_tap = SQLiteSource().install()
    connection = sqlite3.connect(":memory:")
    connection.execute("CREATE TABLE customers (id INTEGER)")

    def app(environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [("Content-Type", "text/plain")])
        environ["manometer.route"] = environ["PATH_INFO"]
        for row in connection.execute("SELECT count(*) FROM customers"):
            yield str(row).encode()

    undo = _route.exclude(Config(exclude=("/health*", "POST /quiet", "/by/{id}")).exclude)
    for path, method in (
        ("/healthz", "GET"), ("/quiet", "POST"), ("/quiet", "GET"), ("/by/{id}", "GET"),
    ):  # fmt: skip
        ask(Middleware(app), path, method)
    undo()
    undo_tap()
    connection.close()

    assert [(profile.name, counts(profile)) for profile in profiles] == [
        ("GET /quiet", {"SELECT customers": 1})
    ]


def test_error_is_the_outcome_and_passes_untouched(profiles: list[Profile]) -> None:
    error = KeyError("canary")

    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        raise error

    with pytest.raises(KeyError) as caught:
        ask(Middleware(app))

    assert caught.value is error
    assert [(profile.outcome, profile.status) for profile in profiles] == [("KeyError", "")]


def test_nested_middlewares_are_one_request(profiles: list[Profile]) -> None:
    environ: dict[str, Any] = {}

    ask(Middleware(Middleware(plain)), "/twice", **environ)

    assert [profile.name for profile in profiles] == ["GET /twice"]


def test_environ_used_again_is_another_request(profiles: list[Profile]) -> None:
    environ: dict[str, Any] = {}
    setup_testing_defaults(environ)

    [Middleware(plain)(environ, lambda *_: None) for _ in range(2)]

    assert len(profiles) == 2


# Bodies.


def test_complete_bodies_and_files_come_back_as_they_are(profiles: list[Profile]) -> None:
    file = FileWrapper(io.BytesIO(b"file"))
    for body in ([b"a"], (b"a", b"b"), file):
        found = Middleware(lambda environ, start, body=body: body)(
            {"wsgi.file_wrapper": FileWrapper}, lambda *_: None
        )

        assert found is body
    assert len(profiles) == 3


def test_stream_ends_the_request_at_its_last_byte(profiles: list[Profile]) -> None:
    seen: list[Any] = []

    def app(environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [("Content-Type", "text/plain")])
        for chunk in (b"a", b"b"):
            seen.append(_context.current())
            yield chunk

    body = iter(Middleware(app)({"PATH_INFO": "/stream"}, lambda *_: None))

    assert _context.variable.get() is None
    assert next(body) == b"a"
    assert _context.variable.get() is None
    assert next(body) == b"b"
    assert profiles == []
    with pytest.raises(StopIteration):
        next(body)
    (profile,) = profiles
    assert [branch.profile for branch in seen] == [profile, profile]
    assert profile.status == "200"


def test_stream_closed_early_ends_the_request(profiles: list[Profile]) -> None:
    closed: list[Any] = []

    class Closable:
        def __iter__(self) -> Iterator[bytes]:
            yield b"a"
            yield b"b"

        def close(self) -> None:
            closed.append(_context.current())

    body = Middleware(lambda *_: Closable())({"PATH_INFO": "/"}, lambda *_: None)
    next(iter(body))
    body.close()
    body.close()

    (profile,) = profiles
    assert (closed[0].profile, profile.outcome) == (profile, "ok")


def test_stream_nobody_closes_ends_the_request(profiles: list[Profile]) -> None:
    body = Middleware(lambda *_: iter([b"a"]))({"PATH_INFO": "/"}, lambda *_: None)

    del body

    assert len(profiles) == 1


def test_error_in_a_stream_is_the_outcome(profiles: list[Profile]) -> None:
    def app(environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [("Content-Type", "text/plain")])
        yield b"a"
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        ask(Middleware(app))

    assert [profile.outcome for profile in profiles] == ["ConnectionResetError"]


def test_body_that_knows_its_length_still_does(profiles: list[Profile]) -> None:
    class Sized:
        def __len__(self) -> int:
            return 1

        def __iter__(self) -> Iterator[bytes]:
            return iter([b"a"])

    sized = Middleware(lambda *_: Sized())({}, lambda *_: None)
    unsized = Middleware(lambda *_: iter([b"a"]))({}, lambda *_: None)

    assert len(sized) == 1
    assert not hasattr(unsized, "__len__")
    assert (list(sized), list(unsized)) == ([b"a"], [b"a"])


def test_write_and_exc_info_reach_the_server(profiles: list[Profile]) -> None:
    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        write = start_response("200 OK", [("Content-Type", "text/plain")])
        write(b"written ")
        start_response("500 Oops", [("Content-Type", "text/plain")], (ValueError, ValueError(), None))
        return [b"returned"]

    answer = ask(Middleware(app))

    assert answer == ("500 Oops", [("Content-Type", "text/plain")], [b"written ", b"returned"])
    assert [profile.status for profile in profiles] == ["500"]


def test_middleware_is_a_valid_application_and_a_valid_server(profiles: list[Profile]) -> None:
    def app(environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [("Content-Type", "text/plain")])
        return iter([b"a", b"b"])

    status, _, chunks = ask(validator(Middleware(validator(app))))

    assert (status, chunks) == ("200 OK", [b"a", b"b"])


# Switching.


def test_middleware_calls_through_while_manometer_is_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(_context.HOT, "idle_", True)
    seen: list[dict[str, Any]] = []

    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        seen.append(environ)
        return plain(environ, start_response)

    ask(Middleware(app))

    assert _request.MARKER not in seen[0]


def test_wrong_application_is_refused() -> None:
    with pytest.raises(TypeError, match="must be a WSGI application, not int"):
        Middleware(1)  # type: ignore[arg-type]


def test_failure_inside_the_middleware_never_reaches_the_application(
    profiles: list[Profile], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_guard, "strict", False)
    monkeypatch.setattr("manometer.sources._request.open_profile", lambda *_, **__: 1 / 0)

    assert ask(Middleware(plain)) == ask(plain)
    assert (profiles, _guard.counts) == ([], {"sources.wsgi": 1})


# Names.


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/", "/"),
        ("", "/"),
        ("/orders/", "/orders/"),
        ("/api/v2/orders", "/api/v2/orders"),
        ("/orders/17", "/orders/{id}"),
        ("/order_items/sub-total", "/order_items/sub-total"),
        ("/files/report.pdf", "/files/report.pdf"),
        ("/files/2024-01-01.csv", "/files/{id}"),
        ("/t/deadbeefdeadbeefdeadbeef", "/t/{id}"),
        ("/mail/bob@example.org", "/mail/{id}"),
        ("/reset/eyJhbGciOiJIUzI1NiJ9.e30", "/reset/{id}"),
        ("/a/" + "x" * 40, "/a/{id}"),
        ("/" + "a/" * 20, "/" + "a/" * 8 + "*"),
        ("/" + "9" * 5000, "/*"),
    ],
)
def test_paths_are_templated(path: str, expected: str) -> None:
    assert _route.templated(path) == expected


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ("/orders/<int:id>", "/orders/{id}"),
        ("/<name>/<path:rest>", "/{name}/{rest}"),
        ("/<any(a,b):kind>/<string(length=2):code>", "/{kind}/{code}"),
        ("/plain", "/plain"),
    ],
)
def test_rules_are_templated(rule: str, expected: str) -> None:
    assert _route.rule_of(rule) == expected


@pytest.mark.parametrize(
    "header",
    [None, "", "00-xyz", f"ff-{'a' * 32}-{'b' * 16}-01", f"00-{'0' * 32}-{'b' * 16}-01", f"00-{'a' * 32}-{'b' * 16}-01-x"],
)  # fmt: skip
def test_invalid_traceparent_is_none(header: str | None) -> None:
    assert _route.trace_id_of(header) == ""
