"""The list of what is expensive to make and meant to be made once: where it is made, and what to do instead."""

from __future__ import annotations

import sys
from typing import Final, NamedTuple


class Setup(NamedTuple):
    """Something that is expensive to make.

    Attributes:
        name: What a reader calls it: `requests.Session`.
        module: Module whose import makes it known.
        attribute: Where in the module it is made: a function, or `Class.method`.
        remedy: What to do instead, one imperative sentence.
        always: Making it again and again is a mistake whatever it takes: most of its cost shows elsewhere.
        same: Only to make the same again, with the same arguments, is a mistake.
    """

    name: str
    module: str
    attribute: str
    remedy: str
    always: bool = False
    same: bool = False


_CLIENT: Final = (
    "Make one when the program starts and pass it on: it keeps its connections for the next call."
)
_ENGINE: Final = (
    "Make one engine for each database when the program starts: it is a pool, and a new one is empty."
)
_COMPILER: Final = "_compiler.compile" if sys.version_info >= (3, 11) else "sre_compile.compile"
"""Where re compiles what is not in its cache."""
_REGEX: Final = (
    "Compile it once and keep it; of many words make one pattern with alternatives, or a set that is looked up. "
    "The cache of re holds 512 patterns."
)
_TEMPLATE: Final = (
    "Keep one environment for the process and load templates through it: it caches what it compiled."
)
_TLS: Final = "Make one SSLContext when the program starts and pass it to the clients (verify=, ssl=): it reads all certificates."
_SCHEMA: Final = (
    "Make the validator once and keep it: checking the schema takes longer than checking the data."
)
_POOL: Final = "Make one pool when the program starts and send the work there: starting workers takes longer than most work."
_LOAD: Final = "Load it when the program starts, or keep it with functools.cache."
_CONNECTION: Final = "Keep the connection: one requests.Session (or PoolManager) for all calls, and a pool as large as the callers are many."

SETUPS: Final[dict[str, Setup]] = {
    setup.name: setup
    for setup in (
        Setup("requests.Session", "requests.sessions", "Session.__init__", _CLIENT),
        Setup("urllib3.PoolManager", "urllib3.poolmanager", "PoolManager.__init__", _CLIENT),
        Setup("connection (HTTP)", "urllib3.connection", "HTTPConnection.connect", _CONNECTION),
        Setup("connection (HTTPS)", "urllib3.connection", "HTTPSConnection.connect", _CONNECTION),
        Setup("httpx.Client", "httpx", "Client.__init__", _CLIENT),
        Setup("httpx.AsyncClient", "httpx", "AsyncClient.__init__", _CLIENT),
        Setup("aiohttp.ClientSession", "aiohttp.client", "ClientSession.__init__", _CLIENT),
        Setup("boto3.Session", "boto3.session", "Session.__init__", _CLIENT),
        Setup("boto3 client", "botocore.session", "Session.create_client", _CLIENT, always=True),
        Setup("elasticsearch.Elasticsearch", "elasticsearch", "Elasticsearch.__init__", _CLIENT, always=True),
        Setup("opensearchpy.OpenSearch", "opensearchpy", "OpenSearch.__init__", _CLIENT, always=True),
        Setup("pymongo.MongoClient", "pymongo", "MongoClient.__init__", _CLIENT, always=True),
        Setup("redis.Redis", "redis.client", "Redis.__init__", _CLIENT),
        Setup("redis.asyncio.Redis", "redis.asyncio.client", "Redis.__init__", _CLIENT),
        Setup("connection (redis)", "redis.connection", "Connection._connect", _CLIENT),
        Setup("sqlalchemy.Engine", "sqlalchemy.engine.base", "Engine.__init__", _ENGINE, always=True),
        Setup("ssl.SSLContext (certificates)", "ssl", "SSLContext.load_verify_locations", _TLS),
        Setup("ssl.SSLContext (system certificates)", "ssl", "SSLContext.load_default_certs", _TLS),
        Setup("re.compile", "re", _COMPILER, _REGEX),
        Setup("jinja2.Environment", "jinja2.environment", "Environment.__init__", _TEMPLATE),
        Setup("jinja2 template (compiled)", "jinja2.environment", "Environment.compile", _TEMPLATE),
        Setup("django.template.Template", "django.template.base", "Template.__init__", _TEMPLATE),
        Setup("pydantic.TypeAdapter", "pydantic.type_adapter", "TypeAdapter.__init__", _SCHEMA),
        Setup("fastjsonschema.compile", "fastjsonschema", "compile", _SCHEMA),
        *(
            Setup(f"jsonschema {draft}", "jsonschema.validators", f"{draft}.check_schema", _SCHEMA)
            for draft in (
                "Draft4Validator", "Draft6Validator", "Draft7Validator", "Draft201909Validator", "Draft202012Validator"
            )
        ),
        Setup("ProcessPoolExecutor", "concurrent.futures.process", "ProcessPoolExecutor.__init__", _POOL, always=True),
        Setup("multiprocessing.Pool", "multiprocessing.pool", "Pool.__init__", _POOL),
        Setup("ThreadPoolExecutor", "concurrent.futures.thread", "ThreadPoolExecutor.__init__", _POOL),
        Setup("entry points", "importlib.metadata", "entry_points", _LOAD, same=True),
        Setup("pickle.load", "pickle", "load", _LOAD, same=True),
        Setup("yaml.load", "yaml", "load", _LOAD, same=True),
    )
}  # fmt: skip
"""By name."""

SYSTEM: Final = "setup"
"""What callsites of it have as their system."""


def add(setup: Setup) -> None:
    """Add something of your own to the list, before manometer is started."""
    SETUPS[setup.name] = setup
