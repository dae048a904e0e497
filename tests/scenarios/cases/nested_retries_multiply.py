"""three layers each retry the same failure: one logical call becomes 45 requests.

Link: mpfaffenberger/code_puppy#317 (same class: BerriAI/litellm#7130 and #7221, frankbria/auto-author#188,
Future-House/paper-qa#1281).  A retrying HTTP client (5) inside an SDK that retries (3) inside a streaming
loop that retries (3): every 429 was answered with up to 45 requests.  The fix turns one layer off.

Unit of work: request() (one completion).  Size n: attempts of the outermost layer (the server always says 429).
Expected finding: retry amplification: one call of stream_completion() made 15 n identical POST /v1/chat requests, all
answered 429, through nested retry loops (stream n x sdk 3 x transport 5); Retry-After is ignored.
"""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_fixed

SIZES = (1, 2, 3)


class RateLimited(Exception):  # noqa: N818
    pass


class Upstream(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = 65536

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        body = json.dumps({"error": "slow down"}).encode()
        self.send_response(429)
        self.send_header("Retry-After", "20")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


class RetryingClient(httpx.Client):
    def post(self, url, **kwargs):
        for _ in range(5):
            response = super().post(url, **kwargs)
            if response.status_code != 429:
                break
        return response


class Sdk:
    def __init__(self, http: httpx.Client, max_retries: int = 2):
        self.http, self.max_retries = http, max_retries

    def create(self, prompt: str) -> dict:
        for _ in range(self.max_retries + 1):
            response = self.http.post("/v1/chat", json={"prompt": prompt})
            if response.status_code == 200:
                return response.json()
        raise RateLimited(response.headers["Retry-After"])


def stream_completion(sdk: Sdk, prompt: str, attempts: int) -> dict:
    retrying = Retrying(
        stop=stop_after_attempt(attempts),
        wait=wait_fixed(0.002),
        reraise=True,
        retry=retry_if_exception_type(RateLimited),
    )
    return retrying(sdk.create, prompt)


def request(base: str, attempts: int) -> str:
    with RetryingClient(base_url=base, timeout=5, verify=False) as http:
        try:
            return str(stream_completion(Sdk(http), "hello", attempts))
        except RateLimited as error:
            return f"gave up, retry after {error}"


def main(n: int) -> str:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Upstream)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    try:
        return request(f"http://127.0.0.1:{server.server_port}", n)
    finally:
        server.shutdown()
        server.server_close()


if __name__ == "__main__":
    for n in SIZES:
        print(n, main(n))
