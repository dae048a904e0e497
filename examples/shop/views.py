"""The pages of the shop: three that do work again and again, each beside its twin that does not."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, current_app, request
from sqlalchemy import select
from sqlalchemy.orm import Session, joinedload

from manometer import measure
from shop.models import Order, Setting

pages = Blueprint("pages", __name__)

LONGEST_PAGE = 100
TENANT = "acme"


@pages.get("/health")
def health() -> str:
    """Answer the load balancer."""
    return "ok"


@pages.get("/orders")
def list_orders() -> list[dict[str, Any]]:
    """Show the latest orders with their customers: `order.customer` asks the database once per order."""
    with open_session() as session:
        orders = session.scalars(select(Order).order_by(Order.id).limit(page_length())).all()
        return [order_row(order) for order in orders]


@pages.get("/orders-eager")
def list_orders_eager() -> list[dict[str, Any]]:
    """Show the same page, with the customers loaded together with the orders."""
    with open_session() as session:
        orders = session.scalars(
            select(Order).options(joinedload(Order.customer)).order_by(Order.id).limit(page_length())
        ).all()
        return [order_row(order) for order in orders]


@pages.get("/settings")
def list_totals() -> list[str]:
    """Show totals in the tenant's currency: the setting is read again for each line."""
    with open_session() as session:
        totals = session.scalars(select(Order.total_cents).order_by(Order.id).limit(page_length())).all()
        return [f"{cents / 100:.2f} {setting(session, 'currency')}" for cents in totals]


@pages.get("/settings-once")
def list_totals_once() -> list[str]:
    """Show the same totals, with the setting read once."""
    with open_session() as session:
        currency = setting(session, "currency")
        totals = session.scalars(select(Order.total_cents).order_by(Order.id).limit(page_length())).all()
        return [f"{cents / 100:.2f} {currency}" for cents in totals]


@pages.get("/prices")
def list_prices() -> list[dict[str, int]]:
    """Show instalments for a number of items: the same plan is computed for each of them."""
    return [{"item": item, "monthly_cents": monthly_cents(2_490_000, 120)} for item in range(page_length())]


@pages.get("/prices-once")
def list_prices_once() -> list[dict[str, int]]:
    """Show the same instalments, with the plan computed once."""
    monthly = monthly_cents(2_490_000, 120)
    return [{"item": item, "monthly_cents": monthly} for item in range(page_length())]


@measure
def order_row(order: Order) -> dict[str, Any]:
    """Describe one order, with the name of its customer."""
    return {"id": order.id, "total_cents": order.total_cents, "customer": order.customer.name}


@measure(key=("price_cents", "months"))
def monthly_cents(price_cents: int, months: int) -> int:
    """Find the smallest instalment that pays `price_cents` off within `months`, at 0.5 % interest a month."""
    low, high = price_cents // months, price_cents
    while low < high:
        instalment = (low + high) // 2
        owed = price_cents
        for _ in range(months):
            owed += owed // 200 - instalment
        if owed > 0:
            low = instalment + 1
        else:
            high = instalment
    return low


def setting(session: Session, name: str) -> str:
    """Read one setting of the tenant."""
    return session.scalars(select(Setting.value).where(Setting.tenant == TENANT, Setting.name == name)).one()


def page_length() -> int:
    """Return `n` of the query string, kept between 1 and the longest page."""
    return max(1, min(request.args.get("n", default=20, type=int), LONGEST_PAGE))


def open_session() -> Session:
    """Open a session on the shop's database; use it in a `with` block."""
    return Session(current_app.extensions["database"])
