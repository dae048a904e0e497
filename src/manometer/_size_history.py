"""What many profiles say about size together: growth, slowing calls, rising results, growing containers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ._containers import Containers
from ._loads import Loads
from ._sizes import Growths
from ._trends import Trends

if TYPE_CHECKING:
    from ._loads import Slower
    from ._model import Callsite, Profile
    from ._size import Container, Grown, Rise


class SizeHistory:
    """The part of the history that the question of size needs. Background thread only.

    Attributes:
        growths: How costs grow with sizes.
        trends: What changes from one unit of work to the next.
        containers: The containers of the application; whoever owns the history samples them.
        loads: How long units of work take at few and at many at once.
    """

    def __init__(self) -> None:
        self.growths = Growths()
        self.trends = Trends()
        self.containers = Containers()
        self.loads = Loads()

    def add_sizes(self, profile: Profile) -> None:
        """Learn from one sealed profile. Cost: 1 us a frame."""
        self.growths.add(profile)
        self.trends.add(profile)
        self.loads.add(profile)

    def growth(self, callsite: Callsite) -> list[Grown]:
        """Return how the cost of a callsite grows, by each sort of size that is known of it."""
        return self.growths.of(callsite)

    def slowed(self, callsite: Callsite) -> tuple[int, int]:
        """Return in how many units of work the calls slowed down, and in how many that could be told."""
        return self.trends.slowed(callsite)

    def rising(self, callsite: Callsite) -> Rise | None:
        """Say how the largest results of a callsite keep rising; None when they do not."""
        return self.trends.rising(callsite)

    def slower(self, route: str) -> Slower | None:
        """Say how the units of *route* are slower the more there are at once; None when they are not."""
        return self.loads.slower(route)

    def growing_containers(self) -> list[Container]:
        """Return the containers of the application that only ever grow."""
        return self.containers.growing()

    def not_judged(self) -> dict[str, str]:
        """Return the rules of size that are silent about some callsites, with the reason that holds for most."""
        reasons: dict[str, int] = {}
        for callsite in self.growths.callsites():
            grown = [each.growth for each in self.growths.of(callsite, anew=False)]
            if grown and all(growth.order == "unknown" for growth in grown):
                why = max(grown, key=lambda growth: growth.observations).why
                reasons[why] = reasons.get(why, 0) + 1
        if not reasons:
            return {}
        why = max(reasons, key=lambda reason: reasons[reason])
        return {
            "superlinear": f"{sum(reasons.values())} of {len(self.growths.callsites())} callsites, mostly: {why}"
        }
