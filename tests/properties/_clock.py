"""Scripted time: the monotonic clock that manometer measures with, and a wall clock that steps and freezes."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from manometer.testing import FakeClock

if TYPE_CHECKING:
    import pytest

__all__ = ["FakeClock", "WallClock"]


class WallClock:
    """The wall clock of the process, `time.time` and `time.time_ns`, told what to say.

    It goes on with the true clock from wherever it was last put, or stands still.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._true_ns = time.time_ns
        self._offset_ns = 0
        self._frozen_ns: int | None = None
        monkeypatch.setattr(time, "time_ns", self.now_ns)
        monkeypatch.setattr(time, "time", lambda: self.now_ns() / 1e9)

    def now_ns(self) -> int:
        return self._true_ns() + self._offset_ns if self._frozen_ns is None else self._frozen_ns

    def step(self, seconds: float) -> None:
        """Put the clock forward, or back."""
        self._offset_ns += int(seconds * 1e9)
        if self._frozen_ns is not None:
            self._frozen_ns += int(seconds * 1e9)

    def freeze(self) -> None:
        """Let it stand still from now on."""
        self._frozen_ns = self.now_ns()

    def __getattr__(self, name: str) -> Any:
        return getattr(time, name)
