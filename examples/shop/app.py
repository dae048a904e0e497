"""The application factory of the shop."""

from __future__ import annotations

import atexit
import os
import tempfile
from pathlib import Path

from flask import Flask

from shop.database import open_database
from shop.views import pages


def create_app(folder: Path | None = None, round_trip_ms: float | None = None) -> Flask:
    """Build the shop on a fresh database.

    Args:
        folder: Where the database file goes; a temporary folder, removed at exit, when absent.
        round_trip_ms: Milliseconds added to each statement; `SHOP_ROUND_TRIP_MS`, or nothing, when absent.
    """
    if folder is None:
        temporary = tempfile.TemporaryDirectory(prefix="shop-")
        atexit.register(temporary.cleanup)
        folder = Path(temporary.name)
    if round_trip_ms is None:
        round_trip_ms = float(os.environ.get("SHOP_ROUND_TRIP_MS", "0"))
    app = Flask(__name__)
    app.extensions["database"] = open_database(folder / "shop.db", round_trip_ms)
    app.register_blueprint(pages)
    return app
