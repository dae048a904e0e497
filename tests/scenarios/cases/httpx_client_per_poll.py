"""every poll builds a new HTTP client and with it a new TLS context, on the event loop.

Link: home-assistant/core#90191 (also #89932, #123240; encode/httpx#838).  Creating a client loads the whole CA
bundle from disk and parses it (tens of milliseconds of CPU, some memory that piles up); integrations that
poll did it at each update.  The fix shares one context / one client.

Unit of work: request() (one round of polling).  Size n: devices polled.
Expected findings: (1) repeated computation: httpx.AsyncClient() -> create_ssl_context ->
SSLContext.load_verify_locations runs n times per round with the same arguments, and takes most of the time;
(2) blocked event loop: each of those calls holds the loop for about 10-40 ms of CPU, although poll() is async.
"""

import asyncio
import json

import httpx

SIZES = (4, 12)


async def device(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    body = json.dumps({"state": "on", "power": 12.5}).encode()
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n" % len(body) + body)
    await writer.drain()
    writer.close()


async def poll(url: str) -> dict:
    async with httpx.AsyncClient(timeout=5) as client:
        response = await client.get(url)
        return response.json()


async def request(url: str, devices: int) -> list[dict]:
    return await asyncio.gather(*(poll(f"{url}/devices/{i}") for i in range(devices)))


async def run(devices: int) -> int:
    server = await asyncio.start_server(device, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server:
        states = await request(f"http://127.0.0.1:{port}", devices)
    return sum(s["state"] == "on" for s in states)


def main(n: int) -> int:
    return asyncio.run(run(n))


if __name__ == "__main__":
    for n in SIZES:
        print(n, main(n))
