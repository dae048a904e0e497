"""Does the prediction come true: is what a fix really saves within the range that the finding says?

`python benchmarks/prediction.py` runs each guilty program and its fixed twin in turns, and prints the time saved beside what
was predicted, as a table for `docs/explanation/prediction.md`. `python benchmarks/prediction.py quick` takes fewer pairs.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
import statistics
import sys
import tempfile
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from manometer import measure, watch_lock
from manometer._history import History
from manometer._model import PRODUCTION
from manometer.testing import install_sources, record

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PAIRS: Final = 15
WORTH_NS: Final = 5_000_000
WIDEST: Final = 4.0
FACTOR: Final = 2.0
ENOUGH: Final = 0.8


class Program(NamedTuple):
    """A guilty program, its fixed twin, and the rule that finds it; `before` is run once before each."""

    rule: str
    name: str
    guilty: Callable[[], object]
    fixed: Callable[[], object]
    units: int = 1


class Outcome(NamedTuple):
    """What one program showed, in nanoseconds; the predicted range is (0, 0) where nothing was found."""

    rule: str
    name: str
    low_ns: int
    high_ns: int
    saved_ns: int

    @property
    def inside(self) -> bool:
        """Whether the time saved was within the predicted range."""
        return self.low_ns <= self.saved_ns <= self.high_ns

    @property
    def off(self) -> float:
        """By what factor it was outside; 1 inside."""
        if self.inside:
            return 1.0
        if self.saved_ns <= 0 or self.low_ns <= 0:
            return float("inf")
        return max(self.low_ns / self.saved_ns, self.saved_ns / self.high_ns)


class _Answer(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        time.sleep(0.005 if "item" in self.path else 0.06)
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def served() -> Iterator[str]:
    """Serve on loopback: 5 ms for an item, 60 ms for anything else."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Answer)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def _statements(folder: Path) -> Iterator[Program]:
    connection = sqlite3.connect(folder / "plain.db", check_same_thread=False, isolation_level=None)
    execute = connection.execute
    execute("CREATE TABLE posts (id INTEGER PRIMARY KEY, author INTEGER, body TEXT)")
    execute("CREATE TABLE authors (id INTEGER PRIMARY KEY, name TEXT)")
    execute("CREATE TABLE log (id INTEGER PRIMARY KEY, line TEXT)")
    execute("CREATE TABLE tags (id INTEGER PRIMARY KEY, post INTEGER, name TEXT)")
    execute("CREATE TABLE comments (id INTEGER PRIMARY KEY, post INTEGER, body TEXT)")
    execute("BEGIN")
    connection.executemany("INSERT INTO authors VALUES (?, ?)", [(n, f"name {n}") for n in range(2000)])
    connection.executemany("INSERT INTO posts VALUES (?, ?, ?)", [(n, n, "text " * 20) for n in range(1000)])
    for table in ("tags", "comments"):
        rows = [(n, n % 20, f"{table} {n}") for n in range(500)]
        connection.executemany(f"INSERT INTO {table} VALUES (?, ?, ?)", rows)

    execute("COMMIT")

    def lazy() -> None:
        for _, author in execute("SELECT id, author FROM posts").fetchall():
            execute("SELECT id, name FROM authors WHERE id = ?", (author,)).fetchone()

    def eager() -> None:
        keys = [author for _, author in execute("SELECT id, author FROM posts").fetchall()]
        marks = ",".join("?" * len(keys))
        execute(f"SELECT id, name FROM authors WHERE id IN ({marks})", keys).fetchall()

    yield Program("n-plus-one", "sqlite3, 1,000 rows", lazy, eager)

    def again(times: int) -> None:
        for _ in range(times):
            execute("SELECT count(*) FROM posts WHERE body LIKE ?", ("%nothing of that%",)).fetchall()

    yield Program("duplicate-read", "sqlite3, a scan 40 times", lambda: again(40), lambda: again(1))

    lines = [(f"line {n}",) for n in range(1500)]

    def one_by_one() -> None:
        execute("BEGIN")
        for line in lines:
            execute("INSERT INTO log (line) VALUES (?)", line)
        execute("ROLLBACK")

    def at_once() -> None:
        execute("BEGIN")
        connection.executemany("INSERT INTO log (line) VALUES (?)", lines)
        execute("ROLLBACK")

    yield Program("write-loop", "sqlite3, 1,500 rows", one_by_one, at_once)
    joins = "JOIN comments c ON c.post = p.id", "JOIN tags t ON t.post = p.id"
    execute("CREATE INDEX c ON comments (post)")
    execute("CREATE INDEX t ON tags (post)")

    def product() -> None:
        execute(f"SELECT p.id, p.body, c.id, t.id FROM posts p {joins[0]} {joins[1]}").fetchall()

    def apart() -> None:
        execute(f"SELECT p.id, p.body, c.id FROM posts p {joins[0]}").fetchall()
        execute(f"SELECT p.id, t.id FROM posts p {joins[1]}").fetchall()

    yield Program("row-explosion", "sqlite3, 25 comments by 25 tags, 20 posts", product, apart)


def _objects(folder: Path) -> Iterator[Program]:
    import sqlalchemy as sa
    from sqlalchemy.orm import Session, declarative_base, joinedload, relationship, selectinload

    base: Any = declarative_base()

    class Author(base):
        __tablename__ = "authors"
        id = sa.Column(sa.Integer, primary_key=True)
        name = sa.Column(sa.String(40))

    class Post(base):
        __tablename__ = "posts"
        id = sa.Column(sa.Integer, primary_key=True)
        author_id = sa.Column(sa.ForeignKey("authors.id"))
        author = relationship("Author")

    engine = sa.create_engine(f"sqlite:///{folder / 'objects.db'}")
    base.metadata.create_all(engine)
    with Session(engine) as session:
        session.add_all(Post(author=Author(name=f"name {n}")) for n in range(300))
        session.commit()

    def names(*options: Any) -> None:
        with Session(engine) as session:
            for post in session.scalars(sa.select(Post).options(*options)).all():
                assert post.author.name

    yield Program("n-plus-one", "SQLAlchemy, selectinload", names, lambda: names(selectinload(Post.author)))
    yield Program("n-plus-one", "SQLAlchemy, joinedload", names, lambda: names(joinedload(Post.author)))


def _services(url: str) -> Iterator[Program]:
    import httpx
    import requests

    session = requests.Session()

    def items(count: int) -> None:
        for number in range(count):
            session.get(f"{url}/item/{number}", timeout=5)

    yield Program("n-plus-one", "requests, 20 items of 5 ms", lambda: items(20), lambda: items(1))

    def same(times: int) -> None:
        for _ in range(times):
            session.get(f"{url}/item/7", timeout=5)

    yield Program("duplicate-read", "requests, one item 12 times", lambda: same(12), lambda: same(1))

    async def pages(at_once: bool) -> None:
        async with httpx.AsyncClient() as client:
            await client.get(f"{url}/item/1")
            asked = [client.get(f"{url}/{name}") for name in ("a", "b", "c", "d")]
            if at_once:
                await asyncio.gather(*asked)
                return
            for each in asked:
                await each

    yield Program(
        "serial-independents",
        "httpx, 4 pages of 60 ms",
        lambda: _one_by_one(url),
        lambda: asyncio.run(pages(True)),
    )


def _one_by_one(url: str) -> None:
    import httpx

    async def main() -> None:
        async with httpx.AsyncClient() as client:
            await client.get(f"{url}/item/1")
            await client.get(f"{url}/a")
            await client.get(f"{url}/b")
            await client.get(f"{url}/c")
            await client.get(f"{url}/d")

    asyncio.run(main())


def _functions() -> Iterator[Program]:
    @measure
    def price(item: int) -> int:
        return sum(number * item for number in range(6000))

    def prices(kept: dict[int, int] | None) -> None:
        for number in range(60):
            key = number % 3
            if kept is None:
                price(key)
            elif key not in kept:
                kept[key] = price(key)

    yield Program("repeated-call", "20 times 3 prices", lambda: prices(None), lambda: prices({}))

    @measure(size="items")
    def search(items: list[int]) -> int:
        return sum(item + 1 not in items for item in items)

    @measure(size="items")
    def look_up(items: list[int]) -> int:
        known = set(items)
        return sum(item + 1 not in known for item in items)

    items = list(range(0, 4000, 2))
    for size in [40, 80, 160, 320, 640, 1280] * 12:  # what the process has seen before
        _teach(lambda part=items[:size]: search(part))  # type: ignore[misc]
    yield Program(
        "superlinear", "2,000 items searched in a list", lambda: search(items), lambda: look_up(items)
    )


def _waits(folder: Path) -> Iterator[Program]:
    import sqlalchemy as sa
    from sqlalchemy.pool import QueuePool

    engine = sa.create_engine(
        f"sqlite:///{folder / 'pool.db'}", poolclass=QueuePool, pool_size=2, max_overflow=0
    )
    with engine.begin() as connection:
        connection.execute(sa.text("CREATE TABLE carts (id INTEGER PRIMARY KEY)"))

    def quote(held: bool) -> None:
        with engine.connect() as connection:
            connection.execute(sa.text("SELECT id FROM carts")).all()
            if held:
                time.sleep(0.03)
        if not held:
            time.sleep(0.03)

    yield Program("pool-wait", "8 requests, 2 connections", lambda: quote(True), lambda: quote(False), 8)
    lock = watch_lock(threading.Lock(), "prices")

    def update(held: bool) -> None:
        if not held:
            time.sleep(0.02)
        with lock:
            if held:
                time.sleep(0.02)

    yield Program("lock-wait", "6 requests, one lock", lambda: update(True), lambda: update(False), 6)


_history = History()


def _teach(run: Callable[[], object]) -> None:
    with record(policy=PRODUCTION, history=_history):
        run()


def _at_once(program: Program, function: Callable[[], object]) -> int:
    """Run the units of one side; return the time of all, with nobody looking on."""
    spent: list[int] = []
    start = threading.Barrier(program.units)

    def one() -> None:
        start.wait()
        began_ns = time.perf_counter_ns()
        function()
        spent.append(time.perf_counter_ns() - began_ns)

    if program.units == 1:
        one()
    else:
        threads = [threading.Thread(target=one) for _ in range(program.units)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    return sum(spent)


def _predict(program: Program) -> tuple[int, int]:
    """Run the guilty side while it is recorded; return what fixing it is said to save, in all units together."""
    units: list[record] = []

    def recorded() -> None:
        with record(program.name, kind="request", policy=PRODUCTION, history=_history) as unit:
            program.guilty()
        units.append(unit)

    _at_once(program, recorded)
    found = [item.saving_ns for unit in units for item in unit.findings if item.rule == program.rule]
    return sum(low for low, _ in found), sum(high for _, high in found)


def try_out(program: Program, pairs: int = PAIRS) -> Outcome:
    """Run both sides in turns, and record the guilty one in between; of each the median counts."""
    for function in (program.guilty, program.fixed):
        _at_once(program, function)
    _predict(program)
    saved, lows, highs = [], [], []
    for _ in range(pairs):
        saved.append(_at_once(program, program.guilty) - _at_once(program, program.fixed))
        low_ns, high_ns = _predict(program)
        lows.append(low_ns)
        highs.append(high_ns)
    low, high, really = (int(statistics.median(each)) for each in (lows, highs, saved))
    return Outcome(program.rule, program.name, low, high, really)


def outcomes(pairs: int = PAIRS) -> list[Outcome]:
    """Try all programs out; those that save less than 5 ms are left out."""
    found = []
    with tempfile.TemporaryDirectory() as name, install_sources(), served() as url:
        folder = Path(name)
        for made in (_statements(folder), _objects(folder), _services(url), _functions(), _waits(folder)):
            for program in made:
                found.append(try_out(program, pairs))
                print(json.dumps(found[-1]._asdict()), file=sys.stderr, flush=True)
    return [each for each in found if each.saved_ns >= WORTH_NS]


def table(found: list[Outcome]) -> str:
    """Return the outcomes as a table, with a summary."""
    lines = ["| rule | program | predicted | saved | |", "| --- | --- | --- | --- | --- |"]
    for each in found:
        low, high, saved = (value / 1e6 for value in (each.low_ns, each.high_ns, each.saved_ns))
        word = "inside" if each.inside else f"off by {each.off:.1f}"
        lines.append(
            f"| `{each.rule}` | {each.name} | {low:.1f} to {high:.1f} ms | {saved:.1f} ms | {word} |"
        )
    inside = sum(each.inside for each in found)
    lines += ["", f"Inside: {inside} of {len(found)}. Farthest off: {max(each.off for each in found):.2f}."]
    return "\n".join(lines)


if __name__ == "__main__":
    print(table(outcomes(5 if "quick" in sys.argv[1:] else PAIRS)))
