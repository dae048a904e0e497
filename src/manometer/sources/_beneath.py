"""Putting a tap beneath the classes of an application, where a driver's own class cannot be patched."""

from __future__ import annotations

from typing import Any, Final

_TAP: Final = "_manometer_tap"


def disguise(tap: type, stands_for: type) -> None:
    """Name *tap* as the driver's class: what the application prints of its objects is what it always printed."""
    tap.__name__ = tap.__qualname__ = stands_for.__name__
    tap.__module__ = stands_for.__module__
    tap.__doc__ = stands_for.__doc__


def beneath(factory: Any, base: type, tap: type) -> Any:
    """Return *factory* with the tap beneath it, or *factory* itself where that is not safe.

    Args:
        factory: What the application, or its framework, asked for.
        base: The driver's class.
        tap: The class that stands right above it.
    """
    if factory is base:
        return tap
    if type(factory) is not type or not issubclass(factory, base) or issubclass(factory, tap):
        return factory
    if any("__init_subclass__" in vars(above) for above in factory.__mro__[:-1]):
        return factory  # making a subclass would run code of the application
    for known in type.__subclasses__(factory):
        if _TAP in vars(known):
            return known
    names = {
        name: vars(factory)[name]
        for name in ("__module__", "__qualname__", "__doc__")
        if name in vars(factory)
    }
    names.setdefault("__qualname__", factory.__qualname__)
    try:
        return type(factory.__name__, (factory, tap), {**names, _TAP: True})
    except TypeError:
        return factory  # its layout leaves no room
