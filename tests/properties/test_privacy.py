"""S of the catalogue: what is the user's stays in the process, and nothing written can be taken for something else."""

from __future__ import annotations

import contextlib
import json
import logging
import random
import re
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings, strategies as st
from tests.properties._twin import ROOT, environment
from tests.properties._zoo import QuerySet

import manometer
from manometer import measure, profile
from manometer._config import Config
from manometer._fingerprint import key_of

if TYPE_CHECKING:
    from collections.abc import Iterator

MARK = "canary7f"
"""Every secret contains it: one byte search finds any of them."""


def _secret(chance: random.Random) -> str:
    return f"{MARK}{chance.randrange(10**9)}"


def literals(chance: random.Random) -> str:
    """Return SQL text with secrets wherever a value or a comment can stand, well formed or not."""
    secret = _secret(chance)
    number = f"{chance.randrange(10**8, 10**9)}"
    places = [
        f"SELECT name FROM sqlite_master WHERE name = '{secret}'",
        f"SELECT name FROM sqlite_master WHERE name IN ('{secret}', '{secret}x', {number})",
        f"SELECT name /* {secret} */ FROM sqlite_master -- {secret}",
        f"SELECT name FROM sqlite_master WHERE name = 'it''s {secret}' LIMIT 3",
        f"SELECT E'\\\\'{secret}' FROM t",
        f"SELECT $${secret}$$ FROM t",
        f"SELECT $tag${secret}$tag$ FROM t",
        f"SELECT N'{secret}', U&'{secret}', _utf8'{secret}' FROM t",
        f"SELECT X'{secret.encode().hex()}' FROM t WHERE c = 0x{secret.encode().hex()}",
        f"SELECT name FROM sqlite_master WHERE name = '{{\"password\": \"{secret}\"}}'",
        f"INSERT INTO t VALUES ('{secret}'), ('{secret}b')",
        f"CALL login('{secret}', {number})",
        f"CREATE USER u PASSWORD '{secret}'",
        f"ALTER USER u IDENTIFIED BY '{secret}'",
        f"COPY t FROM STDIN; {secret}",
        f"SELECT 1; SELECT '{secret}'; UPDATE t SET a = '{secret}'",
        f"SELECT name FROM t WHERE name = '{secret}",
        f"SELECT name FROM t /* {secret}",
        f"SELECT 'a' '{secret}' || '{secret}' FROM t",
        f"SELECT q'[{secret}]' FROM dual",
        f"SET PASSWORD = '{secret}'",
        f"SELECT name FROM t WHERE name = '\ud800{secret}'",
        f"PRAGMA key = '{secret}'",
        f"ATTACH DATABASE ':memory:' AS x KEY '{secret}'",
        f"SELECT name FROM t WHERE name LIKE '%{secret}%' ESCAPE '\\'",
    ]  # fmt: skip
    return chance.choice(places)


class Sinks(logging.Handler):
    """Everything that leaves: log records whole, and the dictionaries of the JSON form."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []
        self.read: Any = None

    def end(self) -> None:
        """Stop manometer and take in what it wrote to the terminal."""
        manometer.flush(10)
        manometer.stop()
        self.lines += list(self.read())

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage() + repr(vars(record)))


@pytest.fixture(params=["logfmt", "json", "tree"])
def sinks(request: pytest.FixtureRequest, capfd: pytest.CaptureFixture[str]) -> Iterator[Sinks]:
    found = Sinks()
    found.read = capfd.readouterr
    logger = logging.getLogger("manometer")
    logger.addHandler(found)
    logger.setLevel(logging.DEBUG)
    manometer.start(Config(log_format=request.param, slow_ms=0, heartbeat_s=0))
    yield found
    manometer.stop()
    logger.removeHandler(found)
    logger.setLevel(logging.NOTSET)


def _give(connection: Any, text: str, parameters: Any = ()) -> None:
    try:
        connection.execute(text, parameters)
    except Exception:  # most of it is no SQL that this database knows
        return


def canaries(sinks: Sinks, count: int) -> None:
    import sqlite3

    sqlalchemy = pytest.importorskip("sqlalchemy")
    chance = random.Random(11)
    engine = sqlalchemy.create_engine("sqlite://", poolclass=sqlalchemy.pool.StaticPool)
    connection = sqlite3.connect(":memory:")
    connection.execute("CREATE TABLE t (name TEXT)")
    for number in range(count):
        text = literals(chance)
        with profile(f"unit{number % 50}"):
            for _ in range(3):
                _give(connection, text)
                _give(connection, "SELECT name FROM t WHERE name = ?", (_secret(chance),))
            if number % 10 == 0 and "\ud800" not in text:
                with engine.connect() as through:
                    for _ in range(3):
                        _give(through, sqlalchemy.text(text.replace(":", "\\:")), {})
        if number % 500 == 0:
            manometer.flush(10)
    engine.dispose()
    connection.close()
    manometer.flush(10)


def test_S2_no_canary_in_any_literal_or_parameter_is_ever_seen_again(sinks: Sinks) -> None:
    canaries(sinks, 400)
    sinks.end()

    assert any("SELECT" in line for line in sinks.lines), "statements that are not told prove nothing"
    assert [line[:2_000] for line in sinks.lines if _leaks(line)][:3] == []


def _told_whatever_it_costs(connection: Any, chance: random.Random) -> None:
    """Make calls of which so many are alike that their statement is told, however quick the server is."""
    cursor = connection.cursor()
    cursor.execute("CREATE TABLE t (name VARCHAR(200))")
    connection.commit()
    with profile("loop"):
        for _ in range(30):
            cursor.execute("SELECT name FROM t WHERE name = %s", (_secret(chance),))
            cursor.fetchall()
    cursor.close()


DRIVERS = {"psycopg": "postgresql", "psycopg2": "postgresql", "pymysql": "mariadb", "MySQLdb": "mariadb"}


@pytest.mark.parametrize("driver", sorted(DRIVERS))
@pytest.mark.parametrize(
    "count", [150, pytest.param(10_000, marks=[pytest.mark.long, pytest.mark.timeout(1_800)])]
)
@pytest.mark.parametrize("sinks", ["logfmt"], indirect=True)
def test_S2_no_canary_leaves_through_a_servers_driver(
    sinks: Sinks, driver: str, count: int, request: pytest.FixtureRequest
) -> None:
    module = pytest.importorskip(driver)
    database = request.getfixturevalue(DRIVERS[driver])
    if DRIVERS[driver] == "postgresql":
        connection = module.connect(database.url("postgresql"))
    else:
        connection = module.connect(
            host=database.host, port=database.port, user=database.user, password=database.password, database=database.name
        )  # fmt: skip
    chance = random.Random(13)
    _told_whatever_it_costs(connection, chance)
    for number in range(count):
        with profile(f"unit{number % 50}"):
            cursor = connection.cursor()
            for _ in range(3):
                with contextlib.suppress(Exception):
                    cursor.execute(literals(chance).replace("%", "%%"))
                    cursor.fetchall()
                with contextlib.suppress(Exception):
                    connection.rollback()
                with contextlib.suppress(Exception):
                    cursor.execute("SELECT %s", (_secret(chance),))
                    cursor.fetchall()
            with contextlib.suppress(Exception):
                cursor.close()
        if number % 500 == 0:
            manometer.flush(10)
    connection.close()
    sinks.end()

    assert any("SELECT" in line for line in sinks.lines), "statements that are not told prove nothing"
    assert [line[:2_000] for line in sinks.lines if _leaks(line) or database.password in line][:3] == []


@pytest.mark.long
@pytest.mark.timeout(1_800)
def test_S2_ten_thousand_canaries_are_never_seen_again(sinks: Sinks) -> None:
    canaries(sinks, 10_000)
    sinks.end()

    assert [line[:2_000] for line in sinks.lines if _leaks(line)][:3] == []


def _leaks(line: str) -> bool:
    # Our own test function may stand in a line as the place of the call; a secret is followed by its number.
    return re.search(MARK + r"\d|" + MARK.encode().hex(), line) is not None


def test_S1_lazy_objects_are_not_evaluated_as_arguments_or_results() -> None:
    lazy = QuerySet()

    @measure(key="rows", size="rows")
    def through(rows: Any) -> Any:
        return rows

    with manometer.testing.record() if hasattr(manometer, "testing") else profile("unit"):
        for _ in range(10):
            through(lazy)

    assert lazy.evaluated == 0


def test_S1_a_fingerprint_is_keyed_anew_in_every_process() -> None:
    program = "from manometer._fingerprint import key_of; print(key_of(('password', 3)))"
    keys = {
        subprocess.run(
            [sys.executable, "-c", program], capture_output=True, text=True, env=environment(), timeout=30
        ).stdout
        for _ in range(3)
    }

    assert len(keys) == 3


def test_S1_only_exact_types_have_a_fingerprint() -> None:
    class Text(str):
        __slots__ = ()

    assert key_of((Text("a"),)) is None
    assert key_of(("a",)) is not None
    assert key_of((QuerySet(),)) is None


PATHS = [
    "/reset/{secret}",
    "/users/{secret}/orders",
    "/?token={secret}",
    "/a;session={secret}",
    "/{secret}.json",
]


def test_S3_no_canary_of_a_path_a_query_or_a_header_is_ever_seen_again(sinks: Sinks) -> None:
    from manometer.sources.wsgi import Middleware

    def app(environ: dict[str, Any], start_response: Any) -> Any:
        start_response("200 OK", [("Set-Cookie", f"{MARK}1")])
        return [b"x"]

    chance = random.Random(5)
    served = Middleware(app)
    for _ in range(50):
        for template in PATHS:
            secret = _secret(chance)
            path, _, query = template.format(secret=secret).partition("?")
            environ = {
                "REQUEST_METHOD": chance.choice(["GET", secret]), "PATH_INFO": path, "QUERY_STRING": query,
                "SCRIPT_NAME": "", "HTTP_AUTHORIZATION": secret, "HTTP_COOKIE": secret, "HTTP_HOST": secret,
                "HTTP_TRACEPARENT": secret, "HTTP_USER_AGENT": secret,
            }  # fmt: skip
            list(served(environ, lambda *_: None))
    sinks.end()

    assert any("GET /" in line for line in sinks.lines)
    assert [line for line in sinks.lines if _leaks(line)][:3] == []


def test_S3_the_password_of_an_engine_is_never_seen(sinks: Sinks) -> None:
    sqlalchemy = pytest.importorskip("sqlalchemy")
    engine = sqlalchemy.create_engine(
        f"sqlite:///file:shared?mode=memory&uri=true&key={MARK}12", poolclass=sqlalchemy.pool.StaticPool
    )
    with profile("unit"), engine.connect() as connection:
        for _ in range(5):
            connection.execute(sqlalchemy.text("SELECT name FROM sqlite_master"))
    engine.dispose()
    sinks.end()

    assert [line for line in sinks.lines if _leaks(line)][:3] == []


def test_S4_of_an_exception_only_the_type_is_told(sinks: Sinks) -> None:
    class Odd(Exception):
        pass

    @measure
    def fails() -> None:
        raise Odd(f"{MARK}5 is the password")

    for _ in range(5):
        try:
            with profile("unit"):
                fails()
        except Odd:
            continue
    sinks.end()

    assert any("Odd" in line for line in sinks.lines)
    assert [line for line in sinks.lines if _leaks(line)][:3] == []


NASTY = st.lists(
    st.sampled_from([*map(chr, range(32)), "\x7f", "\x85", "\x9b", "\u2028", "\u2029", "\u202e", "\ud800", "\x1b", "%", "{", "}", '"',
                     "'", "=", " ", "\\", "a", "\U0001f600", "%s", "{0}", "<", "</script>"]),
    min_size=1, max_size=40,
).map("".join)  # fmt: skip


class Collect(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.texts.append(self.format(record))


@pytest.mark.parametrize("form", ["logfmt", "json"])
@settings(max_examples=60, deadline=None, database=None)
@given(name=NASTY, table=NASTY)
def test_S5_S6_any_text_in_any_field_is_one_line_that_reads_back(form: str, name: str, table: str) -> None:
    from manometer._finding import Report
    from manometer._history import History
    from manometer.detectors import judge
    from manometer.exporters.log import LogExporter

    handler = Collect()
    logger = logging.getLogger("manometer")
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    try:
        exporter = LogExporter(Config(log_format=form, slow_ms=0))
        done: list[Any] = []
        from manometer._context import close_profile, open_profile, restore

        opened = open_profile(name, "request", to=done.append, cpu=False)
        with measure(table):
            pass
        close_profile(opened, name)
        restore(opened)
        exporter.export(Report(done[0], judge(done[0], History())))
    finally:
        logger.removeHandler(handler)
        logger.setLevel(logging.NOTSET)

    assert handler.texts
    for text in handler.texts:
        data = text.encode("utf-8")
        assert len(data) < 4_096
        assert not re.search(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202e]", text)
        if form == "json":
            assert isinstance(json.loads(text), dict)


def test_S6_no_text_of_the_users_is_a_format_and_nothing_is_evaluated() -> None:
    wrong = []
    for path in sorted((ROOT / "src" / "manometer").rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        if path.name == "_setups.py":
            text = text.replace('"yaml.load"', "")  # the name of what is timed there, and no call
        for word in (
            "eval(",
            "pickle.loads",
            "yaml.load",
            "marshal.loads",
            "import ctypes",
            "sys._current_frames(",
        ):
            if re.search(r"(?<![\w.])" + re.escape(word), text):
                wrong.append(f"{path.name}: {word}")

    assert [item for item in wrong if "_current_frames" not in item] == []
    assert sum("_current_frames" in item for item in wrong) <= 1
