"""The rule no-timeout: a call that may wait for ever."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ..._model import IO_KINDS
from .._bounds import edge_of, warn
from .._claims import Claims

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..._finding import Finding
    from ..._model import Profile
    from ...protocols import HistoryView

RULE: Final = "no-timeout"
_LONG_NS: Final = 1_000_000_000
"""A call beside the network's edge (a cache, a queue) that took so long makes its missing limit a warning."""
_FIXES: Final = {
    "requests": "Pass timeout=(3.05, 10), or what the caller can bear: requests waits for ever by default.",
    "urllib3": "Pass timeout=urllib3.Timeout(connect=3, read=10): urllib3 waits for ever by default.",
    "httpx": "Give back the limit that was switched off with timeout=None: httpx waits 5 s by default.",
    "aiohttp-client": "Pass timeout=aiohttp.ClientTimeout(total=10) instead of none at all.",
    "urllib": "Pass timeout=10: urllib.request waits for ever by default.",
    "redis": "Pass socket_timeout=2 (and socket_connect_timeout) to the client or in its URL.",
    "pymemcache": "Pass timeout=1 and connect_timeout=1 to the client.",
    "botocore": "Pass Config(connect_timeout=3, read_timeout=10) to the client.",
}


def no_timeout(profile: Profile, _history: HistoryView, claims: Claims | None = None) -> Iterator[Finding]:
    """Yield a finding for each place that calls without a time limit, slow or not.

    It is read from the arguments and the library's default. One silent peer then takes a worker out
    of service. Claims nothing: the same calls may be repeated as well.
    """
    claims = claims or Claims(profile)
    for group in claims.groups(RULE, IO_KINDS):
        edge = edge_of(group)
        if not edge.without_timeout:
            continue
        callsite = group.callsite
        yield warn(
            claims,
            group,
            RULE,
            confidence="confirmed",
            advice=_FIXES.get(callsite.library, "Give the call a time limit."),
            evidence={"calls_without_timeout": edge.without_timeout},
            only_info=callsite.kind != "http" and group.max_ns < _LONG_NS and not profile.policy.strict,
        )
