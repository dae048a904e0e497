"""the event loop is late because another thread holds the GIL.

Link: modal-labs/synchronicity#274 (asyncio's slow-callback warning named a callback that needs microseconds; the thread had
been preempted), dask/distributed#8557 (a C extension that keeps the GIL; sampled GIL metrics mislead),
prometheus/client_python#559 (a GIL suspicion that measurement did not support).

Unit of work: request() (one heartbeat coroutine; a background thread crunches numbers meanwhile).
Size n: heartbeats.
Expected: NOT a finding against tick(): its own CPU time is microseconds, wall minus thread CPU is the rest.  Right is: the
loop was starved / GIL contention, with thread "cruncher" in crunch() as the holder (each long C call keeps the GIL
for some 50 ms).
"""

import asyncio
import threading

SIZES = (5, 15)
NUMBERS = range(2_500_000)


def crunch(stop: threading.Event) -> None:
    while not stop.is_set():
        sum(NUMBERS)
        stop.wait(0.005)


def tick(state: dict) -> None:
    state["beats"] += 1


async def request(beats: int) -> int:
    state = {"beats": 0}
    for _ in range(beats):
        await asyncio.sleep(0.01)
        tick(state)
    return state["beats"]


def main(n: int) -> int:
    stop = threading.Event()
    thread = threading.Thread(target=crunch, args=(stop,), name="cruncher")
    thread.start()
    try:
        return asyncio.run(request(n))
    finally:
        stop.set()
        thread.join()


if __name__ == "__main__":
    for n in SIZES:
        print(n, main(n))
