"""The tap on psycopg2, beneath whatever classes the application made of its connection and cursor."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final, final

from .. import _guard
from . import _dbapi, _fetch
from ._beneath import beneath, disguise
from ._composed import Composer
from ._dbapi import Driver
from ._patch import Unsupported, patch, require

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..protocols import Undo
    from ._query import Origin

_POINT: Final = "sources.psycopg2"
_LOWEST: Final = (2, 9)
_FRAMES: Final = 4
"""`begin_on_cursor` up to the method of the tapped cursor."""
_OWN: Final = frozenset({"get_oids", "_from_db", "_get_json_oids"})
"""Functions of psycopg2.extras that look types up in the catalogue."""
_CURSOR_FACTORY_AT: Final = 1
"""Place of `cursor_factory` among the positional arguments of `connection.cursor`."""

_classes: Final[list[type]] = []


@final
class Psycopg2Source:
    """psycopg2 2.9 and later 2.x: connections made from now on, whatever their factory."""

    def install(self) -> Undo:
        """Patch `connect`; connections opened before are not seen.

        Raises:
            Unsupported: An older version, or one that works otherwise.
        """
        import psycopg2
        from psycopg2 import extensions, sql

        version = str(psycopg2.__version__).split(" ")[0]
        numbers = tuple(int(part) for part in version.split(".")[:2] if part.isdecimal())
        if not (_LOWEST <= numbers < (3,)):
            msg = f"psycopg2 {version} is not supported (2.9 and later 2.x are)"
            raise Unsupported(msg)
        if getattr(sql.SQL("x"), "_wrapped", None) != "x":
            msg = f"psycopg2 {version} composes statements otherwise"
            raise Unsupported(msg)
        require(psycopg2.connect, "dsn", "connection_factory", "cursor_factory")
        driver = Driver(
            _POINT,
            "psycopg2",
            partial(_origin, version),
            text=Composer(sql, lambda part: part._wrapped).text,
            has_rows=lambda cursor: cursor.description is not None or cursor.name is not None,
            in_transaction=lambda connection: connection.info.transaction_status != 0,
            own=_OWN,
        )
        if not _classes:  # once: the application's classes are made anew on top of them
            cursor = _cursor_class(driver, extensions.cursor)
            _classes.append(_connection_class(extensions.connection, extensions.cursor, cursor))

        def connect(wrapped: Callable[..., Any], _: Any, args: Any, kwargs: Any) -> Any:
            given = _guard.call(_POINT, _with_tap, args, kwargs, extensions.connection, _classes[0])
            args, kwargs = given or (args, kwargs)
            return wrapped(*args, **kwargs)

        return patch(psycopg2, "connect", connect)


def _with_tap(args: Any, kwargs: Any, base: type, tap: type) -> tuple[Any, Any]:
    if len(args) > 1:
        factory = base if args[1] is None else args[1]
        return (args[0], beneath(factory, base, tap), *args[2:]), kwargs
    factory = kwargs.get("connection_factory")
    return args, {**kwargs, "connection_factory": beneath(base if factory is None else factory, base, tap)}


def _origin(version: str, connection: Any) -> Origin:
    info = connection.info
    return _dbapi.origin("postgresql", info.host, info.port, info.dbname, "psycopg2", version)


def _connection_class(base: Any, cursor_base: type, cursor_tap: type) -> type:
    original = base.cursor

    class Tapped(base):  # type: ignore[misc]
        def cursor(self, *args: Any, **kwargs: Any) -> Any:
            if len(args) > _CURSOR_FACTORY_AT:
                wanted = args[_CURSOR_FACTORY_AT]
            else:
                wanted = kwargs.get("cursor_factory")
            if wanted is None:
                wanted = self.cursor_factory
            factory = _guard.call(
                _POINT, beneath, cursor_base if wanted is None else wanted, cursor_base, cursor_tap
            )
            if factory is None:
                return original(self, *args, **kwargs)
            if len(args) > _CURSOR_FACTORY_AT:
                args = (args[0], factory, *args[_CURSOR_FACTORY_AT + 1 :])
                return original(self, *args, **kwargs)
            return original(self, *args, **{**kwargs, "cursor_factory": factory})

    disguise(Tapped, base)
    return Tapped


def _cursor_class(driver: Driver, base: Any) -> type:
    class Tapped(base):  # type: ignore[misc]
        def execute(self, *args: Any, **kwargs: Any) -> Any:
            return _dbapi.run(driver, super().execute, self, args, kwargs, frames=_FRAMES)

        def executemany(self, *args: Any, **kwargs: Any) -> Any:
            return _dbapi.run(driver, super().executemany, self, args, kwargs, True, frames=_FRAMES)

        def callproc(self, *args: Any, **kwargs: Any) -> Any:
            called = partial(super().callproc, *args, **kwargs)
            given = _dbapi.procedure(args, kwargs, "SELECT * FROM")
            return _dbapi.run(driver, lambda *_: called(), self, given, {}, frames=_FRAMES)

        def copy_expert(self, *args: Any, **kwargs: Any) -> Any:
            called = partial(super().copy_expert, *args, **kwargs)
            text = _dbapi.given(args, kwargs, 0, ("sql",))
            return _dbapi.run(driver, lambda *_: called(), self, (text,), {}, frames=_FRAMES)

        def copy_from(self, *args: Any, **kwargs: Any) -> Any:
            called = partial(super().copy_from, *args, **kwargs)
            given = _copy("COPY {} FROM STDIN", args, kwargs)
            return _dbapi.run(driver, lambda *_: called(), self, given, {}, frames=_FRAMES)

        def copy_to(self, *args: Any, **kwargs: Any) -> Any:
            called = partial(super().copy_to, *args, **kwargs)
            given = _copy("COPY {} TO STDOUT", args, kwargs)
            return _dbapi.run(driver, lambda *_: called(), self, given, {}, frames=_FRAMES)

        def fetchone(self) -> Any:
            return _fetch.fetchone(super().fetchone, self, (), {})

        def fetchmany(self, *args: Any, **kwargs: Any) -> Any:
            return _fetch.fetchmany(super().fetchmany, self, args, kwargs)

        def fetchall(self) -> Any:
            return _fetch.fetchall(super().fetchall, self, (), {})

        def __next__(self) -> Any:
            return _fetch.step(super().__next__, self, (), {})

        def close(self) -> Any:
            return _fetch.close(super().close, self, (), {})

    disguise(Tapped, base)
    return Tapped


def _copy(form: str, args: Any, kwargs: Any) -> tuple[Any]:
    table = _dbapi.plain_text(_dbapi.given(args, kwargs, 1, ("table",)))
    return (None if table is None else form.format(table),)
