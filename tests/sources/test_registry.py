"""Which library wakes which source, and what is told about it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

SOURCE = Path(__file__).parents[2] / "src"

PROGRAM = """
import sys, sqlite3
from manometer import Config
from manometer.sources import SOURCES, install_all

states = {{}}
def report(name, state, reason):
    states.setdefault(name, []).append((state, reason) if reason else state)

undo = install_all(Config({config}), report)
{body}
"""


def run(body: str, config: str = "") -> str:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(config=config, body=body)],
        env={"PYTHONPATH": str(SOURCE), "PATH": ""},
        capture_output=True,
        text=True,
        check=False,
        timeout=50,
    )
    assert (done.stderr, done.returncode) == ("", 0)
    return done.stdout


def test_libraries_wake_their_sources_whenever_they_are_imported() -> None:
    printed = run(
        """
watched = ("flask", "sqlalchemy", "sqlite3", "wsgi")
print({name: states[name] for name in watched}, [name for name in ("flask", "sqlalchemy") if name in sys.modules])
import flask, sqlalchemy, manometer.sources.wsgi
print({name: states[name] for name in watched})
patched = sqlite3.connect, vars(flask.Flask)["__call__"]
undo()
undo()
print(sqlite3.connect is patched[0], vars(flask.Flask)["__call__"] is patched[1], sqlite3.connect.__module__)
"""
    )

    first, second, third = printed.splitlines()
    assert (
        first
        == "{'flask': ['waiting'], 'sqlalchemy': ['waiting'], 'sqlite3': ['active'], 'wsgi': ['waiting']} []"
    )
    assert second.count("'active'") == 4
    assert third == "False False _sqlite3"


def test_import_after_stop_wakes_nothing() -> None:
    assert run("undo(); import flask; print(states['flask'], type(vars(flask.Flask)['__call__']))") == (
        "['waiting'] <class 'function'>\n"
    )


def test_second_start_hears_of_imports_too() -> None:
    printed = run(
        "undo(); states.clear(); install_all(Config(), report); import flask; print(states['flask'])"
    )

    assert printed == "['waiting', 'active']\n"


def test_disabled_sources_are_off() -> None:
    printed = run(
        "import flask; print({name: states[name] for name in ('flask', 'sqlalchemy', 'sqlite3', 'wsgi')}, sqlite3.connect.__module__)",
        config="disable=frozenset({'flask', 'sqlite3', 'sqlalchemy', 'wsgi'})",
    )

    assert (
        printed == "{'flask': ['off'], 'sqlalchemy': ['off'], 'sqlite3': ['off'], 'wsgi': ['off']} _sqlite3\n"
    )


def test_library_of_another_shape_is_inactive_with_a_reason() -> None:
    printed = run(
        """
import types
flask = types.ModuleType("flask")
class Flask:
    def __call__(self, environ, start_response): return 1
    def wsgi_app(self, environ): return 2
flask.Flask, flask.got_request_exception, flask.request_started = Flask, None, None
sys.modules["flask"] = flask
sqlalchemy = types.ModuleType("sqlalchemy")
sys.modules["sqlalchemy"] = sqlalchemy
undo()
states.clear()
install_all(Config(), report)
print(states["flask"], states["sqlalchemy"], Flask()(1, 2))
"""
    )

    assert printed == (
        "[('inactive', 'Flask.wsgi_app(self, environ) is not (self, environ, start_response)')] "
        "[('inactive', \"ImportError: cannot import name 'event' from 'sqlalchemy' (unknown location)\")] 1\n"
    )
