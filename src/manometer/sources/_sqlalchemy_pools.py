"""What is known about SQLAlchemy's pools, for the tap on them and for the one on statements."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from .._wait import Resource
from ._pool import Pools

if TYPE_CHECKING:
    from ._query import Origin

POINT: Final = "sources.sqlalchemy-pool"


def _describe(pool: Any) -> Resource:
    overflow, size = pool._max_overflow, pool._pool.maxsize
    limit = size + overflow if overflow >= 0 and size > 0 else 0
    return Resource("pool", f"sqlalchemy {type(pool).__name__}", limit=limit, library="sqlalchemy")


pools: Final = Pools(POINT, _describe)


def name(engine: Any, origin: Origin) -> None:
    """Say which database is behind the pool of *engine*; 0.3 us."""
    pools.name(engine.pool, origin)


def used(connection: Any, spent_ns: int) -> None:
    """Add the time of one statement to what its connection was held for; 0.5 us.

    Args:
        connection: The `Connection` that executed it.
        spent_ns: For how long.
    """
    proxied = connection._dbapi_connection
    record = getattr(proxied, "_connection_record", None)
    hold = None if record is None else pools.hold(getattr(proxied, "_pool", None), record)
    if hold is not None:
        hold.used_ns += spent_ns
