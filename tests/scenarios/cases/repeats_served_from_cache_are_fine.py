"""(NEGATIVE) the same lookup is asked for hundreds of times, but only the first one reaches the database.

Link: getsentry/sentry#117190 (issue #117164): one real query followed by cache hits in the same request was
reported as N+1; the fix leaves cached calls out, while truly repeated ones still count.

Unit of work: request().  Size n: rows rendered.
Expected: NO finding.  current_plan() is called n times with the same argument, but it is answered by the ORM's
identity map (one SELECT on plans per request) and by a per-request memo; the n - 1 repeats cost a few
microseconds each and together well under 5 % of the request.  Caching works here; nothing is to be gained.
"""

from functools import cached_property

from sqlalchemy import ForeignKey, create_engine, insert, select
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column
from sqlalchemy.pool import StaticPool

SIZES = (50, 400)


class Base(DeclarativeBase):
    pass


class Plan(Base):
    __tablename__ = "plans"
    id: Mapped[int] = mapped_column(primary_key=True)
    currency: Mapped[str]


class Invoice(Base):
    __tablename__ = "invoices"
    id: Mapped[int] = mapped_column(primary_key=True)
    plan_id: Mapped[int] = mapped_column(ForeignKey("plans.id"))
    cents: Mapped[int]


class RequestContext:
    def __init__(self, session: Session, plan_id: int):
        self.session, self.plan_id = session, plan_id
        self._plan = self.current_plan(plan_id)  # the identity map is weak: somebody must hold the row

    @cached_property
    def locale(self) -> str:
        return {"EUR": "de", "USD": "en"}[self.current_plan(self.plan_id).currency]

    def current_plan(self, plan_id: int) -> Plan:
        return self.session.get(Plan, plan_id)


def render(context: RequestContext, invoice: Invoice) -> str:
    plan = context.current_plan(invoice.plan_id)
    amount = f"{invoice.cents / 100:,.2f} {plan.currency}"
    return amount.replace(".", ",") if context.locale == "de" else amount


def request(engine, limit: int) -> str:
    with Session(engine) as session:
        context = RequestContext(session, 1)
        rows = session.scalars(select(Invoice).order_by(Invoice.id).limit(limit)).all()
        return "\n".join(render(context, row) for row in rows)


def main(n: int) -> int:
    engine = create_engine("sqlite://", poolclass=StaticPool)
    Base.metadata.create_all(engine)
    with engine.begin() as conn:
        conn.execute(insert(Plan), [{"id": 1, "currency": "EUR"}])
        conn.execute(insert(Invoice), [{"plan_id": 1, "cents": i * 37} for i in range(n)])
    return len(request(engine, n))


if __name__ == "__main__":
    for n in SIZES:
        print(n, main(n))
