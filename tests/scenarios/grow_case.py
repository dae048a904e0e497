"""Runs one case at many sizes in a process of its own, with one history: `grow_case.py NAME POLICY SIZE...`.

The functions of the case are measured by their names, as `MANOMETER_MEASURE` does it. Prints one line of JSON
for each unit of work.
"""

from __future__ import annotations

import importlib
import json
import pathlib
import sys
from typing import Any

from manometer import _model
from manometer._history import History
from manometer.sources._by_name import measure_names
from manometer.testing import install_sources, raising, record

CASES = pathlib.Path(__file__).parent / "cases"


def main(name: str, policy: Any, sizes: list[int]) -> None:
    history = History()
    reasons: list[tuple[str, str]] = []
    with raising(), install_sources():
        undo = measure_names((f"{name}:*",), lambda module, reason: reasons.append((module, reason)))
        sys.path.insert(0, str(CASES))
        module = importlib.import_module(name)
        original = module.request

        def request(*args: Any, **kwargs: Any) -> Any:
            with record(name, kind="request", policy=policy, history=history) as this:
                found = original(*args, **kwargs)
            print(json.dumps(said(this)), flush=True)
            return found

        module.request = request
        for size in sizes:
            module.main(size)
        undo()
    assert not reasons, reasons


def said(recorded: record) -> dict[str, Any]:
    return {
        "cpu_share": recorded.profile.cpu_ns / max(1, recorded.profile.duration_ns),
        "found": [
            {
                "rule": item.rule,
                "function": item.callsite.function,
                "file": item.callsite.file,
                "confidence": item.confidence,
                "advice": item.advice,
                "evidence": dict(item.evidence),
                "template": item.callsite.template,
            }
            for item in recorded.findings
        ],
    }


if __name__ == "__main__":
    main(sys.argv[1], getattr(_model, sys.argv[2]), [int(text) for text in sys.argv[3:]])
