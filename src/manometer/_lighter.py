"""The text of the wrappers that may take the place of a plain function's: lighter ones, for what is called very often."""

from __future__ import annotations

from typing import Final

from ._texts import COMPILED, PYTHON

# A call that is only counted: of a function called very often, where nothing lies below its frame (see `_sampled`).
_SKIP: Final = """
def make_(fn_, site_):
    def w({declaration}):
        s_ = get_()
        if s_:
            n_ = s_.frame.children.get(site_)
            if n_ is not None:
                i_ = n_.calls
                if i_ >= 16 and i_ * 40503 & 65535 >= 4096 and not n_.active and n_.children is leaf_ and s_.owner == ident_():
                    n_.calls = i_ + 1; n_.untimed += 1
                    try: return fn_({forwarding})
                    except BaseException as e_:
                        try: fail_(n_, e_)
                        except RecursionError: n_.errors += 1
                        raise
"""
_SKIP_COMPILED: Final = """
def make_(fn_, site_):
    def w({declaration}):
        n_ = skip_(site_)
        if n_ is not None:
            try: return fn_({forwarding})
            except BaseException as e_:
                try: fail_(n_, e_)
                except RecursionError: n_.errors += 1
                raise
"""
# The name keeps the callsite among the free variables: only code with the same ones may take this one's place.
BARE: Final = """
def make_(fn_, site_):
    def w({declaration}):
        return fn_({forwarding})
        site_
    return w
"""
"""A wrapper that records nothing, and does not even ask whether it should."""


def _behind(skip: str, whole: str) -> str:
    """Return *whole* with *skip* in front of what its wrapper does: both begin with a blank line and two of declaration."""
    return skip + whole.split("\n", 3)[3]


SAMPLED: Final = {False: _behind(_SKIP, PYTHON["sync"]), True: _behind(_SKIP_COMPILED, COMPILED["sync"])}
"""Whether it is for the compiled core, with the text of a wrapper that does not time each call."""
