"""The trees of all units of work of a route as one: what a flame graph is drawn from."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, final

from .. import _limits

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

Key = tuple[str, str, str]
"""Kind, label and line of a callsite."""


@final
@dataclass(slots=True)
class Node:
    """One callsite below one path of callsites, over all units of work of a route."""

    key: Key
    calls: int = 0
    total_ms: float = 0.0
    children: dict[Key, Node] = field(default_factory=dict)

    @property
    def self_ms(self) -> float:
        """Return the time that no child covers; children that overlapped may cover all of it."""
        return max(0.0, self.total_ms - sum(child.total_ms for child in self.children.values()))

    def walk(self) -> Iterator[tuple[tuple[Node, ...], Node]]:
        """Yield each node with the nodes above it, this one included."""
        stack: list[tuple[tuple[Node, ...], Node]] = [((self,), self)]
        while stack:
            path, node = stack.pop()
            yield path, node
            stack.extend(((*path, child), child) for child in node.children.values())


@final
class Forest:
    """The trees of all units of work, merged by route; at most `MAX_TREE_NODES`, what is more counts for its parent."""

    def __init__(self) -> None:
        self.routes: dict[str, Node] = {}
        self._nodes = 0

    def add(self, record: Mapping[str, Any]) -> None:
        """Add the tree of one unit of work.

        Raises:
            KeyError: It is no record of a unit of work.
            IndexError: Its tree names a callsite or a frame that is not there.
        """
        name = record["unit"]["name"]
        root = self.routes.get(name)
        if root is None:
            root = self.routes[name] = Node((record["unit"]["kind"], name, ""))
        root.calls += 1
        root.total_ms += record["dur_ms"]
        nodes: list[Node] = []
        for above, site, calls, total_ms, *_ in record.get("tree", ()):
            parent = nodes[above] if above >= 0 else root
            callsite = record["callsites"][site]
            node = self._below(parent, (callsite["kind"], callsite["label"], callsite["at"]))
            if node is not parent:
                node.calls += calls
                node.total_ms += total_ms
            nodes.append(node)

    def _below(self, parent: Node, key: Key) -> Node:
        node = parent.children.get(key)
        if node is None:
            if self._nodes >= _limits.MAX_TREE_NODES:
                return parent
            self._nodes += 1
            node = parent.children[key] = Node(key)
        return node
