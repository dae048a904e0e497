"""The shop's database: a SQLite file, filled at the first start."""

from __future__ import annotations

import random
import time
from typing import TYPE_CHECKING, Any

from sqlalchemy import Engine, create_engine, event
from sqlalchemy.orm import Session

from shop.models import Base, Customer, Order, Setting

if TYPE_CHECKING:
    from pathlib import Path

ORDERS = 200
COUNTRIES = ("DE", "FR", "IT", "NL", "PL")


def open_database(path: Path, round_trip_ms: float) -> Engine:
    """Create and fill the database at `path`.

    Args:
        path: The SQLite file to write.
        round_trip_ms: Milliseconds added to each statement; SQLite lives in the process and has no network to wait for.
    """
    engine = create_engine(f"sqlite:///{path}")
    Base.metadata.create_all(engine)
    with Session(engine) as session:
        _seed(session)
        session.commit()
    if round_trip_ms > 0:
        _simulate_network(engine, round_trip_ms / 1000)
    return engine


def _seed(session: Session) -> None:
    chance = random.Random(7)
    for number in range(1, ORDERS + 1):
        customer = Customer(id=number, name=f"Customer {number}", country=chance.choice(COUNTRIES))
        order = Order(
            id=number,
            customer=customer,
            total_cents=chance.randrange(500, 50_000),
            weight_g=chance.randrange(100, 5_000),
        )
        session.add(order)
    session.add(Setting(tenant="acme", name="currency", value="EUR"))
    session.add(Setting(tenant="acme", name="vat_percent", value="19"))


def _simulate_network(engine: Engine, round_trip_s: float) -> None:
    # do_execute is where a driver would wait for its server, so the delay counts as the statement's own time.
    @event.listens_for(engine, "do_execute")
    def wait(*_: Any) -> None:
        time.sleep(round_trip_s)
