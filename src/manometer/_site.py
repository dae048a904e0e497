"""Where in the application a call comes from, and the callsites of taps."""

from __future__ import annotations

import os
import sys
import sysconfig
from functools import cache
from typing import TYPE_CHECKING, Any, Final, Literal

from . import _limits
from ._context import drops
from ._model import Callsite
from ._native import core

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

    from ._detail import Place
    from ._model import Kind, Operation

    Reader = Callable[[FrameType], Place | None]

_PACKAGE: Final = os.path.dirname(os.path.abspath(__file__)) + os.sep
_LIBRARY_PARTS: Final = (os.sep + "site-packages" + os.sep, os.sep + "dist-packages" + os.sep)
_is_application: Final[dict[str, bool | Reader]] = {}
_readers: Final[dict[str, Reader]] = {}
_generated: Final[list[Reader]] = []
_apart: Final[set[Reader]] = set()
"""Readers whose places are told beside others of the same file."""
_MAX_FILES: Final = 20_000
_callsites: Final[dict[tuple[Any, ...], Callsite]] = {}

quick: Final[dict[tuple[int, ...], tuple[Callsite, Any, Any, Any]]] = {}
"""Where taps look a callsite up before they make its key; cleared with the others, and when full."""

application: tuple[str, ...] = ()
"""Packages and directories that count as the application although installed (`Config.app`)."""

NOWHERE: Final[Place] = ("", 0, "")


@cache
def _library_paths() -> tuple[str, ...]:
    """Return where libraries are installed; found out late, for that loads what this Python was built with."""
    names = ("stdlib", "platstdlib", "purelib", "platlib")
    return tuple(
        {os.path.abspath(path) + os.sep for name, path in sysconfig.get_paths().items() if name in names}
    )


def _judge(file: str) -> bool:
    if application and any(
        file.startswith(os.path.join(os.path.abspath(item), "")) or f"{os.sep}{item}{os.sep}" in file
        for item in application
    ):
        return True
    if file.startswith(("<frozen", "<string>", "<manometer", "<decorator")):
        return False
    if file.startswith("<") and " generated " in file:  # attrs, SQLAlchemy: a library's wrapper
        return False
    path = file if os.path.isabs(file) else os.path.abspath(file)
    if path.startswith(_PACKAGE) or any(part in path for part in _LIBRARY_PARTS):
        return False
    return not path.startswith(_library_paths())


def is_application(file: str) -> bool:
    """Tell whether *file* is the application's own code; 60 ns once known."""
    return _known(file) is not False


def _known(file: str) -> bool | Reader:
    known = _is_application.get(file)
    if known is None:
        if len(_is_application) >= _MAX_FILES:
            _is_application.clear()
        known = _readers.get(file) or _judge(file)
        if known is True and _generated and not file.endswith(".py"):
            known = _read_generated
        _is_application[file] = known
    return known


def _read_generated(frame: FrameType) -> Place | None:
    for reader in _generated:
        found = reader(frame)
        if found is not None:
            return found
    return None


def read(reader: Reader, file: str = "", *, apart: bool = False) -> Callable[[], None]:
    """Let *reader* say which place of the application a frame stands for: a line of a template, say.

    Nothing is kept up to date for it: a reader is asked only while somebody walks over the stack.

    Args:
        reader: Called with a running frame, on application threads; must not raise, may look at
            its locals. Returns the place, `NOWHERE` for none, or None: it is a frame like others.
        file: Source file whose frames it reads; empty for code that was generated from a file which
            is not Python.
        apart: Its places do not lie within each other, as the nodes of a template do: each is told.

    Returns:
        What takes it back.
    """
    if apart:
        _apart.add(reader)
    if file:
        _readers[file] = reader
    else:
        _generated.append(reader)
    forget()

    def undo() -> None:
        if file and _readers.get(file) is reader:
            del _readers[file]
        elif not file and reader in _generated:
            _generated.remove(reader)
        forget()

    return undo


def forget() -> None:
    """Judge every file anew (the configuration changed)."""
    if core is not None:
        core.forget_codes()
    _is_application.clear()
    _callsites.clear()
    quick.clear()


if sys.version_info >= (3, 11):

    def _qualified(frame: FrameType) -> str:
        name: str = frame.f_code.co_qualname
        while name.endswith(">"):  # a comprehension or lambda is a line of the function around it
            outer, _, last = name.rpartition(".<locals>.")
            if not outer or last == name:
                break
            name = outer
        return name

else:

    def _qualified(frame: FrameType) -> str:
        name = frame.f_code.co_name
        above: FrameType | None = frame
        while name in _INLINE and above is not None:
            above = above.f_back
            if above is None or above.f_code.co_filename != frame.f_code.co_filename:
                break
            name = above.f_code.co_name
        return name

    _INLINE: Final = ("<listcomp>", "<dictcomp>", "<setcomp>", "<genexpr>", "<lambda>")


def places(skip: int = 1, limit: int = 4) -> tuple[Place, ...]:
    """Return the innermost application frames of the current stack, innermost first.

    Args:
        skip: Frames of the caller to leave out.
        limit: Frames wanted.

    Application threads; 1-5 us, at most `MAX_STACK_WALK` frames are looked at for the first one,
    and as many for the others.
    """
    frame, greenlet = nearest(skip + 1)
    return () if frame is None else (place_of(frame), *above(frame, greenlet, limit - 1))


def _outwards(
    frame: FrameType | Literal[False] | None, known: dict[str, bool | Reader]
) -> FrameType | Literal[False] | None:
    """Return the first frame from *frame* outwards that is not known to be a library's.

    Args:
        frame: Where to begin; None gives None.
        known: What was found out about files.

    Returns:
        It; None at the end of the stack; False beyond `MAX_STACK_WALK` frames.
    """
    for _ in range(_limits.MAX_STACK_WALK):
        if not frame:
            return None
        file = frame.f_code.co_filename
        if known.get(file) is not False or file == "<string>":
            return frame
        frame = frame.f_back
    return None if frame is None else False


if core is not None:
    _outwards = core.outwards


def nearest(skip: int = 1) -> tuple[FrameType | None, Any]:
    """Return the innermost application frame of the current stack, and the greenlet it was found in.

    Args:
        skip: Frames of the caller to leave out.

    Application threads; 0.1 us a library frame in between, at most `MAX_STACK_WALK` of them in a row.
    Where greenlets switch, the walk goes on in the greenlet that started this one.
    """
    frame: FrameType | Literal[False] | None = sys._getframe(skip)
    known = _is_application
    main: FrameType | None = None
    greenlet: Any = None
    for _ in range(_limits.MAX_STACK_WALK):
        frame = _outwards(frame, known)
        if frame is None:
            greenlet, frame = _parent_stack(greenlet)
            if frame is not None:
                continue
        if not frame:
            break
        file = frame.f_code.co_filename
        mine = known.get(file)
        if mine is None:
            mine = _known(file)
        if mine and (mine is True or mine(frame) is not NOWHERE):
            return frame, greenlet
        if main is None and file == "<string>" and frame.f_globals.get("__name__") == "__main__":
            main = frame  # python -c: the application has no file
        frame = frame.f_back
    return main, None


def place_of(frame: FrameType) -> Place:
    """Return file, line and function of a frame; 0.3 us, 2 us for one that a reader reads."""
    return read_place(frame) or (frame.f_code.co_filename, frame.f_lineno, _qualified(frame))


def read_place(frame: FrameType) -> Place | None:
    """Return the place that a reader says an application frame stands for; None when it stands for itself."""
    reader = _is_application.get(frame.f_code.co_filename)
    return None if reader is None or type(reader) is bool else reader(frame)


def above(frame: FrameType, greenlet: Any, limit: int = 3) -> tuple[Place, ...]:
    """Return the application frames that called *frame*, innermost first; 1-4 us.

    Args:
        frame: From `nearest`.
        greenlet: From `nearest`.
        limit: Frames wanted.
    """
    found: list[Place] = []
    own = read_place(frame)
    last = "" if own is None else own[0]
    known = _is_application
    caller: FrameType | Literal[False] | None = frame.f_back
    for _ in range(_limits.MAX_STACK_WALK):
        if len(found) >= limit:
            break
        caller = _outwards(caller, known)
        if caller is None:
            greenlet, caller = _parent_stack(greenlet)
            if caller is not None:
                continue
        if not caller:
            break
        file = caller.f_code.co_filename
        mine = known.get(file)
        if mine is None:
            mine = _known(file)
        if mine:
            place = place_of(caller)
            # The nodes of a template lie within each other: the innermost line says it.
            if place is not NOWHERE and (mine is True or mine in _apart or place[0] != last):
                found.append(place)
                last = place[0]
        caller = caller.f_back
    return tuple(found)


def _parent_stack(greenlet: Any) -> tuple[Any, FrameType | None]:
    """Return the next greenlet outwards and its stack: SQLAlchemy's async engine runs inside one."""
    module = sys.modules.get("greenlet")
    if module is None:
        return None, None
    current = module.getcurrent() if greenlet is None else greenlet
    parent = current.parent
    return parent, None if parent is None else parent.gr_frame


def callsite(
    kind: Kind,
    name: str,
    template: str,
    place: Place,
    *,
    operation: Operation = "",
    system: str = "",
    target: str = "",
    library: str = "",
    version: str = "",
) -> Callsite:
    """Return the one callsite of a tap for this template, target and place.

    Beyond `MAX_CALLSITES` all further ones of a kind are one, named "(other)", and counted.
    Application threads; 0.3 us once known.
    """
    key: tuple[Any, ...] = (kind, system, target, template, place, library)
    found = _callsites.get(key)
    if found is None:
        if len(_callsites) >= _limits.MAX_CALLSITES:
            drops["callsites"] = drops.get("callsites", 0) + 1
            key = (kind, "(other)")
            found = _callsites.get(key)
            if found is not None:
                return found
            name, template, place = "(other)", "", NOWHERE
        file, line, function = place
        if file and not file.startswith("<"):
            file = os.path.abspath(file)  # a script started by its relative name keeps its finding ids
        found = _callsites[key] = Callsite(
            name=name[: _limits.MAX_NAME],
            function=function,
            kind=kind,
            file=file,
            line=line,
            template=template,
            operation=operation,
            system=system,
            target=target,
            library=library,
            version=version,
        )
    return found
