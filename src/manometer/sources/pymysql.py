"""The tap on PyMySQL, through the methods of its cursors."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final, final

from . import _dbapi, _fetch
from ._dbapi import Driver
from ._patch import Unsupported, patch, require

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..protocols import Undo
    from ._query import Origin

_POINT: Final = "sources.pymysql"
_IN_TRANSACTION: Final = 1
"""Flag of the server's status."""


@final
class PyMySQLSource:
    """PyMySQL 1.x: every connection, also those that are open already."""

    def install(self) -> Undo:
        """Patch the methods of its cursor classes; subclasses of them obey.

        Raises:
            Unsupported: Another major version, or one that works otherwise.
        """
        import pymysql
        from pymysql import connections, cursors

        # Not `__version__`: that may be the one of mysqlclient, for which it stands in.
        version = ".".join(str(part) for part in pymysql.VERSION[:3])
        if pymysql.VERSION[0] != 1:
            msg = f"PyMySQL {version} is not supported (1.x is)"
            raise Unsupported(msg)
        require(cursors.Cursor.execute, "self", "query", "args")
        require(cursors.Cursor.executemany, "self", "query", "args")
        driver = Driver(_POINT, "pymysql", partial(_origin, version), in_transaction=_in_transaction)
        undos = list(_patch(driver, cursors, connections))

        def undo() -> None:
            for undo_one in undos:
                undo_one()

        return undo


def _patch(driver: Driver, cursors: Any, connections: Any) -> Iterator[Undo]:
    cursor = cursors.Cursor
    yield patch(cursor, "execute", _dbapi.execute(driver))
    yield patch(cursor, "executemany", _dbapi.execute(driver, many=True))
    yield patch(cursor, "callproc", _dbapi.call_procedure(driver, "CALL"))
    yield patch(cursor, "fetchall", _fetch.fetchall)
    yield patch(cursor, "close", _fetch.close)
    # Iteration, and all that an unbuffered cursor fetches at once, ends in `fetchone`.
    for each in (cursor, cursors.SSCursor):
        yield patch(each, "fetchone", _fetch.fetchone)
        yield patch(each, "fetchmany", _fetch.fetchmany)
    yield patch(cursors.SSCursor, "close", _fetch.close)
    for name in ("begin", "commit", "rollback"):
        yield patch(connections.Connection, name, _dbapi.another_transaction)


def _origin(version: str, connection: Any) -> Origin:
    system = "mariadb" if "MariaDB" in str(connection.server_version) else "mysql"
    host, port = connection.host, connection.port
    if connection.unix_socket:
        host, port = connection.unix_socket, None
    return _dbapi.origin(system, host, port, connection.db, "pymysql", version)


def _in_transaction(connection: Any) -> bool:
    # The flag is as old as the last statement that returned no rows.
    return bool(connection.server_status & _IN_TRANSACTION) or not connection.get_autocommit()
