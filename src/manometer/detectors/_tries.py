"""How often one thing was tried: attempts against logical calls, and which layers multiplied them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple, final

from ._evidence import called_from

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .._detail import KeyUse
    from .._model import Frame
    from ._claims import Group

RETRYING: Final = frozenset({"tenacity"})
"""Libraries whose frames are a layer of retries, and no call of their own."""
_BELOW: Final = {"requests": "urllib3"}
"""Library that makes the tries which another one's calls contain."""
_WHOLE: Final = 0.05


class Layer(NamedTuple):
    """One layer of retries: its name and by how much it multiplied the calls."""

    name: str
    factor: float

    def __str__(self) -> str:
        """Write `tenacity x3`."""
        return f"{self.name} x{_number(self.factor)}"


@final
class Tries:
    """All tries of a group of calls.

    Attributes:
        attempts: Requests that were sent, those inside the library included.
        logical: What was meant: calls that did not follow a failure of the same.
        retries: Attempts that did.
        most: Attempts of the logical call that took most.
        quick: Retries that followed the failure within 10 ms.
        unsure: Retries after a time limit: the call before may have been done.
    """

    __slots__ = ("attempts", "calls", "logical", "most", "quick", "retries", "unsure")

    def __init__(self, group: Group) -> None:
        self.calls = sum(frame.calls for frame in group.frames)
        self.attempts = self.logical = self.retries = self.quick = self.unsure = 0
        self.most = 1.0
        for frame in group.frames:
            self._add(frame)
        self.retries = self.attempts - self.logical

    def _add(self, frame: Frame) -> None:
        detail = frame.detail
        inside = detail.boundary.retries_inside if detail is not None and detail.boundary is not None else 0
        self.attempts += frame.calls + inside
        self.logical += frame.calls
        if detail is None or not frame.calls:
            return
        per_call = (frame.calls + inside) / frame.calls
        for use in detail.keys.values():
            self.logical -= use.retries
            self.quick += use.quick
            self.unsure += use.unsure
            self.most = max(self.most, per_call * _attempts_of(use))
        self.most = max(self.most, per_call)


def _attempts_of(use: KeyUse) -> float:
    """Return the calls with the same arguments that one logical call took: every retry follows one failure."""
    logical = use.calls + use.failed
    return (logical + use.retries) / logical if logical > 0 else 1.0


def layers_of(group: Group, tries: Tries) -> list[Layer]:
    """Return the layers that multiplied the calls, the outermost first.

    Retrying libraries count their attempts themselves; what the calls inside the library do not explain, and no
    retrying library, was done by loops of the application.
    """
    found = list(_libraries_above(group.heaviest))
    per_logical = tries.calls / max(1, tries.logical)
    for layer in found:
        per_logical /= layer.factor
    if per_logical > 1 + _WHOLE:
        found.append(Layer(f"own code ({called_from(group)})", per_logical))
    inside = tries.attempts / max(1, tries.calls)
    if inside > 1 + _WHOLE:
        library = group.callsite.library
        found.append(Layer(_BELOW.get(library, library), inside))
    return found


def _libraries_above(frame: Frame) -> Iterator[Layer]:
    above: list[Layer] = []
    parent = frame.parent
    while parent is not None:
        detail = parent.detail
        if parent.callsite.library in RETRYING and detail is not None and detail.boundary is not None:
            factor = (parent.calls + detail.boundary.retries_inside) / max(1, parent.calls)
            if factor > 1 + _WHOLE:
                above.append(Layer(parent.callsite.name, factor))
        parent = parent.parent
    return reversed(above)


def _number(factor: float) -> str:
    return str(round(factor)) if abs(factor - round(factor)) < _WHOLE else f"{factor:.1f}"


def most_of(tries: Tries) -> int | float:
    """Return the attempts of the most tried call as a reader wants them."""
    whole = round(tries.most)
    return whole if abs(tries.most - whole) < _WHOLE else round(tries.most, 1)
