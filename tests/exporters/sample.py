"""A request as the exporters get it: built by hand, every number fixed."""

from __future__ import annotations

import json
import re
from typing import Any

from manometer._config import Config
from manometer._finding import Finding, Report, Status
from manometer._model import Callsite, Frame, Profile
from manometer.exporters.log import LogExporter

MS = 1_000_000
ENDED_UNIX_NS = 1_795_000_000_000 * MS

ORDERS = Callsite(name="SELECT orders", function="load_orders", kind="db", file="/srv/shop/shop.py", line=29,
                  template="SELECT * FROM orders", operation="read", library="sqlalchemy")  # fmt: skip
CUSTOMER = Callsite(name="SELECT customer", function="serialize_order", kind="db", file="/srv/shop/shop.py", line=32,
                    template="SELECT customer.id, customer.name FROM customer WHERE customer.id = ?",
                    operation="read", library="sqlalchemy")  # fmt: skip
QUOTE = Callsite(name="shop.pricing.quote", function="quote", file="/srv/shop/pricing.py", line=8)
BEGIN = Callsite(name="BEGIN", kind="db", operation="control")
LOCK = Callsite(name="stock", kind="lock", function="reserve", file="/srv/shop/shop.py", line=48)


def child(parent: Frame, callsite: Callsite, calls: int, total_ms: float) -> Frame:
    frame = Frame(callsite, parent)
    frame.calls, frame.total_ns = calls, int(total_ms * MS)
    if not parent.children:
        parent.children = {}
    parent.children[callsite] = frame
    return frame


def profile(**fields: Any) -> Profile:
    root = Frame(Callsite(name="GET /orders/{id}", kind="root"), None)
    root.calls, root.total_ns = 1, 1149 * MS
    child(root, BEGIN, 1, 0.2)
    child(root, ORDERS, 1, 7.5)
    child(child(root, QUOTE, 40, 447.0), CUSTOMER, 200, 268.2)
    child(root, LOCK, 1, 22)
    values: dict[str, Any] = {
        "name": "GET /orders/{id}", "route": "/orders/{id}", "kind": "request", "status": "200",
        "trace_id": "79f120d1972a1cc8d7a67373a4366d82", "duration_ns": 1149 * MS, "cpu_ns": 289 * MS,
        "started_unix_ns": ENDED_UNIX_NS - 1149 * MS, "self_ns": 310_000,
    }  # fmt: skip
    return Profile(root=root, **(values | fields))


def n_plus_one(**fields: Any) -> Finding:
    values: dict[str, Any] = {
        "rule": "n-plus-one", "question": "repetition", "severity": "warning", "confidence": "confirmed",
        "callsite": CUSTOMER, "source": ORDERS, "cost_ns": 369 * MS, "share": 0.321,
        "saving_ns": (331 * MS, 366 * MS),
        "advice": "Add joinedload(...) to the options of the query at shop.py:29.",
        "evidence": {"calls": 200, "distinct": 200, "round_trip_ns": 1_250_000},
        "first_seen_unix_ns": ENDED_UNIX_NS - 60_000 * MS,
    }  # fmt: skip
    return Finding(**(values | fields))


def repeated_call(**fields: Any) -> Finding:
    values: dict[str, Any] = {
        "rule": "repeated-call", "question": "repetition", "severity": "warning", "callsite": QUOTE,
        "cost_ns": 247 * MS, "share": 0.215, "saving_ns": (240 * MS, 240 * MS),
        "advice": "Compute it once.", "evidence": {"calls": 40},
    }  # fmt: skip
    return Finding(**(values | fields))


def report(*findings: Finding, speaking: bool = True, held_back: int = 0, **fields: Any) -> Report:
    ids = frozenset(item.id for item in findings) if speaking else frozenset()
    return Report(profile(**fields), findings, ids, dict.fromkeys(ids, held_back))


def status(**fields: Any) -> Status:
    values: dict[str, Any] = {
        "version": "0.1.0", "pid": 4711, "uptime_s": 600.4, "units": 18_233, "findings": 3, "new": 1,
        "sources": ("flask", "sqlalchemy"), "overhead_share": 0.0061, "self_ms": 412.0,
    }  # fmt: skip
    return Status(**(values | fields))


class Lines(list[str]):
    """What a log exporter wrote, and its fake clock."""

    def __init__(self, **config: Any) -> None:
        super().__init__()
        self.now_ns = 0
        self.exporter = LogExporter(Config(**config), self.append, lambda: self.now_ns)

    def of(self, *reports: Report) -> list[str]:
        for item in reports:
            self.exporter.export(item)
        return list(self)


def parse(line: str) -> tuple[list[str], dict[str, str]]:
    """Take a logfmt line apart: the words in front, then the pairs. Fails on anything that is not one line."""
    assert line.isascii()
    assert line.isprintable()
    words, pairs, at = [], {}, 0
    token = re.compile(
        r'(?:(?P<key>[a-z_0-9]+)=)?(?:"(?P<quoted>(?:[^"\\]|\\.)*)"|(?P<bare>[^\s"=\\]+))(?: |$)'
    )
    while at < len(line):
        match = token.match(line, at)
        assert match, f"no token at {at} of {line}"
        text = match["bare"] if match["quoted"] is None else json.loads(f'"{match["quoted"]}"')
        if match["key"] is None:
            assert not pairs, f"a word after the first pair: {text}"
            words.append(text)
        else:
            assert match["key"] not in pairs
            pairs[match["key"]] = text
        at = match.end()
    return words, pairs
