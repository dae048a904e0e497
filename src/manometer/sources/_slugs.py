"""Names in the path of a request that are data: told by the evidence, because they look like any other word."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from .._fingerprint import values_of
from .._limits import MAX_REQUEST_SHAPES

if TYPE_CHECKING:
    from .._detail import Place
    from .._model import Profile

ENOUGH: Final = 5
"""Distinct words that one line asks for at one position of a path, from which they are data."""
_ID: Final = "{id}"
_GENERAL: Final = frozenset(
    {
        "",
        "api",
        "apis",
        "rest",
        "internal",
        "public",
        "private",
        "services",
        "service",
        "admin",
        "latest",
        "web",
        "json",
    }
)
_MAX_SEGMENTS: Final = 12
_seen: Final[dict[tuple[Any, ...], set[int]]] = {}
"""By place, target and the shape without one segment: keyed hashes of the words that stood there."""


def folded(shape: str, place: Place, target: str, profile: Profile) -> str:
    """Return the shape of a request with the words folded that are data.

    A word is data when an earlier read of the unit of work returned it, or when the same line has asked
    for several others at the same position. What names the sort of thing, the first segment that is not
    a prefix of the whole interface, never is.

    Args:
        shape: `GET /users/alice`, as the path alone shows it.
        place: The line that asks.
        target: Host and port.
        profile: The unit of work.

    Application threads; 0.3 us where no word can be data, 2 us for each one that can.
    """
    path, question, query = shape.partition("?")
    parts = path.split("/")
    first = next((at for at in range(1, len(parts)) if not _is_general(parts[at])), len(parts))
    if len(parts) > _MAX_SEGMENTS or first + 1 >= len(parts):
        return shape
    changed = False
    for at in range(first + 1, len(parts)):
        word = parts[at]
        if not word or word[0] in "{*" or word == "*":
            continue
        hashed = values_of((word,))
        if hashed and (
            _is_returned(profile, hashed[0]) or _is_one_of_many(parts, at, place, target, hashed[0])
        ):
            parts[at] = _ID
            changed = True
    return "/".join(parts) + question + query if changed else shape


def _is_general(segment: str) -> bool:
    return segment.lower() in _GENERAL or (segment[:1] == "v" and segment[1:].isdigit())


def _is_returned(profile: Profile, value: int) -> bool:
    return any(value in read.values for read in list(profile.returned.values()))


def _is_one_of_many(parts: list[str], at: int, place: Place, target: str, value: int) -> bool:
    key = (place, target, "/".join([*parts[:at], "", *parts[at + 1 :]]), at)
    words = _seen.get(key)
    if words is None:
        if len(_seen) >= MAX_REQUEST_SHAPES:
            _seen.clear()
        words = _seen[key] = set()
    if len(words) < ENOUGH:
        words.add(value)
    return len(words) >= ENOUGH


def forget() -> None:
    """Forget what was learned."""
    _seen.clear()
