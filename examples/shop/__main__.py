"""Serve the shop on a free port of this machine until SIGTERM: `python -m shop`, in the folder examples."""

from __future__ import annotations

import logging
import signal
import sys

from werkzeug.serving import make_server

from shop.app import create_app


def main() -> None:
    """Print the address once the shop can be reached, then serve."""
    # The access log would bury what the demo is about.
    logging.getLogger("werkzeug").setLevel(logging.WARNING)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    server = make_server("127.0.0.1", 0, create_app(), threaded=True)
    print(f"http://127.0.0.1:{server.server_port}", flush=True)
    try:
        server.serve_forever()
    finally:
        server.server_close()


if __name__ == "__main__":
    main()
