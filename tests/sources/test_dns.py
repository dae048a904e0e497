"""Names that a program looks up again are told; what a library looks up for a call of its own is a part of that."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING, Any

import pytest

from manometer._model import PRODUCTION
from manometer.testing import install_sources, raising, record

if TYPE_CHECKING:
    from collections.abc import Iterator

    from manometer._model import Frame


@pytest.fixture(autouse=True)
def sources() -> Iterator[None]:
    with raising(), install_sources("dns", "executors"):
        yield


def lookups(recorded: record) -> list[Frame]:
    return [frame for frame in recorded.profile.root.walk() if frame.callsite.system == "dns"]


def test_the_same_name_looked_up_again_and_again_is_a_duplicate() -> None:
    with record(policy=PRODUCTION) as recorded:
        for _ in range(30):
            socket.getaddrinfo("localhost", 80)

    (finding,) = recorded.findings
    assert (finding.rule, finding.evidence["calls"], finding.confidence) == (
        "duplicate-read",
        30,
        "confirmed",
    )
    assert finding.callsite.template == "lookup"


def test_an_event_loop_looks_up_on_a_thread_for_the_task_that_asks() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        for _ in range(6):
            await loop.getaddrinfo("localhost", 80)

    with record(policy=PRODUCTION) as recorded:
        asyncio.run(main())

    assert [item.rule for item in recorded.findings] == ["duplicate-read"]
    assert [(frame.calls, frame.callsite.function.rpartition(".")[2]) for frame in lookups(recorded)] == [
        (6, "main")
    ]


def test_one_name_and_addresses_in_numbers_are_no_finding() -> None:
    with record(policy=PRODUCTION) as recorded:
        socket.gethostbyname("localhost")
        for _ in range(30):
            socket.getaddrinfo("127.0.0.1", 80)
            socket.getaddrinfo("::1", 80)
            socket.getaddrinfo(None, 80)

    assert [frame.calls for frame in lookups(recorded)] == [1]
    assert recorded.findings == ()


def test_results_and_errors_are_the_hosts(monkeypatch: Any) -> None:
    def run() -> Any:
        found = sorted(socket.getaddrinfo(host="localhost", port=80, type=socket.SOCK_STREAM))
        try:
            socket.getaddrinfo("localhost", "no such service of the network")
        except OSError as error:
            return found, type(error), error.args
        return found

    outside = run()
    with record() as recorded:
        inside = run()

    assert inside == outside
    assert sum(frame.errors for frame in lookups(recorded)) == 1


def test_undoing_gives_the_very_same_functions_back() -> None:
    from manometer.sources import _installed

    originals = [getattr(socket, name).__wrapped__ for name in ("getaddrinfo", "gethostbyname")]
    for each in list(_installed):
        each.undo()

    assert [socket.getaddrinfo, socket.gethostbyname] == originals
