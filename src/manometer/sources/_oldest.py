"""The oldest release of each library that is supported."""

from __future__ import annotations

import re
import sys
from typing import Final

from ._patch import Unsupported

OLDEST: Final[dict[str, tuple[str, str]]] = {
    "MySQLdb": ("mysqlclient", "2.1"),
    "aiohttp": ("aiohttp", "3.9"),
    "anyio": ("anyio", "3.7"),
    "asgiref": ("asgiref", "3.6"),
    "asyncpg": ("asyncpg", "0.27"),
    "botocore": ("botocore", "1.20"),
    "cachetools": ("cachetools", "5.0"),
    "celery": ("celery", "5.3"),
    "django": ("Django", "4.2"),
    "dramatiq": ("dramatiq", "1.17"),
    "fastapi": ("fastapi", "0.100"),
    "flask": ("Flask", "2.0"),
    "httpcore": ("httpcore", "1.0"),
    "httpx": ("httpx", "0.25"),
    "jinja2": ("Jinja2", "3.0"),
    "opentelemetry": ("opentelemetry-api", "1.20"),
    "psycopg": ("psycopg", "3.1"),
    "psycopg2": ("psycopg2", "2.9"),
    "psycopg_pool": ("psycopg-pool", "3.1"),
    "pymemcache": ("pymemcache", "3.0"),
    "pymongo": ("pymongo", "4.0"),
    "pymysql": ("PyMySQL", "1.0"),
    "redis": ("redis", "4.4"),
    "requests": ("requests", "2.25"),
    "rq": ("rq", "1.10"),
    "sqlalchemy": ("SQLAlchemy", "1.4"),
    "starlette": ("starlette", "0.27"),
    "tenacity": ("tenacity", "8.0"),
    "urllib3": ("urllib3", "1.26"),
    "uvicorn": ("uvicorn", "0.23"),
}
"""By the package that is imported: the distribution, and the release from which on its taps were tried."""


def require_release(package: str) -> None:
    """Check that a package which is imported is not older than what its taps were tried with.

    One that does not say which release it is passes: its taps check what they patch in any case. Called while
    the package is imported, or at the start; reads the metadata of a distribution, where it must.

    Raises:
        Unsupported: It is older; the message says which release is the oldest.
    """
    distribution, oldest = OLDEST.get(package, ("", ""))
    found = _release(package, distribution) if distribution else ""
    if found and _numbers(found) < _numbers(oldest):
        msg = f"{distribution} {found} is not supported ({oldest} and later are)"
        raise Unsupported(msg)


def _release(package: str, distribution: str) -> str:
    # Its attributes and not `getattr`: some libraries warn whoever asks them for their version.
    said = getattr(sys.modules.get(package), "__dict__", {}).get("__version__")
    if type(said) is str and _numbers(said):
        return said
    from importlib import metadata

    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return ""


def _numbers(release: str) -> tuple[int, ...]:
    found = re.match(r"\d{1,9}(?:\.\d{1,9}){0,2}", release)
    return tuple(int(part) for part in found[0].split(".")) if found else ()
