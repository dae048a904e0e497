"""Runs one case whose requests wait for each other, in a process of its own: `wait_case.py NAME POLICY SIZE...`.

Prints one line of JSON for each size: what was found in all of its requests.
"""

from __future__ import annotations

import importlib
import json
import pathlib
import sys
from typing import Any

from manometer import _model
from manometer._history import History
from manometer.testing import install_sources, raising, record

SOURCES = ("asgi", "fastapi", "httpx", "httpx-pool", "sqlalchemy", "sqlalchemy-pool", "sqlite3", "starlette")
"""Not what watches the event loop: whether a busy machine makes it late is another question."""
CASES = pathlib.Path(__file__).parent / "cases"


def main(name: str, policy: Any, sizes: list[int]) -> None:
    history = History()
    sys.path.insert(0, str(CASES))
    with raising(), install_sources(*SOURCES):
        module = importlib.import_module(name)
        original = module.request
        units: list[record] = []

        async def request(*args: Any, **kwargs: Any) -> Any:
            async with record(name, kind="request", policy=policy, history=history) as this:
                units.append(this)
                return await original(*args, **kwargs)

        module.request = request
        for size in sizes:
            units.clear()
            module.main(size)
            print(json.dumps([said(item) for unit in units for item in unit.findings]), flush=True)


def said(item: Any) -> dict[str, Any]:
    return {
        "rule": item.rule,
        "severity": item.severity,
        "function": item.callsite.function,
        "holder": item.holder.function if item.holder is not None else "",
        "advice": item.advice,
    }


if __name__ == "__main__":
    main(sys.argv[1], getattr(_model, sys.argv[2]), [int(text) for text in sys.argv[3:]])
