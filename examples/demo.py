"""Show what manometer says about the shop: serve it in another process, send it requests, read its log."""

from __future__ import annotations

import os
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import textwrap
import time
import urllib.request
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

EXAMPLES = Path(__file__).parent
ROUND_TRIP_MS = "0.5"
SIZES = (5, 20, 50, 100)
REPEATS = 3

# Each page that repeats work, beside its twin that does not, and what manometer should call it.
PAGES = (
    ("/orders", "/orders-eager", "n-plus-one"),
    ("/settings", "/settings-once", "duplicate-read"),
    ("/prices", "/prices-once", "repeated-call"),
)

# A line about one request starts with its route, one about a finding names it; lines about the process do neither.
ROUTE = re.compile(r"""^(?:[A-Z]+:[\w.]+:)?GET (/\S*)|\broute="?GET (/[^\s"]*)""")
RULE = re.compile(r"""(?:\bfinding[:=]|\bf\d+=)"?([a-z][a-z0-9-]+)""")
HEARTBEAT = re.compile(r"\bup .*\bver=")


def main() -> int:
    """Run the demo and return its exit code: not 0 when a fault was missed or a clean page accused."""
    print("The shop: Flask and SQLAlchemy on a SQLite file, started with MANOMETER=1 and no other setting.")
    print(f"Each statement takes {ROUND_TRIP_MS} ms more, like a database that is one network hop away.")
    with tempfile.TemporaryFile("w+", encoding="utf-8") as log:
        with serve(log) as address:
            send_traffic(address)
        log.seek(0)
        lines = log.read().splitlines()
    show_log(lines)
    return judge(lines)


@contextmanager
def serve(log: IO[str]) -> Iterator[str]:
    """Run the shop in a second process, with its stderr in `log`; yield its address."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("MANOMETER")}
    environment = inherited | {"MANOMETER": "1", "SHOP_ROUND_TRIP_MS": ROUND_TRIP_MS}
    command = [sys.executable, "-m", "shop"]
    with subprocess.Popen(
        command, cwd=EXAMPLES, env=environment, stdout=subprocess.PIPE, stderr=log, text=True
    ) as server:
        try:
            address = server.stdout.readline().strip() if server.stdout else ""
            if not address:
                server.wait(timeout=10)
                log.seek(0)
                sys.exit(f"the shop did not start (exit code {server.returncode}):\n{log.read()}")
            yield address
            server.send_signal(signal.SIGTERM)
            server.wait(timeout=15)
        finally:
            server.kill()


def send_traffic(address: str) -> None:
    """Ask for each page at each size, and show how long the client waits."""
    print(f"\nMilliseconds a client waits for n rows (median of {REPEATS} requests):\n")
    print("  page".ljust(20), *(f"n={size}".rjust(7) for size in SIZES))
    for page in [page for guilty, clean, _ in PAGES for page in (guilty, clean)]:
        print(f"  GET {page}".ljust(20), end="", flush=True)
        fetch(f"{address}{page}?n=1")
        for size in SIZES:
            waited_ms = statistics.median(fetch(f"{address}{page}?n={size}") for _ in range(REPEATS))
            print(f"{waited_ms:8.1f}", end="", flush=True)
        print()
    fetch(f"{address}/health")


def fetch(url: str) -> float:
    """Send one request and return the milliseconds until its answer was read."""
    started = time.perf_counter()
    with urllib.request.urlopen(url, timeout=30) as answer:  # noqa: S310 - the server this script started
        answer.read()
    return (time.perf_counter() - started) * 1000


def show_log(lines: list[str]) -> None:
    """Show what the shop's log says, page by page, then the rest of it."""
    print("\nThe log of the shop, by page:")
    for page in [page for guilty, clean, _ in PAGES for page in (guilty, clean)]:
        said = [line for line in lines if route_of(line) == page]
        print(f"\n  GET {page}" + ("" if said else ": nothing to say"))
        for line in said:
            show(line)
    rest = [line for line in lines if route_of(line) not in {page for pair in PAGES for page in pair[:2]}]
    print("\n  of the whole process")
    for line in rest:
        show(line)


def show(line: str) -> None:
    """Print one line of the log, wrapped at blanks to the terminal."""
    width = max(60, min(shutil.get_terminal_size((120, 24)).columns, 160))
    print(textwrap.fill(line, width, initial_indent="    ", subsequent_indent="        ", break_long_words=False,
                        break_on_hyphens=False))  # fmt: skip


def judge(lines: list[str]) -> int:
    """Compare the findings with the faults that were built in."""
    found = {page: set() for guilty, clean, _ in PAGES for page in (guilty, clean)}
    for line in lines:
        if (page := route_of(line)) in found:
            found[page].update(RULE.findall(line))
    wrong = []
    print("\nBuilt in, and found:\n")
    for guilty, clean, rule in PAGES:
        named = rule in found[guilty]
        print(f"  GET {guilty:16} {rule:16} {'found' if named else 'MISSED'}")
        print(
            f"  GET {clean:16} {'-':16} {'ACCUSED of ' + ', '.join(found[clean]) if found[clean] else 'silent'}"
        )
        if not named:
            wrong.append(f"{rule} was not named for GET {guilty}")
        if found[clean]:
            wrong.append(f"GET {clean} is clean and was accused of {', '.join(sorted(found[clean]))}")
    if not any(HEARTBEAT.search(line) for line in lines):
        wrong.append("the shop was stopped and gave no closing heartbeat")
    for complaint in wrong:
        print(f"demo: {complaint}", file=sys.stderr)
    return 1 if wrong else 0


def route_of(line: str) -> str | None:
    """Return the page a line of the log is about."""
    match = ROUTE.search(line)
    return match[1] or match[2] if match else None


if __name__ == "__main__":
    sys.exit(main())
