"""Real database servers for tests: each in a temporary folder, on a free port of the loopback, gone at the end.

The fixtures `postgresql` and `mariadb` give a test a fresh, empty database of its own; the server behind them is started
once a session, by the first test that asks. Where the server is not installed, the test is skipped and says so.
"""

from __future__ import annotations

import ctypes
import importlib.util
import itertools
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

HOST = "127.0.0.1"
USER = "app"
PASSWORD = "canary-password"  # whoever logs it is found out
READY_S = 45.0
STOP_S = 15.0
_PR_SET_PDEATHSIG = 1
_numbers = itertools.count(1)


@dataclass(frozen=True)
class Database:
    """Where a database is, and how to log in."""

    port: int
    name: str
    host: str = HOST
    user: str = USER
    password: str = PASSWORD

    def url(self, scheme: str) -> str:
        """Return `scheme://user:password@host:port/name`, as SQLAlchemy and most drivers take it."""
        return f"{scheme}://{self.user}:{self.password}@{self.host}:{self.port}/{self.name}"

    @property
    def target(self) -> str:
        """What manometer calls it."""
        return f"{self.name}@{self.host}:{self.port}"


@dataclass(frozen=True)
class Server:
    """A server that runs: its first database, and the client program that comes with it."""

    first: Database
    execute: Callable[[str], None]

    def fresh(self) -> Database:
        """Create an empty database."""
        name = f"shop{next(_numbers)}"
        self.execute(f"CREATE DATABASE {name}")
        return replace(self.first, name=name)


class NotInstalled(Exception):  # noqa: N818 - a reason to skip, and no fault
    """The server's programs are not on this machine."""


def _program(name: str) -> str:
    folders = [
        *sorted(map(str, Path("/usr/lib/postgresql").glob("*/bin")), reverse=True),
        os.environ.get("PATH", ""),
        "/usr/sbin",
    ]
    found = shutil.which(name, path=os.pathsep.join(folders))
    if found is None:
        raise NotInstalled(f"{name} is not installed")
    return found


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
    return port


@contextmanager
def _home(*accounts: str) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Make a folder, and say as whom to run in it: database servers refuse to run as root."""
    folder = Path(tempfile.mkdtemp(prefix="manometer-"))
    options: dict[str, Any] = {"cwd": folder}
    try:
        if os.geteuid() == 0:
            known = {account.pw_name: account for account in pwd.getpwall()}
            account = next(known[name] for name in (*accounts, "nobody") if name in known)
            os.chown(folder, account.pw_uid, account.pw_gid)
            options |= {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}
        yield folder, options
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _die_with_parent(number: int) -> Callable[[], None]:
    """Return what makes a child end when this process does, however it ends."""
    prctl = ctypes.CDLL(None).prctl if sys.platform == "linux" else None

    def prepare() -> None:
        if prctl is not None:
            prctl(_PR_SET_PDEATHSIG, number)

    return prepare


@contextmanager
def _running(
    command: list[str], options: dict[str, Any], end: int, is_ready: Callable[[], bool]
) -> Iterator[None]:
    log = options["cwd"] / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, stdout=output, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
            preexec_fn=_die_with_parent(end), **options,  # noqa: PLW1509 - it only calls prctl
        )  # fmt: skip
    try:
        deadline_s = time.monotonic() + READY_S
        while not is_ready():
            if process.poll() is not None or time.monotonic() > deadline_s:
                raise RuntimeError(f"{command[0]} did not start:\n{log.read_text(errors='replace')[-4000:]}")
            time.sleep(0.05)
        yield
    finally:
        process.send_signal(end)
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _run(command: list[str], options: dict[str, Any], **environment: str) -> None:
    done = subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=READY_S,
        env={**os.environ, **environment}, **options,
    )  # fmt: skip
    if done.returncode:
        raise RuntimeError(f"{command[0]} failed:\n{done.stdout}")


@contextmanager
def run_postgresql() -> Iterator[Server]:
    """Run PostgreSQL for a block.

    Raises:
        NotInstalled: There is none.
    """
    initdb, postgres, psql, pg_isready = map(_program, ("initdb", "postgres", "psql", "pg_isready"))
    first = Database(_free_port(), "postgres")
    with _home("postgres") as (folder, options):
        (folder / "password").write_text(PASSWORD)
        os.chmod(folder / "password", 0o644)
        data = str(folder / "data")
        _run(
            [initdb, "-D", data, "-U", USER, "--pwfile", str(folder / "password"), "-A", "scram-sha-256",
             "-E", "UTF8", "--locale", "C", "--no-sync", "--wal-segsize", "1"],
            options,
        )  # fmt: skip
        settings = [
            f"port={first.port}", f"listen_addresses={HOST}", "unix_socket_directories=", "fsync=off",
            "full_page_writes=off", "synchronous_commit=off", "max_connections=100", "shared_buffers=32MB",
        ]  # fmt: skip
        command = [postgres, "-D", data, *(part for setting in settings for part in ("-c", setting))]
        place = ["-h", HOST, "-p", str(first.port), "-d", first.name, "-U", USER]

        def is_ready() -> bool:
            return subprocess.run([pg_isready, "-q", *place]).returncode == 0

        def execute(statement: str) -> None:
            _run([psql, "-q", "-X", *place, "-c", statement], {}, PGPASSWORD=PASSWORD)

        with _running(command, options, signal.SIGQUIT, is_ready):
            yield Server(first, execute)


@contextmanager
def run_mongodb() -> Iterator[Server]:
    """Run a server that speaks MongoDB's wire protocol for a block; MongoDB itself has no Debian package.

    Raises:
        NotInstalled: There is none.
    """
    if importlib.util.find_spec("nx_27017") is None:
        raise NotInstalled("nx-27017 is not installed")
    first = Database(_free_port(), "shop")
    with _home() as (folder, options):
        command = [
            sys.executable, "-m", "nx_27017.nx_27017", "--db", "memory", "--host", HOST, "--port", str(first.port),
            "--log-file", f"{folder}/server.log", "--pid-file", f"{folder}/pid",
        ]  # fmt: skip

        def is_ready() -> bool:
            try:
                socket.create_connection((HOST, first.port), timeout=READY_S).close()
            except OSError:
                return False
            return True

        # As whom this process runs: the environment need not be readable for anybody else.
        with _running(command, {"cwd": options["cwd"]}, signal.SIGKILL, is_ready):
            yield Server(first, lambda _: None)


@contextmanager
def run_mariadb() -> Iterator[Server]:
    """Run MariaDB for a block.

    Raises:
        NotInstalled: There is none.
    """
    install, mariadbd, client = map(_program, ("mariadb-install-db", "mariadbd", "mariadb"))
    first = Database(_free_port(), "mysql")
    with _home("mysql") as (folder, options):
        # Two servers that share a folder for temporary tables take them from each other.
        settings = [
            f"--datadir={folder}/data", f"--tmpdir={folder}", "--innodb-log-file-size=4M",
            "--innodb-flush-method=nosync", "--innodb-buffer-pool-size=32M", "--skip-innodb-doublewrite",
        ]  # fmt: skip
        _run(
            [
                install,
                "--no-defaults",
                *settings,
                "--skip-test-db",
                "--auth-root-authentication-method=normal",
            ],
            options,
            TMPDIR=str(folder),
        )
        (folder / "init.sql").write_text(
            f"CREATE USER '{USER}'@'{HOST}' IDENTIFIED BY '{PASSWORD}';\n"
            f"GRANT ALL ON *.* TO '{USER}'@'{HOST}';\n"
        )
        os.chmod(folder / "init.sql", 0o644)
        command = [
            mariadbd, "--no-defaults", *settings, f"--port={first.port}", f"--bind-address={HOST}",
            f"--socket={folder}/sock", f"--pid-file={folder}/pid", f"--init-file={folder}/init.sql",
            "--skip-name-resolve", "--character-set-server=utf8mb4", "--skip-log-bin",
            "--innodb-flush-log-at-trx-commit=0",
        ]  # fmt: skip

        def is_ready() -> bool:
            try:
                # The greeting: the statements of the init file have run by then.
                with socket.create_connection((HOST, first.port), timeout=READY_S) as probe:
                    return bool(probe.recv(1))
            except OSError:
                return False

        def execute(statement: str) -> None:
            _run(
                [client, "--no-defaults", f"--host={HOST}", f"--port={first.port}", f"--user={USER}",
                 "--execute", statement, first.name],
                {},
                MYSQL_PWD=PASSWORD,
            )  # fmt: skip

        with _running(command, options, signal.SIGKILL, is_ready):  # nothing in it is worth a clean end
            yield Server(first, execute)


@contextmanager
def run_redis(*, cluster: bool = False) -> Iterator[int]:
    """Run redis for a block, on a port of its own; a cluster of one node when asked.

    Raises:
        NotInstalled: There is none.
    """
    server, client = map(_program, ("redis-server", "redis-cli"))
    port = _free_port()
    with _home("redis") as (folder, options):
        command = [
            server,
            "--port",
            str(port),
            "--bind",
            HOST,
            "--save",
            "",
            "--appendonly",
            "no",
            "--dir",
            str(folder),
        ]
        if cluster:
            command += [
                "--cluster-enabled",
                "yes",
                "--cluster-port",
                str(_free_port()),
                "--cluster-announce-ip",
                HOST,
            ]
        place = [client, "-h", HOST, "-p", str(port)]

        def is_ready() -> bool:
            return subprocess.run([*place, "PING"], capture_output=True).stdout == b"PONG\n"

        def has_slots() -> bool:
            return (
                b"cluster_state:ok" in subprocess.run([*place, "CLUSTER", "INFO"], capture_output=True).stdout
            )

        with _running(command, options, signal.SIGTERM, is_ready):
            if cluster:
                _run([*place, "CLUSTER", "ADDSLOTSRANGE", "0", "16383"], {})
                deadline_s = time.monotonic() + READY_S
                while not has_slots() and time.monotonic() < deadline_s:
                    time.sleep(0.05)
            yield port


@contextmanager
def run_memcached() -> Iterator[int]:
    """Run memcached for a block, on a port of its own.

    Raises:
        NotInstalled: There is none.
    """
    server, port = _program("memcached"), _free_port()
    with _home("memcache") as (_, options):

        def is_ready() -> bool:
            try:
                with socket.create_connection((HOST, port), timeout=READY_S):
                    return True
            except OSError:
                return False

        command = [server, "-l", HOST, "-p", str(port), "-U", "0", "-m", "16"]
        with _running(command, options, signal.SIGTERM, is_ready):
            yield port


def _or_skip(run: Callable[[], Any]) -> Iterator[Any]:
    try:
        with run() as server:
            yield server
    except NotInstalled as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[Server]:
    """A PostgreSQL server."""
    yield from _or_skip(run_postgresql)


@pytest.fixture(scope="session")
def mariadb_server() -> Iterator[Server]:
    """A MariaDB server."""
    yield from _or_skip(run_mariadb)


@pytest.fixture(scope="session")
def mongodb_server() -> Iterator[Server]:
    """A server that speaks MongoDB's wire protocol."""
    yield from _or_skip(run_mongodb)


@pytest.fixture
def postgresql(postgresql_server: Server) -> Database:
    """An empty PostgreSQL database of the test's own."""
    return postgresql_server.fresh()


@pytest.fixture
def mariadb(mariadb_server: Server) -> Database:
    """An empty MariaDB database of the test's own."""
    return mariadb_server.fresh()


@pytest.fixture
def mongodb(mongodb_server: Server) -> Database:
    """An empty document database of the test's own."""
    return mongodb_server.fresh()


@pytest.fixture(scope="session")
def redis_server() -> Iterator[int]:
    """The port of a redis server."""
    yield from _or_skip(run_redis)


@pytest.fixture(scope="session")
def redis_cluster_server() -> Iterator[int]:
    """The port of a redis cluster of one node."""
    yield from _or_skip(partial(run_redis, cluster=True))


@pytest.fixture(scope="session")
def memcached_server() -> Iterator[int]:
    """The port of a memcached server."""
    yield from _or_skip(run_memcached)
