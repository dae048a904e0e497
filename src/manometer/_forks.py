"""Private subtrees: which branches own one, in the order in which they are merged."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable


def forks_of(opened: Iterable[Any]) -> list[Any]:
    """Return the forks among the branches of a profile, the innermost first.

    A fork is known by itself and not by the branch that it was made of: that one may be closed, as
    that of a coroutine is which called into another thread and ended. Its frame stays.

    The thread that seals; 0.1 us a branch.
    """
    forks = [
        branch
        for branch in opened
        if branch.outer is not None and branch.base.parent is None and branch.base is not branch.outer.base
    ]
    return sorted(forks, key=_depth, reverse=True) if len(forks) > 1 else forks


def _depth(branch: Any) -> int:
    depth = 0
    outer = branch.outer
    while outer is not None:
        depth += 1
        outer = outer.outer
    return depth
