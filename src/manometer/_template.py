"""The generated wrappers: one real function per measured function, with its exact signature."""

from __future__ import annotations

import functools
import linecache
from types import CodeType, FunctionType
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from ._context import HOT

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


# What a call moved is moved back first, on lines that call nothing: there no KeyboardInterrupt can arrive,
# and no call can fail at the end of the stack.
_SYNC: Final = """
def make_(fn_, site_):
    def w({declaration}):
        s_ = get_()
        if not s_:
            if idle_ or s_ is not None: return fn_({forwarding})
            s_ = outside_()
            if s_ is None: return fn_({forwarding})
        if s_.owner != ident_(): s_ = fork_(s_)
        p_ = s_.frame
        n_ = p_.children.get(site_)
        if n_ is None: n_ = new_(s_, p_, site_)
        a_ = n_.active
        if a_:
            k_ = r_ = nothing_
            t_ = clock_()
            try:
                s_.frame = n_
                k_ = enter_(n_, {arguments})
                r_ = fn_({forwarding})
                return r_
            except BaseException as e_:
                try: fail_(n_, e_)
                except RecursionError: n_.errors += 1
                raise
            finally:
                s_.frame = p_; n_.active = a_; n_.calls += 1
                d_ = clock_() - t_
                try: leave_(s_, n_, a_, k_, t_, d_, r_)
                except RecursionError: pass
        t_ = clock_()
        try:
            s_.frame = n_
            n_.active = 1
            return fn_({forwarding})
        except BaseException as e_:
            try: fail_(n_, e_)
            except RecursionError: n_.errors += 1
            raise
        finally:
            s_.frame = p_; n_.active = 0; n_.calls += 1
            d_ = clock_() - t_
            n_.total_ns = m_ = n_.total_ns + d_
            if m_ > n_.mark_ns:
                try: slow_(n_, t_, d_)
                except RecursionError: pass
    return w
"""

_ASYNC: Final = """
def make_(fn_, site_):
    async def w({declaration}):
        s_ = get_()
        if not s_:
            if idle_ or s_ is not None: return await fn_({forwarding})
            s_ = outside_()
            if s_ is None: return await fn_({forwarding})
        if s_.owner != ident_(): s_ = fork_(s_)
        p_ = s_.frame
        n_ = p_.children.get(site_)
        if n_ is None: n_ = new_(s_, p_, site_)
        b_ = Branch_(n_, s_.owner, s_.profile, s_)
        o_ = b_.opened
        k_ = r_ = nothing_
        b_.since_ns = t_ = clock_()
        a_ = n_.active
        n_.active = a_ + 4
        try:
            set_(b_)
            o_.add(b_)
            if a_ or s_.again: k_ = enter_async_(s_, b_, n_, p_, {arguments})
            else: n_.since_ns = t_
            r_ = await fn_({forwarding})
            return r_
        except BaseException as e_:
            try: fail_(n_, e_)
            except RecursionError: n_.errors += 1
            raise
        finally:
            n_.active = c_ = n_.active - 4
            try: o_.discard(b_)
            finally:
                try:
                    if get_() is b_: set_(s_)
                except BaseException:
                    if get_() is b_: set_(s_)
                    raise
            m_ = clock_()
            d_ = m_ - t_
            try:
                if b_.owner is None: late_(b_)
                else:
                    n_.calls += 1
                    if not b_.again: n_.total_ns += d_
                    if c_ < 4: n_.union_ns += m_ - n_.since_ns
                    if a_ & 2: count_(b_, n_, k_, t_, d_, r_)
                    if n_.total_ns > n_.mark_ns: slow_(n_, t_, d_)
            except RecursionError: pass
    return w
"""

_GENERATOR_STEPS: Final = """
def make_(fn_, site_):
    def w({declaration}):
        g_ = fn_({forwarding})
        f_ = g_.send
        v_ = None
        i_ = 0
        q_ = None
        while True:
            s_ = get_()
            if not s_ and not idle_ and s_ is None: s_ = outside_()
            try:
                if not s_: v_ = f_(v_)
                else:
                    if s_.owner != ident_(): s_ = fork_(s_)
                    p_ = s_.frame
                    n_ = p_.children.get(site_)
                    if n_ is None: n_ = new_(s_, p_, site_)
                    a_ = n_.active
                    t_ = clock_()
                    try:
                        s_.frame = n_
                        n_.active = a_ | 1
                        v_ = f_(v_)
                    except StopIteration: raise
                    except BaseException as e_:
                        try: fail_(n_, e_)
                        except RecursionError: n_.errors += 1
                        raise
                    finally:
                        s_.frame = p_; n_.active = a_
                        if q_ is None: q_ = n_; n_.calls += 1
                        d_ = clock_() - t_
                        if not a_ & 1: n_.total_ns += d_
                        if n_.total_ns > n_.mark_ns:
                            try: slow_(n_, t_, d_)
                            except RecursionError: pass
            except StopIteration as e_:
                if q_ is not None:
                    try: items_(q_, i_)
                    except RecursionError: pass
                return e_.value
            except BaseException:
                v_ = None  # or the exception and this frame would hold each other
                if q_ is not None:
                    try: items_(q_, i_)
                    except RecursionError: pass
                raise
            i_ += 1
            try: v_ = yield v_
            except BaseException as e_:
                f_ = g_.throw
                v_ = e_
            else: f_ = g_.send
    return w
"""

_ASYNC_GENERATOR_STEPS: Final = """
def make_(fn_, site_):
    async def w({declaration}):
        g_ = fn_({forwarding})
        f_ = g_.asend
        v_ = None
        i_ = 0
        q_ = None
        while True:
            s_ = get_()
            if not s_ and not idle_ and s_ is None: s_ = outside_()
            try:
                if not s_: v_ = await f_(v_)
                else:
                    if s_.owner != ident_(): s_ = fork_(s_)
                    p_ = s_.frame
                    n_ = p_.children.get(site_)
                    if n_ is None: n_ = new_(s_, p_, site_)
                    b_ = Branch_(n_, s_.owner, s_.profile, s_)
                    o_ = b_.opened
                    b_.since_ns = t_ = clock_()
                    a_ = n_.active
                    n_.active = a_ + 4
                    try:
                        set_(b_)
                        o_.add(b_)
                        if a_ or s_.again: enter_async_(s_, b_, n_, p_, ())
                        else: n_.since_ns = t_
                        v_ = await f_(v_)
                    except StopAsyncIteration: raise
                    except BaseException as e_:
                        try: fail_(n_, e_)
                        except RecursionError: n_.errors += 1
                        raise
                    finally:
                        n_.active = c_ = n_.active - 4
                        try: o_.discard(b_)
                        finally:
                            try:
                                if get_() is b_: set_(s_)
                            except BaseException:
                                if get_() is b_: set_(s_)
                                raise
                        m_ = clock_()
                        d_ = m_ - t_
                        try:
                            if b_.owner is None: late_(b_)
                            else:
                                if not b_.again: n_.total_ns += d_
                                if c_ < 4: n_.union_ns += m_ - n_.since_ns
                                if q_ is None: q_ = n_; n_.calls += 1
                                if n_.total_ns > n_.mark_ns: slow_(n_, t_, d_)
                        except RecursionError: pass
            except StopAsyncIteration:
                if q_ is not None:
                    try: items_(q_, i_)
                    except RecursionError: pass
                return
            except BaseException:
                v_ = None  # or the exception and this frame would hold each other
                if q_ is not None:
                    try: items_(q_, i_)
                    except RecursionError: pass
                raise
            i_ += 1
            try: v_ = yield v_
            except BaseException as e_:
                f_ = g_.athrow
                v_ = e_
            else: f_ = g_.asend
    return w
"""

_TEMPLATES: Final = {
    "sync": _SYNC,
    "async": _ASYNC,
    "generator": _GENERATOR_STEPS,
    "asyncgen": _ASYNC_GENERATOR_STEPS,
}
_LOCALS: Final = ("fn_", "site_", "make_", *(f"{letter}_" for letter in "abcdefgiklmnopqrstvwx"))
_RESERVED: Final = frozenset((*HOT, *_LOCALS, "items_", "w"))
_makers: Final[dict[Shape, Callable[..., FunctionType]]] = {}


def _maker(shape: Shape) -> Callable[..., FunctionType]:
    """Return the factory of wrappers of this shape, compiled once and shown in tracebacks."""
    found = _makers.get(shape)
    if found is None:
        general = _ANY._replace(kind=shape.kind)
        if len(_makers) >= _MAX_SHAPES and shape != general:
            return _maker(general)
        source = _TEMPLATES[shape.kind].format(
            declaration=shape.declaration,
            forwarding=shape.forwarding,
            arguments=shape.arguments,
        )
        file = f"<manometer/wrapper-{len(_makers)}>"
        namespace: dict[str, Any] = {}
        exec(compile(source, file, "exec"), HOT, namespace)  # our own text; names are identifiers
        linecache.cache[file] = (len(source), None, source.splitlines(keepends=True), file)
        found = _makers[shape] = namespace["make_"]
    return found


def wrap(function: Callable[..., Any], callsite: Callsite, shape: Shape) -> FunctionType:
    """Return the wrapper that measures *function*: a real function of the same kind and signature.

    Decoration; about 30 us, 200 us for a new signature shape.
    """
    wrapper = _maker(shape)(function, callsite)
    name = callsite.function.rpartition(".")[2] or "w"
    # A code object of its own keeps the interpreter's inline caches monomorphic.
    wrapper.__code__ = wrapper.__code__.replace(co_name=name if name.isidentifier() else "w")
    if type(function) is FunctionType:
        functools.update_wrapper(wrapper, function)
        wrapper.__defaults__ = function.__defaults__
        wrapper.__kwdefaults__ = function.__kwdefaults__
    else:
        _describe(wrapper, function)
    return wrapper


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
