"""The tables of the shop."""

from __future__ import annotations

from sqlalchemy import ForeignKey
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship


class Base(DeclarativeBase):
    """Root of the shop's models."""


class Customer(Base):
    """Who orders."""

    __tablename__ = "customer"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    country: Mapped[str]


class Order(Base):
    """What a customer bought; amounts are in cents."""

    __tablename__ = "orders"

    id: Mapped[int] = mapped_column(primary_key=True)
    customer_id: Mapped[int] = mapped_column(ForeignKey("customer.id"))
    total_cents: Mapped[int]
    weight_g: Mapped[int]

    customer: Mapped[Customer] = relationship()


class Setting(Base):
    """One setting of one tenant, kept as text."""

    __tablename__ = "setting"

    id: Mapped[int] = mapped_column(primary_key=True)
    tenant: Mapped[str]
    name: Mapped[str]
    value: Mapped[str]
