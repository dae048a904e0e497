"""The same program in two processes, manometer absent in one and on in the other: nothing may differ."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
FLAGS = ("-X", "dev", "-W", "always", "-X", "faulthandler")
ON = {"MANOMETER": "1", "MANOMETER_HEARTBEAT_S": "0"}
OFF = {"MANOMETER": "0"}


def environment(**variables: str) -> dict[str, str]:
    """Return the environment of a child: this one's, without manometer's variables, and *variables*."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("MANOMETER")}
    return {**kept, "PYTHONPATH": str(ROOT), "PYTHONHASHSEED": "0", **variables}


class Half:
    """One process of a pair; started once, asked for many programs."""

    def __init__(self, **variables: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, *FLAGS, "-m", "tests.properties._worker"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT, env=environment(**variables),
        )  # fmt: skip

    def ask(self, sources: list[str]) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(sources) + "\n")
        self._process.stdin.flush()

    def answer(self) -> list[Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, f"the process ended with {self._process.wait()}"
        return json.loads(line)

    def close(self) -> None:
        self._process.communicate(timeout=30)


TRIES = 3
"""Runs of a pair that must all differ: threads that race end in another order without us, too."""


class Twin:
    """The pair. Used as a context manager."""

    def __init__(self) -> None:
        self.off, self.on = Half(**OFF), Half(**ON)

    def __enter__(self) -> Twin:
        return self

    def __exit__(self, *_: object) -> None:
        self.off.close()
        self.on.close()

    def compare(self, *sources: str) -> list[dict[str, Any]]:
        """Run programs in both and fail where anything differs; returns what manometer says of itself.

        Raises:
            AssertionError: Something differs; the message shows the program and both sides.
        """
        for _ in range(TRIES):
            wrong, inside = self._once(sources)
            if not wrong:
                return inside
        raise AssertionError(wrong)

    def _once(self, sources: tuple[str, ...]) -> tuple[str, list[dict[str, Any]]]:
        self.off.ask(list(sources))
        self.on.ask(list(sources))
        wrong, inside = "", []
        for source, (off, _), (on, said) in zip(sources, self.off.answer(), self.on.answer(), strict=True):
            for part in off:
                if on[part] != off[part]:
                    wrong = wrong or f"{part} differs: {on[part]} is not {off[part]}, for\n{source}"
            inside.append(said)
        return wrong, inside
