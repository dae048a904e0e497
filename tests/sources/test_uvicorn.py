"""Servers that end by a signal: what is done at exit is done in each of their processes."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from typing import TYPE_CHECKING

import pytest
from tests.sources.asgi_driver import free_port

from manometer import _guard, _rolling
from manometer.testing import install_sources, raising

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PROGRAM = """
import os
from manometer.sources import asgi, wsgi


@asgi.Middleware
async def app(scope, receive, send):
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": str(os.getpid()).encode()})


@wsgi.Middleware
def plain(environ, start_response):
    start_response("200 OK", [])
    return [str(os.getpid()).encode()]
"""
SERVERS = {
    "uvicorn": ("uvicorn app:app --lifespan off --port {port}", -signal.SIGTERM),
    "uvicorn with workers": ("uvicorn app:app --lifespan off --workers 2 --port {port}", 0),
    "hypercorn": ("hypercorn app:app -b 127.0.0.1:{port}", 0),
    "gunicorn": ("gunicorn app:plain -b 127.0.0.1:{port}", 0),
    "gunicorn with threads": ("gunicorn app:plain -k gthread --threads 2 -b 127.0.0.1:{port}", 0),
    "gunicorn with uvicorn": ("gunicorn app:app -k uvicorn_worker.UvicornWorker -b 127.0.0.1:{port}", 0),
}


def served_by(process: subprocess.Popen[bytes], port: int) -> str:
    """Ask until there is an answer; the process that gave it."""
    deadline_s = time.monotonic() + 30
    while True:
        assert process.poll() is None
        assert time.monotonic() < deadline_s
        with (
            contextlib.suppress(OSError),
            urllib.request.urlopen(f"http://127.0.0.1:{port}/orders", timeout=20) as answer,
        ):
            return str(answer.read().decode())
        time.sleep(0.05)


@pytest.mark.parametrize("server", SERVERS)
def test_a_server_told_to_end_says_what_is_said_at_exit(tmp_path: Path, server: str) -> None:
    command, code = SERVERS[server]
    pytest.importorskip("uvicorn_worker" if server == "gunicorn with uvicorn" else command.split()[0])
    (tmp_path / "app.py").write_text(PROGRAM)
    port = free_port()
    started = [sys.executable, "-m", *command.format(port=port).split()]
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "manometer", "run", "--", *started],
            cwd=tmp_path, stdout=log, stderr=log, env={**os.environ, "MANOMETER": "1", "MANOMETER_SLOW_MS": "0"},
        )  # fmt: skip
    try:
        worker = served_by(process, port)
        process.send_signal(signal.SIGTERM)
        process.wait(20)
    finally:
        process.kill()
        process.wait()
    text = (tmp_path / "log").read_text()

    if server == "uvicorn" and not raises_again():
        code = 0
    assert process.returncode == code, text
    assert "GET /orders 200" in text
    assert {worker, str(process.pid)} <= set(re.findall(r"up state=stop .*?\bpid=(\d+)", text)), text
    assert "Traceback" not in text


def raises_again() -> bool:
    """Tell whether a server raises, once it has ended, the signal that ended it: uvicorn 0.29 and later."""
    import uvicorn

    return hasattr(uvicorn.Server, "capture_signals")


@pytest.fixture
def ends(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """What would be done at exit, noted."""
    pytest.importorskip("uvicorn")
    noted: list[str] = []
    monkeypatch.setattr(_rolling, "end", lambda: noted.append("end"))
    with raising(), install_sources("uvicorn"):
        yield noted
    _guard.clear()


def server_that_hears() -> contextlib.AbstractContextManager[None]:
    import uvicorn

    if not raises_again():
        pytest.skip("this release of uvicorn does not raise the signal again")
    return uvicorn.Server(uvicorn.Config(lambda: None)).capture_signals()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_that_the_application_handles_ends_nothing(number: int, ends: list[str]) -> None:
    heard: list[int] = []
    before = signal.signal(number, lambda number, _: heard.append(number))
    try:
        with server_that_hears():
            signal.raise_signal(number)
            assert heard == []
    finally:
        signal.signal(number, before)

    assert heard == [number]
    assert ends == []


def test_a_server_that_ends_by_itself_ends_nothing(ends: list[str]) -> None:
    with server_that_hears():
        pass

    assert ends == []


def test_an_error_of_the_server_passes(ends: list[str]) -> None:
    with pytest.raises(ZeroDivisionError), server_that_hears():
        _ = 1 / 0

    assert ends == []


def test_what_is_patched_is_put_back() -> None:
    server = pytest.importorskip("uvicorn").Server
    if not raises_again():
        pytest.skip("nothing is patched in this release of uvicorn")
    before = vars(server)["capture_signals"]
    with install_sources("uvicorn"):
        assert vars(server)["capture_signals"] is not before

    assert vars(server)["capture_signals"] is before
