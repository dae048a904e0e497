"""What the tests of sources share: a profile around a block, and a look at what is in it."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from manometer import _context, _guard
from manometer._context import HOT, close_profile, open_profile, restore
from manometer._model import STRICT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from manometer._model import Frame, Profile


@contextmanager
def recorded(name: str = "test") -> Iterator[list[Profile]]:
    """Open a profile around the block; the list holds it once the block is left."""
    profiles: list[Profile] = []
    opened = open_profile(name, to=profiles.append, policy=STRICT, cpu=False)
    try:
        yield profiles
    finally:
        close_profile(opened)
        restore(opened)


@contextmanager
def switched_on() -> Iterator[list[Profile]]:
    """Let units of work that open by themselves deliver to the list; nothing outside them is recorded."""
    profiles: list[Profile] = []
    before = HOT["idle_"], _context.sink
    HOT["idle_"], _context.sink = False, profiles.append
    try:
        yield profiles
    finally:
        HOT["idle_"], _context.sink = before


@contextmanager
def strict_guard() -> Iterator[None]:
    """Raise what fails inside manometer."""
    _guard.strict = True
    try:
        yield
    finally:
        _guard.strict = False


def queries(profile: Profile) -> list[Frame]:
    """Return the frames of database calls, in the order of their first call."""
    found = [frame for frame in profile.root.walk() if frame.callsite.kind == "db"]
    return sorted(found, key=lambda frame: frame.more().first_started_ns)


def counts(profile: Profile) -> dict[str, int]:
    """Return the calls by name, all places together."""
    found: dict[str, int] = {}
    for frame in queries(profile):
        found[frame.callsite.name] = found.get(frame.callsite.name, 0) + frame.calls
    return found
