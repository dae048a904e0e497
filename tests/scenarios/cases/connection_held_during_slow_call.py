"""A request keeps its database connection while it waits for something else; the pool runs dry.

Link: fastapi/fastapi#3205 and fastapi/full-stack-fastapi-template#104 (same message: #459, ckan/ckan#5863).  Sessions
opened by a dependency live until the response is finished, so a handful of slow requests check out the
whole QueuePool and the next ones wait ("QueuePool limit ... reached, connection timed out").  Raising the
pool size only moves the wall; the fix releases the connection before the slow part.

Unit of work: request() (one HTTP request; n of them run at the same time).  Size n: concurrent requests.
Expected finding: shared-resource wait: with a pool of 3, requests spend most of their time waiting for
QueuePool checkout (0 ms at n = 3; about 75 % of the time of the slowest at n = 12); each holds its connection
for about 50 ms of which about 1 ms is SQL and the rest quote_shipping().  Latency grows with concurrency.
"""

import asyncio
import os
import tempfile
import time

import httpx
from fastapi import Depends, FastAPI
from sqlalchemy import Column, Integer, MetaData, String, Table, create_engine, insert, select
from sqlalchemy.orm import Session
from sqlalchemy.pool import QueuePool

SIZES = (3, 6, 12)
path = os.path.join(tempfile.mkdtemp(), "shop.db")
engine = create_engine(
    f"sqlite:///{path}",
    poolclass=QueuePool,
    pool_size=2,
    max_overflow=1,
    pool_timeout=10,
    connect_args={"check_same_thread": False},
)
meta = MetaData()
carts = Table("carts", meta, Column("id", Integer, primary_key=True), Column("postcode", String))
meta.create_all(engine)
with engine.begin() as connection:
    connection.execute(insert(carts), [{"id": i + 1, "postcode": f"{10_000 + i}"} for i in range(50)])
app = FastAPI()


def get_db():
    with Session(engine) as session:
        yield session


def quote_shipping(postcode: str) -> int:
    time.sleep(0.05)
    return 300 + len(postcode)


@app.get("/carts/{cart_id}/quote")
def quote(cart_id: int, db: Session = Depends(get_db)) -> dict:  # noqa: B008 - as FastAPI is used
    postcode = db.execute(select(carts.c.postcode).where(carts.c.id == cart_id)).scalar_one()
    return {"cart": cart_id, "cents": quote_shipping(postcode)}


async def request(client: httpx.AsyncClient, cart_id: int) -> dict:
    response = await client.get(f"/carts/{cart_id}/quote")
    response.raise_for_status()
    return response.json()


async def run(n: int) -> int:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://shop.test") as client:
        quotes = await asyncio.gather(*(request(client, i + 1) for i in range(n)))
    return sum(q["cents"] for q in quotes)


def main(n: int) -> int:
    return asyncio.run(run(n))


if __name__ == "__main__":
    for n in SIZES:
        print(n, main(n))
