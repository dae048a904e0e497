"""A small Django project: people who write posts, on whatever database a test asks for.

`configure()` sets Django up, once a process, without a settings module; `use(alias)` sends all queries to one database.
"""

from __future__ import annotations

import atexit
import shutil
import tempfile
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
ADDED: set[str] = set()
"""Aliases of servers' databases that Django knows."""
_alias = "default"


class Router:
    """Sends all models to the database in use."""

    def db_for_read(self, model: Any, **hints: Any) -> str:
        return _alias

    def db_for_write(self, model: Any, **hints: Any) -> str:
        return _alias

    def allow_relation(self, first: Any, second: Any, **hints: Any) -> bool:
        return True


def configure() -> None:
    """Set Django up with an SQLite file that goes with the process; a second call does nothing."""
    import django
    from django.conf import settings

    if settings.configured:
        return
    folder = tempfile.mkdtemp(prefix="manometer-django-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    template = {
        "DIRS": [str(HERE / "templates")],
        "BACKEND": "django.template.backends.django.DjangoTemplates",
    }
    jinja = {"DIRS": [str(HERE / "jinja")], "BACKEND": "django.template.backends.jinja2.Jinja2"}
    settings.configure(
        SECRET_KEY="not secret",
        USE_TZ=True,
        ALLOWED_HOSTS=["*"],
        DEFAULT_AUTO_FIELD="django.db.models.AutoField",
        ROOT_URLCONF=f"{__name__}.urls",
        INSTALLED_APPS=["django.contrib.contenttypes", __name__],
        MIDDLEWARE=["django.middleware.common.CommonMiddleware"],
        TEMPLATES=[template, jinja],
        DATABASE_ROUTERS=[Router()],
        DATABASES={
            "default": {"ENGINE": "django.db.backends.sqlite3", "NAME": f"{folder}/first.sqlite3"},
            "second": {"ENGINE": "django.db.backends.sqlite3", "NAME": f"{folder}/second.sqlite3"},
        },
        REST_FRAMEWORK={"DEFAULT_AUTHENTICATION_CLASSES": [], "UNAUTHENTICATED_USER": None},
    )
    django.setup()


def add_database(alias: str, engine: str, database: Any) -> None:
    """Tell Django of a server's database, with its tables and rows."""
    from django.db import connections

    ADDED.add(alias)
    connections.databases[alias] = connections.databases["default"] | {
        "ENGINE": f"django.db.backends.{engine}",
        "NAME": database.name,
        "HOST": database.host,
        "PORT": str(database.port),
        "USER": database.user,
        "PASSWORD": database.password,
    }


def use(alias: str) -> None:
    """Send all queries to *alias* from now on; its tables are made and filled where they are not."""
    global _alias
    from django.apps import apps
    from django.contrib.contenttypes.models import ContentType
    from django.db import connections

    from . import models

    _alias = alias
    connection = connections[alias]
    if models.Person._meta.db_table in connection.introspection.table_names():
        ContentType.objects.clear_cache()
        return
    with connection.schema_editor() as editor:
        for model in [ContentType, *apps.get_app_config(__name__.rpartition(".")[2]).get_models()]:
            editor.create_model(model)
    ContentType.objects.clear_cache()
    models.fill()
