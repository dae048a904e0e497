"""Jinja2: each template is a frame, and what its code calls is blamed on a line of the template."""

from __future__ import annotations

import asyncio
import sqlite3
from typing import TYPE_CHECKING, Any

import pytest
from jinja2 import DictLoader, Environment, FileSystemLoader
from tests.sources.collect import queries, recorded, strict_guard

from manometer.testing import install_sources

if TYPE_CHECKING:
    import pathlib
    from collections.abc import Iterator

    from manometer._model import Frame, Profile

PAGE = "<ul>\n{% for id in ids %}\n\n  {% include 'row.html' %}\n{% endfor %}\n</ul>\n"
ROW = "\n<li>{{ name(id) }}</li>\n"


@pytest.fixture(autouse=True)
def sources() -> Iterator[None]:
    with strict_guard(), install_sources("jinja2", "sqlite3"):
        yield


class Names:
    """What a template calls: a query of a library, as an ORM's lazy attribute is one."""

    def __init__(self) -> None:
        self.connection = sqlite3.connect(":memory:")
        self.connection.execute("CREATE TABLE users (id, name)")

    @property
    def read(self) -> Any:
        namespace: dict[str, Any] = {"connection": self.connection}
        code = compile(
            "def read(id):\n return connection.execute('SELECT name FROM users WHERE id = ?', (id,)).fetchall()",
            "<frozen library>",
            "exec",
        )
        exec(code, namespace)
        return namespace["read"]


def places(profile: Profile) -> list[tuple[str, int]]:
    return [(frame.callsite.file.rpartition("/")[2], frame.callsite.line) for frame in queries(profile)]


def templates(profile: Profile) -> list[Frame]:
    return [frame for frame in profile.root.walk() if frame.callsite.kind == "template"]


def test_a_query_is_blamed_on_the_line_of_the_innermost_template(tmp_path: pathlib.Path) -> None:
    (tmp_path / "page.html").write_text(PAGE)
    (tmp_path / "row.html").write_text(ROW)
    template = Environment(loader=FileSystemLoader(tmp_path), autoescape=True).get_template("page.html")
    names = Names()
    with recorded() as found:
        template.render(ids=[1, 2, 3], name=names.read)
    (frame,) = queries(found[0])
    (chain,) = frame.more().callers

    assert places(found[0]) == [("row.html", 2)]
    assert frame.calls == 3
    assert (chain[0][0], chain[0][1]) == (str(tmp_path / "page.html"), 4)
    assert chain[1][2] == "test_a_query_is_blamed_on_the_line_of_the_innermost_template"


def test_a_template_is_one_frame_with_its_queries_in_it(tmp_path: pathlib.Path) -> None:
    (tmp_path / "row.html").write_text(ROW)
    template = Environment(loader=FileSystemLoader(tmp_path), autoescape=True).get_template("row.html")
    names = Names()
    with recorded() as found:
        for at in range(3):
            template.render(id=at, name=names.read)
    (frame,) = templates(found[0])

    assert (frame.callsite.name, frame.calls, frame.callsite.file) == (
        "row.html",
        3,
        str(tmp_path / "row.html"),
    )
    assert [child.callsite.kind for child in frame.own_children()] == ["db"]


def test_a_template_without_a_file_has_its_name() -> None:
    template = Environment(loader=DictLoader({"row.html": ROW}), autoescape=True).get_template("row.html")
    names = Names()
    with recorded() as found:
        template.render(id=1, name=names.read)

    assert places(found[0]) == [("row.html", 2)]
    assert templates(found[0])[0].callsite.file == ""


def test_a_template_made_from_a_string_is_blamed_on_the_line_that_renders_it() -> None:
    template = Environment(autoescape=True).from_string(ROW)
    names = Names()
    with recorded() as found:
        template.render(id=1, name=names.read)
    (frame,) = queries(found[0])

    assert frame.callsite.file == __file__
    assert templates(found[0])[0].callsite.name == "(inline template)"


def test_an_asynchronous_template_is_a_frame_too(tmp_path: pathlib.Path) -> None:
    (tmp_path / "row.html").write_text(ROW)
    environment = Environment(loader=FileSystemLoader(tmp_path), autoescape=True, enable_async=True)
    names = Names()

    async def render_both() -> None:
        template = environment.get_template("row.html")
        await asyncio.gather(*(template.render_async(id=at, name=names.read) for at in range(2)))

    with recorded() as found:
        asyncio.run(render_both())
    (frame,) = templates(found[0])

    assert frame.calls == 2
    assert places(found[0]) == [("row.html", 2)]


def test_what_a_template_raises_passes_and_is_counted() -> None:
    template = Environment(loader=DictLoader({"broken.html": "{{ 1 // 0 }}"}), autoescape=True).get_template(
        "broken.html"
    )
    with recorded() as found, pytest.raises(ZeroDivisionError):
        template.render()

    assert templates(found[0])[0].errors == 1


def test_the_output_is_the_same_on_and_off() -> None:
    template = Environment(autoescape=True).from_string("<p>{{ text }}</p>")
    off = template.render(text="<b>")
    with recorded():
        on = template.render(text="<b>")

    assert on == off
    assert type(on) is type(off)
