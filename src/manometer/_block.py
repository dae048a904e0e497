"""`profile`: a unit of work of the user's own, as a block or around a function."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, Final, TypeVar, final

from . import _context, _guard
from ._context import OpenProfile, close_profile, open_profile, restore, variable
from ._guard import name_of
from ._model import JOB, PRODUCTION, Policy, Profile
from ._template import kind_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from ._model import ProfileKind

_F = TypeVar("_F")
KINDS: Final = ("request", "job", "task", "block")
_POINT: Final = "profile"


@final
class profile:  # noqa: N801 - used like a function: `with profile("nightly"):`
    """One unit of work: `with profile("nightly-import", kind="job") as record:`.

    Args:
        name: Low-cardinality name; a route or a job's name, never an id.
        kind: `request`, `job`, `task` or `block`. Jobs and tasks have ten times the time floor.
        policy: Thresholds for findings; chosen by *kind* when None.
        deadline_ms: How long somebody waits for it, where that is known: calls that may take longer,
            and work beyond it, are then found.

    Raises:
        TypeError: No name, or a deadline that is no positive number.
        ValueError: An unknown kind; the message lists what is allowed.

    Entering gives the `Profile`, or None when nothing is recorded (dormant, sampled out). Works
    with `with`, `async with` and as a decorator. Application threads; about 5 us; never raises
    later. CPU time is measured for the synchronous form only: in asyncio it would be other tasks'.
    """

    __slots__ = ("_deadline_ns", "_kind", "_name", "_open", "_policy")

    def __init__(
        self,
        name: str,
        *,
        kind: ProfileKind = "block",
        policy: Policy | None = None,
        deadline_ms: float | None = None,
    ) -> None:
        if type(name) is not str or not name:
            msg = f"profile: name must be a non-empty str, not {name!r}"
            raise TypeError(msg)
        if kind not in KINDS:
            msg = f"profile: kind must be one of {', '.join(KINDS)}, not {kind!r}"
            raise ValueError(msg)
        if deadline_ms is not None and (type(deadline_ms) not in (int, float) or not deadline_ms > 0):
            msg = f"profile: deadline_ms must be a positive number of milliseconds, not {deadline_ms!r}"
            raise TypeError(msg)
        self._deadline_ns = int((deadline_ms or 0) * 1e6)
        self._name = name
        self._kind: ProfileKind = kind
        self._policy = policy or (JOB if kind in ("job", "task") else PRODUCTION)
        self._open: list[OpenProfile] = []

    def _enter(self, cpu: bool) -> Profile | None:
        try:
            opened = open_profile(self._name, self._kind, cpu=cpu, policy=self._policy)
        except Exception as error:
            _guard.failed(_POINT, error)
            opened = OpenProfile(None, _context.MUTED)
            opened.previous = variable.get()
        if opened.profile is not None and self._deadline_ns:
            opened.profile.deadline_ns = opened.profile.started_ns + self._deadline_ns
        self._open.append(opened)
        return opened.profile

    def _leave(self, error: type[BaseException] | None) -> None:
        try:
            self._close(error)
        except BaseException:  # an interrupt, perhaps half way: each step may be done twice
            self._close(error)
            raise

    def _close(self, error: type[BaseException] | None) -> None:
        current = variable.get()
        for at in range(len(self._open) - 1, -1, -1):
            opened = self._open[at]
            if opened.branch is current or at == 0:
                restore(opened)
                close_profile(opened, name_of(error) if error is not None else "")
                del self._open[at]
                return

    def __enter__(self) -> Profile | None:
        """Open the unit in the current context."""
        return _guard.call(_POINT, self._enter, True)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Seal it; an exception is its outcome and passes untouched."""
        _guard.call(_POINT, self._leave, kind)

    async def __aenter__(self) -> Profile | None:
        """Open the unit in the current context."""
        return _guard.call(_POINT, self._enter, False)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Seal it; an exception is its outcome and passes untouched."""
        _guard.call(_POINT, self._leave, kind)

    def _options(self) -> dict[str, Any]:
        deadline_ms = self._deadline_ns / 1e6 or None
        return {"kind": self._kind, "policy": self._policy, "deadline_ms": deadline_ms}

    def __call__(self, function: _F) -> _F:
        """Run every call of *function* (sync or async) as a unit of its own.

        Raises:
            TypeError: A generator: its unit would stay open while its consumer works.
        """
        if _context.absent:
            return function
        name, options = self._name, self._options()
        code = getattr(function, "__code__", None)
        flavour = kind_of(code) if code is not None else "sync"
        if flavour in ("generator", "asyncgen") or not callable(function):
            msg = f"profile: decorates functions and coroutine functions, not {flavour}"
            raise TypeError(msg)
        target: Callable[..., Any] = function

        if flavour == "async":

            @functools.wraps(target)
            async def run(*args: Any, **kwargs: Any) -> Any:
                async with profile(name, **options):
                    return await target(*args, **kwargs)

            return run  # type: ignore[return-value]

        @functools.wraps(target)
        def call(*args: Any, **kwargs: Any) -> Any:
            with profile(name, **options):
                return target(*args, **kwargs)

        return call  # type: ignore[return-value]


def current_profile() -> Profile | None:
    """Return the profile of the current unit of work; None outside one, or when it is not recorded.

    Application threads; 0.1 us. The rolling profile of the process is not a unit of work.
    """
    branch = variable.get()
    if not branch or branch.profile.sealed or branch.profile.kind == "process":
        return None
    return branch.profile
