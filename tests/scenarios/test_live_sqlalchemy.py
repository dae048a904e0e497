"""The recorded scenarios of SQLAlchemy, rebuilt with models of our own and run live: the same is said as of the recording."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import (
    DeclarativeBase,
    Mapped,
    Session,
    deferred,
    joinedload,
    mapped_column,
    relationship,
    selectinload,
    subqueryload,
    undefer,
)
from tests.recordings import load, replay

from manometer import _guard
from manometer.testing import install_sources, raising, record

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from manometer._finding import Finding

CASES = {case.id: case for case in load() if case.orm == "sqlalchemy"}
SOURCES = ("sqlalchemy", "sqlite3", "psycopg", "asyncpg")
SIZE = 12


class Base(DeclarativeBase):
    pass


class User(Base):
    __tablename__ = "reader"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    bio: Mapped[str] = deferred(mapped_column(sa.String))
    addresses: Mapped[list[Address]] = relationship(back_populates="user")


class Address(Base):
    __tablename__ = "address"
    id: Mapped[int] = mapped_column(primary_key=True)
    email: Mapped[str]
    user_id: Mapped[int] = mapped_column(sa.ForeignKey("reader.id"))
    user: Mapped[User] = relationship(back_populates="addresses")


class Team(Base):
    __tablename__ = "team"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    members: Mapped[list[Member]] = relationship(lazy="selectin")


class Member(Base):
    __tablename__ = "member"
    id: Mapped[int] = mapped_column(primary_key=True)
    handle: Mapped[str]
    team_id: Mapped[int] = mapped_column(sa.ForeignKey("team.id"))


def fill(connection: Any) -> None:
    Base.metadata.create_all(connection)
    ids = [100 + n for n in range(SIZE)]
    connection.execute(sa.insert(User), [{"id": n, "name": f"u{n}", "bio": "b"} for n in ids])
    connection.execute(
        sa.insert(Address),
        [{"id": 1000 + 2 * n + k, "email": "e", "user_id": n} for n in ids for k in (0, 1)],
    )
    connection.execute(sa.insert(Team), [{"id": n, "name": f"t{n}"} for n in ids])
    connection.execute(
        sa.insert(Member),
        [{"id": 1000 + 2 * n + k, "handle": "h", "team_id": n} for n in ids for k in (0, 1)],
    )
    if connection.dialect.name == "postgresql":
        for table in ("reader", "address"):
            connection.execute(sa.text(f"SELECT setval('{table}_id_seq', 1000000)"))


IDS = [100 + n for n in range(SIZE)]


# Guilty.


def lazy_collection(session: Session) -> None:
    for user in session.scalars(sa.select(User)):
        assert len(user.addresses) == 2


def lazy_parent(session: Session) -> None:
    addresses = session.scalars(sa.select(Address).where(Address.id % 2 == 0)).all()
    assert len([address.user for address in addresses]) == SIZE


def deferred_column(session: Session) -> None:
    for user in session.scalars(sa.select(User)).all():
        assert user.bio == "b"


def expired_attributes(session: Session) -> None:
    users = session.scalars(sa.select(User)).all()
    session.expire_all()
    for user in users:
        assert user.name


def get_in_a_loop(session: Session) -> None:
    for key in IDS:
        assert session.get(User, key)


def parents_one_by_one(session: Session) -> None:
    for key in IDS:
        team = session.scalars(sa.select(Team).where(Team.id == key)).one()
        assert len(team.members) == 2


# Innocent.


def single_query(session: Session) -> None:
    assert len(session.scalars(sa.select(User)).all()) == SIZE


def eager(option: Any) -> Callable[[Session], None]:
    def run(session: Session) -> None:
        for user in session.scalars(sa.select(User).options(option)).unique():
            assert len(user.addresses) == 2

    return run


def undeferred(session: Session) -> None:
    for user in session.scalars(sa.select(User).options(undefer(User.bio))):
        assert user.bio == "b"


def configured_eager_load(session: Session) -> None:
    for team in session.scalars(sa.select(Team)):
        assert len(team.members) == 2


def bulk_insert(session: Session) -> None:
    session.add_all([Address(email=f"new {n}", user_id=100) for n in range(50)])
    session.flush()


def autoflush(session: Session) -> None:
    session.add(User(id=999, name="new", bio="b"))
    assert len(session.scalars(sa.select(User)).all()) == SIZE + 1


def different_queries(session: Session) -> None:
    assert len(session.scalars(sa.select(User)).all()) == SIZE
    assert len(session.scalars(sa.select(Address)).all()) == 2 * SIZE


SYNC: dict[str, Callable[[Session], None]] = {
    "qspy-000": lazy_collection,
    "qspy-001": lazy_collection,
    "qspy-002": lazy_parent,
    "qspy-003": deferred_column,
    "qspy-004": expired_attributes,
    "qspy-005": get_in_a_loop,
    "qspy-006": parents_one_by_one,
    "qspy-007": lazy_collection,
    "qspy-008": get_in_a_loop,
    "qspy-011": single_query,
    "qspy-012": eager(selectinload(User.addresses)),
    "qspy-013": eager(subqueryload(User.addresses)),
    "qspy-014": eager(joinedload(User.addresses)),
    "qspy-015": undeferred,
    "qspy-016": configured_eager_load,
    "qspy-017": bulk_insert,
    "qspy-018": autoflush,
    "qspy-019": different_queries,
}


# Asynchronous.


async def async_lazy_collection(session: AsyncSession) -> None:
    for user in await session.scalars(sa.select(User)):
        assert await session.run_sync(lambda _, user=user: len(user.addresses)) == 2


async def async_get_in_a_loop(session: AsyncSession) -> None:
    for key in IDS:
        assert await session.get(User, key)


async def async_eager(session: AsyncSession) -> None:
    for user in await session.scalars(sa.select(User).options(selectinload(User.addresses))):
        assert len(user.addresses) == 2


ASYNC: dict[str, Callable[[AsyncSession], Any]] = {
    "qspy-009": async_lazy_collection,
    "qspy-010": async_get_in_a_loop,
    "qspy-020": async_eager,
}


def rules(findings: tuple[Finding, ...]) -> list[str]:
    """What depends on durations is left out: they are those of this machine."""
    return sorted(finding.rule for finding in findings if finding.question == "repetition")


@pytest.fixture(autouse=True)
def taps() -> Iterator[None]:
    with install_sources(*SOURCES), raising():
        yield
    _guard.clear()


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'live.db'}"
    return str(request.getfixturevalue("postgresql").url("postgresql+psycopg"))


@pytest.fixture(params=["sqlite", "asyncpg", "psycopg"])
def async_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite+aiosqlite:///{tmp_path / 'live.db'}"
    return str(request.getfixturevalue("postgresql").url(f"postgresql+{request.param}"))


def check(case_id: str, recorded: record) -> None:
    _, expected = replay(CASES[case_id])
    assert rules(recorded.findings) == rules(expected)
    assert bool(rules(recorded.findings)) == (CASES[case_id].label == "positive")
    frames = [frame for frame in recorded.profile.root.walk() if frame.callsite.kind == "db"]
    assert frames
    assert {frame.callsite.library for frame in frames} == {"sqlalchemy"}
    for finding in recorded.findings:
        if finding.question == "repetition":
            assert (finding.callsite.file, finding.severity) == (__file__, "warning")


def test_every_recording_is_rebuilt() -> None:
    assert sorted(SYNC | ASYNC) == sorted(CASES)


@pytest.mark.parametrize("case_id", SYNC)
def test_live(case_id: str, url: str) -> None:
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        fill(connection)
    with record(case_id, kind="request") as recorded, Session(engine) as session:
        SYNC[case_id](session)
    engine.dispose()

    check(case_id, recorded)


@pytest.mark.parametrize("case_id", ASYNC)
def test_live_async(case_id: str, async_url: str) -> None:
    async def main() -> record:
        engine = create_async_engine(async_url)
        async with engine.begin() as connection:
            await connection.run_sync(fill)
        async with record(case_id, kind="request") as recorded, AsyncSession(engine) as session:
            await ASYNC[case_id](session)
        await engine.dispose()
        return recorded

    check(case_id, asyncio.run(main()))
