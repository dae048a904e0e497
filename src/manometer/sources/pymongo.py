"""The tap on pymongo, through its monitoring of commands."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, final

from .. import _guard
from .._context import HOT, drops
from . import _dbapi
from ._mongo import read_command
from ._patch import Unsupported
from ._query import begin_query, branch, end_query, fail_query, is_covered
from ._rows import Rows

if TYPE_CHECKING:
    from ..protocols import Undo
    from ._query import Query

_POINT: Final = "sources.pymongo"
_LOWEST: Final = (4, 0)
_OWN_FRAMES: Final = 4
"""`begin_query` up to the listener's own method."""
_MAX_RUNNING: Final = 1_024
"""Commands in flight, and open cursors; the oldest goes first."""


@final
class PymongoSource:
    """pymongo 4.x: the commands of clients made from now on, synchronous and asynchronous."""

    def install(self) -> Undo:
        """Register a listener.

        Raises:
            Unsupported: An older version, or one that monitors commands otherwise.
        """
        import pymongo
        from pymongo import monitoring

        numbers = tuple(int(part) for part in pymongo.version.split(".")[:2] if part.isdecimal())
        if not (_LOWEST <= numbers < (5,)):
            msg = f"pymongo {pymongo.version} is not supported (4.x is)"
            raise Unsupported(msg)
        known = getattr(getattr(monitoring, "_LISTENERS", None), "command_listeners", None)
        if type(known) is not list:
            msg = f"pymongo {pymongo.version} keeps its listeners otherwise"
            raise Unsupported(msg)
        taps = _Commands(pymongo.version)

        class Listener(monitoring.CommandListener):
            def started(self, event: Any) -> None:
                _guard.call(_POINT, taps.started, event)

            def succeeded(self, event: Any) -> None:
                _guard.call(_POINT, taps.succeeded, event, HOT["clock_"]())

            def failed(self, event: Any) -> None:
                _guard.call(_POINT, taps.failed, event, HOT["clock_"]())

        listener = Listener()
        monitoring.register(listener)

        def undo() -> None:
            taps.stop()
            # There is no public way; clients that are open keep it, and it hears nothing any more.
            known[:] = [other for other in known if other is not listener]

        return undo


@final
class _Commands:
    """The commands in flight by the number of their request, and the cursors that are open."""

    def __init__(self, version: str) -> None:
        self._version = version
        self._running: dict[int, tuple[Query, tuple[Any, ...]]] = {}
        self._more: dict[int, tuple[Rows, int, tuple[Any, Any]]] = {}
        self._cursors: dict[tuple[Any, Any], Rows] = {}
        self._stopped = False

    def stop(self) -> None:
        self._stopped = True
        for held in (self._running, self._more, self._cursors):
            held.clear()

    def started(self, event: Any) -> None:
        if self._stopped:
            return
        if event.command_name == "getMore":
            key = (event.connection_id, event.command["getMore"])
            rows = self._cursors.get(key)
            if rows is not None:
                _put(self._more, event.request_id, (rows, HOT["clock_"](), key))
            return
        on = branch()
        if on is None or is_covered(on) or (_guard.counts and _guard.is_off(_POINT)):
            return
        known = read_command(event.command_name, event.command)
        if known is None:
            return
        host, port = event.connection_id if type(event.connection_id) is tuple else ("", None)
        name = f"{event.database_name}.{known.statement.table}".rstrip(".")
        origin = _dbapi.origin("mongodb", host, port, name, "pymongo", self._version)
        shape = known.statement.shape
        query = begin_query(on, shape, origin, _OWN_FRAMES, needs_place=True, known=known.statement)
        if query is not None:
            number = event.command.get("txnNumber")
            in_transaction = event.command.get("autocommit") is False and type(number) is int
            query.call.frame.more().transaction = number if in_transaction else 0
            _put(self._running, event.request_id, (query, known.values))

    def succeeded(self, event: Any, ended_ns: int) -> None:
        reply = event.reply
        more = self._more.pop(event.request_id, None)
        if more is not None:
            rows, started_ns, key = more
            cursor = reply["cursor"]
            rows.many(cursor["nextBatch"], started_ns, ended_ns, last=not cursor["id"])
            if not cursor["id"]:
                self._cursors.pop(key, None)
            return
        running = self._running.pop(event.request_id, None)
        if running is None:
            return
        query, values = running
        if reply.get("writeErrors"):
            fail_query(query, "WriteError", values, ended_ns)
            return
        end_query(query, values, False, ended_ns)
        if query.statement.operation == "read":
            self._first(Rows(query.call), event.connection_id, reply, ended_ns)

    def _first(self, rows: Rows, connection: Any, reply: Any, ended_ns: int) -> None:
        cursor = reply.get("cursor")
        if cursor is None:  # `count` and `distinct` answer at once
            rows.many(reply.get("values", ()), ended_ns, ended_ns, last=True)
            return
        rows.many(cursor["firstBatch"], ended_ns, ended_ns, last=not cursor["id"])
        if cursor["id"]:
            _put(self._cursors, (connection, cursor["id"]), rows)

    def failed(self, event: Any, ended_ns: int) -> None:
        self._more.pop(event.request_id, None)
        running = self._running.pop(event.request_id, None)
        if running is not None:
            failure = event.failure
            name = failure.get("codeName") or failure.get("errtype")
            name = name[:64] if type(name) is str else "OperationFailure"
            fail_query(running[0], name, running[1], ended_ns)


def _put(held: dict[Any, Any], key: Any, value: Any) -> None:
    if len(held) >= _MAX_RUNNING:
        oldest = held.pop(next(iter(held)))
        if type(oldest) is Rows:
            oldest.finish()
        drops["held"] = drops.get("held", 0) + 1
    held[key] = value
