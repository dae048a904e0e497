"""SQLAlchemy above a tapped driver: what both describe is one call, and what only one of them sees is not lost."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import Session, declarative_base, relationship, selectinload
from tests.sources.collect import queries, strict_guard

from manometer import _guard
from manometer.testing import install_sources, record

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.servers import Database

    from manometer._model import Profile

SYNC = {
    "psycopg": ("postgresql", "postgresql+psycopg"),
    "psycopg2": ("postgresql", "postgresql+psycopg2"),
    "pymysql": ("mariadb", "mariadb+pymysql"),
    "mysqlclient": ("mariadb", "mariadb+mysqldb"),
}
ASYNC = {"psycopg": "postgresql+psycopg", "asyncpg": "postgresql+asyncpg"}

Base = declarative_base()


class Customer(Base):
    __tablename__ = "customers"
    id = sa.Column(sa.Integer, primary_key=True)
    name = sa.Column(sa.String(40))


class Order(Base):
    __tablename__ = "orders"
    id = sa.Column(sa.Integer, primary_key=True)
    customer_id = sa.Column(sa.ForeignKey("customers.id"))
    customer = relationship(Customer)


def fill(connection: Any) -> None:
    Base.metadata.create_all(connection)
    connection.execute(sa.insert(Customer.__table__), [{"id": 100 + n, "name": f"c{n}"} for n in range(20)])
    connection.execute(
        sa.insert(Order.__table__), [{"id": 1000 + n, "customer_id": 100 + n} for n in range(20)]
    )


def skip_unknown(scheme: str) -> None:
    if scheme == "postgresql+psycopg" and sa.__version__.startswith("1."):
        pytest.skip("SQLAlchemy 1.4 does not know psycopg 3")


@pytest.fixture(params=SYNC)
def sync_engine(request: pytest.FixtureRequest) -> Iterator[Any]:
    if request.param == "mysqlclient":
        pytest.importorskip("MySQLdb", reason="mysqlclient could not be built here")
    server, scheme = SYNC[request.param]
    skip_unknown(scheme)
    database: Database = request.getfixturevalue(server)
    with install_sources("sqlalchemy", *SYNC, "asyncpg"), strict_guard():
        engine = sa.create_engine(database.url(scheme))
        with engine.begin() as connection:
            fill(connection)
        yield engine
        engine.dispose()
    _guard.clear()


def calls(profile: Profile) -> dict[tuple[str, str], int]:
    found: dict[tuple[str, str], int] = {}
    for frame in queries(profile):
        key = (frame.callsite.library, frame.callsite.name)
        found[key] = found.get(key, 0) + frame.calls
    return found


def test_lazy_loop_is_found_once(sync_engine: Any) -> None:
    with record() as recorded, Session(sync_engine) as session:
        for order in session.execute(sa.select(Order)).scalars():
            assert order.customer.name

    (finding,) = recorded.findings
    assert (finding.rule, finding.confidence, finding.callsite.library) == (
        "n-plus-one",
        "confirmed",
        "sqlalchemy",
    )
    assert finding.callsite.target.endswith(f"@{sync_engine.url.host}:{sync_engine.url.port}")
    assert calls(recorded.profile) == {
        ("sqlalchemy", "SELECT orders"): 1,
        ("sqlalchemy", "SELECT customers"): 20,
    }


def test_eager_load_errors_and_batches_are_one_call_each(sync_engine: Any) -> None:
    with record() as recorded, Session(sync_engine) as session:
        query = sa.select(Order).options(selectinload(Order.customer))
        assert all(order.customer for order in session.execute(query).scalars())
        session.add_all([Customer(id=n, name="x") for n in range(1, 8)])
        session.commit()
        with pytest.raises(sa.exc.ProgrammingError):
            session.execute(sa.text("SELECT nothing FROM nowhere"))

    found = calls(recorded.profile)
    assert {library for library, _ in found} == {"sqlalchemy"}
    assert found[("sqlalchemy", "SELECT nowhere")] == 1
    assert [finding.rule for finding in recorded.findings] == []


def test_driver_used_beside_sqlalchemy_is_seen(sync_engine: Any) -> None:
    with record() as recorded:
        raw = sync_engine.raw_connection()
        cursor = raw.cursor()
        cursor.execute("SELECT id FROM customers")
        cursor.fetchall()
        raw.close()

    ((library, name),) = calls(recorded.profile)
    assert (library == "sqlalchemy", name) == (False, "SELECT customers")
    assert queries(recorded.profile)[0].more().rows_sum == 20


@pytest.mark.parametrize("driver", ASYNC)
def test_async_lazy_loop_is_found_once(postgresql: Database, driver: str) -> None:
    skip_unknown(ASYNC[driver])

    async def main() -> record:
        engine = create_async_engine(postgresql.url(ASYNC[driver]))
        async with engine.begin() as connection:
            await connection.run_sync(fill)
        async with record() as recorded, AsyncSession(engine) as session:
            for key in (await session.execute(sa.select(Order.customer_id))).scalars().all():
                await session.execute(sa.select(Customer.name).where(Customer.id == key))
        await engine.dispose()
        return recorded

    with install_sources("sqlalchemy", "psycopg", "asyncpg"), strict_guard():
        recorded = asyncio.run(main())
    _guard.clear()

    (finding,) = recorded.findings
    assert (finding.rule, finding.confidence) == ("n-plus-one", "confirmed")
    assert calls(recorded.profile) == {
        ("sqlalchemy", "SELECT orders"): 1,
        ("sqlalchemy", "SELECT customers"): 20,
    }


@pytest.mark.parametrize("driver", ASYNC)
def test_async_tasks_cover_only_their_own_calls(postgresql: Database, driver: str) -> None:
    """While one task waits inside SQLAlchemy, another one asks the driver itself: both are seen, each once."""
    skip_unknown(ASYNC[driver])

    async def ask_driver(url: str) -> None:
        if driver == "asyncpg":
            import asyncpg

            connection = await asyncpg.connect(url)
            for _ in range(20):
                await connection.fetch("SELECT id FROM orders")
        else:
            import psycopg

            connection = await psycopg.AsyncConnection.connect(url)
            for _ in range(20):
                await connection.execute("SELECT id FROM orders")
        await connection.close()

    async def ask_sqlalchemy(engine: Any) -> None:
        async with engine.connect() as connection:
            for _ in range(20):
                await connection.execute(sa.text("SELECT name FROM customers"))

    async def main() -> record:
        engine = create_async_engine(postgresql.url(ASYNC[driver]))
        async with engine.begin() as connection:
            await connection.run_sync(fill)
        async with record() as recorded:
            await asyncio.gather(ask_sqlalchemy(engine), ask_driver(postgresql.url("postgresql")))
        await engine.dispose()
        return recorded

    with install_sources("sqlalchemy", "psycopg", "asyncpg"), strict_guard():
        recorded = asyncio.run(main())
    _guard.clear()

    assert calls(recorded.profile) == {("sqlalchemy", "SELECT customers"): 20, (driver, "SELECT orders"): 20}
