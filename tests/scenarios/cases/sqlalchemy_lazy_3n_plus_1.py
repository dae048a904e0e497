"""a search page that lazily loads three child collections for every row.

Link: mlflow/mlflow#22431 (also #25982).  The report counted 304 statements for one page of 100
traces; the fix was to eager-load the three relationships (7 statements).

Unit of work: request().  Size n: rows on the page.
Expected finding: N+1 (three of them, "3N+1"): inside request(), the lazy SELECTs on trace_tags,
trace_metadata and assessments each run n times, one row id per call; statements = 3n + 1.
Suggest: load the three collections together with the page (selectinload / one IN query each).
"""

from sqlalchemy import ForeignKey, create_engine, insert, select
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, relationship
from sqlalchemy.pool import StaticPool

SIZES = (25, 100)


class Base(DeclarativeBase):
    pass


class Trace(Base):
    __tablename__ = "traces"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    tags: Mapped[list["TraceTag"]] = relationship()
    request_metadata: Mapped[list["TraceMetadata"]] = relationship()
    assessments: Mapped[list["Assessment"]] = relationship()


class Child:
    id: Mapped[int] = mapped_column(primary_key=True)
    trace_id: Mapped[int] = mapped_column(ForeignKey("traces.id"), index=True)
    key: Mapped[str]
    value: Mapped[str]


class TraceTag(Child, Base):
    __tablename__ = "trace_tags"


class TraceMetadata(Child, Base):
    __tablename__ = "trace_metadata"


class Assessment(Child, Base):
    __tablename__ = "assessments"


def to_entity(trace: Trace) -> dict:
    return {
        "name": trace.name,
        "tags": {t.key: t.value for t in trace.tags},
        "metadata": {m.key: m.value for m in trace.request_metadata},
        "assessments": [a.key for a in trace.assessments],
    }


def request(session: Session, max_results: int) -> list[dict]:
    page = session.scalars(select(Trace).order_by(Trace.id).limit(max_results))
    return [to_entity(trace) for trace in page.all()]


def setup(rows: int):
    engine = create_engine("sqlite://", poolclass=StaticPool)
    Base.metadata.create_all(engine)
    with engine.begin() as conn:
        conn.execute(insert(Trace), [{"id": i, "name": f"trace-{i}"} for i in range(1, rows + 1)])
        for model in (TraceTag, TraceMetadata, Assessment):
            conn.execute(
                insert(model),
                [{"trace_id": i, "key": f"k{k}", "value": "v"} for i in range(1, rows + 1) for k in range(3)],
            )
    return engine


def main(n: int) -> int:
    with Session(setup(n * 2)) as session:
        return sum(len(e["tags"]) for e in request(session, n))


if __name__ == "__main__":
    for n in SIZES:
        print(n, main(n))
