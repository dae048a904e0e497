"""A child process in which KeyboardInterrupt arrives at random points of a measured program."""

from __future__ import annotations

import collections
import json
import logging
import random
import signal
import sys
import time
from typing import TYPE_CHECKING, Any

import manometer
from manometer import _context, _guard
from manometer._context import variable

if TYPE_CHECKING:
    from manometer import Profile

LONGEST_US = 400


def main(points: int, seed: int) -> dict[str, Any]:
    """Interrupt until *points* interrupts were delivered; say what became of them."""
    from tests.properties._hosts import outside, plain, stepped

    logging.getLogger().addHandler(logging.NullHandler())
    manometer.start(manometer.Config(heartbeat_s=0))
    sealed: list[Profile] = []
    _context.sink = sealed.append
    state = {"raised": 0}
    armed = False

    def interrupt(*_: Any) -> None:
        if armed:
            state["raised"] += 1
            raise KeyboardInterrupt

    signal.signal(signal.SIGALRM, interrupt)
    chance = random.Random(seed)
    found: collections.Counter[str] = collections.Counter()
    last = time.monotonic()
    while state["raised"] < points and time.monotonic() - last < 60:
        before = state["raised"]
        host = chance.choice((plain, stepped, outside))
        armed = True
        try:
            signal.setitimer(signal.ITIMER_REAL, chance.uniform(1e-6, LONGEST_US * 1e-6))
            host()
            armed = False
        except KeyboardInterrupt as error:
            armed = False
            found["surfaced"] += 1
            where = _innermost(error)
        except BaseException as error:
            armed = False
            found[f"became {type(error).__name__}"] += 1
        armed = False
        signal.setitimer(signal.ITIMER_REAL, 0)
        if state["raised"] == before:
            sealed.clear()
            continue
        last = time.monotonic()
        if _unbalanced(sealed):
            found["unbalanced"] += 1
            found[f"unbalanced {where}"] += 1
        left = variable.get()
        if left is False or (left is not None and left.profile.kind != "process"):
            found["left current"] += 1
            found[f"left current {where}"] += 1
            variable.set(None)
        elif left is not None and left.frame is not left.profile.root:
            found[f"rolling left at a frame {where}"] += 1
            left.frame = left.profile.root
        found["left in flight"] += len(_context.live)
        _context.live.clear()
        sealed.clear()
    return {"raised": state["raised"], "failed": dict(_guard.counts), **found}


def _unbalanced(sealed: list[Profile]) -> int:
    return sum(
        1 for profile in sealed if any(frame.active & 1 or frame.active >> 2 for frame in profile.root.walk())
    )


def _innermost(error: BaseException) -> str:
    traceback = error.__traceback__
    where = ""
    while traceback is not None:
        code = traceback.tb_frame.f_code
        where = (
            f"{code.co_filename.rpartition('/')[2]}:{code.co_name}" if code.co_name != "interrupt" else where
        )
        traceback = traceback.tb_next
    return where


if __name__ == "__main__":
    print(json.dumps(main(int(sys.argv[1]), int(sys.argv[2]))))
