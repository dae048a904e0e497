from __future__ import annotations

import sqlite3

import pytest
from tests.servers import postgresql, postgresql_server  # noqa: F401 - fixtures

from manometer.sources._joined import needed_of
from manometer.testing import install_sources, raising, record

TABLES = (
    "CREATE TABLE posts (id INTEGER PRIMARY KEY, title VARCHAR(40))",
    "CREATE TABLE comments (id INTEGER PRIMARY KEY, post INTEGER, body VARCHAR(40))",
    "CREATE TABLE tags (id INTEGER PRIMARY KEY, post INTEGER, name VARCHAR(40))",
)
PRODUCT = (
    "SELECT p.id, p.title, c.id, c.body, t.id, t.name FROM posts p "
    "JOIN comments c ON c.post = p.id JOIN tags t ON t.post = p.id ORDER BY p.id"
)
CHAIN = (
    "SELECT p.id, p.title, c.id, t.id FROM posts p "
    "JOIN comments c ON c.post = p.id JOIN tags t ON t.id = c.id ORDER BY p.id"
)


def fill(execute, mark="?", posts=3, comments=4, tags=5):
    for text in TABLES:
        execute(text, ())
    for post in range(1, posts + 1):
        execute(f"INSERT INTO posts VALUES ({mark}, {mark})", (post, f"post {post}"))
        for at in range(comments):
            execute(
                f"INSERT INTO comments VALUES ({mark}, {mark}, {mark})",
                (100 * post + at, post, f"comment {at}"),
            )
        for at in range(tags):
            execute(f"INSERT INTO tags VALUES ({mark}, {mark}, {mark})", (100 * post + at, post, f"tag {at}"))


def found(unit):
    return [item for item in unit.findings if item.rule == "row-explosion"]


class TestGuilty:
    @pytest.mark.parametrize(
        "fetch", [lambda rows: rows.fetchall(), list, lambda rows: [rows.fetchmany(7) for _ in range(20)]]
    )
    def test_each_way_to_fetch(self, fetch):
        with raising(), install_sources("sqlite3"):
            connection = sqlite3.connect(":memory:")
            fill(connection.execute)
            with record() as unit:
                fetch(connection.execute(PRODUCT))
            connection.close()
        (item,) = found(unit)

        assert (item.question, item.confidence, item.severity) == ("size", "confirmed", "warning")
        assert item.evidence["rows"] == 3 * 4 * 5
        assert item.evidence["rows_needed"] == 3 * (4 + 5)

    def test_psycopg_on_postgresql(self, postgresql):  # noqa: F811
        psycopg = pytest.importorskip("psycopg")
        with (
            raising(),
            install_sources("psycopg"),
            psycopg.connect(postgresql.url("postgresql")) as connection,
        ):
            fill(connection.execute, "%s")
            with record() as guilty:
                connection.execute(PRODUCT).fetchall()
            with record() as innocent:
                connection.execute(CHAIN).fetchall()

        assert len(found(guilty)) == 1
        assert found(innocent) == []

    @pytest.mark.parametrize("where", ["sqlite", "postgresql"])
    def test_sqlalchemy_joined_and_apart(self, where, request, tmp_path):
        sqlalchemy = pytest.importorskip("sqlalchemy")
        url = f"sqlite:///{tmp_path}/shop.db"
        if where == "postgresql":
            pytest.importorskip("psycopg2")
            url = request.getfixturevalue("postgresql").url("postgresql+psycopg2")
        joined, apart = orm(sqlalchemy, url)

        assert ["joinedload" in item.advice for item in found(joined)] == [True]
        assert found(apart) == []

    def test_django(self, tmp_path):
        import subprocess
        import sys

        pytest.importorskip("django")
        done = subprocess.run(
            [sys.executable, "-c", DJANGO, str(tmp_path / "shop.db")],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr

        assert done.stdout.split() == ["1", "0", "0"]


class TestInnocent:
    @pytest.mark.parametrize(
        "query",
        [
            CHAIN,
            "SELECT p.id, c.id, c.body FROM posts p JOIN comments c ON c.post = p.id JOIN posts q ON q.id = p.id",
            "SELECT p.id, t.id, t.name FROM posts p JOIN tags t ON t.post = p.id JOIN posts q ON q.id = p.id",
            PRODUCT.replace("ORDER BY", "AND t.id % 100 = 0 ORDER BY"),
        ],
    )
    def test_one_collection(self, query):
        with raising(), install_sources("sqlite3"):
            connection = sqlite3.connect(":memory:")
            fill(connection.execute, posts=6)
            with record() as unit:
                connection.execute(query).fetchall()
            connection.close()

        assert found(unit) == []


class TestNeeded:
    def test_a_product_for_each_parent(self):
        rows = [(p, a, 10 + b) for p in range(3) for a in range(3) for b in range(p + 2)]

        assert needed_of(rows) == sum(3 + p + 2 for p in range(3))

    def test_rows_that_have_a_number_of_their_own(self):
        rows = [(1, a, b, 10 * a + b) for a in range(4) for b in range(4)]

        assert needed_of(rows) == 0

    def test_an_association_is_no_product(self):
        rows = [(order, product, product % 7) for order in range(5) for product in range(order, order + 4)]

        assert needed_of(rows) == 0

    def test_a_product_that_lacks_a_row(self):
        rows = [(1, a, b) for a in range(4) for b in range(4)][:-1]

        assert needed_of(rows) == 0

    def test_the_last_parent_of_a_part_is_left_out(self):
        rows = [(p, a, b) for p in range(3) for a in range(4) for b in range(4)][:-3]

        assert needed_of(rows, whole=False) == 2 * 8
        assert needed_of(rows) == 0

    def test_one_parent_with_more_rows_than_are_kept(self):
        rows = [(1, a, 100 + b) for a in range(30) for b in range(30)][:401]

        assert needed_of(rows, whole=False) == 13 + 30 + 11

    def test_rows_of_different_length(self):
        assert needed_of([(1, 2), (1, 2, 3)]) == 0


def orm(sqlalchemy, url):
    from sqlalchemy.orm import Session, declarative_base, joinedload, relationship, selectinload

    base = declarative_base()
    key = sqlalchemy.ForeignKey

    class Post(base):
        __tablename__ = "posts"
        id = sqlalchemy.Column(sqlalchemy.Integer, primary_key=True)
        comments = relationship("Comment")
        tags = relationship("Tag")

    class Comment(base):
        __tablename__ = "comments"
        id = sqlalchemy.Column(sqlalchemy.Integer, primary_key=True)
        post = sqlalchemy.Column(key("posts.id"))

    class Tag(base):
        __tablename__ = "tags"
        id = sqlalchemy.Column(sqlalchemy.Integer, primary_key=True)
        post = sqlalchemy.Column(key("posts.id"))

    with raising(), install_sources("sqlalchemy"):
        engine = sqlalchemy.create_engine(url)
        base.metadata.create_all(engine)
        with Session(engine) as session:
            session.add_all(
                Post(comments=[Comment() for _ in range(4)], tags=[Tag() for _ in range(5)]) for _ in range(4)
            )
            session.commit()
        units = []
        for options in (
            (joinedload(Post.comments), joinedload(Post.tags)),
            (joinedload(Post.comments), selectinload(Post.tags)),
        ):
            with Session(engine) as session, record() as unit:
                assert (
                    len(session.execute(sqlalchemy.select(Post).options(*options)).unique().scalars().all())
                    == 4
                )
            units.append(unit)
        engine.dispose()
    return units


DJANGO = """
import sys
from django.conf import settings
import os, types
shop = sys.modules["shop"] = types.ModuleType("shop")
shop.__path__ = [os.path.dirname(sys.argv[1])]
settings.configure(
    INSTALLED_APPS=["shop"],
    DEFAULT_AUTO_FIELD="django.db.models.AutoField",
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": sys.argv[1]}},
)
import django
django.setup()
from django.db import connection, models
from manometer.testing import install_sources, raising, record

class Post(models.Model):
    class Meta:
        app_label = "shop"

class Comment(models.Model):
    post = models.ForeignKey(Post, models.CASCADE, related_name="comments")
    class Meta:
        app_label = "shop"

class Tag(models.Model):
    post = models.ForeignKey(Post, models.CASCADE, related_name="tags")
    class Meta:
        app_label = "shop"

with raising(), install_sources("django-db"):
    with connection.schema_editor() as editor:
        for model in (Post, Comment, Tag):
            editor.create_model(model)
    for post in Post.objects.bulk_create(Post() for _ in range(4)):
        Comment.objects.bulk_create(Comment(post=post) for _ in range(4))
        Tag.objects.bulk_create(Tag(post=post) for _ in range(5))
    for query in (
        Post.objects.values_list("id", "comments__id", "tags__id"),
        Post.objects.values_list("id", "comments__id", "comments__post__id"),
        Post.objects.prefetch_related("comments", "tags"),
    ):
        with record() as unit:
            list(query)
        print(len(unit.named("row-explosion")))
"""
