"""The tap on mysqlclient, the module `MySQLdb`, through the methods of its cursors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, final

from .. import _guard
from . import _dbapi, _fetch
from ._dbapi import Driver, Link
from ._patch import Unsupported, patch, require

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ..protocols import Undo
    from ._query import Origin

_POINT: Final = "sources.mysqlclient"
_NAMES: Final = ("host", "user", "password", "database", "port", "unix_socket")
"""What a connection is made from, by position."""
_ALSO: Final = {"database": "db"}


@final
class MySQLClientSource:
    """mysqlclient 2.x: every connection; which database an already open one leads to is not known."""

    def install(self) -> Undo:
        """Patch the methods of its cursor classes; subclasses of them obey.

        Raises:
            Unsupported: Another major version, or one that works otherwise.
        """
        import MySQLdb
        from MySQLdb import connections, cursors

        version = ".".join(str(part) for part in MySQLdb.version_info[:3])
        if not version.startswith("2."):
            msg = f"mysqlclient {version} is not supported (2.x is)"
            raise Unsupported(msg)
        require(cursors.BaseCursor.execute, "self", "query", "args")
        require(cursors.BaseCursor.executemany, "self", "query", "args")

        def unknown(connection: Any) -> Origin:
            return _dbapi.origin(_system(connection), "", None, "", "mysqlclient", version)

        driver = Driver(_POINT, "MySQLdb", unknown, in_transaction=_may_be_in_transaction)

        def connected(wrapped: Callable[..., Any], connection: Any, args: Any, kwargs: Any) -> Any:
            wrapped(*args, **kwargs)
            _guard.call(_POINT, _link, connection, args, kwargs, version)

        undos = [
            patch(connections.Connection, "__init__", connected),
            *_patch(driver, cursors, connections),
        ]

        def undo() -> None:
            for undo_one in undos:
                undo_one()

        return undo


def _patch(driver: Driver, cursors: Any, connections: Any) -> Iterator[Undo]:
    cursor = cursors.BaseCursor
    yield patch(cursor, "execute", _dbapi.execute(driver))
    yield patch(cursor, "executemany", _dbapi.execute(driver, many=True))
    yield patch(cursor, "callproc", _dbapi.call_procedure(driver, "CALL"))
    yield patch(cursor, "close", _fetch.close)
    if "__iter__" in vars(cursors.CursorStoreResultMixIn):  # until 2.2
        yield patch(cursors.CursorStoreResultMixIn, "__iter__", _fetch.iterate)
    # Further iteration ends in `fetchone`.
    for each in (cursors.CursorStoreResultMixIn, cursors.CursorUseResultMixIn):
        yield patch(each, "fetchone", _fetch.fetchone)
        yield patch(each, "fetchmany", _fetch.fetchmany)
        yield patch(each, "fetchall", _fetch.fetchall)
    for name in ("begin", "commit", "rollback"):
        yield patch(connections.Connection, name, _dbapi.another_transaction)


def _link(connection: Any, args: tuple[Any, ...], kwargs: dict[str, Any], version: str) -> None:
    found = dict(zip(_NAMES, args, strict=False))
    for name in _NAMES:
        for written in (name, _ALSO.get(name, name)):
            if written in kwargs:
                found[name] = kwargs[written]
    _dbapi.links.put(connection, Link(_origin(connection, found, version)))


def _origin(connection: Any, found: dict[str, Any], version: str) -> Origin:
    socket = found.get("unix_socket")
    host = socket or found.get("host") or "localhost"
    port = found.get("port") or 3306
    return _dbapi.origin(_system(connection), host, port, found.get("database"), "mysqlclient", version)


def _system(connection: Any) -> str:
    return "mariadb" if "MariaDB" in connection.get_server_info() else "mysql"


def _may_be_in_transaction(connection: Any) -> bool:
    """Tell of a connection that commits by itself that it is not; the server's own status is out of reach."""
    return bool(not connection.get_autocommit())
