"""The tap on Django's transactions: from when until when one is open."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, final

from .._wait import Resource
from ._patch import patch, require
from ._pool import Pools, undo_all

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..protocols import Undo


def _describe(connection: Any) -> Resource:
    settings = connection.settings_dict
    name, host = settings.get("NAME"), settings.get("HOST")
    target = f"{name}@{host}" if host else f"{name}"
    system = connection.vendor
    return Resource(
        "transaction", f"transaction of {connection.alias}", system=system, target=target, library="django"
    )


_connections: Final = Pools("sources.django-transactions", _describe)


@final
class DjangoTransactionsSource:
    """`django.db.transaction.atomic`, the outermost one."""

    def install(self) -> Undo:
        """Patch how a block is entered and left.

        Raises:
            Unsupported: It works otherwise.
        """
        from django.db.transaction import Atomic

        require(Atomic.__enter__, "self")
        require(Atomic.__exit__, "self", "exc_type", "exc_value", "traceback")
        undos = [patch(Atomic, "__enter__", _enter), patch(Atomic, "__exit__", _exit)]
        return undo_all(undos, _connections)


def _connection(atomic: Any) -> Any:
    from django.db import transaction

    return transaction.get_connection(atomic.using)


def _enter(wrapped: Callable[..., Any], atomic: Any, args: Any, kwargs: Any) -> Any:
    result = wrapped(*args, **kwargs)
    _connections.call(_took, atomic)
    return result


def _took(atomic: Any) -> None:
    connection = _connection(atomic)
    if len(connection.atomic_blocks) <= 1:
        _connections.took(connection, connection)


def _exit(wrapped: Callable[..., Any], atomic: Any, args: Any, kwargs: Any) -> Any:
    try:
        return wrapped(*args, **kwargs)
    finally:
        _connections.call(_gave_back, atomic)


def _gave_back(atomic: Any) -> None:
    connection = _connection(atomic)
    if not connection.in_atomic_block:
        _connections.gave_back(connection, connection)
