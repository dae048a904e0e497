"""Small random programs, as source text, over every kind of callable that can be measured."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hypothesis import strategies as st

if TYPE_CHECKING:
    from collections.abc import Callable

SYNC = (
    "def",
    "method",
    "classmethod",
    "staticmethod",
    "property",
    "cached",
    "partial",
    "lru",
    "unit",
    "bound",
)
KINDS = (*SYNC, "async", "gen", "agen", "cm", "acm", "aunit", "amethod")
MOST = 9
"""Callables of one program; each body has a handful of statements, so that a program is a tree of some thirty."""


class _Writer:
    """Writes one program; every decision is Hypothesis's, so that a failure shrinks."""

    def __init__(self, draw: Callable[[Any], Any]) -> None:
        self.draw = draw
        self.kinds = [draw(st.sampled_from(KINDS)) for _ in range(draw(st.integers(1, MOST)))]
        self.lines: list[str] = []

    def one_of(self, *choices: str) -> str:
        return self.draw(st.sampled_from(choices))

    def number(self, most: int = 3) -> int:
        return self.draw(st.integers(0, most))

    def any_of(self, *kinds: str) -> int | None:
        """Return the number of a callable of one of the kinds; None when the program has none."""
        found = [at for at, kind in enumerate(self.kinds) if kind in kinds]
        return self.draw(st.sampled_from(found)) if found else None

    def call(self, at: int) -> str:
        kind, argument = self.kinds[at], self.one_of("x", "1", "2")
        if kind in ("property", "cached"):
            return f"C{at}().f{at}"
        if kind in ("method", "amethod", "bound"):
            return f"C{at}().f{at}({argument})"
        if kind in ("classmethod", "staticmethod"):
            return f"C{at}.f{at}({argument})"
        return f"f{at}({argument})"

    def program(self) -> str:
        for at, kind in enumerate(self.kinds):
            self.define(at, kind)
        self.lines.append("def main():")
        self.lines.append("    x = 0")
        self.block("    ", "sync", 3, 2)
        starts = self.any_of("async", "amethod", "aunit")
        if starts is not None:
            self.lines.append(f"    log(run(lambda: {self.call(starts)}))")
        return "\n".join(self.lines) + "\n"

    def define(self, at: int, kind: str) -> None:
        above = {
            "classmethod": ["@classmethod"], "staticmethod": ["@staticmethod"], "property": ["@property"],
            "cached": ["@functools.cached_property"], "lru": ["@functools.lru_cache(2)"],
            "cm": ["@contextlib.contextmanager"], "acm": ["@contextlib.asynccontextmanager"],
            "unit": [f'@profile("u{at}")'], "aunit": [f'@profile("u{at}", kind="request")'],
        }.get(kind, [])  # fmt: skip
        measured = [] if kind in ("unit", "aunit") and self.number(1) else ["@measure"]
        # Above a context manager it measures the making of the manager, below it the generator.
        decorators = measured + above if self.number(1) else above + measured
        if kind in ("unit", "aunit"):
            decorators = above + measured
        owner = kind in ("method", "amethod", "classmethod", "staticmethod", "property", "cached", "bound")
        indent = "    " if owner else ""
        if owner:
            self.lines.append(f"class C{at}:")
        first = {"method": "self, ", "amethod": "self, ", "classmethod": "cls, ", "property": "self, ",
                 "cached": "self, ", "bound": "self, "}.get(kind, "")  # fmt: skip
        asynchronous = kind in ("async", "agen", "acm", "aunit", "amethod")
        name = f"_f{at}" if kind in ("partial",) else f"f{at}"
        if kind in ("partial", "bound"):
            decorators = []
        self.lines += [indent + decorator for decorator in decorators]
        self.lines.append(f"{indent}{'async ' if asynchronous else ''}def {name}({first}x=0):")
        inside = indent + "    "
        yields = kind in ("gen", "agen", "cm", "acm")
        self.lines.append(f"{inside}if not fuel('f{at}'): return{'' if yields else ' None'}")
        mode = {"gen": "gen", "agen": "agen", "cm": "cm", "acm": "acm"}.get(
            kind, "async" if asynchronous else "sync"
        )
        if kind == "cached":
            # Nothing that waits: before 3.12 the property is computed under a lock of its class.
            self.lines.append(f"{inside}log('cached', x)")
        else:
            self.block(inside, mode, 3, 2)
        if yields:
            self.lines.append(f"{inside}yield {at}")
        elif self.number(1):
            self.lines.append(f"{inside}return {at}")
        if kind == "partial":
            self.lines.append(f"f{at} = measure(functools.partial(_f{at}))")
        if kind == "bound":
            self.lines.append(f"C{at}.f{at} = measure(C{at}.f{at})")

    def block(self, indent: str, mode: str, most: int, depth: int) -> None:
        for _ in range(1 + self.number(most)):
            self.statement(indent, mode, depth)

    def statement(self, indent: str, mode: str, depth: int) -> None:
        add = self.lines.append
        simple = ["log", "log", "call", "call", "gen", "thread", "never", "raise"]
        nested = ["try", "with", "unit", "cm", "loop", "drive"]
        if mode in ("async", "agen", "acm"):
            simple += ["await", "await", "sleep", "gather", "cancel", "timeout", "to_thread"]
            nested += ["agen", "adrive", "acm", "awith"]
        else:
            simple += ["run"]
        if mode in ("gen", "agen"):
            simple += ["yield", "yield"]
        if mode == "gen":
            simple += ["from"]
        what = self.one_of(*simple, *(nested if depth else []))
        write = getattr(self, f"_{what}")
        before = len(self.lines)
        write(add, indent, mode, depth - 1)
        if len(self.lines) == before:
            add(f"{indent}log('nothing')")

    # Plain statements.
    def _log(self, add, indent, mode, depth) -> None:
        add(f"{indent}log('here', {self.number()}, x)")

    def _call(self, add, indent, mode, depth) -> None:
        at = self.any_of(*SYNC)
        if at is not None:
            add(f"{indent}log({self.call(at)})")

    def _raise(self, add, indent, mode, depth) -> None:
        if not self.number(2):
            add(
                f"{indent}if x != 2: raise {self.one_of('E0', 'E1', 'E2', 'KeyboardInterrupt')}({self.number()})"
            )

    def _thread(self, add, indent, mode, depth) -> None:
        at = self.any_of(*SYNC)
        if at is not None:
            add(f"{indent}log({self.one_of('in_thread', 'in_pool')}(lambda: {self.call(at)}))")

    def _never(self, add, indent, mode, depth) -> None:
        at = self.any_of("async", "amethod", "aunit", "gen", "agen")
        if at is not None:
            add(f"{indent}{self.call(at)}")

    def _run(self, add, indent, mode, depth) -> None:
        at = self.any_of("async", "amethod", "aunit")
        if at is not None:
            add(f"{indent}log(run(lambda: {self.call(at)}))")

    def _gen(self, add, indent, mode, depth) -> None:
        at = self.any_of("gen")
        if at is not None:
            add(f"{indent}log(list({self.call(at)}))")

    def _try(self, add, indent, mode, depth) -> None:
        add(f"{indent}try:")
        self.block(indent + "    ", mode, 2, depth)
        if self.number(2):
            add(f"{indent}except {self.one_of('E0', 'E1', '(E0, E2)', 'Exception')} as error:")
            add(f"{indent}    log('caught', error)")
            after = self.one_of(
                "pass", "raise", "raise E2(9) from error", "raise E1(8) from None", "raise E0(7)"
            )
            add(f"{indent}    {after}")
        add(f"{indent}finally:")
        add(f"{indent}    log('finally', {self.number()})")

    def _with(self, add, indent, mode, depth) -> None:
        add(f"{indent}with measure({self.one_of(repr('b0'), repr('b1'), '')}):")
        self.block(indent + "    ", mode, 1, depth)

    def _unit(self, add, indent, mode, depth) -> None:
        add(f"{indent}with profile('unit'):")
        self.block(indent + "    ", mode, 1, depth)

    def _cm(self, add, indent, mode, depth) -> None:
        at = self.any_of("cm")
        if at is not None:
            add(f"{indent}with {self.call(at)} as v:")
            add(f"{indent}    log(v)")
            self.block(indent + "    ", mode, 1, depth)

    def _loop(self, add, indent, mode, depth) -> None:
        at = self.any_of("gen")
        if at is not None:
            add(f"{indent}for v in {self.call(at)}:")
            add(f"{indent}    log(v)")
            self.block(indent + "    ", mode, 1, depth)
            if self.number(1):
                add(f"{indent}    break")

    def _drive(self, add, indent, mode, depth) -> None:
        at = self.any_of("gen")
        if at is not None:
            add(f"{indent}g = {self.call(at)}")
            for _ in range(1 + self.number()):
                how = self.one_of("'next'", "'send', 5", "'throw', E0", "'throw', E1", "'close'")
                add(f"{indent}step(g, {how})")
            add(f"{indent}{self.one_of('keep(g)', 'g = None', 'pass')}")

    # Generators.
    def _yield(self, add, indent, mode, depth) -> None:
        add(f"{indent}log('sent', (yield {self.number()}))")

    def _from(self, add, indent, mode, depth) -> None:
        at = self.any_of("gen")
        if at is not None:
            add(f"{indent}log((yield from {self.call(at)}))")

    # Coroutines.
    def _await(self, add, indent, mode, depth) -> None:
        at = self.any_of("async", "amethod", "aunit")
        if at is not None:
            add(f"{indent}log(await {self.call(at)})")

    def _sleep(self, add, indent, mode, depth) -> None:
        add(f"{indent}await asyncio.sleep(0)")

    def _gather(self, add, indent, mode, depth) -> None:
        at, other = self.any_of("async", "amethod"), self.any_of("async", "aunit")
        if at is not None and other is not None:
            add(
                f"{indent}log(await asyncio.gather({self.call(at)}, {self.call(other)}, return_exceptions=True))"
            )

    def _cancel(self, add, indent, mode, depth) -> None:
        at = self.any_of("async", "amethod", "aunit")
        if at is not None:
            add(f"{indent}t = asyncio.ensure_future({self.call(at)})")
            for _ in range(self.number(2)):
                add(f"{indent}await asyncio.sleep(0)")
            add(f"{indent}t.cancel()")
            add(f"{indent}await settle(t)")

    def _timeout(self, add, indent, mode, depth) -> None:
        at = self.any_of("async", "amethod")
        if at is not None:
            add(f"{indent}await settle(asyncio.wait_for({self.call(at)}, 0))")

    def _to_thread(self, add, indent, mode, depth) -> None:
        at = self.any_of(*SYNC)
        if at is not None:
            add(f"{indent}log(await to_thread(lambda: {self.call(at)}))")

    def _agen(self, add, indent, mode, depth) -> None:
        at = self.any_of("agen")
        if at is not None:
            add(f"{indent}async for v in {self.call(at)}:")
            add(f"{indent}    log(v)")
            self.block(indent + "    ", mode, 1, depth)
            if self.number(1):
                add(f"{indent}    break")

    def _adrive(self, add, indent, mode, depth) -> None:
        at = self.any_of("agen")
        if at is not None:
            add(f"{indent}g = {self.call(at)}")
            for _ in range(1 + self.number()):
                how = self.one_of(
                    "'anext'", "'asend', 5", "'athrow', E0", "'athrow', E1", "'aclose'", "'elsewhere'"
                )
                add(f"{indent}await astep(g, {how})")
            add(f"{indent}{self.one_of('keep(g)', 'g = None', 'pass')}")

    def _acm(self, add, indent, mode, depth) -> None:
        at = self.any_of("acm")
        if at is not None:
            add(f"{indent}async with {self.call(at)} as v:")
            add(f"{indent}    log(v)")
            self.block(indent + "    ", mode, 1, depth)

    def _awith(self, add, indent, mode, depth) -> None:
        add(f"{indent}async with {self.one_of('measure(repr(1))', 'profile(repr(2))')}:")
        self.block(indent + "    ", mode, 1, depth)


@st.composite
def programs(draw: Callable[[Any], Any]) -> str:
    """Return the source of a program whose `main()` is to be run by `_stage`."""
    return _Writer(draw).program()
