"""The version of the installed package, looked up when somebody asks."""

from __future__ import annotations


def version() -> str:
    """Return the version; `0+unknown` where the package is not installed. 2 ms the first time."""
    from importlib.metadata import PackageNotFoundError, version as installed

    try:
        return installed("manometer")
    except PackageNotFoundError:
        return "0+unknown"
