"""the ORM's session "caches" rows by primary key, but nobody keeps the row alive: it is read n times.

Link: pypi/warehouse#456 (keep the user on the request, because the identity map holds weak references only; related:
ckan/ckan#2824, where filter() instead of get() bypassed the same map).  Twin of repeats_served_from_cache_are_fine, where the row is held.

Unit of work: request().  Size n: rows rendered.
Expected finding: duplicate query: current_user() runs SELECT ... FROM users WHERE id = ? n times in one request with the SAME
parameter and the same result (session.get() finds nothing in the identity map, as the object was collected).
"""

from sqlalchemy import ForeignKey, create_engine, insert, select
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column
from sqlalchemy.pool import StaticPool

SIZES = (30, 120)


class Base(DeclarativeBase):
    pass


class User(Base):
    __tablename__ = "users"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    is_admin: Mapped[bool]


class Project(Base):
    __tablename__ = "projects"
    id: Mapped[int] = mapped_column(primary_key=True)
    owner_id: Mapped[int] = mapped_column(ForeignKey("users.id"))
    title: Mapped[str]


class Request:
    def __init__(self, session: Session, user_id: int):
        self.session, self.user_id = session, user_id

    def current_user(self) -> User:
        return self.session.get(User, self.user_id)

    def may_edit(self, project: Project) -> bool:
        return self.current_user().is_admin or project.owner_id == self.user_id


def request(engine, user_id: int, limit: int) -> list[str]:
    with Session(engine) as session:
        current = Request(session, user_id)
        projects = session.scalars(select(Project).order_by(Project.id).limit(limit)).all()
        return [p.title + (" (edit)" if current.may_edit(p) else "") for p in projects]


def main(n: int) -> int:
    engine = create_engine("sqlite://", poolclass=StaticPool)
    Base.metadata.create_all(engine)
    with engine.begin() as conn:
        conn.execute(insert(User), [{"id": i, "name": f"u{i}", "is_admin": False} for i in range(1, 6)])
        conn.execute(insert(Project), [{"owner_id": 1 + i % 5, "title": f"project {i}"} for i in range(n)])
    return sum(len(title) for title in request(engine, 2, n))


if __name__ == "__main__":
    for n in SIZES:
        print(n, main(n))
