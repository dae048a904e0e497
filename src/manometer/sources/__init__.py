"""The registry of the bundled sources: which library wakes which tap."""

from __future__ import annotations

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final, NamedTuple, final

from .. import _context, _guard
from . import _route

if TYPE_CHECKING:
    from collections.abc import Callable

    from .._config import Config
    from ..protocols import Undo

    Report = Callable[[str, str, str], None]


class Entry(NamedTuple):
    """One bundled source: the module whose import wakes it, and where its class is."""

    trigger: str
    module: str
    attribute: str


SOURCES: Final[dict[str, Entry]] = {
    "aiohttp-client": Entry("aiohttp.client", "aiohttp_client", "AiohttpClientSource"),
    "aiohttp-server": Entry("aiohttp.web", "aiohttp_server", "AiohttpServerSource"),
    "asgi": Entry("manometer.sources.asgi", "asgi", "ASGISource"),
    "fastapi": Entry("fastapi.routing", "fastapi", "FastAPISource"),
    "asgiref": Entry("asgiref.sync", "asgiref", "AsgirefSource"),
    "asyncio-streams": Entry("asyncio.streams", "asyncio_streams", "AsyncioStreamsSource"),
    "celery": Entry("celery", "celery", "CelerySource"),
    "botocore": Entry("botocore.client", "botocore", "BotocoreSource"),
    "event-loop": Entry("asyncio.base_events", "event_loop", "EventLoopSource"),
    "asyncio-queues": Entry("asyncio.queues", "queues", "AsyncioQueuesSource"),
    "cachetools": Entry("cachetools", "cachetools", "CachetoolsSource"),
    "django-cache": Entry("django.core.cache", "django_cache", "DjangoCacheSource"),
    "django": Entry("django.core.handlers.base", "django", "DjangoSource"),
    "django-commands": Entry("django.core.management.base", "django_commands", "DjangoCommandsSource"),
    "django-db": Entry("django.db.backends.utils", "django_db", "DjangoDatabaseSource"),
    "django-transactions": Entry("django.db.transaction", "django_transactions", "DjangoTransactionsSource"),
    "django-templates": Entry("django.template.base", "django_templates", "DjangoTemplatesSource"),
    "asyncpg": Entry("asyncpg", "asyncpg", "AsyncpgSource"),
    "mysqlclient": Entry("MySQLdb", "mysqlclient", "MySQLClientSource"),
    "psycopg": Entry("psycopg", "psycopg", "PsycopgSource"),
    "psycopg2": Entry("psycopg2", "psycopg2", "Psycopg2Source"),
    "pymemcache": Entry("pymemcache.client.base", "pymemcache", "PymemcacheSource"),
    "pymongo": Entry("pymongo", "pymongo", "PymongoSource"),
    "pymysql": Entry("pymysql", "pymysql", "PyMySQLSource"),
    "anyio": Entry("anyio._backends._asyncio", "anyio", "AnyioSource"),
    "celery-send": Entry("celery.canvas", "celery_send", "CelerySendSource"),
    "dns": Entry("socket", "dns", "DnsSource"),
    "dramatiq": Entry("dramatiq.composition", "dramatiq", "DramatiqSource"),
    "executors": Entry("concurrent.futures.thread", "executors", "ExecutorsSource"),
    "process-pools": Entry("concurrent.futures.process", "executors_process", "ProcessPoolsSource"),
    "thread-pools": Entry("multiprocessing.pool", "executors", "ThreadPoolsSource"),
    "flask": Entry("flask", "flask", "FlaskSource"),
    "httpx": Entry("httpx", "httpx", "HttpxSource"),
    "jinja2": Entry("jinja2", "jinja2", "Jinja2Source"),
    "queues": Entry("queue", "queues", "QueuesSource"),
    "redis": Entry("redis.client", "redis", "RedisSource"),
    "redis-asyncio": Entry("redis.asyncio.client", "redis_asyncio", "RedisAsyncioSource"),
    "redis-cluster": Entry("redis.cluster", "redis_cluster", "RedisClusterSource"),
    "requests": Entry("requests.sessions", "requests", "RequestsSource"),
    "opentelemetry": Entry("opentelemetry.trace", "otel", "OpenTelemetrySource"),
    "rq": Entry("rq", "rq", "RQSource"),
    "aiohttp-pool": Entry("aiohttp.connector", "pools_aiohttp", "AiohttpPoolSource"),
    "httpx-pool": Entry("httpcore", "pools_httpcore", "HttpcorePoolSource"),
    "psycopg-pool": Entry("psycopg_pool", "pools_psycopg", "PsycopgPoolSource"),
    "redis-pool": Entry("redis.connection", "pools_redis", "RedisPoolSource"),
    "redis-asyncio-pool": Entry("redis.asyncio.connection", "pools_redis", "RedisAsyncioPoolSource"),
    "sqlalchemy-pool": Entry("sqlalchemy", "pools_sqlalchemy", "SQLAlchemyPoolSource"),
    "urllib3-pool": Entry("urllib3.connectionpool", "pools_urllib3", "Urllib3PoolSource"),
    "rq-send": Entry("rq", "rq_send", "RQSendSource"),
    "setup": Entry("re", "setup", "SetupSource"),
    "sqlalchemy": Entry("sqlalchemy", "sqlalchemy", "SQLAlchemySource"),
    "sqlite3": Entry("sqlite3", "sqlite", "SQLiteSource"),
    "starlette": Entry("starlette.applications", "starlette", "StarletteSource"),
    "tenacity": Entry("tenacity", "tenacity", "TenacitySource"),
    "urllib3": Entry("urllib3.connectionpool", "urllib3", "Urllib3Source"),
    "uvicorn": Entry("uvicorn.server", "uvicorn", "UvicornSource"),
    "wsgi": Entry("manometer.sources.wsgi", "wsgi", "WSGISource"),
}
"""By the name that `Config.disable`, the heartbeat and `manometer doctor` use."""

_GREENLET: Final = "greenlet"
_hooked: Final[set[str]] = set()
_ready: Final[set[str]] = set()
"""Modules whose import has ended."""
_installed: Final[list[_Installed]] = []


@final
class _Installed:
    """What one `install_all` did, and what it still waits for."""

    def __init__(self, report: Report) -> None:
        self.report = report
        self.waiting: dict[str, Entry] = {}
        self.undos: list[Undo] = []

    def arrived(self) -> None:
        """Install what need wait no longer. Never raises: this runs inside an import of the host's.

        A package often imports the module that a source patches before it has its own names; such a
        source waits for the package as well.
        """
        if _GREENLET in _ready:
            _guard.call("sources.greenlet", _context.use_greenlets)
        for name, entry in list(self.waiting.items()):
            ready = entry.trigger in _ready and _is_ready(_package_of(entry.trigger))
            # Installing one source imports others' libraries, which comes back here.
            if ready and self.waiting.pop(name, None) is not None:
                self._install(name, entry)

    def _install(self, name: str, entry: Entry) -> None:
        try:
            import_module("._oldest", __name__).require_release(_package_of(entry.trigger))
            source = getattr(import_module(f".{entry.module}", __name__), entry.attribute)()
            self.undos.append(source.install())
        except Exception as error:
            self.report(name, "inactive", _reason(error))
        else:
            self.report(name, "active", "")

    def undo(self) -> None:
        """Take everything back, the last first; from now on imports wake nothing."""
        if self not in _installed:
            return
        _installed.remove(self)
        self.waiting.clear()
        while self.undos:
            _guard.call("sources.undo", self.undos.pop())


def _reason(error: Exception) -> str:
    from ._patch import Unsupported

    return str(error) if type(error) is Unsupported else f"{type(error).__name__}: {error}"


def install_all(config: Config, report: Report) -> Undo:
    """Tap every library that is imported, and each further one when it is imported.

    Args:
        config: Says what is disabled, and which routes are excluded.
        report: Called as `report(name, state, reason)` for each source, now and at every change.
            States: `active`; `waiting` (its library is not imported yet); `inactive` (the library
            is there and cannot be seen, the reason says why); `off` (disabled by name). May be
            called later on any thread that imports; must not raise.

    Returns:
        What restores every patched attribute by identity. Import hooks stay and do nothing.

    Called by the thread that starts manometer; 100 ms, most of it the import of wrapt.
    """
    installed = _Installed(report)
    _installed.append(installed)
    installed.undos.append(_route.exclude(config.exclude))
    if config.measure:
        from ._by_name import measure_names

        installed.undos.append(
            measure_names(
                config.measure, lambda module, reason: report(f"measure:{module}", "inactive", reason)
            )
        )
    for name, entry in SOURCES.items():
        if config.is_off(name):
            report(name, "off", "")
            continue
        installed.waiting[name] = entry
        if entry.trigger not in sys.modules:
            report(name, "waiting", "")
    triggers = dict.fromkeys(entry.trigger for entry in installed.waiting.values())
    for module in dict.fromkeys([_GREENLET, *triggers, *map(_package_of, triggers)]):
        _hear_of(module)
    installed.arrived()
    return installed.undo


def _package_of(module: str) -> str:
    return module.partition(".")[0]


def _is_ready(package: str) -> bool:
    # The import of a namespace package runs nothing, and no hook hears of it.
    return package in _ready or getattr(sys.modules.get(package), "__file__", None) is None


def _hear_of(module: str) -> None:
    """Note that *module* is imported, now or once it is; once per process, for there is no way to unregister."""
    if module in sys.modules:
        _ready.add(module)
    if module in _ready or module in _hooked:
        return
    import wrapt

    def imported(_: Any) -> None:
        _ready.add(module)
        for installed in tuple(_installed):
            _guard.call("sources.import", installed.arrived)

    _hooked.add(module)
    wrapt.register_post_import_hook(imported, module)


__all__ = ["SOURCES", "Entry", "install_all"]
