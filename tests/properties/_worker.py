"""One half of a twin: a process that reads programs from its input and writes what could be seen of them."""

from __future__ import annotations

import faulthandler
import gc
import json
import logging
import os
import sys
from typing import TextIO


def main() -> None:
    """Serve until the input ends."""
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as replies:
        os.dup2(2, 1)
        _serve(replies)


def _serve(replies: TextIO) -> None:
    quiet = logging.StreamHandler(open(os.devnull, "w"))  # noqa: SIM115 - for the life of the process
    logging.getLogger("manometer").addHandler(quiet)  # without a handler its lines go to stderr
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)  # how long a callback took is no difference

    from tests.properties import _stage

    import manometer
    from manometer import _context, _guard

    manometer.current_profile()
    _stage.run("def main(): log(run(lambda: asyncio.sleep(0)))")
    gc.collect()
    gc.freeze()  # a collection then looks at the program only
    for line in sys.stdin:
        reply = []
        for source in json.loads(line):
            faulthandler.dump_traceback_later(30, exit=True)
            seen = _stage.run(source)
            # Said beside what is compared: what happened inside manometer meanwhile.
            inside = {"failed": dict(_guard.counts), "live": len(_context.live)}
            reply.append([seen, inside])
            _guard.clear()
        faulthandler.cancel_dump_traceback_later()  # to wait for work is no hang
        replies.write(json.dumps(reply) + "\n")
        replies.flush()


if __name__ == "__main__":
    main()
