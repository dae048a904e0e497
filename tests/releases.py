"""Which releases of libraries are too old for which source: there it must say so, and everywhere else be active."""

from __future__ import annotations

import re
from importlib import metadata

import pytest

FIRST_SEEN = {
    "aiohttp-pool": ("aiohttp", (3, 11)),
    "anyio": ("anyio", (4,)),
    "httpx-pool": ("httpcore", (1, 0, 3)),
    "redis-asyncio-pool": ("redis", (5, 0, 1)),
}
"""By source, where it needs more than the rest of its library's sources: the distribution and the first release."""


def is_too_old(source: str) -> bool:
    """Tell whether what is installed here cannot be seen by *source*."""
    if source not in FIRST_SEEN:
        return False
    distribution, first = FIRST_SEEN[source]
    numbers = tuple(map(int, re.findall(r"\d+", metadata.version(distribution))))[:3]
    return numbers < first


def skip_too_old(source: str) -> None:
    """Skip the test where *source* cannot see what is installed."""
    if is_too_old(source):
        pytest.skip(
            f"{FIRST_SEEN[source][0]} {metadata.version(FIRST_SEEN[source][0])} is too old for {source}"
        )
