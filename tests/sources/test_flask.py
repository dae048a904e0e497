"""Flask, through real applications: what is named, what is counted, and that nothing else changes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa
from flask import Blueprint, Flask, Response, abort, request, send_file, stream_with_context
from sqlalchemy.orm import Session
from tests.sources.collect import counts, queries, strict_guard, switched_on
from werkzeug.middleware.dispatcher import DispatcherMiddleware

from manometer import _context, _guard
from manometer.sources._patch import Unsupported
from manometer.sources.flask import FlaskSource
from manometer.sources.sqlalchemy import SQLAlchemySource
from manometer.sources.wsgi import Middleware, WSGISource

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from manometer._model import Profile

CALL, WSGI_APP = Flask.__dict__["__call__"], Flask.__dict__["wsgi_app"]
REQUEST_CONTEXT = Flask.__dict__["request_context"]
LOG_EXCEPTION = Flask.__dict__["log_exception"]


@pytest.fixture
def tap() -> Iterator[Callable[[], None]]:
    undo = FlaskSource().install()
    with strict_guard():
        yield undo
    undo()
    _guard.clear()


@pytest.fixture
def profiles(tap: object) -> Iterator[list[Profile]]:
    with switched_on() as collected:
        yield collected
    assert not _context.live
    assert _context.variable.get() is None


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[sa.Engine]:
    made = sa.create_engine(f"sqlite:///{tmp_path / 'shop.db'}")
    with made.begin() as connection:
        connection.execute(sa.text("CREATE TABLE orders (id INTEGER PRIMARY KEY, customer INTEGER)"))
        connection.execute(
            sa.text("INSERT INTO orders VALUES (:id, :customer)"),
            [{"id": n, "customer": 100 + n} for n in range(12)],
        )
    yield made
    made.dispose()


@pytest.fixture
def app(engine: sa.Engine, tmp_path: Path) -> Flask:
    made = Flask(__name__, static_folder=str(tmp_path))
    (tmp_path / "file.txt").write_text("a file", encoding="utf-8")
    pages = Blueprint("pages", __name__, url_prefix="/shop")
    made.register_blueprint(pages_of(pages, engine))

    @made.errorhandler(ZeroDivisionError)
    def handled(error: Exception) -> tuple[str, int]:
        return "handled", 418

    @made.get("/health")
    def health() -> str:
        return "ok"

    return made


def pages_of(pages: Blueprint, engine: sa.Engine) -> Blueprint:
    @pages.get("/orders/<int:id>")
    def order(id: int) -> dict[str, Any]:  # noqa: A002 - the name is in the route
        with Session(engine) as session:
            found = session.execute(
                sa.text("SELECT customer FROM orders WHERE id = :id"), {"id": id}
            ).scalar()
        return {"id": id, "customer": found}

    @pages.get("/loop")
    def loop() -> list[int]:
        with Session(engine) as session:
            ids = session.execute(sa.text("SELECT id FROM orders")).scalars().all()
            one = sa.text("SELECT customer FROM orders WHERE id = :id")
            return [session.execute(one, {"id": key}).scalar() for key in ids]

    @pages.get("/stream")
    def stream() -> Response:
        def rows() -> Iterator[str]:
            with engine.connect() as connection:
                for row in connection.execute(sa.text("SELECT id FROM orders")):
                    yield f"{row[0]},{request.path}\n"

        return Response(stream_with_context(rows()), headers={"X-Rows": "12"})

    @pages.post("/echo")
    def echo() -> Response:
        return Response(request.get_data(), mimetype="application/octet-stream")

    @pages.get("/file")
    def file() -> Response:
        return send_file(f"{pages_root(engine)}/file.txt")

    @pages.get("/broken")
    def broken() -> str:
        raise LookupError("canary")

    @pages.get("/handled")
    def handled() -> str:
        return str(1 / 0)

    @pages.get("/missing")
    def missing() -> str:
        abort(404)

    return pages


def pages_root(engine: sa.Engine) -> str:
    return str(engine.url.database).rpartition("/")[0]


def test_request_is_named_after_its_rule(app: Flask, profiles: list[Profile]) -> None:
    app.test_client().get("/shop/orders/7?key=canary").get_data()

    (profile,) = profiles
    assert (profile.name, profile.route) == ("GET /shop/orders/{id}", "/shop/orders/{id}")
    assert (profile.kind, profile.status, profile.outcome) == ("request", "200", "ok")
    assert profile.framework == "flask"


@pytest.mark.parametrize(
    ("path", "name", "status", "outcome"),
    [
        ("/nowhere/4711", "GET (unmatched)", "404", "ok"),
        ("/shop/missing", "GET /shop/missing", "404", "ok"),
        ("/shop/broken", "GET /shop/broken", "500", "LookupError"),
        ("/shop/handled", "GET /shop/handled", "418", "ok"),
        ("/shop/echo", "GET (unmatched)", "405", "ok"),
    ],
)
def test_errors_are_told_apart(
    app: Flask, profiles: list[Profile], path: str, name: str, status: str, outcome: str
) -> None:
    app.test_client().get(path).get_data()

    assert [(profile.name, profile.status, profile.outcome) for profile in profiles] == [
        (name, status, outcome)
    ]


def test_error_that_propagates_is_the_same_object(app: Flask, profiles: list[Profile]) -> None:
    app.testing = True

    with pytest.raises(LookupError, match="canary"):
        app.test_client().get("/shop/broken")

    assert [(profile.name, profile.outcome) for profile in profiles] == [("GET /shop/broken", "LookupError")]


def test_health_checks_and_static_files_are_excluded(app: Flask, profiles: list[Profile]) -> None:
    [app.test_client().get(path).get_data() for path in ("/health", "/static/file.txt")]

    assert profiles == []


def test_loop_over_queries_is_one_frame_below_the_request(app: Flask, profiles: list[Profile]) -> None:
    undo = SQLAlchemySource().install()

    app.test_client().get("/shop/loop").get_data()

    undo()
    parent, child = queries(profiles[0])
    assert (parent.calls, child.calls, len(child.more().keys), child.more().flow[parent]) == (1, 12, 12, 12)
    assert child.callsite.function.endswith("loop")


def test_queries_of_a_stream_belong_to_its_request(app: Flask, profiles: list[Profile]) -> None:
    undo = SQLAlchemySource().install()

    response = app.test_client().get("/shop/stream")
    assert profiles == []
    response.get_data()

    undo()
    assert [(profile.name, counts(profile)) for profile in profiles] == [
        ("GET /shop/stream", {"SELECT orders": 1})
    ]


PATHS = [
    ("GET", "/shop/orders/7"), ("HEAD", "/shop/orders/7"), ("OPTIONS", "/shop/orders/7"), ("GET", "/shop/loop"),
    ("GET", "/shop/stream"), ("POST", "/shop/echo"), ("GET", "/shop/file"), ("GET", "/shop/broken"),
    ("GET", "/shop/handled"), ("GET", "/shop/missing"), ("GET", "/nowhere"), ("GET", "/health"),
    ("GET", "/static/file.txt"),
]  # fmt: skip


def answers(app: Flask, engine: sa.Engine) -> list[Any]:
    """Return all that a client and the database can see."""
    statements: list[str] = []

    def note(*args: Any) -> None:
        statements.append(args[2])

    sa.event.listen(engine, "before_cursor_execute", note)
    found: list[Any] = []
    for method, path in PATHS:
        response = app.test_client().open(path, method=method, data=b"\x00canary" * 100)
        chunks = list(response.response) if path == "/shop/stream" else None
        headers = [item for item in response.headers if item[0] != "Date"]
        found.append((response.status, headers, chunks or response.get_data()))
        response.close()
    sa.event.remove(engine, "before_cursor_execute", note)
    return [*found, statements]


def test_answers_are_identical_on_and_off(app: Flask, engine: sa.Engine) -> None:
    expected = answers(app, engine)
    undos = [FlaskSource().install(), SQLAlchemySource().install()]
    with switched_on() as profiles, strict_guard():
        found = answers(app, engine)
    [undo() for undo in undos]

    assert found == expected
    assert len(profiles) == len(PATHS) - 2
    assert answers(app, engine) == expected


def test_automatic_and_explicit_are_one_request(app: Flask, profiles: list[Profile]) -> None:
    undo = WSGISource().install()
    plain = app.wsgi_app
    app.wsgi_app = Middleware(app.wsgi_app)  # type: ignore[method-assign]
    app.test_client().get("/shop/orders/1").get_data()
    app.wsgi_app = plain  # type: ignore[method-assign]

    from werkzeug.test import Client

    Client(Middleware(app)).get("/shop/orders/2").get_data()
    undo()

    assert [(profile.name, profile.framework) for profile in profiles] == [
        ("GET /shop/orders/{id}", "flask")
    ] * 2


def test_mounted_application_is_named_with_its_mount(app: Flask, profiles: list[Profile]) -> None:
    from werkzeug.test import Client

    Client(DispatcherMiddleware(app.wsgi_app, {"/inner": app.wsgi_app})).get(
        "/inner/shop/orders/1"
    ).get_data()

    assert [profile.name for profile in profiles] == ["GET /inner/shop/orders/{id}"]


def test_undo_restores_by_identity(tap: Callable[[], None]) -> None:
    FlaskSource().install()()
    assert Flask.__dict__["__call__"] is not CALL

    tap()

    assert Flask.__dict__["__call__"] is CALL
    assert Flask.__dict__["wsgi_app"] is WSGI_APP
    assert Flask.__dict__["request_context"] is REQUEST_CONTEXT
    assert Flask.__dict__["log_exception"] is LOG_EXCEPTION


def test_changed_signature_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def changed(self: Flask, scope: Any) -> None:
        pass

    monkeypatch.setattr(Flask, "wsgi_app", changed)

    with pytest.raises(Unsupported, match=r"changed\(self, scope\) is not \(self, environ, start_response\)"):
        FlaskSource().install()
    assert Flask.__dict__["__call__"] is CALL
