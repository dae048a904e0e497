"""reading an attribute in a loop silently makes one HTTP request per object.

Link: PyGithub/PyGithub#1233 (also datopian/metastore-lib#23).  The list call returned 100 issues a page,
but objects "complete themselves" with a further GET when an attribute is absent from the list payload,
and plain issues never carry that attribute.  The fix: read the raw payload / do not complete.

Unit of work: request() (export the issues of a repository).  Size n: issues.
Expected finding: N+1 over HTTP: Issue.pull_request -> GET /issues/{id} once per plain issue (3 of 4), after
one GET /issues per 100 issues; the URL template is constant, only the id changes.  The list calls
themselves are ordinary paging and are not the problem.
"""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import requests

SIZES = (20, 80)
PER_PAGE = 100


class Api(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = 65536
    total = 0

    def do_GET(self):
        url = urlsplit(self.path)
        if url.path == "/issues":
            page = int(parse_qs(url.query)["page"][0])
            rows = range((page - 1) * PER_PAGE, min(page * PER_PAGE, self.total))
            body = [self.payload(i) for i in rows]
        else:
            body = self.payload(int(url.path.rsplit("/", 1)[1]))
        data = json.dumps(body).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def payload(self, number: int) -> dict:
        body = {"number": number, "title": f"issue {number}"}
        return body | {"pull_request": {"url": f"/pulls/{number}"}} if number % 4 == 0 else body

    def log_message(self, *args):
        pass


class Issue:
    def __init__(self, session: requests.Session, base: str, raw: dict):
        self._session, self._base, self._raw, self._completed = session, base, raw, False

    def _complete(self) -> None:
        if not self._completed:
            self._raw = self._session.get(f"{self._base}/issues/{self._raw['number']}", timeout=5).json()
            self._completed = True

    @property
    def pull_request(self):
        if "pull_request" not in self._raw:
            self._complete()
        return self._raw.get("pull_request")


def list_issues(session: requests.Session, base: str):
    page = 1
    while rows := session.get(f"{base}/issues", params={"page": page}, timeout=5).json():
        yield from (Issue(session, base, raw) for raw in rows)
        page += 1


def request(base: str) -> int:
    with requests.Session() as session:
        return sum(issue.pull_request is not None for issue in list_issues(session, base))


def main(n: int) -> int:
    Api.total = n
    server = ThreadingHTTPServer(("127.0.0.1", 0), Api)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    try:
        return request(f"http://127.0.0.1:{server.server_port}")
    finally:
        server.shutdown()
        server.server_close()


if __name__ == "__main__":
    for n in SIZES:
        print(n, main(n))
