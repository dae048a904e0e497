"""The record of waiting for what is shared: who held it, for how long, and what the holder was doing."""

from __future__ import annotations

from typing import Any, Final, Literal, final

from . import _limits

Place = tuple[str, int, str]
"""File, line and qualified function of one Python frame of the application; the same as in `_detail`."""

Sort = Literal["pool", "lock", "executor", "semaphore", "queue", "transaction"]

SHORTEST_NS: Final = 100_000
"""A pool that answers within it made nobody wait."""


@final
class Holder:
    """Everybody who took a resource at one place, added up.

    Attributes:
        holds: How often it was taken there and given back.
        held_ns: For how long in all, in nanoseconds.
        used_ns: Of that, the time in which it was used, where that is known.
        longest_ns: The longest of them.
        doing: What was seen of them meanwhile: a line of the application, and how often.
    """

    __slots__ = ("doing", "held_ns", "holds", "longest_ns", "used_ns")

    def __init__(self) -> None:
        self.holds = self.held_ns = self.used_ns = self.longest_ns = 0
        self.doing: dict[Place, int] = {}

    def add(self, held_ns: int, hold: Hold) -> None:
        """Add one hold; the older half is forgotten now and then."""
        for place, count in hold.doing.items():
            see(self.doing, place, count)
        if self.holds >= _limits.MAX_HOLDS_ADDED:
            self.holds //= 2
            self.held_ns //= 2
            self.used_ns //= 2
        self.holds += 1
        self.held_ns += held_ns
        self.used_ns += hold.used_ns
        self.longest_ns = max(self.longest_ns, held_ns)


def see(seen: dict[Place, int], place: Place, count: int = 1) -> None:
    """Count that somebody was seen at *place*; beyond the bound it is left out."""
    if place in seen or len(seen) < _limits.MAX_HOLDERS:
        seen[place] = seen.get(place, 0) + count


@final
class Hold:
    """A resource in somebody's hands.

    Attributes:
        place: The line of the application that took it.
        since_ns: Monotonic instant at which it was taken.
        used_ns: Time in which it was used so far.
        owner: Thread and task that took it (see `_stacks`).
        profile: The unit of work it was taken in; None outside.
        doing: Where it was seen while somebody waited, and how often.
        crossed: Calls to others made meanwhile: their callsite, how many, for how long.
    """

    __slots__ = ("crossed", "doing", "owner", "place", "profile", "since_ns", "used_ns")

    def __init__(self, place: Place, since_ns: int, owner: Any, profile: Any) -> None:
        self.place = place
        self.since_ns = since_ns
        self.owner = owner
        self.profile = profile
        self.used_ns = 0
        self.doing: dict[Place, int] = {}
        self.crossed: dict[Any, tuple[int, int]] = {}

    def cross(self, callsite: Any, spent_ns: int) -> None:
        """Add a call to somebody else that was made while this was held."""
        known = self.crossed.get(callsite)
        if known is None and len(self.crossed) >= _limits.MAX_HOLDERS:
            return
        count, before_ns = known or (0, 0)
        self.crossed[callsite] = (count + 1, before_ns + spent_ns)


@final
class Held:
    """A hold that has ended, as its unit of work remembers it."""

    __slots__ = ("crossed", "place", "resource", "since_ns", "until_ns", "used_ns")

    def __init__(self, resource: Resource, hold: Hold, until_ns: int) -> None:
        self.resource = resource
        self.place = hold.place
        self.since_ns = hold.since_ns
        self.until_ns = until_ns
        self.used_ns = hold.used_ns
        self.crossed = hold.crossed


@final
class Resource:
    """Something that several must share: a pool, a lock, an executor. Knows nothing of the object itself.

    Written without a lock by whoever takes and gives back: each step is one operation of a dict.

    Attributes:
        sort: What it is.
        name: What a reader calls it; without values.
        system: Product behind it, as OpenTelemetry names it.
        target: Database or host behind it.
        library: Library it is of.
        limit: How many may hold it at once; 0 when there is no limit, or it is not known.
        open: Who holds it now, by an identity of what was taken.
        holders: Who held it, by the place.
        waits: How often somebody had to wait for it.
        waited_ns: For how long in all.
        waiting: How many wait now.
    """

    __slots__ = (
        "holders", "library", "limit", "name", "open", "sort", "system", "target", "waited_ns", "waiting", "waits",
    )  # fmt: skip

    def __init__(
        self, sort: Sort, name: str, *, limit: int = 0, system: str = "", target: str = "", library: str = ""
    ) -> None:
        self.sort: Sort = sort
        self.name = name
        self.system = system
        self.target = target
        self.library = library
        self.limit = limit
        self.open: dict[int, Hold] = {}
        self.holders: dict[Place, Holder] = {}
        self.waits = self.waited_ns = 0
        self.waiting: set[int] = set()

    def holder(self, place: Place) -> Holder | None:
        """Return what is known of those who took it at *place*, made on first use; None beyond the bound."""
        found = self.holders.get(place)
        if found is None and len(self.holders) < _limits.MAX_HOLDERS:
            found = self.holders.setdefault(place, Holder())
        return found


Blame = tuple[Place, "Place | None", int]
"""Where a holder took it, what it was doing when somebody had to wait, and for how long it had held it by then."""


@final
class Waits:
    """The waits of one frame.

    Attributes:
        resource: What was waited for.
        longest_ns: The longest wait.
        failed: Waits that ended in an error: a timeout.
        taken: Most that others held at once.
        blamed: Place where it was taken and what the holder was doing, with the waits it caused and their time.
    """

    __slots__ = ("blamed", "failed", "longest_ns", "resource", "taken")

    def __init__(self, resource: Resource) -> None:
        self.resource = resource
        self.longest_ns = self.failed = self.taken = 0
        self.blamed: dict[tuple[Place, Place | None], tuple[int, int]] = {}

    def add(self, waited_ns: int, blamed: list[Blame], *, failed: bool = False) -> None:
        """Add one wait, shared by all who held it meanwhile."""
        self.longest_ns = max(self.longest_ns, waited_ns)
        self.failed += failed
        self.taken = max(self.taken, len(blamed))
        for place, doing, _ in blamed:
            self._blame((place, doing), 1, waited_ns // len(blamed))

    def _blame(self, key: tuple[Place, Place | None], count: int, waited_ns: int) -> None:
        known = self.blamed.get(key)
        if known is None and len(self.blamed) >= _limits.MAX_HOLDERS:
            return
        before, before_ns = known or (0, 0)
        self.blamed[key] = (before + count, before_ns + waited_ns)

    def merge(self, other: Waits) -> None:
        """Add what another frame of the same callsite counted."""
        self.longest_ns = max(self.longest_ns, other.longest_ns)
        self.failed += other.failed
        self.taken = max(self.taken, other.taken)
        for key, (count, waited_ns) in other.blamed.items():
            self._blame(key, count, waited_ns)
