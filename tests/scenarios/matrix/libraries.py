"""The same loop, and the same work at once, in each database library: `loop` is an N+1, `batch` its clean twin.

The line that asks once for each row ends in `# N+1`.
"""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

ROWS = 12
KEYS = "SELECT customer FROM orders ORDER BY id"
ONE = "SELECT name FROM customers WHERE id = {}"
JOINED = "SELECT c.name FROM orders o JOIN customers c ON c.id = o.customer ORDER BY o.id"


def line_of(library: Any) -> int:
    """Return the line of a library's loop that asks once for each row."""
    lines, first = inspect.getsourcelines(type(library).loop)
    (at,) = (at for at, line in enumerate(lines) if line.rstrip().endswith("# N+1"))
    return first + at


def names() -> list[str]:
    return [f"customer {n}" for n in range(ROWS)]


def fill(execute: Callable[[str], Any]) -> None:
    """Make the two tables."""
    execute("CREATE TABLE customers (id INTEGER PRIMARY KEY, name VARCHAR(40))")
    execute("CREATE TABLE orders (id INTEGER PRIMARY KEY, customer INTEGER)")
    customers = ", ".join(f"({100 + n}, 'customer {n}')" for n in range(ROWS))
    execute(f"INSERT INTO customers VALUES {customers}")
    execute("INSERT INTO orders VALUES " + ", ".join(f"({n}, {100 + n})" for n in range(ROWS)))


class Cursors:
    """A driver with the plain cursors of the DB-API."""

    def __init__(self, connect: Callable[[], Any], mark: str = "%s") -> None:
        self.open = connect
        self._one = ONE.format(mark)

    def loop(self, connection: Any) -> list[str]:
        cursor = connection.cursor()
        cursor.execute(KEYS)
        found = []
        for (key,) in cursor.fetchall():
            cursor.execute(self._one, (key,))  # N+1
            found.append(cursor.fetchone()[0])
        cursor.close()
        return found

    def batch(self, connection: Any) -> list[str]:
        cursor = connection.cursor()
        cursor.execute(JOINED)
        found = [row[0] for row in cursor.fetchall()]
        cursor.close()
        return found


class AsyncCursors:
    """psycopg's asynchronous connections."""

    def __init__(self, url: str) -> None:
        self._url = url

    async def open(self) -> Any:
        import psycopg

        return await psycopg.AsyncConnection.connect(self._url)

    async def loop(self, connection: Any) -> list[str]:
        keys = await (await connection.execute(KEYS)).fetchall()
        found = []
        for (key,) in keys:
            cursor = await connection.execute(ONE.format("%s"), (key,))  # N+1
            found.append((await cursor.fetchone())[0])
        return found

    async def batch(self, connection: Any) -> list[str]:
        return [row[0] for row in await (await connection.execute(JOINED)).fetchall()]


class Asyncpg:
    def __init__(self, url: str) -> None:
        self._url = url

    async def open(self) -> Any:
        import asyncpg

        return await asyncpg.connect(self._url)

    async def loop(self, connection: Any) -> list[str]:
        rows = await connection.fetch(KEYS)
        return [
            await connection.fetchval(ONE.format("$1"), row["customer"])  # N+1
            for row in rows
        ]

    async def batch(self, connection: Any) -> list[str]:
        return [row["name"] for row in await connection.fetch(JOINED)]


class Engine:
    """SQLAlchemy, with the statements as text."""

    def __init__(self, url: str) -> None:
        self._url = url

    def open(self) -> Any:
        import sqlalchemy as sa
        from sqlalchemy.pool import StaticPool

        options: dict[str, Any] = {"poolclass": StaticPool}
        if self._url.startswith("sqlite"):
            options["connect_args"] = {"check_same_thread": False}
        return sa.create_engine(self._url, **options)

    def loop(self, engine: Any) -> list[str]:
        import sqlalchemy as sa

        with engine.connect() as connection:
            keys = connection.execute(sa.text(KEYS)).scalars().all()
            return [
                connection.execute(sa.text(ONE.format(":key")), {"key": key}).scalar_one()  # N+1
                for key in keys
            ]

    def batch(self, engine: Any) -> list[str]:
        import sqlalchemy as sa

        with engine.connect() as connection:
            return list(connection.execute(sa.text(JOINED)).scalars())


class Orm(Engine):
    """SQLAlchemy's ORM, with a lazy relation and with an eager one."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self._order = _order()

    def loop(self, engine: Any) -> list[str]:
        import sqlalchemy as sa
        from sqlalchemy.orm import Session

        with Session(engine) as session:
            orders = session.scalars(sa.select(self._order).order_by(self._order.id)).all()
            return [
                order.owner.name  # N+1
                for order in orders
            ]

    def batch(self, engine: Any) -> list[str]:
        import sqlalchemy as sa
        from sqlalchemy.orm import Session, selectinload

        chosen = sa.select(self._order).order_by(self._order.id).options(selectinload(self._order.owner))
        with Session(engine) as session:
            return [order.owner.name for order in session.scalars(chosen)]


class AsyncEngine:
    """SQLAlchemy's asynchronous engines."""

    def __init__(self, url: str) -> None:
        self._url = url

    async def open(self) -> Any:
        from sqlalchemy.ext.asyncio import create_async_engine
        from sqlalchemy.pool import NullPool

        return create_async_engine(self._url, poolclass=NullPool)

    async def loop(self, engine: Any) -> list[str]:
        import sqlalchemy as sa

        async with engine.connect() as connection:
            keys = (await connection.execute(sa.text(KEYS))).scalars().all()
            found = []
            for key in keys:
                row = await connection.execute(sa.text(ONE.format(":key")), {"key": key})  # N+1
                found.append(row.scalar_one())
            return found

    async def batch(self, engine: Any) -> list[str]:
        import sqlalchemy as sa

        async with engine.connect() as connection:
            return list((await connection.execute(sa.text(JOINED))).scalars())


class DjangoOrm:
    """Django's ORM on one of its databases."""

    def __init__(self, alias: str) -> None:
        self._alias = alias

    def open(self) -> Any:
        from tests.scenarios import django_app

        django_app.use(self._alias)

    def loop(self, _: Any) -> list[str]:
        from tests.scenarios.django_app.models import Post

        return [
            post.author.name  # N+1
            for post in Post.objects.order_by("-id")
        ]

    def batch(self, _: Any) -> list[str]:
        from tests.scenarios.django_app.models import Post

        return [post.author.name for post in Post.objects.order_by("-id").select_related("author")]


class DjangoAsyncOrm(DjangoOrm):
    async def open(self) -> Any:  # type: ignore[override]
        from asgiref.sync import sync_to_async

        await sync_to_async(super().open)()

    async def loop(self, _: Any) -> list[str]:  # type: ignore[override]
        from tests.scenarios.django_app.models import Person, Post

        posts = [post async for post in Post.objects.order_by("-id")]
        found = []
        for post in posts:
            author = await Person.objects.aget(pk=post.author_id)  # N+1
            found.append(author.name)
        return found

    async def batch(self, _: Any) -> list[str]:  # type: ignore[override]
        from tests.scenarios.django_app.models import Post

        posts = Post.objects.order_by("-id").select_related("author")
        return [post.author.name async for post in posts]


class Mongo:
    """pymongo, on a server that speaks MongoDB's wire protocol."""

    def __init__(self, host: str, port: int, name: str) -> None:
        self._address = host, port
        self._name = name

    def open(self) -> Any:
        import pymongo

        client: Any = pymongo.MongoClient(*self._address)
        return client[self._name]

    def loop(self, base: Any) -> list[str]:
        return [
            base.customers.find_one({"_id": order["customer"]})["name"]  # N+1
            for order in list(base.orders.find({}, sort=[("_id", 1)]))
        ]

    def batch(self, base: Any) -> list[str]:
        keys = [order["customer"] for order in base.orders.find({}, sort=[("_id", 1)])]
        known = {each["_id"]: each["name"] for each in base.customers.find({"_id": {"$in": keys}})}
        return [known[key] for key in keys]


class AsyncMongo(Mongo):
    async def open(self) -> Any:  # type: ignore[override]
        import pymongo

        client: Any = pymongo.AsyncMongoClient(*self._address)
        return client[self._name]

    async def loop(self, base: Any) -> list[str]:  # type: ignore[override]
        orders = await base.orders.find({}, sort=[("_id", 1)]).to_list()
        found = []
        for order in orders:
            customer = await base.customers.find_one({"_id": order["customer"]})  # N+1
            found.append(customer["name"])
        return found

    async def batch(self, base: Any) -> list[str]:  # type: ignore[override]
        keys = [order["customer"] for order in await base.orders.find({}, sort=[("_id", 1)]).to_list()]
        found = await base.customers.find({"_id": {"$in": keys}}).to_list()
        known = {each["_id"]: each["name"] for each in found}
        return [known[key] for key in keys]


def fill_mongo(base: Any) -> None:
    base.customers.insert_many([{"_id": 100 + n, "name": f"customer {n}"} for n in range(ROWS)])
    base.orders.insert_many([{"_id": n, "customer": 100 + n} for n in range(ROWS)])


def _order() -> Any:
    """Return the mapped class of the orders; each call maps anew."""
    import sqlalchemy as sa
    from sqlalchemy.orm import declarative_base, relationship

    base: Any = declarative_base()

    class Customer(base):
        __tablename__ = "customers"
        id = sa.Column(sa.Integer, primary_key=True)
        name = sa.Column(sa.String(40))

    class Order(base):
        __tablename__ = "orders"
        id = sa.Column(sa.Integer, primary_key=True)
        customer = sa.Column(sa.Integer, sa.ForeignKey(Customer.id))
        owner = relationship(Customer)

    return Order
