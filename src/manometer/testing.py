"""For tests: a finished profile and its findings from a block, synchronously, and a clock to script."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, final

from . import _guard
from ._context import HOT, close_profile, open_profile, restore
from ._expect import Expectations
from ._history import History
from ._hot import replace
from ._model import STRICT, Policy, Profile, ProfileKind
from .detectors import judge

if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import TracebackType

    from ._context import OpenProfile
    from ._finding import Finding

_UNSEEN: Final = "record: the block has not ended yet"


@final
class record:  # noqa: N801 - used like a function: `with record() as recorded:`
    """Profile what runs inside and judge it when it ends, on the calling thread.

    Args:
        name: Name of the unit of work.
        kind: What sort of unit it is.
        policy: Thresholds; `STRICT` by default: two repeats, no time floor.
        history: What earlier profiles said, to be continued; nothing when None.
        expect: `(what, reason)` pairs as in `Config.expect`.

    Works whether manometer is on or dormant, with `with` and `async with`; sources must be
    installed (`manometer.start`, or `install_sources`) for databases to be seen.

    Attributes:
        profile: The sealed profile. Reading it before the end raises RuntimeError.
        findings: All findings, most costly first, the expected ones included.
    """

    def __init__(
        self,
        name: str = "test",
        *,
        kind: ProfileKind = "block",
        policy: Policy = STRICT,
        history: History | None = None,
        expect: Iterable[tuple[str, str]] = (),
    ) -> None:
        self._name = name
        self._kind: ProfileKind = kind
        self._policy = policy
        self._history = history if history is not None else History()
        self._expect = Expectations(tuple(expect))
        self._opened: OpenProfile | None = None
        self._profile: Profile | None = None
        self._findings: tuple[Finding, ...] = ()

    @property
    def profile(self) -> Profile:
        """The sealed profile."""
        if self._profile is None:
            raise RuntimeError(_UNSEEN)
        return self._profile

    @property
    def findings(self) -> tuple[Finding, ...]:
        """All findings of the profile, most costly first."""
        if self._profile is None:
            raise RuntimeError(_UNSEEN)
        return self._findings

    def named(self, rule: str) -> tuple[Finding, ...]:
        """Return the findings of one rule that nobody said are expected."""
        return tuple(item for item in self.findings if item.rule == rule and not item.expected)

    def _take(self, profile: Profile) -> None:
        self._history.add(profile)
        self._history.caches.look()
        found = judge(profile, self._history)
        self._profile = profile
        self._findings = tuple(self._expect.apply(item, profile) for item in found)

    def _enter(self, cpu: bool) -> record:
        self._history.caches.begin()
        self._opened = open_profile(self._name, self._kind, cpu=cpu, policy=self._policy, to=self._take)
        return self

    def _leave(self, kind: type[BaseException] | None) -> None:
        opened = self._opened
        if opened is not None:
            close_profile(opened, kind.__name__ if kind is not None else "")
            restore(opened)

    def __enter__(self) -> record:
        """Open the profile in the current context."""
        return self._enter(cpu=True)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Seal and judge it; an exception passes untouched."""
        self._leave(kind)

    async def __aenter__(self) -> record:
        """Open the profile in the current context."""
        return self._enter(cpu=False)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Seal and judge it; an exception passes untouched."""
        self._leave(kind)


@final
class FakeClock:
    """A monotonic clock that only moves when told to: `with FakeClock() as clock: clock.advance(ms=5)`.

    All measured durations of the process follow it while it is installed.
    """

    def __init__(self, start_ns: int = 1_000_000_000) -> None:
        self.now_ns = start_ns
        self._previous: Any = None

    def __call__(self) -> int:
        """Return the scripted instant in nanoseconds."""
        return self.now_ns

    def advance(self, *, ms: float = 0.0, ns: int = 0) -> None:
        """Let time pass."""
        self.now_ns += int(ms * 1e6) + ns

    def __enter__(self) -> FakeClock:
        """Install it."""
        self._previous = HOT["clock_"]
        replace("clock_", self)
        return self

    def __exit__(self, *_: object) -> None:
        """Put the real clock back."""
        replace("clock_", self._previous)


@final
class raising:  # noqa: N801 - used like a function: `with raising():`
    """Let a failure inside manometer raise where it happens, instead of being counted."""

    def __enter__(self) -> None:
        """Turn strictness on."""
        _guard.strict = True

    def __exit__(self, *_: object) -> None:
        """Turn it off."""
        _guard.strict = False


@final
class install_sources:  # noqa: N801 - used like a function: `with install_sources("sqlite3"):`
    """Install bundled sources for a block, without the runtime.

    Args:
        names: Names of sources; all when none is given.

    Raises:
        ValueError: An unknown name.
    """

    def __init__(self, *names: str) -> None:
        from .sources import SOURCES

        unknown = sorted(set(names) - set(SOURCES))
        if unknown:
            msg = f"install_sources: unknown {', '.join(unknown)}; there are {', '.join(sorted(SOURCES))}"
            raise ValueError(msg)
        self._names = names
        self._undo: Any = None
        self.states: dict[str, tuple[str, str]] = {}

    def __enter__(self) -> install_sources:
        """Install them."""
        from ._config import Config
        from .sources import SOURCES, install_all

        off = frozenset(SOURCES) - frozenset(self._names) if self._names else frozenset()

        def report(name: str, state: str, reason: str) -> None:
            self.states[name] = (state, reason)

        self._undo = install_all(Config(disable=off), report)
        return self

    def __exit__(self, *_: object) -> None:
        """Restore every patched attribute."""
        self._undo()


__all__ = ["FakeClock", "History", "install_sources", "raising", "record"]
