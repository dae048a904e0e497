"""What is called: small functions of every kind, as text, so that each decorator gets fresh ones."""

from __future__ import annotations

import functools
import inspect
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from manometer import _context
from manometer._context import close_profile, open_profile, restore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@dataclass(frozen=True)
class Subject:
    """One shape of call.

    Args:
        setup: Source that defines what is called; `deco` is the decorator.
        call: The statement that is timed.
        calls: Measured calls that one execution of it makes.
        inner: Executions in one unit of work.
        asynchronous: It is awaited.
    """

    setup: str
    call: str
    calls: int = 1
    inner: int = 1_000
    asynchronous: bool = False


_NEST = "@deco\ndef f0(): pass\n" + "".join(f"@deco\ndef f{n}(): f{n - 1}()\n" for n in range(1, 5))
_MANY = "".join(f"@deco\ndef g{n}(): pass\n" for n in range(50))
_EACH = "; ".join(f"g{n}()" for n in range(50))
_REQUEST = """
@deco
def load(i): return {"id": i, "name": "n%d" % i, "tags": ["a", "b"]}
@deco
def price(order): return order["id"] * 1.2
@deco
def line(order, value): return "%s:%.2f" % (order["name"], value)
@deco
def item(i):
    order = load(i)
    return line(order, price(order))
@deco
def page(): return [item(i) for i in range(100)]
"""
_SUSPEND = """
class Once:
    def __await__(self): yield
once = Once()
@deco
async def f(): await once
"""

SUBJECTS = {
    "sync": Subject("@deco\ndef f(): pass", "f()"),
    "arguments": Subject("@deco\ndef f(a, b=0, *, c=None): return a", "f(1, c=2)"),
    "method": Subject("class K:\n    @deco\n    def m(self): pass\nk = K()", "k.m()"),
    "nested": Subject(_NEST, "f4()", calls=5),
    "recursion": Subject("@deco\ndef f(n): return f(n - 1) if n else 0", "f(9)", calls=10, inner=100),
    "async": Subject("@deco\nasync def f(): pass", "await f()", asynchronous=True),
    "async, suspends": Subject(_SUSPEND, "await f()", asynchronous=True),
    "generator item": Subject(
        "@deco\ndef f():\n    for i in r100: yield i\nr100 = range(100)",
        "for _ in f(): pass",
        calls=100,
        inner=10,
    ),
    "many functions": Subject(_MANY, _EACH, calls=50, inner=20),
    "first call": Subject(_MANY, _EACH, calls=50, inner=1),
    "request of 401": Subject(_REQUEST, "page()", calls=401, inner=1),
}
"""Each shape of call; `inner=1` makes a new tree of frames for every unit."""


def bare(function: Callable[..., Any]) -> Callable[..., Any]:
    """Leave the function as it is."""
    return function


def two_clocks(function: Callable[..., Any]) -> Callable[..., Any]:
    """The yardstick Y: what people write by hand, `*args, **kwargs` and two readings of the clock."""
    clock, spent = time.perf_counter_ns, [0, 0]
    if inspect.iscoroutinefunction(function):

        @functools.wraps(function)
        async def wait(*args: Any, **kwargs: Any) -> Any:
            started = clock()
            try:
                return await function(*args, **kwargs)
            finally:
                spent[0] += 1
                spent[1] += clock() - started

        return wait

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        started = clock()
        try:
            return function(*args, **kwargs)
        finally:
            spent[0] += 1
            spent[1] += clock() - started

    return call


def exact_clocks(function: Callable[..., Any]) -> Callable[..., Any]:
    """The floor F: the exact signature, two readings of the clock, one global sum; nothing cheaper can be written."""
    parameters = inspect.signature(function).parameters.values()
    names = [p.name if p.kind is not p.KEYWORD_ONLY else f"{p.name}={p.name}" for p in parameters]
    scope: dict[str, Any] = {"clock_": time.perf_counter, "fn_": function, "sum_": 0.0}
    text = inspect.signature(function)
    source = f"""
def w{text}:
    global sum_
    t_ = clock_()
    try: return fn_({", ".join(names)})
    finally: sum_ += clock_() - t_
"""
    exec(source, scope)
    return scope["w"]  # type: ignore[no-any-return]


FLOORS = ("sync", "arguments", "method", "nested", "many functions", "request of 401")
"""Shapes for which the floor is written: plain functions."""


def forget(_: object) -> None:
    """Take a sealed profile and do nothing with it."""


@contextmanager
def unit() -> Iterator[None]:
    """A unit of work as a request opens one, without a background thread."""
    opened = open_profile("benchmark", to=forget)
    try:
        yield
    finally:
        close_profile(opened)
        restore(opened)


@contextmanager
def nothing() -> Iterator[None]:
    """No unit of work."""
    yield


def core() -> str:
    """Which core measures in this process."""
    from manometer import _native

    return _native.name()


def is_idle() -> bool:
    """Whether nothing would be recorded outside a unit of work."""
    return bool(_context.HOT["idle_"])
