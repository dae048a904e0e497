"""`measure`: one object that decorates a function, or measures a block."""

from __future__ import annotations

import functools
import sys
from types import FunctionType
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast, final, overload

from . import _context, _exclusive, _guard, _limits, _spans
from ._context import FOLDED, HOT, Branch, make_current, variable
from ._model import OPEN_CALL, Callsite
from ._native import core, in_c
from ._options import Options, check, text_of
from ._plan import NOTHING, Plan, fail, slow
from ._template import Shape, is_wrapper, kind_of, shape_of, wrap

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from types import TracebackType

    from ._model import Kind

_F = TypeVar("_F")
_LRU: Final = type(functools.lru_cache(lambda: None))
_POINT: Final = "measure.block"

_DEFAULT: Final = Options(None, None, None, None, "call", None)
_named: Final[dict[str, Options]] = {}
"""Name, with its options, for `with measure("name")` in a loop: checking them anew would cost 1 us each time."""


def _name(name: str) -> Options:
    options = Options(name, None, None, None, "call", None)
    if len(_named) < _limits.MAX_CALLSITES:
        _named[name] = options
    return options


@final
class Measure:
    """A named measurement: `@measure("name")` and `with measure("name")`.

    Entering a block costs about 1 us: whatever can be suspended while open needs a branch of its
    own. The object holds no state of an entry, so it may be shared, nested and used by many tasks.
    """

    __slots__ = ("_callsite", "_options")

    def __init__(self, options: Options, callsite: Callsite | None = None) -> None:
        self._options = options
        self._callsite = callsite

    def __enter__(self) -> Measure:
        """Open the block in the current context."""
        self._into(sys._getframe(1))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Close the block; an exception is counted and passes untouched."""
        self._out(error)

    def __call__(self, target: _F) -> _F:
        """Decorate *target*; see `measure`."""
        return cast("_F", decorate(target, self._options))

    def _enter(self, caller: Any) -> Branch | None:
        branch = _context.current() or self._again()
        if branch is None:
            return None
        callsite = self._callsite
        if callsite is None:
            callsite = self._callsite = _block_callsite(self._options, caller)
        parent = branch.frame
        frame = parent.children.get(callsite)
        if frame is None:
            frame = _context.new_frame(branch, parent, callsite)
        inner = Branch(frame, branch.owner, branch.profile, branch)
        started_ns = inner.since_ns = HOT["clock_"]()
        active = frame.active
        inner.opened.add(inner)
        frame.active = active + OPEN_CALL
        try:
            if active or branch.again:
                HOT["enter_async_"](branch, inner, frame, parent, ())
            else:
                frame.since_ns = started_ns
            make_current(inner)
        except BaseException:
            _take_back(inner, branch)
            raise
        return inner

    def _again(self) -> Branch | None:
        """Return the branch to open below while nothing is recorded: the block is open already, and each exit needs its own."""
        branch = variable.get() if HOT["blind_"] and self._callsite is not None else None
        above = branch or None
        for _ in range(_limits.MAX_RECURSION_WALK):
            if above is None or not branch:
                return None
            if above.base.callsite is self._callsite or above.base.callsite.name == FOLDED:
                return _context.fork(branch) if branch.owner != HOT["ident_"]() else branch
            above = above.outer
        return None

    def _open(self, caller: Any) -> None:
        """Enter, or leave the context as it was."""
        if _guard.is_off(_POINT):
            return
        before = variable.get()
        try:
            self._enter(caller)
        except BaseException:
            inner = variable.get()
            if inner and inner is not before and inner.outer and inner.base.callsite is self._callsite:
                _take_back(inner, inner.outer)
            raise

    def _exit(self, error: BaseException | None) -> None:
        inner = variable.get()
        for _ in range(_limits.MAX_RECURSION_WALK):
            if not inner or inner.base.callsite is self._callsite or inner.base.callsite.name == FOLDED:
                break
            inner = inner.outer
        if inner and inner.outer is not None and self._callsite is not None:
            try:
                _leave(inner, error)
            except BaseException:
                _take_back(inner, inner.outer)
                raise

    def _into(self, caller: Any) -> None:
        """Enter where the compiled core does not."""
        _guard.call(_POINT, self._open, caller)

    def _out(self, error: BaseException | None) -> None:
        """Leave where the compiled core does not."""
        before = variable.get()
        try:
            _guard.call(_POINT, self._exit, error)
        except BaseException:  # an interrupt
            if variable.get() is before:
                self._exit(error)
            raise

    async def __aenter__(self) -> Measure:
        """Open the block in the current context."""
        _guard.call(_POINT, self._open, sys._getframe(1))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Close the block; an exception is counted and passes untouched."""
        self._out(error)


if core is not None:
    Measure = in_c(Measure)  # type: ignore[misc]


def _take_back(inner: Branch, outer: Branch | None) -> None:
    """Undo what entering a block moved, in an order that an exception in between does not harm."""
    if inner in inner.opened:
        inner.base.active -= OPEN_CALL
    try:
        inner.opened.discard(inner)
    finally:
        if variable.get() is not outer:
            make_current(outer)


def _leave(inner: Branch, error: BaseException | None) -> None:
    frame = inner.base
    _take_back(inner, inner.outer)
    ended_ns = HOT["clock_"]()
    if inner.owner is None:
        inner.profile.late += 1
        return
    duration_ns = ended_ns - inner.since_ns
    frame.calls += 1
    if not inner.again:
        frame.total_ns += duration_ns
    if frame.active < OPEN_CALL:
        frame.union_ns += ended_ns - frame.since_ns
    if error is not None:
        fail(frame, error)
    if frame.total_ns > frame.mark_ns:
        slow(frame, inner.since_ns, duration_ns)


_blocks: Final[dict[tuple[str, str, str, int], Callsite]] = {}


def _block_callsite(options: Options, caller: Any) -> Callsite:
    code = caller.f_code
    if options.code is code and options.callsite is not None:
        return options.callsite
    name = options.name or "block"
    key = (name, options.kind, code.co_filename, code.co_firstlineno)
    found = _blocks.get(key)
    if found is None:
        if len(_blocks) >= _limits.MAX_CALLSITES:
            key = ("(other)", options.kind, "", 0)
            name = "(other)"
            _context.drops["callsites"] = _context.drops.get("callsites", 0) + 1
        found = _blocks[key] = Callsite(
            name=name[: _limits.MAX_NAME],
            function=getattr(code, "co_qualname", code.co_name),
            kind=options.kind,
            file=code.co_filename,
            line=caller.f_lineno,
            template=name if options.kind != "call" else "",
            slow_ns=options.slow_ns,
            expect=options.expect,
        )
    options.code, options.callsite = code, found
    return found


@overload
def measure(
    name: str | None = ...,
    /,
    *,
    key: Sequence[str] | str | Callable[..., object] | None = ...,
    size: str | Callable[..., object] | None = ...,
    slow_ms: float | None = ...,
    kind: Kind = ...,
    expect: str | Mapping[str, str] | None = ...,
    span: bool = ...,
    exclusive: str | None = ...,
) -> Measure: ...
@overload
def measure(target: _F, /) -> _F: ...
def measure(
    target: Any = None,
    /,
    *,
    key: Sequence[str] | str | Callable[..., object] | None = None,
    size: str | Callable[..., object] | None = None,
    slow_ms: float | None = None,
    kind: Kind = "call",
    expect: str | Mapping[str, str] | None = None,
    span: bool = False,
    exclusive: str | None = None,
) -> Any:
    """Measure a function, a class, a descriptor or a block.

    Args:
        target: The function when used as `@measure`; else a name, or nothing.
        key: Which arguments make two calls the same: parameter names, or a function called with
            the arguments. Only exact built-in types are read, and only a keyed hash is kept.
        size: What makes a call big: a parameter's name (its length or whole number), or a function.
        slow_ms: Duration in milliseconds from which a call is kept with its times.
        kind: What the call is; an I/O kind (`http`, `db`, `cache`, `queue`) makes repeated calls an N+1.
        expect: Reason why findings about it are wanted, or a mapping of rule to reason.
        span: Every call of the function is a live span of OpenTelemetry as well, 25 us each; not
            for generators and blocks.
        exclusive: Parameter (`self`) naming what one at a time may use: overlapping calls are told.

    Returns:
        The same kind of callable with the same signature; or, given a name or options, an object
        that decorates and that is a context manager (`with`, `async with`).

    Raises:
        TypeError: A wrong argument, at decoration.
        ValueError: A key or size that names no parameter, at decoration.

    Added to a call on the application's thread: nothing with `MANOMETER=0`, 0.05 us without an
    active profile, 0.4 us with one; 0.8 us for a coroutine, 1 us for a block or a generator's step.
    """
    plain = key is None and size is None and slow_ms is None and expect is None
    plain = plain and kind == "call" and span is False and exclusive is None
    if plain and type(target) is str:
        return Measure(_named.get(target) or _name(target))
    if target is None or type(target) is str:
        return Measure(Options(target, key, size, slow_ms, kind, expect, span, exclusive))
    options = _DEFAULT if plain else Options(None, key, size, slow_ms, kind, expect, span, exclusive)
    return decorate(target, options)


def decorate(target: Any, options: Options) -> Any:
    """Return *target* measured: functions are wrapped, descriptors re-wrapped around theirs."""
    if _context.absent or is_wrapper(target):
        return target
    kind = type(target)
    if kind is FunctionType:
        return _function(target, options)
    if kind is classmethod or kind is staticmethod:
        return kind(decorate(target.__func__, options))
    if issubclass(kind, property):
        return _property(target, options)
    if kind is functools.cached_property:
        again = functools.cached_property(decorate(target.func, options))
        again.attrname = target.attrname
        return again
    if kind is functools.partial:
        return functools.partial(decorate(target.func, options), *target.args, **target.keywords)
    if kind is functools.partialmethod:
        return functools.partialmethod(decorate(target.func, options), *target.args, **target.keywords)
    if issubclass(kind, type):
        return _class(target, options)
    if not callable(target):
        msg = f"measure: needs a callable, a descriptor, a class or a name, not {type(target).__name__}"
        raise TypeError(msg)
    return _function(target, options)


def _property(target: property, options: Options) -> property:
    measured = target.getter(decorate(target.fget, options)) if target.fget else target
    if target.fset:
        measured = measured.setter(decorate(target.fset, options))
    if target.fdel:
        measured = measured.deleter(decorate(target.fdel, options))
    return measured


def _class(target: type, options: Options) -> type:
    for name, member in list(vars(target).items()):
        own = isinstance(
            member, (FunctionType, classmethod, staticmethod, property, functools.cached_property)
        )
        if own and not (name.startswith("__") and name.endswith("__")):
            again = decorate(member, options)
            if again is not member:
                setattr(target, name, again)
    return target


def _function(target: Any, options: Options) -> FunctionType:
    function = text_of(target, "__qualname__") or text_of(target, "__name__") or type(target).__name__
    module = text_of(target, "__module__")
    code = target.__code__ if type(target) is FunctionType else None
    shape = shape_of(target)
    exact = code is not None and bool(shape.varargs != "args" or shape.varkeywords != "kwargs")
    method = exact and bool(shape.parameters) and shape.parameters[0] in ("self", "cls") and "." in function
    callsite = Callsite(
        name=(options.name or (f"{module}.{function}" if module else function))[: _limits.MAX_NAME],
        function=function[: _limits.MAX_NAME],
        kind=options.kind,
        file=code.co_filename if code is not None else "",
        line=code.co_firstlineno if code is not None else 0,
        template=options.name or function if options.kind != "call" else "",
        slow_ns=options.slow_ns,
        expect=options.expect,
        plan=Plan(shape.parameters, options.key, options.size, method, _forwarder(shape), shape.kind),
    )
    inner = _spans.live(target, callsite.name, shape.kind) if options.span else target
    if options.exclusive is not None:
        inner = _exclusive.witness(inner, callsite, shape.parameters, options.exclusive, shape.kind)
    wrapper = wrap(target, callsite, shape, inner)
    if type(target) is _LRU:
        for name in ("cache_info", "cache_clear", "cache_parameters"):
            setattr(wrapper, name, getattr(target, name))
    return wrapper


def _forwarder(shape: Shape) -> Callable[[Callable[..., object], tuple[Any, ...]], object]:
    positional = len(shape.positional_only) + len(shape.positional)
    keywords = shape.keyword_only

    def forward(function: Callable[..., object], arguments: tuple[Any, ...]) -> object:
        rest = list(arguments[positional + len(keywords) :])
        more = rest.pop(0) if shape.varargs else ()
        named = dict(zip(keywords, arguments[positional:], strict=False))
        if shape.varkeywords:
            named.update(rest.pop(0))
        return function(*arguments[:positional], *more, **named)

    return forward


def expected(reason: str, *rules: str) -> Measure:
    """Say that findings about what runs inside a block are wanted, and why.

    Args:
        reason: Why; mandatory, shown wherever the finding is still counted.
        rules: Rules it is about; all when none is named.

    Raises:
        TypeError: No reason.
    """
    check(type(reason) is str and bool(reason.strip()), "expected", "given a reason", reason)
    check(all(type(rule) is str and rule for rule in rules), "expected", "given names of rules", rules)
    pairs = tuple((rule, reason) for rule in rules or ("*",))
    key = (reason, "expected:" + ",".join(rules), "", 0)
    callsite = _blocks.get(key)
    if callsite is None:
        callsite = Callsite(name=reason[: _limits.MAX_NAME], kind="expected", expect=pairs)
        if len(_blocks) < _limits.MAX_CALLSITES:
            _blocks[key] = callsite
    return Measure(_DEFAULT, callsite)


__all__ = ["NOTHING", "Measure", "decorate", "expected", "kind_of", "measure"]
