"""an expensive value expires and every waiting request recomputes it at the same time.

Link: jazzband/django-redis#27, peterbe/django-cache-memoize#5, long2ice/fastapi-cache#563 (issue #203), nexi-lab/nexus#878.
Fixes: a lock per key, or serving the stale value while one caller refreshes it.

Unit of work: request() (n of them at the same time, cache cold).  Size n: concurrent requests.
Expected finding: cache stampede: compute_report("2024-Q1") runs n times concurrently with the same argument right after n misses
of the same key "report:2024-Q1" (n SETs of one value); one computation would have served all.
"""

import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import fakeredis

SIZES = (2, 8, 16)
cache = fakeredis.FakeRedis(version=7)


def compute_report(quarter: str) -> dict:
    time.sleep(0.04)
    rows = [(i * 7919) % 1000 for i in range(4_000)]
    return {"quarter": quarter, "total": sum(rows), "max": max(rows)}


def cached_report(quarter: str) -> dict:
    key = f"report:{quarter}"
    raw = cache.get(key)
    if raw is None:
        report = compute_report(quarter)
        cache.set(key, json.dumps(report), ex=900)
        return report
    return json.loads(raw)


def request(quarter: str, start: threading.Barrier) -> int:
    start.wait()
    return cached_report(quarter)["total"]


def main(n: int) -> int:
    cache.flushall()
    start = threading.Barrier(n)
    with ThreadPoolExecutor(max_workers=n) as pool:
        return sum(pool.map(lambda _: request("2024-Q1", start), range(n)))


if __name__ == "__main__":
    for n in SIZES:
        print(n, main(n))
