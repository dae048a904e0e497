"""What the history says of sizes, as plain records: how a cost grew, how results rose, which container grows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from ._growth import Growth

Clock = Literal["cpu", "wall"]


class Grown(NamedTuple):
    """How the cost of a callsite grows with one sort of size.

    Attributes:
        by: The size: the name of a parameter, or `rows`, `items`, `calls`.
        clock: Whether the costs are CPU time, or durations.
        growth: What they say.
    """

    by: str
    clock: Clock
    growth: Growth


class Rise(NamedTuple):
    """The largest results of successive windows: the first and the last kept, how many, over how many units of work."""

    first: int
    last: int
    windows: int
    units: int


class Container(NamedTuple):
    """One container that keeps growing.

    Attributes:
        name: Module and attribute: `app.sessions.SEEN`.
        file: Source file of the module.
        length: Its length now.
        added: What was added while it was watched.
        units: Units of work in that time.
        samples: How often it was looked at.
    """

    name: str
    file: str
    length: int
    added: int
    units: int
    samples: int
