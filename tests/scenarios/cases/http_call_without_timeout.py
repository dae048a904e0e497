"""outgoing calls without a timeout: one silent peer takes a worker out of service.

Link: future-agi/future-agi#499 (some 20 calls without timeout=, neighbours have one; same class: AppScale/gts#2838,
VingtCinq/python-mailchimp#127, readthedocs/readthedocs.org#2359).

Unit of work: request() (verify one key; n of them on a pool of 4 worker threads, every fourth peer is silent
for half a second; in the real report: for ever).  Size n: requests.
Expected findings: (1) missing boundary: verify_api_key() -> GET /me is sent without any timeout, while its neighbour
verify_assistant_id() passes one (this is visible in the call arguments, also when nothing hangs);
(2) the slowest calls are more than 20 times the median, all of it waiting for the network; queue wait for the other requests.
"""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import requests

SIZES = (4, 16)


class Provider(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = 65536

    def do_GET(self):
        if self.path.startswith("/me") and self.headers["X-Key"].endswith("3"):
            time.sleep(0.5)
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, *args):
        pass


def verify_api_key(base: str, key: str) -> bool:
    return requests.get(f"{base}/me", headers={"X-Key": key}).status_code == 200


def verify_assistant_id(base: str, assistant: str) -> bool:
    return requests.get(f"{base}/assistants/{assistant}", timeout=30).status_code == 200


def request(base: str, number: int) -> bool:
    return verify_api_key(base, f"key-{number % 4}") and verify_assistant_id(base, f"a{number}")


def main(n: int) -> int:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Provider)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    base = f"http://127.0.0.1:{server.server_port}"
    try:
        with ThreadPoolExecutor(max_workers=4) as pool:
            return sum(pool.map(lambda i: request(base, i), range(n)))
    finally:
        server.shutdown()
        server.server_close()


if __name__ == "__main__":
    for n in SIZES:
        print(n, main(n))
