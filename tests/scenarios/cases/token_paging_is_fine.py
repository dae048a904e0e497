"""a worker follows `next` tokens through an API; the repetition is the protocol.

Link: getsentry/sentry#47010 (comment of 2023-08-22: a paging worker is reported as "Consecutive HTTP" for ever).
Each response carries 100 items and the token of the next page; the calls depend on one another, so they
can be neither batched nor run in parallel.

Unit of work: request() (the sync job).  Size n: items on the server.
Expected: NO finding.  n / 100 GETs to one URL, distinct tokens, each argument taken from the answer before, 100
items per call (calls per item = 0.01).  It must be neither N+1 nor duplicate nor retry nor "parallelise".
"""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import httpx

SIZES = (500, 2000)
PAGE = 100


class Api(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = 65536
    total = 0

    def do_GET(self):
        token = parse_qs(urlsplit(self.path).query).get("page_token", ["t0"])[0]
        start = int(token[1:], 36)
        end = min(start + PAGE, self.total)
        body = {
            "items": [{"id": i, "amount": i % 50} for i in range(start, end)],
            "next": f"t{self.base36(end)}" if end < self.total else None,
        }
        data = json.dumps(body).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    @staticmethod
    def base36(number: int) -> str:
        digits = ""
        while number:
            number, rest = divmod(number, 36)
            digits = "0123456789abcdefghijklmnopqrstuvwxyz"[rest] + digits
        return digits or "0"

    def log_message(self, *args):
        pass


def fetch_page(client: httpx.Client, token: str | None) -> dict:
    response = client.get("/payments", params={"page_token": token} if token else None)
    response.raise_for_status()
    return response.json()


def request(client: httpx.Client) -> int:
    total, token = 0, None
    while True:
        page = fetch_page(client, token)
        total += sum(item["amount"] for item in page["items"])
        token = page["next"]
        if token is None:
            return total


def main(n: int) -> int:
    Api.total = n
    server = ThreadingHTTPServer(("127.0.0.1", 0), Api)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    try:
        with httpx.Client(
            base_url=f"http://127.0.0.1:{server.server_port}", timeout=5, verify=False
        ) as client:
            return request(client)
    finally:
        server.shutdown()
        server.server_close()


if __name__ == "__main__":
    for n in SIZES:
        print(n, main(n))
