"""The text of the wrappers, for the core in Python and for the compiled one: the same semantics twice."""

from __future__ import annotations

import sys
from textwrap import indent
from typing import Final

from ._native import core

# What a call moved is moved back first, on lines that call nothing: there no KeyboardInterrupt can arrive,
# and no call can fail at the end of the stack; a clock that cannot be read there counts as no time.
_SYNC_HEAD: Final = """
def make_(fn_, site_):
    def w({declaration}):
        s_ = get_()
        if not s_:
            if idle_ or s_ is not None: return fn_({forwarding})
            s_ = outside_()
            if s_ is None: return fn_({forwarding})
"""

_SYNC: Final = """
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
                try: d_ = clock_() - t_
                except RecursionError: d_ = 0
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
            try: d_ = clock_() - t_
            except RecursionError: d_ = 0
            n_.total_ns = m_ = n_.total_ns + d_
            if m_ > n_.mark_ns:
                try: slow_(n_, t_, d_)
                except RecursionError: pass
    return w
"""

_ASYNC_HEAD: Final = """
def make_(fn_, site_):
    async def w({declaration}):
        s_ = get_()
        if not s_:
            if idle_ or s_ is not None: return await fn_({forwarding})
            s_ = outside_()
            if s_ is None: return await fn_({forwarding})
"""

_ASYNC_OWNER: Final = """
        if s_.owner != ident_(): s_ = fork_(s_)
"""

_ASYNC: Final = """
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
                    if own_() is b_: set_(s_)
                except BaseException:
                    if own_() is b_: set_(s_)
                    raise
            try: m_ = clock_()
            except RecursionError: m_ = t_
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

_GENERATOR_HEAD: Final = """
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
"""

_GENERATOR_STEP: Final = """
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
                        try: d_ = clock_() - t_
                        except RecursionError: d_ = 0
                        if not a_ & 1: n_.total_ns += d_
                        if n_.total_ns > n_.mark_ns:
                            try: slow_(n_, t_, d_)
                            except RecursionError: pass
"""

_GENERATOR_TAIL: Final = """
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

_ASYNC_GENERATOR: Final = """
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
                                if own_() is b_: set_(s_)
                            except BaseException:
                                if own_() is b_: set_(s_)
                                raise
                        try: m_ = clock_()
                        except RecursionError: m_ = t_
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

# The compiled core opens the plain case and answers False where Python has to go on: a foreign owner, watched
# arguments. What was assigned before tells it that a signal handler raised before its result was: it heals that.
_SYNC_COMPILED: Final = """
        while True:
            n_ = site_
            try:
                n_ = begin_(s_, site_)
                if n_ is not False: return fn_({forwarding})
            except BaseException as e_:
                if n_ is not site_:
                    q_ = n_[2] if n_.__class__ is tuple_ else n_
                    try: fail_(q_, e_)
                    except RecursionError: q_.errors += 1
                raise
            finally:
                try: end_(n_)
                except RecursionError:
                    if n_.__class__ is tuple_:
                        s_.frame = n_[1]
                        n_[2].calls += 1
                    elif n_ and n_ is not site_:
                        s_.frame = n_.before
                        n_.active &= ~1
                        n_.calls += 1
            if s_.owner == ident_(): break
            s_ = fork_(s_)
        p_ = s_.frame
        n_ = p_.children.get(site_)
        if n_ is None: n_ = new_(s_, p_, site_)
        a_ = n_.active
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
            try: d_ = clock_() - t_
            except RecursionError: d_ = 0
            try: leave_(s_, n_, a_, k_, t_, d_, r_)
            except RecursionError: pass
    return w
"""

_ASYNC_COMPILED: Final = """
        while True:
            b_ = None
            try:
                b_ = open_(s_, site_)
                if b_ is not False: return await fn_({forwarding})
            except BaseException as e_:
                if b_:
                    try: fail_(b_.base, e_)
                    except RecursionError: b_.base.errors += 1
                raise
            finally:
                close_(s_, b_)
            if s_.owner == ident_(): break
            s_ = fork_(s_)
"""

_GENERATOR_STEP_COMPILED: Final = """
                    n_ = site_
                    try:
                        n_ = resume_(s_, site_)
                        if n_ is not False: v_ = f_(v_)
                    except StopIteration: raise
                    except BaseException as e_:
                        if n_ is not site_:
                            x_ = n_[2] if n_.__class__ is tuple_ else n_
                            try: fail_(x_, e_)
                            except RecursionError: x_.errors += 1
                        raise
                    finally:
                        if q_ is None and n_ and n_ is not site_:
                            q_ = n_[2] if n_.__class__ is tuple_ else n_
                            q_.calls += 1
                        try: pause_(n_)
                        except RecursionError:
                            if n_.__class__ is tuple_: s_.frame = n_[1]
                            elif n_ and n_ is not site_:
                                s_.frame = n_.before
                                n_.active &= ~1
                    if n_ is False:
"""


def _safely(text: str) -> str:
    """As `_context.make_current` does, without its frame, which may be one too many at the end of the stack."""
    if core is not None or sys.version_info >= (3, 12):
        return text
    for branch in ("b_", "s_"):
        text = text.replace(f"set_({branch})", f"not empty_() and (copy_(), set_({branch}))")
    return text


PYTHON: Final = {
    "sync": _SYNC_HEAD + _SYNC,
    "async": _safely(_ASYNC_HEAD + _ASYNC_OWNER + _ASYNC),
    "generator": _GENERATOR_HEAD + _GENERATOR_STEP + _GENERATOR_TAIL,
    "asyncgen": _safely(_ASYNC_GENERATOR),
}
"""Kind of callable, with the text of its wrapper's factory."""

COMPILED: Final = PYTHON | {
    "sync": _SYNC_HEAD + _SYNC_COMPILED,
    "async": _ASYNC_HEAD + _ASYNC_COMPILED + _ASYNC,
    "generator": _GENERATOR_HEAD
    + _GENERATOR_STEP_COMPILED
    + indent(_GENERATOR_STEP, "    ")
    + _GENERATOR_TAIL,
}
"""The same for the compiled core; an async generator has no plain case worth one."""
