"""The tap on what is expensive to make: how often it is made, where, and how long that takes."""

from __future__ import annotations

import sys
from itertools import count
from typing import TYPE_CHECKING, Any, Final, final

import wrapt

from .. import _guard
from .._calls import begin, end
from .._context import HOT
from .._fingerprint import key_of
from .._limits import MAX_STACK_WALK
from .._setups import SETUPS, SYSTEM
from .._site import callsite, is_application, place_of
from ._patch import patch
from ._query import branch

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

    from .._calls import Call
    from .._setups import Setup
    from ..protocols import Undo

_POINT: Final = "sources.setup"
_IMPORTING: Final = "<frozen importlib._bootstrap"
_making: Final[dict[Any, str]] = {}
"""What each thread is making right now: what is made inside it is a part of it."""
_unlike: Final = count()
_hooked: Final[set[str]] = set()
_active: Final[list[_Probes]] = []


@final
class SetupSource:
    """What `_setups` lists: clients, engines, connections, TLS contexts, patterns, templates, schemas, pools.

    Whatever a program makes while a module is imported is made once, and left out.
    """

    def install(self) -> Undo:
        """Patch what is imported already, and each further one when it is."""
        probes = _Probes()
        _active.append(probes)
        for module in dict.fromkeys(setup.module for setup in SETUPS.values()):
            if module in sys.modules:
                probes.arrived(module)
            elif module not in _hooked:
                _hooked.add(module)
                wrapt.register_post_import_hook(_imported, module)
        return probes.undo


def _imported(module: Any) -> None:
    for probes in tuple(_active):
        _guard.call(_POINT, probes.arrived, module.__name__)


@final
class _Probes:
    """What one `install` patched."""

    def __init__(self) -> None:
        self._undos: list[Undo] = []

    def arrived(self, module: str) -> None:
        for setup in SETUPS.values():
            if setup.module == module:
                self._patch(setup)

    def _patch(self, setup: Setup) -> None:
        owner: Any = sys.modules[setup.module]
        path, _, name = setup.attribute.rpartition(".")
        for part in path.split(".") if path else ():
            owner = getattr(owner, part, None)
        if owner is not None and callable(getattr(owner, name, None)):
            self._undos.append(patch(owner, name, _wrapper(setup)))

    def undo(self) -> None:
        if self in _active:
            _active.remove(self)
        while self._undos:
            _guard.call(_POINT, self._undos.pop())


def _wrapper(setup: Setup) -> Any:
    def make(wrapped: Callable[..., Any], _: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        call = _guard.call(_POINT, _begin, setup)
        if call is None:
            return wrapped(*args, **kwargs)
        try:
            made = wrapped(*args, **kwargs)
        except BaseException as error:
            _guard.call(_POINT, _end, setup, call, type(error).__name__, args, kwargs)
            raise
        _guard.call(_POINT, _end, setup, call, "", args, kwargs)
        return made

    return make


def _begin(setup: Setup) -> Call | None:
    owner = HOT["ident_"]()
    if owner in _making or _guard.is_off(_POINT):
        return None
    on = branch()
    if on is None or on.profile.sealed:
        return None
    asking = _asking(sys._getframe(1))
    if asking is None:
        return None
    site = callsite(
        "other",
        setup.name,
        setup.name,
        place_of(asking),
        system=SYSTEM,
        library=setup.module.partition(".")[0],
    )
    call = begin(on, site)
    _making[owner] = setup.name
    return call


def _asking(frame: FrameType | None) -> FrameType | None:
    """Return the line of the application that makes something; None for a library's own, and while a module is imported."""
    asking: FrameType | None = None
    for _ in range(MAX_STACK_WALK):
        if frame is None:
            break
        if frame.f_code.co_filename.startswith(_IMPORTING):
            return None
        if asking is None and is_application(frame.f_code.co_filename):
            asking = frame
        frame = frame.f_back
    return asking


def _end(setup: Setup, call: Call, error: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    ended_ns = HOT["clock_"]()
    _making.pop(HOT["ident_"](), None)
    key = _key(args, kwargs)
    if key is None:
        # Of something else each time, where only the same is a mistake; else nobody asks.
        key = next(_unlike) if setup.same else hash(setup.name)
    end(call, key=key, error=error, ended_ns=ended_ns)


def _key(args: tuple[Any, ...], kwargs: dict[str, Any]) -> int | None:
    """Return a keyed hash of what it is made of: of a file its name; None where that cannot be told."""
    parts: list[Any] = []
    for value in (*args, *(part for name in sorted(kwargs) for part in (name, kwargs[name]))):
        name = getattr(value, "name", None) if type(value).__module__ == "_io" else value
        parts.append(name)
    return key_of(tuple(parts))
