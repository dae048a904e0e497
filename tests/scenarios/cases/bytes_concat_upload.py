"""an upload is collected with `body += chunk` on immutable bytes: O(n^2) copying.

Link: microsoft/PTVS#2471 (same class: encode/httpx#53, falconry/falcon#1734, agronholm/cbor2#316).  The FastCGI
bridge glued about 10 kB chunks together; a 100 MB upload copied some 465 GB and never reached the
application.  The fix writes into a BytesIO.

Unit of work: request() (one WSGI request with a body).  Size n: chunks of 4 kB.
Expected finding: super-linear growth: read_body() takes about 4 times as long when the body doubles, all of it
CPU (memory copies), while the number of chunk reads only doubles; no single call repeats anything.
"""

import io

SIZES = (150, 300, 600)
CHUNK = 4096


class FastCgiRecordStream:
    """Hands the body out record by record, the way the web server sends it."""

    def __init__(self, body: io.BytesIO):
        self._body = body

    def read_record(self) -> bytes:
        return self._body.read(CHUNK)


def read_body(stream: FastCgiRecordStream) -> bytes:
    body = b""
    while record := stream.read_record():
        body += record
    return body


def application(environ: dict, start_response) -> list[bytes]:
    size = len(environ["wsgi.input"].read())
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [str(size).encode()]


def request(stream: FastCgiRecordStream) -> int:
    environ = {"REQUEST_METHOD": "POST", "wsgi.input": io.BytesIO(read_body(stream))}
    return int(b"".join(application(environ, lambda status, headers: None)))


def main(n: int) -> int:
    return request(FastCgiRecordStream(io.BytesIO(b"\x5a" * (CHUNK * n))))


if __name__ == "__main__":
    for n in SIZES:
        print(n, main(n))
