"""The command line: a program is measured without a change to it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from manometer.cli import main

SCRIPT = """
import sqlite3, sys
db = sqlite3.connect(":memory:")
db.execute("create table owner (id integer primary key, name text)")
db.execute("create table pet (id integer primary key, owner_id integer)")
db.executemany("insert into owner values (?, ?)", [(n, "x") for n in range(100, 200)])
db.executemany("insert into pet values (?, ?)", [(n, n + 100) for n in range(100)])

def names():
    for pet, owner in db.execute("select id, owner_id from pet").fetchall():
        yield db.execute("select name from owner where id = ?", (owner,)).fetchone()

print(len(list(names())), sys.argv[1:], __name__)
"""
APP = """
import sqlite3
from flask import Flask

app = Flask(__name__)
db = sqlite3.connect(":memory:", check_same_thread=False)
db.execute("create table owner (id integer primary key, name text)")
db.executemany("insert into owner values (?, ?)", [(n, "x") for n in range(100, 200)])

@app.get("/owners/<int:count>")
def owners(count):
    keys = [row[0] for row in db.execute("select id from owner limit ?", (count,)).fetchall()]
    return str([db.execute("select name from owner where id = ?", (key,)).fetchone() for key in keys])
"""


def clean(**variables: str) -> dict[str, str]:
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith("MANOMETER")},
        **variables,
    }


def run(*arguments: str, cwd: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "manometer", *arguments], cwd=cwd, env=clean(**variables), capture_output=True, text=True, timeout=60
    )  # fmt: skip


@pytest.fixture
def script(tmp_path):
    (tmp_path / "pets.py").write_text(SCRIPT)
    return tmp_path


def assert_named(text: str) -> None:
    """The N+1 of the script: its statement, how often, whose line, where the arguments came from."""
    (line,) = [line for line in text.splitlines() if "manometer.finding" in line]
    assert "n-plus-one" in line
    assert "confirmed calls=100" in line
    assert "pets.py:11" in line
    assert "in=names" in line
    assert "args_from=pets.py:10" in line or "/pets.py:10" in line
    assert 'statement="select name from owner where id = ?"' in line


def test_a_script_runs_as_itself_and_its_n_plus_one_is_named(script):
    done = run("run", "pets.py", "--flag", "x", cwd=script)

    assert (done.returncode, done.stdout) == (0, "100 ['--flag', 'x'] __main__\n")
    assert_named(done.stderr)


def test_a_module_runs_as_itself(script):
    done = run("run", "-m", "pets", "arg", cwd=script)

    assert (done.returncode, done.stdout) == (0, "100 ['arg'] __main__\n")
    assert_named(done.stderr)


def test_a_command_and_its_python_children_are_measured(script):
    done = run("run", "--", "sh", "-c", f"exec {sys.executable} pets.py", cwd=script)

    assert (done.returncode, done.stdout) == (0, "100 [] __main__\n")
    assert_named(done.stderr)


def test_the_exit_code_and_the_exception_are_the_program_s(tmp_path):
    (tmp_path / "fails.py").write_text("import sys\nsys.exit(7)\n")
    (tmp_path / "raises.py").write_text("raise KeyError('theirs')\n")

    assert run("run", "fails.py", cwd=tmp_path).returncode == 7
    done = run("run", "raises.py", cwd=tmp_path)
    assert done.returncode == 1
    assert "KeyError: 'theirs'" in done.stderr


def test_the_site_s_own_customisation_still_runs(script):
    (script / "sitecustomize.py").write_text("print('site')\n")
    done = run("run", "--", sys.executable, "pets.py", cwd=script, PYTHONPATH=str(script))

    assert done.stdout.startswith("site\n100 ")
    assert_named(done.stderr)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", "nothing.py"], "manometer run: there is no file nothing.py"),
        (["run", "--", "no-such-command"], "manometer run: there is no command no-such-command on the PATH"),
    ],
)
def test_a_wrong_program_is_one_clear_line(arguments, message, capsys):
    assert main(arguments) == 2
    assert capsys.readouterr().err.strip() == message


def test_help_has_an_example(capsys):
    with pytest.raises(SystemExit):
        main(["run", "--help"])

    assert "manometer run -- gunicorn app:app" in capsys.readouterr().out


def test_off_by_variable_wins(script):
    done = run("run", "pets.py", cwd=script, MANOMETER="0")

    assert (done.returncode, done.stderr) == (0, "")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def get(url: str, tries: int = 100) -> str:
    for _ in range(tries):
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:
                text: str = answer.read().decode()
                return text
        except OSError:
            time.sleep(0.1)
    raise TimeoutError(url)


@pytest.mark.parametrize("preload", [[], ["--preload"]], ids=["workers", "preload"])
def test_gunicorn_is_measured_in_each_worker_with_no_change_to_the_code(tmp_path, preload):
    (tmp_path / "app.py").write_text(APP)
    port = free_port()
    gunicorn = [
        sys.executable,
        "-m",
        "gunicorn",
        "--workers",
        "2",
        "--bind",
        f"127.0.0.1:{port}",
        *preload,
        "app:app",
    ]
    server = subprocess.Popen(
        [sys.executable, "-m", "manometer", "run", "--", *gunicorn],
        cwd=tmp_path, env=clean(MANOMETER="1"), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    try:
        for _ in range(12):
            assert get(f"http://127.0.0.1:{port}/owners/60").count("x") == 60
    finally:
        server.send_signal(signal.SIGTERM)
        output, _ = server.communicate(timeout=30)

    finding = [
        line for line in output.splitlines() if "manometer.finding" in line or " n-plus-one mn-" in line
    ]
    assert finding, output
    assert "app.py:13" in finding[0]
    assert 'route="GET /owners/{count}"' in finding[0]
    assert "args_from=" in finding[0]
    assert server.returncode == 0
    assert "Traceback" not in output
