"""Runs one case in a process of its own, for what is configured once a process: `run_case.py NAME POLICY`.

Prints one line of JSON for each size: the calls that were seen, the findings, and what could not be judged.
"""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

from loading import load  # the folder of a program is on its path

from manometer import _model
from manometer.testing import install_sources, raising, record

if TYPE_CHECKING:
    from types import ModuleType


def run(module: ModuleType, name: str, size: int, policy: Any) -> list[record]:
    """Call `main(size)`; one recording for each call of `request` in it."""
    recorded: list[record] = []
    original = module.request

    def request(*args: Any, **kwargs: Any) -> Any:
        with record(name, kind="request", policy=policy) as this:
            recorded.append(this)
            return original(*args, **kwargs)

    module.request = request  # type: ignore[attr-defined]
    try:
        module.main(size)
    finally:
        module.request = original  # type: ignore[attr-defined]
    return recorded


def said(recorded: record) -> dict[str, Any]:
    """Return what there is to say of one recording, as plain data."""
    return {
        "calls": sum(frame.calls for frame in recorded.profile.root.walk() if frame.callsite.kind == "db"),
        "not_judged": recorded.profile.not_judged,
        "found": [
            {
                "rule": item.rule,
                "function": item.callsite.function,
                "file": item.callsite.file,
                "template": item.callsite.template,
                "calls": item.evidence["calls"],
                "confidence": item.confidence,
                "advice": item.advice,
                "source": "" if item.source is None else item.source.template,
            }
            for item in recorded.findings
        ],
    }


def main(name: str, policy: str) -> None:
    with raising(), install_sources():
        module = load(name)
        for size in module.SIZES:
            (recorded,) = run(module, name, size, getattr(_model, policy))
            print(json.dumps(said(recorded)))


if __name__ == "__main__":
    main(*sys.argv[1:])
