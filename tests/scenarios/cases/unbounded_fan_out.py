"""one coroutine per object, all started at once: the fan-out is as wide as the input.

Link: robusta-dev/krr#58 (more than 1,000 coroutines queried the metrics server at the same time: exhausted
connection pools there and 20 GB of memory here; same class: bellingcat/wayback-google-analytics#19,
omnilib/aioitertools#9).  The fix is a semaphore.

Unit of work: request() (one scan).  Size n: workloads.
Expected finding: missing boundary: scan() has n calls of query_metrics() in flight at the same time (peak concurrency =
n, grows with the input, no limit seen); the server takes 8 at a time, so the slowest call waits n / 8 rounds and
single-call latency grows with n although the work per call is constant.
"""

import asyncio

SIZES = (8, 32, 128)
CAPACITY = 8


class MetricsServer:
    def __init__(self):
        self._slots = asyncio.Semaphore(CAPACITY)

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        line = await reader.readline()
        async with self._slots:
            await asyncio.sleep(0.01)
            writer.write(b"%d\n" % (len(line) * 7))
        await writer.drain()
        writer.close()


async def query_metrics(port: int, workload: str) -> list[int]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"cpu {workload}\n".encode())
    value = int(await reader.readline())
    writer.close()
    return [value] * 200


async def request(port: int, workloads: list[str]) -> int:
    series = await asyncio.gather(*(query_metrics(port, workload) for workload in workloads))
    return sum(max(points) for points in series)


async def run(n: int) -> int:
    server = await asyncio.start_server(MetricsServer().handle, "127.0.0.1", 0, backlog=512)
    async with server:
        return await request(server.sockets[0].getsockname()[1], [f"deploy/app-{i:04d}" for i in range(n)])


def main(n: int) -> int:
    return asyncio.run(run(n))


if __name__ == "__main__":
    for n in SIZES:
        print(n, main(n))
