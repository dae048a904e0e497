"""an async endpoint calls a synchronous handler in place; every other request stands still.

Link: mlflow/mlflow#23953 (same class: ogx-ai/ogx#1489, appwrite/mcp#63, ray-project/ray#24554).  The agent server
awaited coroutine handlers but called plain ones directly on the event loop, so one slow call froze all
requests, /health included, and probes failed.  The fix sends plain handlers to a thread.

Unit of work: request() (one HTTP request).  Size n: concurrent /invoke calls, with one /health call behind them.
Expected finding: blocked event loop: the loop is held about 60 ms at a time by invoke() -> predict() (synchronous
sleep + CPU), n times in a row; /health, which does nothing, takes about n * 60 ms.
"""

import asyncio
import inspect
import time

import httpx
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

SIZES = (1, 4, 8)


def predict(payload: dict) -> dict:
    time.sleep(0.05)
    total = sum(i * i for i in range(60_000))
    return {"answer": total % 97 + len(payload["question"])}


HANDLERS = {"agent": predict}


async def invoke(http_request: Request) -> JSONResponse:
    handler = HANDLERS[http_request.path_params["name"]]
    payload = await http_request.json()
    result = await handler(payload) if inspect.iscoroutinefunction(handler) else handler(payload)
    return JSONResponse(result)


async def health(http_request: Request) -> JSONResponse:
    return JSONResponse({"status": "ok"})


app = Starlette(routes=[Route("/invoke/{name}", invoke, methods=["POST"]), Route("/health", health)])


async def request(client: httpx.AsyncClient, method: str, url: str, body: dict | None = None) -> dict:
    await asyncio.sleep(
        0.001
    )  # the way over the network; from here on the call waits for its turn on the loop
    response = await client.request(method, url, json=body)
    return response.json()


async def run(n: int) -> str:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://agent.test") as client:
        calls = [request(client, "POST", "/invoke/agent", {"question": "q" * i}) for i in range(n)]
        *answers, probe = await asyncio.gather(*calls, request(client, "GET", "/health"))
    return f"{probe['status']} {sum(a['answer'] for a in answers)}"


def main(n: int) -> str:
    return asyncio.run(run(n))


if __name__ == "__main__":
    for n in SIZES:
        print(n, main(n))
