"""Django: its requests, commands, databases and templates, on a project that knows nothing of manometer."""

from __future__ import annotations

import asyncio
import io
import pickle
from typing import TYPE_CHECKING, Any

import pytest
from tests.scenarios import django_app
from tests.sources.collect import counts, queries, recorded, strict_guard, switched_on

from manometer import _context, _cpu
from manometer._history import History
from manometer._model import JOB, STRICT
from manometer.detectors import judge
from manometer.testing import install_sources, record

if TYPE_CHECKING:
    from collections.abc import Iterator

    from manometer._finding import Finding
    from manometer._model import Profile

SOURCES = ("asgiref", "django", "django-commands", "django-db", "django-templates", "jinja2", "sqlite3")
PEOPLE = 12


@pytest.fixture(autouse=True)
def project() -> Iterator[None]:
    with strict_guard(), install_sources(*SOURCES):
        django_app.configure()
        django_app.use("default")
        yield


@pytest.fixture
def profiles() -> Iterator[list[Profile]]:
    with switched_on() as found:
        yield found


def client(**options: Any) -> Any:
    from django.test import Client

    return Client(**options)


def found_in(profile: Profile) -> tuple[Finding, ...]:
    profile.policy = STRICT
    history = History()
    history.add(profile)
    return judge(profile, history)


def body_of(response: Any) -> bytes:
    return b"".join(response.streaming_content) if response.streaming else response.content


async def body_of_async(response: Any) -> bytes:
    if not response.streaming:
        return response.content
    return b"".join([chunk async for chunk in response.streaming_content])


# Requests.


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/people/3/", "GET /people/{pk}/"),
        ("/archive/2024/a-title/", "GET /archive/{year}/{slug}/"),
        ("/archive/2024", "GET /archive/{year}"),
        ("/api/posts/", "GET /api/posts/"),
        ("/api/posts/2/", "GET /api/posts/{pk}/"),
        ("/people/999/", "GET /people/{pk}/"),
        ("/wp-login.php", "GET (unmatched)"),
    ],
)
def test_a_request_is_named_after_its_route(profiles, path, name):
    client().get(path)
    (profile,) = profiles

    assert profile.name == name
    assert (profile.kind, profile.framework) == ("request", "django")


@pytest.mark.parametrize(
    ("path", "status", "outcome"),
    [
        ("/people/3/", "200", "ok"),
        ("/people/999/", "404", "ok"),
        ("/forbidden/", "403", "ok"),
        ("/authors", "301", "ok"),
        ("/broken/", "500", "ValueError"),
        ("/broken-async/", "500", "KeyError"),
    ],
)
@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
def test_a_request_has_its_status_and_its_outcome(profiles, path, status, outcome, is_async):
    from django.test import AsyncClient

    if is_async:
        asyncio.run(AsyncClient(raise_request_exception=False).get(path))
    else:
        client(raise_request_exception=False).get(path)
    (profile,) = profiles

    assert (profile.status, profile.outcome) == (status, outcome)


def test_the_test_client_still_raises_what_the_view_raised(profiles):
    with pytest.raises(ValueError, match="the view broke"):
        client().get("/broken/")

    assert [profile.outcome for profile in profiles] == ["ValueError"]


@pytest.mark.parametrize("path", ["/authors-async/", "/authors-in-thread/", "/authors/"])
def test_cpu_time_is_only_told_of_a_sync_request(profiles, path):
    from django.test import AsyncClient

    _cpu.after_fork()  # a unit that another test never ended would be on this thread too
    client().get(path)
    asyncio.run(AsyncClient().get(path))

    assert [profile.cpu_ns >= 0 for profile in profiles] == [path == "/authors/", False]


def test_the_trace_of_the_caller_is_taken_over(profiles):
    client().get("/people/3/", headers={"traceparent": f"00-{'ab' * 16}-{'cd' * 8}-01"})

    assert profiles[0].trace_id == "ab" * 16


def test_an_excluded_path_is_not_recorded(profiles):
    from manometer.sources import _route

    undo = _route.exclude(("/people/*",))
    try:
        client().get("/people/3/")
        client().get("/authors/")
    finally:
        undo()

    assert [profile.name for profile in profiles] == ["GET /authors/"]


def test_a_request_leaves_nothing_in_the_context_and_nothing_behind(profiles):
    from manometer.sources import django

    client().get("/authors/")

    assert _context.variable.get() is None
    assert django._running == {}
    assert _context.live == {}


def test_a_request_can_be_pickled_as_before(profiles):
    from django.core.handlers.base import BaseHandler
    from django.http import HttpResponse
    from django.test import RequestFactory

    handler = BaseHandler()
    handler._middleware_chain = lambda request: HttpResponse(pickle.dumps(request))
    request = RequestFactory().get("/people/3/")
    request.environ = {}
    for name in ("wsgi.input", "wsgi.errors"):
        request.META.pop(name)
    response = handler.get_response(request)

    assert type(pickle.loads(response.content)) is type(request)


# Streams.


@pytest.mark.parametrize("path", ["/export/", "/export-async/"])
def test_a_streamed_response_ends_at_its_last_byte(profiles, path):
    from django.test import AsyncClient

    async def fetch() -> None:
        response = await AsyncClient().get(path)
        assert profiles == []
        assert await body_of_async(response)

    if path == "/export/":
        response = client().get(path)
        assert profiles == []
        body_of(response)
    else:
        asyncio.run(fetch())
    (profile,) = profiles

    assert counts(profile) == {"SELECT django_app_post": 1, "SELECT django_app_person": PEOPLE}
    assert 0 < profile.first_byte_ns < profile.duration_ns


def test_a_body_that_breaks_is_the_outcome(profiles):
    with pytest.raises(ValueError, match="the body broke"):
        body_of(client().get("/export-broken/"))

    assert [(profile.status, profile.outcome) for profile in profiles] == [("200", "ValueError")]


def test_a_stream_that_nobody_reads_ends_when_it_is_closed(profiles):
    client().get("/export/").close()

    assert [profile.name for profile in profiles] == ["GET /export/"]


# The servers' side.


def wsgi(path: str) -> tuple[str, list[tuple[str, str]], bytes]:
    from wsgiref.util import setup_testing_defaults

    from django.core.wsgi import get_wsgi_application

    environ: dict[str, Any] = {"PATH_INFO": path}
    setup_testing_defaults(environ)
    started: list[Any] = []
    body = get_wsgi_application()(environ, lambda status, headers: started.extend((status, headers)))
    content = b"".join(body)
    body.close()
    return started[0], started[1], content


def asgi(path: str, leave_after: int = 0) -> list[dict[str, Any]]:
    from django.core.asgi import get_asgi_application

    sent: list[dict[str, Any]] = []

    async def run() -> None:
        gone = asyncio.Event()
        asked = [{"type": "http.request", "body": b"", "more_body": False}]

        async def receive() -> dict[str, Any]:
            if asked:
                return asked.pop()
            await gone.wait()
            return {"type": "http.disconnect"}

        async def send(message: dict[str, Any]) -> None:
            sent.append(message)
            if leave_after and len(sent) >= leave_after:
                gone.set()
                await asyncio.sleep(3600)

        headers = [(b"host", b"testserver")]
        scope = {
            "type": "http", "method": "GET", "path": path, "raw_path": path.encode(), "query_string": b"",
            "headers": headers, "http_version": "1.1", "scheme": "http", "server": ("testserver", 80),
            "client": ("127.0.0.1", 1),
        }  # fmt: skip
        await get_asgi_application()(scope, receive, send)

    asyncio.run(run())
    return sent


PATHS = [
    "/authors/", "/authors-async/", "/authors-in-thread/", "/export/", "/export-async/", "/page/", "/page-jinja/",
    "/people/3/", "/people/999/", "/api/posts/", "/broken/", "/forbidden/", "/authors",
]  # fmt: skip


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.filterwarnings("ignore:StreamingHttpResponse must consume:Warning")
def test_a_response_is_the_same_on_and_off(path):
    off = wsgi(path), asgi(path)
    with switched_on() as profiles:
        on = wsgi(path), asgi(path)

    assert on == off
    assert len(profiles) == 2


def test_a_client_that_leaves_is_nobodys_fault(profiles):
    import django

    if django.VERSION < (5, 0):
        pytest.skip("Django looks out for clients that leave from 5.0 on")
    asgi("/export-async/", leave_after=2)
    (profile,) = profiles

    assert (profile.outcome, profile.root.errors) == ("disconnected", 0)


def test_many_asgi_requests_at_once_keep_their_queries_apart(profiles):
    from django.test import AsyncClient

    async def all_at_once() -> None:
        paths = ["/authors-async/", "/people/3/", "/authors-in-thread/", "/authors/"] * 4
        await asyncio.gather(*(AsyncClient().get(path) for path in paths))

    asyncio.run(all_at_once())
    each = {"SELECT django_app_post": 1, "SELECT django_app_person": PEOPLE}
    expected = {
        "GET /authors-async/": each,
        "GET /authors-in-thread/": each,
        "GET /authors/": each,
        "GET /people/{pk}/": {"SELECT django_app_person": 1},
    }

    assert len(profiles) == 16
    assert [counts(profile) for profile in profiles] == [expected[profile.name] for profile in profiles]


def test_a_middleware_around_the_whole_application_and_django_are_one_request(profiles):
    from django.core.wsgi import get_wsgi_application

    from manometer.sources.wsgi import Middleware

    with install_sources("wsgi"):
        environ = {
            "PATH_INFO": "/people/3/",
            "REQUEST_METHOD": "GET",
            "SERVER_NAME": "x",
            "SERVER_PORT": "80",
        }
        environ["wsgi.input"] = io.BytesIO()  # type: ignore[assignment]
        body = Middleware(get_wsgi_application())(environ, lambda *_: None)
        b"".join(body)
        body.close()
    (profile,) = profiles

    assert (profile.name, profile.framework) == ("GET /people/{pk}/", "django")


# Call sites.


@pytest.mark.parametrize(
    ("path", "file", "function"),
    [
        ("/authors/", "views.py", "authors"),
        ("/authors-async/", "views.py", "authors_async"),
        ("/authors-in-thread/", "views.py", "names_of"),
        ("/export/", "views.py", "_lines"),
        ("/export-async/", "views.py", "_lines_async"),
        ("/api/posts/", "views.py", "get_may_edit"),
        ("/page/", "author.html", "author.html"),
        ("/page-jinja/", "posts.jinja", "posts.jinja"),
    ],
)
@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
@pytest.mark.filterwarnings("ignore:StreamingHttpResponse must consume:Warning")
def test_an_n_plus_one_is_blamed_on_the_line_of_the_application(profiles, path, file, function, is_async):
    if is_async:
        asgi(path)
    else:
        wsgi(path)
    (finding,) = found_in(profiles[0])

    assert (finding.rule, finding.callsite.library) == ("n-plus-one", "django")
    assert finding.callsite.file.endswith(file)
    assert finding.callsite.function.endswith(function)
    assert finding.evidence["calls"] == PEOPLE
    assert finding.confidence == "confirmed"
    assert "SELECT django_app_post" in finding.source.name


@pytest.mark.parametrize("path", ["/authors-joined/", "/people/3/"])
def test_a_clean_request_is_silent(profiles, path):
    client().get(path)

    assert sum(counts(profiles[0]).values()) == 1
    assert found_in(profiles[0]) == ()


@pytest.mark.parametrize(
    ("path", "line", "source_line", "callers"),
    [("/page/", 2, 2, ["posts.html:4", "views.py"]), ("/page-jinja/", 5, 2, ["views.py"])],
)
def test_a_query_from_a_template_is_blamed_on_the_templates_line(profiles, path, line, source_line, callers):
    client().get(path)
    (finding,) = found_in(profiles[0])
    chains = finding.callsite and queries(profiles[0])[-1].more().callers
    (chain,) = chains
    places = [f"{place[0].rpartition('/')[2]}:{place[1]}" for place in chain]

    assert finding.callsite.line == line
    assert finding.source is not None
    assert finding.source.line == source_line
    assert [place.startswith(start) for place, start in zip(places, callers, strict=False)] == [True] * len(
        callers
    )


def test_each_template_is_a_frame_with_the_queries_in_it(profiles):
    client().get("/page/")
    frames = [frame for frame in profiles[0].root.walk() if frame.callsite.kind == "template"]

    assert [(frame.callsite.name, frame.calls) for frame in frames] == [
        ("posts.html", 1),
        ("author.html", PEOPLE),
    ]
    assert [child.callsite.kind for child in frames[1].own_children()] == ["db"]
    assert 0 < frames[1].total_ns < frames[0].total_ns


# Commands.


def test_a_command_is_a_job_of_its_own(profiles):
    from django.core.management import call_command

    call_command("count_posts", stdout=io.StringIO())
    (profile,) = profiles

    assert (profile.name, profile.kind, profile.outcome) == ("manage.py count_posts", "job", "ok")
    assert profile.policy is JOB
    assert [finding.rule for finding in found_in(profile)] == ["n-plus-one"]


def test_a_command_that_another_one_calls_is_part_of_it(profiles):
    from django.core.management import call_command

    call_command("count_posts", inner=True, stdout=io.StringIO())

    assert [profile.name for profile in profiles] == ["manage.py count_posts"]


@pytest.mark.parametrize(
    ("options", "outcome"),
    [({"fail": True}, "CommandError"), ({"leave": 3}, "SystemExit"), ({"leave": 0}, "ok")],
)
def test_what_ends_a_command_is_its_outcome_and_passes(profiles, options, outcome):
    from django.core.management import CommandError, call_command

    with pytest.raises((CommandError, SystemExit)):
        call_command("count_posts", **options)

    assert [profile.outcome for profile in profiles] == [outcome]


@pytest.mark.parametrize("name", ["runserver", "shell", "rqworker"])
def test_a_command_that_never_ends_by_itself_is_no_unit_of_work(profiles, name):
    from django.core.management.base import BaseCommand

    class Command(BaseCommand):
        __module__ = f"app.management.commands.{name}"

        def handle(self, *args: Any, **options: Any) -> None:
            client().get("/people/3/")

    Command().execute(no_color=True, force_color=False, skip_checks=True)

    assert [profile.kind for profile in profiles] == ["request"]


# Databases.


def test_a_call_says_what_was_asked_and_what_came(profiles):
    from tests.scenarios.django_app.models import Person

    with recorded() as found:
        list(Person.objects.filter(pk__gt=2))
    (frame,) = queries(found[0])
    callsite = frame.callsite

    assert (callsite.name, callsite.operation, callsite.system) == (
        "SELECT django_app_person",
        "read",
        "sqlite",
    )
    assert callsite.target.endswith("first.sqlite3")
    assert callsite.version.startswith(("4.2", "5.", "6."))
    assert (frame.calls, frame.more().rows_sum) == (1, PEOPLE - 2)
    assert len(found[0].returned[frame].values) >= PEOPLE - 2


def test_rows_that_are_fetched_in_chunks_are_counted_in_all(profiles):
    from tests.scenarios.django_app.models import Person

    with recorded() as found:
        assert len(list(Person.objects.iterator(chunk_size=5))) == PEOPLE
    (frame,) = queries(found[0])

    assert (frame.calls, frame.more().rows_sum) == (1, PEOPLE)


def test_each_alias_is_a_target_of_its_own(profiles):
    from django.db import connections

    with recorded() as found:
        for alias in ("default", "second"):
            with connections[alias].cursor() as cursor:
                cursor.execute("SELECT name FROM sqlite_master")
                assert cursor.fetchall() is not None
    first, second = queries(found[0])

    assert first.callsite.target.endswith("first.sqlite3")
    assert second.callsite.target.startswith("second:")
    assert second.callsite.target.endswith("second.sqlite3")


def test_a_cursor_behaves_as_before():
    from django.db import IntegrityError, connection

    with recorded() as found, connection.cursor() as cursor:
        cursor.execute("SELECT id FROM django_app_person ORDER BY id")
        rows = [cursor.fetchone(), *cursor.fetchmany(2), *cursor]
        assert [row[0] for row in rows] == list(range(1, PEOPLE + 1))
        assert cursor.fetchone() is None
        cursor.execute("SELECT id FROM django_app_post WHERE id = %s", [0])
        assert cursor.fetchall() == []
        with pytest.raises(IntegrityError):
            cursor.execute("INSERT INTO django_app_person (id, name) VALUES (%s, %s)", [1, "again"])
        cursor.executemany("UPDATE django_app_person SET name = name WHERE id = %s", [(1,), (2,)])
        assert cursor.rowcount == 2
    frames = queries(found[0])

    assert [frame.callsite.name for frame in frames] == [
        "SELECT django_app_person", "SELECT django_app_post", "INSERT django_app_person", "UPDATE django_app_person",
    ]  # fmt: skip
    assert {frame.callsite.function for frame in frames} == {"test_a_cursor_behaves_as_before"}
    assert [frame.more().rows_sum for frame in frames] == [PEOPLE, 0, 0, 0]
    assert frames[2].more().outcomes == {"IntegrityError": 1}
    assert frames[3].more().batch_sum == 2


def test_the_driver_below_and_the_wrappers_of_others_do_not_count_twice():
    from django.db import connection
    from tests.scenarios.django_app.models import Person

    seen = []

    def wrapper(execute: Any, sql: Any, params: Any, many: Any, context: Any) -> Any:
        seen.append(sql)
        return execute(f"{sql} /* tagged */", params, many, context)

    with recorded() as found, connection.execute_wrapper(wrapper):
        Person.objects.get(pk=1)

    assert len(seen) == 1
    assert counts(found[0]) == {"SELECT django_app_person": 1}
    assert connection.execute_wrappers == []


def test_a_connection_opened_inside_a_wrapper_of_the_application_leaves_it_alone():
    from django.db import connection
    from tests.scenarios.django_app.models import Person

    connection.close()
    with recorded() as found, connection.execute_wrapper(lambda execute, *args: execute(*args)):
        Person.objects.get(pk=1)
    Person.objects.get(pk=1)

    assert connection.execute_wrappers == []
    assert counts(found[0]) == {"SELECT django_app_person": 1}


def test_what_django_asks_when_it_connects_is_nobodys_query():
    from django.db import connection

    connection.close()
    with recorded() as found:
        connection.ensure_connection()

    assert queries(found[0]) == []


def test_the_debugging_cursor_logs_what_it_always_logged(profiles):
    from django.db import connection
    from django.test.utils import CaptureQueriesContext
    from tests.scenarios.django_app import scenarios

    def captured() -> list[str]:
        with CaptureQueriesContext(connection) as context:
            scenarios.forward_many_to_one()
        return [query["sql"] for query in context.captured_queries]

    with recorded() as found:
        on = captured()

    assert on == captured()
    assert len(on) == sum(counts(found[0]).values()) == PEOPLE + 1


def test_assert_num_queries_counts_as_before(profiles):
    from django.test import TransactionTestCase
    from tests.scenarios.django_app import scenarios

    case = TransactionTestCase()
    with recorded(), case.assertNumQueries(PEOPLE + 1):
        scenarios.forward_many_to_one()


def test_the_statements_of_one_atomic_block_are_one_transaction():
    from django.db import transaction
    from tests.scenarios.django_app.models import Person

    with recorded() as found:
        with transaction.atomic():
            Person.objects.get(pk=1)
            Person.objects.count()
        Person.objects.exists()
        with transaction.atomic():
            Person.objects.first()
    numbers = [frame.more().transaction for frame in queries(found[0])]

    assert numbers[0] == numbers[1] > 0
    assert numbers[2] == 0
    assert numbers[3] > numbers[0]


def test_a_loop_of_saves_is_a_write_loop():
    from django.db import transaction
    from tests.scenarios.django_app.models import Tag

    with record() as this, transaction.atomic():
        for at in range(4):
            Tag.objects.create(label=f"t{at}")
        transaction.set_rollback(True)

    assert [(item.rule, "bulk_create" in item.advice) for item in this.findings] == [("write-loop", True)]
