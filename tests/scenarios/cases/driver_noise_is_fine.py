"""One query per request, but tracing sees it several times over.

Link: ogx-ai/ogx#5158 (2,594 spans in one request: BEGIN, ROLLBACK and pool pings from the driver's own
instrumentation), DataDog/dd-trace-py#10833 and elastic/apm-agent-python#695 (every Django query twice, once per
layer), open-telemetry/opentelemetry-python-contrib#2826 (ORM span and driver span are siblings, not parent
and child), django-commons/django-debug-toolbar#1239 (chunked cursors counted twice).

Unit of work: request() (main() serves n of them).  Size n: requests.
Expected: NO finding, also with BOTH the SQLAlchemy and the sqlite3 instrumentation switched on: each request has one
logical SELECT and one logical UPDATE.  Pings, BEGIN, COMMIT and the driver-level twin of each statement must
not become duplicates or N+1, neither within a request nor because n requests do the same.
"""

import os
import tempfile

from sqlalchemy import Column, Integer, MetaData, String, Table, create_engine, event, insert, select, update
from sqlalchemy.pool import QueuePool

SIZES = (5, 25)
meta = MetaData()
users = Table(
    "users", meta, Column("id", Integer, primary_key=True), Column("name", String), Column("visits", Integer)
)
engine = create_engine(
    f"sqlite:///{os.path.join(tempfile.mkdtemp(), 'app.db')}", poolclass=QueuePool, pool_pre_ping=True
)


@event.listens_for(engine, "checkout")
def set_session_options(dbapi_connection, record, proxy) -> None:
    cursor = dbapi_connection.cursor()
    cursor.execute("SELECT 1")
    cursor.close()


def load_user(conn, user_id: int):
    return conn.execute(select(users.c.name, users.c.visits).where(users.c.id == user_id)).one()


def record_visit(conn, user_id: int, visits: int) -> None:
    conn.execute(update(users).where(users.c.id == user_id).values(visits=visits))


def request(user_id: int) -> str:
    with engine.begin() as conn:
        user = load_user(conn, user_id)
        record_visit(conn, user_id, user.visits + 1)
        return f"{user.name}: {user.visits + 1}"


def main(n: int) -> int:
    meta.drop_all(engine)
    meta.create_all(engine)
    with engine.begin() as conn:
        conn.execute(insert(users), [{"id": i + 1, "name": f"user {i}", "visits": i} for i in range(30)])
    return sum(len(request(i % 30 + 1)) for i in range(n))


if __name__ == "__main__":
    for n in SIZES:
        print(n, main(n))
