"""The generated wrappers: one real function per measured function, with its exact signature."""

from __future__ import annotations

import functools
import linecache
import weakref
from types import CodeType, FunctionType
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from . import _compiled
from ._context import HOT
from ._lighter import BARE, SAMPLED
from ._model import IO_KINDS
from ._texts import COMPILED, PYTHON

if TYPE_CHECKING:
    from collections.abc import Callable

    from ._model import Callsite

_MAX_SHAPES: Final = 4_096
_VARARGS: Final = 0x04
_VARKEYWORDS: Final = 0x08
_GENERATOR: Final = 0x20
_COROUTINE: Final = 0x80
_ITERABLE_COROUTINE: Final = 0x100
_ASYNC_GENERATOR: Final = 0x200


class Shape(NamedTuple):
    """Everything of a signature that the code of a wrapper depends on; defaults do not matter."""

    kind: str
    positional_only: tuple[str, ...]
    positional: tuple[str, ...]
    varargs: str
    keyword_only: tuple[str, ...]
    varkeywords: str

    @property
    def parameters(self) -> tuple[str, ...]:
        """Names in the order in which a wrapper hands the arguments to a plan."""
        rest = tuple(name for name in (self.varargs, self.varkeywords) if name)
        return (*self.positional_only, *self.positional, *self.keyword_only, *rest)

    @property
    def declaration(self) -> str:
        """The parameter list, without defaults: they are attributes of the function object."""
        parts = list(self.positional_only)
        if parts:
            parts.append("/")
        parts += self.positional
        if self.varargs:
            parts.append("*" + self.varargs)
        elif self.keyword_only:
            parts.append("*")
        parts += self.keyword_only
        if self.varkeywords:
            parts.append("**" + self.varkeywords)
        return ", ".join(parts)

    @property
    def forwarding(self) -> str:
        """The argument list of the call to the original."""
        parts = [*self.positional_only, *self.positional]
        if self.varargs:
            parts.append("*" + self.varargs)
        parts += [f"{name}={name}" for name in self.keyword_only]
        if self.varkeywords:
            parts.append("**" + self.varkeywords)
        return ", ".join(parts)

    @property
    def arguments(self) -> str:
        """A tuple of all arguments, for the plan."""
        return "(" + "".join(f"{name}, " for name in self.parameters) + ")"


_ANY: Final = Shape("sync", (), (), "args", (), "kwargs")


def kind_of(code: CodeType) -> str:
    """Tell from the flags of the code what a call of it returns: sync, async, generator, asyncgen."""
    flags = code.co_flags
    if flags & _ASYNC_GENERATOR:
        return "asyncgen"
    if flags & _COROUTINE:
        return "async"
    if flags & _GENERATOR and not flags & _ITERABLE_COROUTINE:
        return "generator"
    return "sync"


def shape_of(function: Callable[..., Any]) -> Shape:
    """Return the shape of a callable's signature; `*args, **kwargs` for what has no code."""
    if type(function) is not FunctionType:
        return _ANY
    code = function.__code__
    names = code.co_varnames
    at, only, keywords = code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount
    end = at + keywords
    varargs = varkeywords = ""
    if code.co_flags & _VARARGS:
        varargs = names[end]
        end += 1
    if code.co_flags & _VARKEYWORDS:
        varkeywords = names[end]
    shape = Shape(
        kind_of(code), names[:only], names[only:at], varargs, names[at : at + keywords], varkeywords
    )
    if any(name in _RESERVED or not name.isidentifier() for name in shape.parameters):
        return _ANY._replace(kind=shape.kind)
    return shape


_LOCALS: Final = ("fn_", "site_", "make_", "skip_", *(f"{letter}_" for letter in "abcdefgiklmnopqrstvwx"))
_RESERVED: Final = frozenset((*HOT, *_LOCALS, "items_", "w"))
_makers: Final[dict[tuple[Shape, str], Callable[..., FunctionType]]] = {}


def _maker(shape: Shape, text: str) -> Callable[..., FunctionType]:
    """Return the factory of wrappers of this shape, compiled once and shown in tracebacks."""
    found = _makers.get((shape, text))
    if found is None:
        general = _ANY._replace(kind=shape.kind)
        if len(_makers) >= _MAX_SHAPES and shape != general:
            return _maker(general, text)
        source = text.format(
            declaration=shape.declaration,
            forwarding=shape.forwarding,
            arguments=shape.arguments,
        )
        file = f"<manometer/wrapper-{len(_makers)}>"
        namespace: dict[str, Any] = {}
        exec(compile(source, file, "exec"), HOT, namespace)  # our own text; names are identifiers
        linecache.cache[file] = (len(source), None, source.splitlines(keepends=True), file)
        found = _makers[shape, text] = namespace["make_"]
    return found


def wrap(
    function: Callable[..., Any], callsite: Callsite, shape: Shape, inner: Callable[..., Any] | None = None
) -> FunctionType:
    """Return the wrapper that measures *function*: a real function of the same kind and signature.

    Where *inner* is given, the wrapper calls that one in its place.

    Decoration; about 30 us, 200 us for a new signature shape.
    """
    # What is watched from its first call on, or weighs more than one frame, takes the path in Python each time.
    compiled = _compiled.ready and not callsite.plan.wanted and callsite.kind not in IO_KINDS
    wrapper = _maker(shape, (COMPILED if compiled else PYTHON)[shape.kind])(
        function if inner is None else inner, callsite
    )
    name = callsite.function.rpartition(".")[2] or "w"
    # A code object of its own keeps the interpreter's inline caches monomorphic.
    wrapper.__code__ = wrapper.__code__.replace(co_name=name if name.isidentifier() else "w")
    if shape.kind == "sync" and not callsite.plan.wanted and callsite.kind not in IO_KINDS:
        callsite.plan.rewritable = weakref.ref(wrapper), shape
    if type(function) is FunctionType:
        functools.update_wrapper(wrapper, function)
        wrapper.__defaults__ = function.__defaults__
        wrapper.__kwdefaults__ = function.__kwdefaults__
    else:
        _describe(wrapper, function)
    return wrapper


def lighter_codes(wrapper: FunctionType, shape: Shape) -> tuple[CodeType, CodeType]:
    """Return the codes that may take the place of a wrapper's: one that times a sample, one that records nothing.

    Background thread; 0.5 ms for a new signature shape.
    """
    name = wrapper.__code__.co_name
    sampled, bare = (
        _maker(shape, text)(None, None).__code__.replace(co_name=name)
        for text in (SAMPLED[_compiled.ready], BARE)
    )
    return sampled, bare


def _describe(wrapper: FunctionType, target: Any) -> None:
    """Do what `functools.update_wrapper` does, for an object whose attributes may be code that raises."""
    for name in functools.WRAPPER_ASSIGNMENTS:
        try:
            setattr(wrapper, name, getattr(target, name))
        except Exception:  # noqa: S112 - an attribute that cannot be had is one that is not there
            continue
    try:
        vars(wrapper).update(vars(target))
    except Exception:
        vars(wrapper).clear()
    vars(wrapper)["__wrapped__"] = target


def is_wrapper(function: object) -> bool:
    """Tell whether *function* is one of ours."""
    return type(function) is FunctionType and function.__globals__ is HOT
