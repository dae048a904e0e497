"""Installing the taps on Django: what they patch, that it is put back, and what happens where they cannot."""

from __future__ import annotations

import os
import pathlib
import re
import subprocess
import sys
from importlib import import_module
from typing import Any

import pytest
from tests.scenarios import django_app
from tests.sources.collect import strict_guard

from manometer import _site
from manometer.sources import SOURCES
from manometer.sources._patch import Unsupported, add, nothing
from manometer.testing import install_sources

NAMES = ("asgiref", "django", "django-commands", "django-db", "django-templates", "jinja2")
PATCHED = {
    ("asgiref.sync", "SyncToAsync"): {"__call__"},
    ("django.core.handlers.base", "BaseHandler"): {"get_response", "get_response_async"},
    ("django.core.management.base", "BaseCommand"): {"execute"},
    ("django.db.backends.base.base", "BaseDatabaseWrapper"): {"connect"},
    ("django.db.backends.utils", "CursorDebugWrapper"): {"execute", "executemany"},
    ("django.db.backends.utils", "CursorWrapper"): {
        "__iter__", "close", "execute", "executemany", "fetchall", "fetchmany", "fetchone",
    },
    ("django.template.base", "Node"): set(),
    ("django.template.base", "Template"): {"render"},
    ("jinja2", "Template"): {"render", "render_async"},
}  # fmt: skip


def attributes() -> dict[tuple[str, str], dict[str, Any]]:
    return {key: dict(vars(getattr(import_module(key[0]), key[1]))) for key in PATCHED}


def receivers() -> int:
    from django.core.signals import got_request_exception

    return len(got_request_exception.receivers)


def test_what_is_patched_is_put_back_by_identity() -> None:
    django_app.configure()
    before, listening = attributes(), receivers()
    with strict_guard(), install_sources(*NAMES) as installed:
        assert set(installed.states.values()) >= {("active", "")}
        during = attributes()
        changed = {
            key: {name for name in during[key] if during[key][name] is not before[key].get(name)}
            for key in PATCHED
        }
    after = attributes()

    assert changed == PATCHED
    assert after.keys() == before.keys()
    for key, names in before.items():
        assert after[key].keys() == names.keys()
        assert [name for name in names if after[key][name] is not names[name]] == []
    assert receivers() == listening
    assert (_site._readers, _site._generated) == ({}, [])


def test_installing_twice_patches_once() -> None:
    django_app.configure()
    with install_sources(*NAMES):
        first = attributes()
        with install_sources(*NAMES):
            second = attributes()
            assert second == first
        assert attributes() == first
        assert receivers() >= 1


@pytest.mark.parametrize(
    ("name", "owner", "attribute"),
    [
        ("asgiref", ("asgiref.sync", "SyncToAsync"), "thread_handler"),
        ("django", ("django.core.handlers.base", "BaseHandler"), "get_response"),
        ("django-db", ("django.db.backends.utils", "CursorWrapper"), "execute"),
        ("django-templates", ("django.template.base", "Node"), "render_annotated"),
        ("jinja2", ("jinja2", "Template"), "get_corresponding_lineno"),
    ],
)
def test_another_signature_makes_a_source_inactive(
    name: str, owner: Any, attribute: str, monkeypatch: Any
) -> None:
    django_app.configure()
    before = attributes()
    monkeypatch.setattr(getattr(import_module(owner[0]), owner[1]), attribute, print)
    changed = attributes()
    with install_sources(name) as installed:
        assert attributes() == changed
    monkeypatch.undo()

    assert installed.states[name][0] == "inactive"
    assert attributes() == before


@pytest.mark.parametrize("name", ["django", "django-db"])
def test_an_older_django_is_refused_with_the_reason(name: str, monkeypatch: Any) -> None:
    import django

    entry = SOURCES[name]
    source = getattr(import_module(f"manometer.sources.{entry.module}"), entry.attribute)()
    monkeypatch.setattr(django, "VERSION", (3, 2, 25, "final", 0))

    with pytest.raises(Unsupported, match=r"4\.2 and later"):
        source.install()


def test_a_method_is_added_once_and_taken_away() -> None:
    class Owner:
        pass

    def fetch(self: object) -> None: ...

    undo = add(Owner, "fetch", fetch)
    again = add(Owner, "fetch", fetch)
    assert vars(Owner)["fetch"] is fetch
    assert again is nothing
    undo()

    assert "fetch" not in vars(Owner)


def test_a_method_that_exists_is_not_replaced() -> None:
    class Owner:
        def fetch(self) -> None: ...

    with pytest.raises(Unsupported, match="defines fetch"):
        add(Owner, "fetch", print)


PROGRAM = """
from tests.scenarios import django_app
django_app.configure()
django_app.use("default")
from django.core.management import call_command
from django.test import Client
Client().get("/authors/")
Client().get("/page/")
call_command("count_posts")
"""


def test_a_program_that_knows_nothing_of_manometer_is_seen(tmp_path: pathlib.Path) -> None:
    """One process, from the command line to the log: a view, a template and a command."""
    (tmp_path / "program.py").write_text(PROGRAM)
    root = pathlib.Path(__file__).parents[2]
    environ = {
        **os.environ,
        "PYTHONPATH": f"{root}{os.pathsep}{root / 'src'}",
        "MANOMETER_SLOW_MS": "0",  # a line for every unit of work
    }
    done = subprocess.run(
        [sys.executable, "-m", "manometer", "run", str(tmp_path / "program.py")],
        capture_output=True,
        text=True,
        timeout=50,
        env=environ,
    )
    found = re.findall(
        r'request:(?:job )?(.*?) (?:200|ok) dur_ms=.* sql=13 .*f1="n-plus-one x12 \S+ \S+ (\S+) ', done.stderr
    )

    assert done.returncode == 0, done.stderr
    assert found == [
        ("GET /authors/", "views.py:21"),
        ("GET /page/", "author.html:2"),
        ('"manage.py count_posts"', "count_posts.py:26"),
    ]
