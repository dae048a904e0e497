"""What is expensive to make is told where it is made again and again, and not where it is kept."""

from __future__ import annotations

import re
import ssl
import threading
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest

from manometer._history import History
from manometer._model import PRODUCTION
from manometer._setups import SETUPS, Setup, add
from manometer.sources import _installed
from manometer.testing import install_sources, raising, record

if TYPE_CHECKING:
    import pathlib
    from collections.abc import Callable, Iterator

SOURCES = ("setup", "requests", "urllib3", "httpx", "redis")


@pytest.fixture(autouse=True)
def sources() -> Iterator[None]:
    with raising(), install_sources(*SOURCES):
        yield


class Answer(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = 65536

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, *args: Any) -> None:
        pass


@pytest.fixture
def base() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def setups(recorded: record) -> dict[str, int]:
    found = [frame for frame in recorded.profile.root.walk() if frame.callsite.system == "setup"]
    return {frame.callsite.name: frame.calls for frame in found}


def told(recorded: record) -> list[tuple[str, Any]]:
    return [
        (item.evidence["what"], item.evidence["made"])
        for item in recorded.findings
        if item.rule == "repeated-setup"
    ]


def httpx_client() -> None:
    pytest.importorskip("httpx").Client(timeout=5).close()


def async_httpx_client() -> None:
    pytest.importorskip("httpx").AsyncClient(timeout=5)


def context() -> None:
    ssl.create_default_context(cafile=pytest.importorskip("certifi").where())


def engine() -> None:
    pytest.importorskip("sqlalchemy").create_engine("sqlite://")


def boto_client() -> None:
    pytest.importorskip("boto3").client(
        "sqs", region_name="eu-west-1", aws_access_key_id="a", aws_secret_access_key="b"
    )


def rendered() -> None:
    jinja2 = pytest.importorskip("jinja2")
    environment = jinja2.Environment(loader=jinja2.DictLoader({"a": "{% for x in y %}{{ x }}{% endfor %}"}))
    environment.get_template("a").render(y=range(3))


GUILTY = {
    "httpx.Client": httpx_client,
    "httpx.AsyncClient": async_httpx_client,
    "ssl.SSLContext (certificates)": context,
    "sqlalchemy.Engine": engine,
    "boto3 client": boto_client,
    "jinja2 template (compiled)": rendered,
}


@pytest.mark.parametrize("what", sorted(GUILTY))
def test_what_is_made_in_each_call_of_a_loop_is_told_once_with_its_count(what: str) -> None:
    make = GUILTY[what]
    make()  # imports, and what is made once for the process
    with record(policy=PRODUCTION) as recorded:
        for _ in range(6):
            make()

    assert setups(recorded)[what] == 6
    (finding,) = recorded.findings
    assert (finding.rule, finding.evidence["what"], finding.evidence["made"]) == ("repeated-setup", what, 6)
    assert finding.callsite.function == make.__name__
    assert finding.advice == SETUPS[what].remedy


@pytest.mark.parametrize("what", sorted(GUILTY))
def test_what_is_made_once_and_kept_is_no_finding(what: str) -> None:
    GUILTY[what]()
    history = History()
    made: list[str] = []

    def lazily() -> None:
        if not made:
            GUILTY[what]()
            made.append(what)

    for number in range(6):
        with record(policy=PRODUCTION, history=history) as recorded:
            for _ in range(6):
                lazily()

        assert setups(recorded).get(what, 0) == (number == 0)
        assert told(recorded) == []


def test_an_engine_for_each_request_is_told_after_three() -> None:
    history = History()
    found = []
    for _ in range(4):
        with record("GET /orders", kind="request", policy=PRODUCTION, history=history) as recorded:
            engine()
        found.append(told(recorded))

    assert found == [[], [], [("sqlalchemy.Engine", 1)], [("sqlalchemy.Engine", 1)]]
    (finding,) = recorded.findings
    assert (finding.severity, finding.evidence["units_that_made_it"], finding.evidence["units_of_work"]) == (
        "warning", 4, 4,
    )  # fmt: skip


def test_patterns_made_of_the_data_are_told_and_those_in_the_cache_are_not() -> None:
    words = [f"word{number}\\w+(a|b)*[c-{'xyz'[number % 3]}]" for number in range(300)]

    def search(kind: str, times: int) -> record:
        with record(policy=PRODUCTION) as recorded:
            for number in range(times):
                re.search(f"{kind}{words[number % 300]}", "some text")
        return recorded

    assert told(search("x", 300)) == [("re.compile", 300)]
    assert setups(search("x", 300)) == {}  # all of them fit the cache
    with record(policy=PRODUCTION) as recorded:
        for _ in range(300):
            re.search("y", "some text")
    assert told(recorded) == []


def test_a_session_for_each_call_costs_its_connections(base: str) -> None:
    requests = pytest.importorskip("requests")

    def check(number: int) -> None:
        requests.get(f"{base}/status", timeout=5, params={"n": number})

    with record(policy=PRODUCTION) as recorded:
        for number in range(3):
            check(number)
    assert setups(recorded) == {"requests.Session": 3, "connection (HTTP)": 3}

    with requests.Session() as session, record(policy=PRODUCTION) as recorded:
        for number in range(30):
            session.get(f"{base}/status", timeout=5, params={"n": number})
    assert setups(recorded) == {"connection (HTTP)": 1}
    assert told(recorded) == []


def test_what_a_module_makes_while_it_is_imported_is_left_out(
    tmp_path: pathlib.Path, monkeypatch: Any
) -> None:
    module = tmp_path / "lazily_imported.py"
    module.write_text("import re\nPATTERNS = [re.compile(f'lazily{n}[a-z]+(b|c)*') for n in range(200)]\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    with record() as recorded:
        import lazily_imported  # type: ignore[import-not-found]

    assert len(lazily_imported.PATTERNS) == 200
    assert setups(recorded) == {}


def test_a_thread_pool_for_each_request_is_seen_and_costs_too_little_to_be_told() -> None:
    with record(policy=PRODUCTION) as recorded:
        for _ in range(6):
            with ThreadPoolExecutor(1) as pool:
                pool.submit(threading.Event().wait, 0.01).result()

    assert setups(recorded) == {"ThreadPoolExecutor": 6}
    assert told(recorded) == []


def test_the_same_file_loaded_again_is_told_and_other_files_are_not(tmp_path: pathlib.Path) -> None:
    import pickle

    for number in range(6):
        (tmp_path / f"{number}.pickle").write_bytes(pickle.dumps(list(range(100_000))))

    def load(number: int) -> Any:
        with (tmp_path / f"{number}.pickle").open("rb") as file:
            return pickle.load(file)

    with record(policy=PRODUCTION) as again:
        for _ in range(6):
            load(0)
    with record(policy=PRODUCTION) as others:
        for number in range(6):
            load(number)

    assert told(again) == [("pickle.load", 6)]
    assert setups(others) == {"pickle.load": 6}
    assert told(others) == []


def test_what_a_constructor_raises_is_the_hosts_and_nothing_stays_open() -> None:
    httpx = pytest.importorskip("httpx")
    with record() as recorded:
        for _ in range(2):
            with pytest.raises(TypeError):
                httpx.Client(nonsense=True)

    (frame,) = [each for each in recorded.profile.root.walk() if each.callsite.system == "setup"]
    assert (frame.calls, frame.errors, frame.active >> 2) == (2, 2, 0)


def test_something_of_ones_own_can_be_added(monkeypatch: pytest.MonkeyPatch) -> None:
    class Model:
        def __init__(self, number: int) -> None:
            self.number = number

    monkeypatch.setattr("tests.sources.test_setup.Model", Model, raising=False)
    added = Setup("shop.Model", __name__, "Model.__init__", "Load it once.", always=True)
    add(added)
    try:
        with install_sources("setup"), record(policy=PRODUCTION) as recorded:
            assert [Model(number).number for number in range(5)] == [0, 1, 2, 3, 4]
    finally:
        del SETUPS["shop.Model"]

    assert [(item.rule, item.advice) for item in recorded.findings] == [("repeated-setup", "Load it once.")]


def test_undoing_gives_everything_back() -> None:
    import requests

    patched: list[tuple[Any, str, Callable[..., Any]]] = [
        (requests.Session, "__init__", vars(requests.Session)["__init__"].__wrapped__),
        (ThreadPoolExecutor, "__init__", vars(ThreadPoolExecutor)["__init__"].__wrapped__),
    ]
    for each in list(_installed):
        each.undo()

    assert all(vars(owner)[name] is original for owner, name, original in patched)
    assert "load_verify_locations" not in vars(ssl.SSLContext) or not hasattr(
        vars(ssl.SSLContext)["load_verify_locations"], "__wrapped__"
    )


def test_a_redis_client_makes_its_connection_once_however_often_it_is_asked(redis_server):
    import redis

    client = redis.Redis(port=redis_server)

    with record() as recorded:
        for number in range(10):
            client.get(f"item:{number}")

    assert setups(recorded)["connection (redis)"] == 1
