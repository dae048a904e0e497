"""The four extension points, as protocols: source, probe, detector, exporter."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from ._cache_facts import CacheFacts, Memoizable
    from ._finding import Finding, Report
    from ._loads import Slower
    from ._model import Callsite, Profile
    from ._size import Container, Grown, Rise

Undo = Callable[[], None]


class HistoryView(Protocol):
    """What detectors may ask about earlier profiles; owned by the background thread."""

    def profiles(self, route: str) -> int:
        """Return how many profiles of *route* were seen, the current one included."""

    def counts_follow_rows(self, route: str, callsite: object) -> tuple[float, float, int, float] | None:
        """Fit calls = a + b x rows over the profiles of *route*.

        Returns:
            `(a, b, profiles, residual)`, or None while rows did not vary enough to tell; the
            residual is the share of the variance that the line leaves over, 0 for a perfect one.
        """

    def latency(self, route: str, callsite: Callsite | None = None) -> tuple[int, ...]:
        """See `_history.History.latency`."""

    def rows_seen(self, route: str, callsite: object) -> int:
        """Return over how many distinct numbers of rows, from one on, that fit was made."""

    def growth(self, callsite: Callsite) -> Iterable[Grown]:
        """Return how the cost of a callsite grows, by each sort of size that is known of it."""

    def slowed(self, callsite: Callsite) -> tuple[int, int]:
        """Return in how many units of work the calls slowed down, and in how many that could be told."""

    def rising(self, callsite: Callsite) -> Rise | None:
        """Say how the largest results of a callsite keep rising; None when they do not."""

    def slower(self, route: str) -> Slower | None:
        """Say how the units of *route* are slower the more there are at once; None when they are not."""

    def growing_containers(self) -> Iterable[Container]:
        """Return the containers of the application that only ever grow."""

    def cache_facts(self) -> Iterable[CacheFacts]:
        """Return what was seen of each cache between the last two looks; none where nobody looked."""

    def memoizable(self) -> Iterable[Memoizable]:
        """Return the functions that are asked the same from one unit of work to the next."""

    def peak_follows_calls(self, route: str, callsite: object) -> tuple[float, int, float] | None:
        """Fit calls at once = a + b x calls over the profiles of *route*.

        Returns:
            `(b, profiles, residual)`, or None while the calls did not vary enough to tell.
        """

    def tries(self, route: str, callsite: object) -> tuple[int, int]:
        """Return tries of a callsite of late, and how many of them followed a failure."""


@runtime_checkable
class Source(Protocol):
    """Feeds the tree without a change to the application."""

    def install(self) -> Undo:
        """Install the tap and return what restores every patched attribute by identity.

        Raises:
            Exception: Anything; the runtime then lists the source as inactive, with the reason.
        """


@runtime_checkable
class Probe(Protocol):
    """Samples a resource; called on the background thread only, may block a little."""

    def read(self) -> Iterable[object]:
        """Return the readings since the last call."""


class Detector(Protocol):
    """A plain function over finished data; it cannot reach application objects."""

    def __call__(self, profile: Profile, history: HistoryView, /) -> Iterable[Finding]:
        """Yield findings. Background thread; may raise, which is counted and isolated."""


@runtime_checkable
class Exporter(Protocol):
    """Consumes reports on the background thread."""

    def export(self, report: Report) -> None:
        """Send one report. May raise, which is counted and isolated."""

    def shutdown(self) -> None:
        """Release what it holds; called once, at most two seconds before exit."""
