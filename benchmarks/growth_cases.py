"""Functions whose growth is known, from the standard library and from PyPI: what a judge of growth is judged by.

Needs the `bench` extra. `python -m benchmarks.growth record FILE` times them once; everybody is judged on those timings.
"""

from __future__ import annotations

import ast
import bisect
import collections
import copy
import csv
import difflib
import functools
import hashlib
import heapq
import html
import io
import itertools
import json
import operator
import pickle
import random
import re
import statistics
import string
import sys
import textwrap
import zlib
from typing import TYPE_CHECKING, Any, NamedTuple
from xml.etree import ElementTree

import networkx
import numpy
import sympy
from sortedcontainers import SortedList

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

sys.setrecursionlimit(100_000)
if hasattr(sys, "set_int_max_str_digits"):
    sys.set_int_max_str_digits(0)

chance = random.Random(7)


class Case(NamedTuple):
    """One function: its name, how it grows, between which sizes it is called, and its arguments at a size."""

    name: str
    label: str
    low: int
    high: int
    make: Callable[[int], tuple[Any, ...]]
    function: Callable[..., Any]


def _ints(n: int) -> list[int]:
    return [chance.randrange(10**9) for _ in range(n)]


def _floats(n: int) -> list[float]:
    return [chance.random() for _ in range(n)]


def _text(n: int, letters: str = "abcdefgh ") -> str:
    return "".join(chance.choices(letters, k=n))


def _rows(n: int) -> list[dict[str, Any]]:
    return [{"id": at, "name": f"x{at}"} for at in range(n)]


def _graph(n: int) -> Any:
    return networkx.gnm_random_graph(n, 3 * n, seed=chance.randrange(10**6))


def _weighted(n: int) -> Any:
    graph = _graph(n)
    for one, other in graph.edges:
        graph[one][other]["weight"] = chance.random()
    return graph


def _heap(n: int) -> list[int]:
    heap = _ints(n)
    heapq.heapify(heap)
    return heap


def _full_cache(n: int) -> Any:
    cached = functools.lru_cache(maxsize=None)(lambda value: value)
    for at in range(n):
        cached(at)
    return cached


def _binary_search(ordered: list[int], wanted: float) -> int:
    low, high = 0, len(ordered)
    while low < high:
        middle = (low + high) // 2
        if ordered[middle] < wanted:
            low = middle + 1
        else:
            high = middle
    return low


class _Node:
    __slots__ = ("key", "left", "right")

    def __init__(self, key: int) -> None:
        self.key = key
        self.left: _Node | None = None
        self.right: _Node | None = None


def _search_tree(n: int) -> tuple[_Node, int]:
    keys = list(range(n))
    chance.shuffle(keys)
    root = _Node(keys[0])
    for key in keys[1:]:
        node = root
        while True:
            side = "left" if key < node.key else "right"
            below = getattr(node, side)
            if below is None:
                setattr(node, side, _Node(key))
                break
            node = below
    return root, chance.randrange(n)


def _find_in_tree(node: _Node | None, key: int) -> int:
    depth = 0
    while node is not None and node.key != key:
        node = node.left if key < node.key else node.right
        depth += 1
    return depth


def _add_letters(n: int) -> str:
    text = ""
    for _ in range(n):
        text += "x"
    return text


def _heap_sort(items: Iterable[int]) -> list[int]:
    heap: list[int] = []
    for item in items:
        heapq.heappush(heap, item)
    return [heapq.heappop(heap) for _ in range(len(heap))]


def _merge_sort(items: list[int]) -> list[int]:
    if len(items) < 2:
        return items
    middle = len(items) // 2
    left, right = _merge_sort(items[:middle]), _merge_sort(items[middle:])
    merged, at, to = [], 0, 0
    while at < len(left) and to < len(right):
        if left[at] < right[to]:
            merged.append(left[at])
            at += 1
        else:
            merged.append(right[to])
            to += 1
    return merged + left[at:] + right[to:]


def _add_sorted(items: list[int]) -> Any:
    found = SortedList()
    for item in items:
        found.add(item)
    return found


def _is_prime(n: int) -> bool:
    divisor = 2
    while divisor * divisor <= n:
        if n % divisor == 0:
            return False
        divisor += 1
    return True


def _bubble_sort(items: list[int]) -> list[int]:
    items = list(items)
    for at in range(len(items)):
        for to in range(len(items) - 1 - at):
            if items[to] > items[to + 1]:
                items[to], items[to + 1] = items[to + 1], items[to]
    return items


def _without_duplicates(items: list[int]) -> list[int]:
    kept: list[int] = []
    for item in items:
        if item not in kept:
            kept.append(item)
    return kept


def _add_shared(n: int) -> str:
    text = ""
    for _ in range(n):
        before = text  # a second reference: CPython cannot extend in place
        text = text + "0123456789abcdef0123456789abcdef"
    return before if n else text


def _levenshtein(one: str, other: str) -> int:
    row = list(range(len(other) + 1))
    for number, letter in enumerate(one, 1):
        below = [number]
        for at, wanted in enumerate(other, 1):
            below.append(min(row[at] + 1, below[at - 1] + 1, row[at - 1] + (letter != wanted)))
        row = below
    return row[-1]


def _closest(points: list[tuple[float, float]]) -> float:
    pairs = ((one, other) for at, one in enumerate(points) for other in points[:at])
    return min(((a - c) ** 2 + (b - d) ** 2 for (a, b), (c, d) in pairs), default=0.0)


def _join_by_scan(users: list[dict[str, int]], orders: list[dict[str, int]]) -> list[Any]:
    return [(user, next(order for order in orders if order["uid"] == user["id"])) for user in users]


def _insertion_sort(items: list[int]) -> list[int]:
    items = list(items)
    for at in range(len(items)):
        items.insert(bisect.bisect_left(items[:at], items[at]), items.pop(at))
    return items


def _multiply(n: int, rows: list[list[float]]) -> list[list[float]]:
    span = range(n)
    return [[sum(rows[i][k] * rows[k][j] for k in span) for j in span] for i in span]


def _three_sum(items: list[int]) -> int:
    triples = (items[i] + items[j] + items[k] for i in range(len(items)) for j in range(i) for k in range(j))
    return sum(1 for total in triples if total == 0)


def _fibonacci(n: int) -> int:
    return n if n < 2 else _fibonacci(n - 1) + _fibonacci(n - 2)


def _hanoi(n: int) -> int:
    return 0 if n == 0 else _hanoi(n - 1) + 1 + _hanoi(n - 1)


def _shortest_tour(n: int) -> int:
    tours = itertools.permutations(range(n))
    return min(sum(abs(tour[at] - tour[at - 1]) for at in range(n)) for tour in tours)


def _has_subset(items: list[int], total: int) -> bool:
    if not items:
        return total == 0
    return _has_subset(items[1:], total) or _has_subset(items[1:], total - items[0])


_DIGITS = string.digits * 8

CONSTANT = (
    Case("dict.get", "1", 10, 300_000, lambda n: (dict.fromkeys(range(n)), n // 2), dict.get),
    Case("set membership", "1", 10, 300_000, lambda n: (set(range(n)), n // 2), operator.contains),
    Case("append and pop", "1", 10, 300_000, lambda n: (list(range(n)),), lambda v: (v.append(1), v.pop())),
    Case("ends of a deque", "1", 10, 300_000, lambda n: (collections.deque(range(n)),), lambda v: (v.appendleft(1), v.pop())),
    Case("first 50", "1", 100, 300_000, lambda n: (list(range(n)),), lambda v: list(itertools.islice(v, 50))),
    Case("slice of 20", "1", 100, 300_000, lambda n: (_text(n),), lambda v: v[40:60].upper()),
    Case("random.choice", "1", 10, 300_000, lambda n: (list(range(n)),), random.choice),
    Case("first page as json", "1", 40, 100_000, lambda n: (_ints(n),), lambda v: json.dumps(v[:20])),
    Case("move_to_end", "1", 10, 100_000, lambda n: (collections.OrderedDict.fromkeys(range(n)), n // 2), lambda v, key: v.move_to_end(key)),
    Case("hit in a large lru_cache", "1", 10, 100_000, lambda n: (_full_cache(n),), lambda cached: cached(3)),
)  # fmt: skip
LOGARITHMIC = (
    Case("bisect_left", "log", 16, 1_000_000, lambda n: (list(range(n)), chance.random() * n), bisect.bisect_left),
    Case("heapreplace", "log", 16, 300_000, lambda n: (_heap(n), chance.randrange(10**9)), heapq.heapreplace),
    Case("binary search in Python", "log", 16, 1_000_000, lambda n: (list(range(n)), chance.random() * n), _binary_search),
    Case("modular power", "log", 16, 2**50, lambda n: (3, n, 2**61 - 1), pow),
    Case("search tree", "log", 16, 60_000, _search_tree, _find_in_tree),
)  # fmt: skip
LINEAR = (
    Case("sum", "n", 10, 300_000, lambda n: (_ints(n),), sum),
    Case("max with key", "n", 10, 60_000, lambda n: (_ints(n),), lambda v: max(v, key=lambda item: -item)),
    Case("list of range", "n", 10, 300_000, lambda n: (n,), lambda n: list(range(n))),
    Case("set of list", "n", 10, 200_000, lambda n: (_ints(n),), set),
    Case("join", "n", 10, 200_000, lambda n: ([str(at) for at in range(n)],), ",".join),
    Case("json.dumps", "n", 10, 30_000, lambda n: (_rows(n),), json.dumps),
    Case("json.loads", "n", 10, 30_000, lambda n: (json.dumps(_rows(n)),), json.loads),
    Case("search in a list", "n", 10, 200_000, lambda n: (_ints(n),), lambda v: -1 in v),
    Case("insert at the front, once", "n", 1_000, 2_000_000, lambda n: (list(range(n)),), lambda v: (v.insert(0, 1), v.pop())),
    Case("copy by slice", "n", 10, 300_000, lambda n: (_ints(n),), lambda v: v[:]),
    Case("Counter", "n", 10, 100_000, lambda n: ([chance.randrange(1000) for _ in range(n)],), collections.Counter),
    Case("sha256", "n", 100, 2_000_000, lambda n: (bytes(n),), lambda v: hashlib.sha256(v).digest()),
    Case("zlib.compress", "n", 100, 200_000, lambda n: (_text(n).encode(),), zlib.compress),
    Case("csv.reader", "n", 10, 30_000, lambda n: ("\n".join(f"{at},{at * 7},abc" for at in range(n)),), lambda v: list(csv.reader(io.StringIO(v)))),
    Case("heapify", "n", 10, 200_000, lambda n: (_ints(n),), lambda v: heapq.heapify(list(v))),
    Case("dict comprehension", "n", 10, 100_000, lambda n: (_ints(n),), lambda v: {item: item + 1 for item in v}),
    Case("statistics.mean", "n", 10, 20_000, lambda n: (_ints(n),), statistics.mean),
    Case("pickle.dumps", "n", 10, 100_000, lambda n: (_ints(n),), pickle.dumps),
    Case("copy.deepcopy", "n", 10, 5_000, lambda n: ([[at, at] for at in range(n)],), copy.deepcopy),
    Case("networkx: breadth first", "n", 20, 5_000, lambda n: (_graph(n),), lambda v: list(networkx.bfs_edges(v, 0))),
    Case("networkx: components", "n", 20, 10_000, lambda n: (_graph(n),), lambda v: list(networkx.connected_components(v))),
    Case("ast.parse", "n", 5, 3_000, lambda n: ("\n".join(f"x{at} = {at} + y*3" for at in range(n)),), ast.parse),
    Case("str.replace", "n", 100, 300_000, lambda n: (_text(n),), lambda v: v.replace("a", "bb")),
    Case("words by re", "n", 100, 200_000, lambda n: (_text(n),), lambda v: re.findall(r"\w+", v)),
    Case("list comprehension", "n", 10, 100_000, lambda n: (_ints(n),), lambda v: [item * 2 + 1 for item in v if item & 1]),
    Case("random.shuffle", "n", 10, 50_000, lambda n: (_ints(n),), random.shuffle),
    Case("html.escape", "n", 100, 300_000, lambda n: (_text(n, 'ab<>&" '),), html.escape),
    Case("textwrap.wrap", "n", 100, 50_000, lambda n: (_text(n),), textwrap.wrap),
    Case("numpy.cumsum", "n", 1_000, 2_000_000, lambda n: (numpy.random.rand(n),), numpy.cumsum),
    Case("SortedList of sorted", "n", 100, 100_000, lambda n: (list(range(n)),), SortedList),
    Case("str += in place", "n", 10, 50_000, lambda n: (n,), _add_letters),
    Case("xml parse", "n", 10, 10_000, lambda n: ("<a>" + "<b c='1'>t</b>" * n + "</a>",), ElementTree.fromstring),
)  # fmt: skip
LINEARITHMIC = (
    Case("sorted", "nlogn", 10, 100_000, lambda n: (_floats(n),), sorted),
    Case("heap sort", "nlogn", 10, 50_000, lambda n: (_ints(n),), _heap_sort),
    Case("merge sort in Python", "nlogn", 10, 10_000, lambda n: (_ints(n),), _merge_sort),
    Case("statistics.median", "nlogn", 10, 100_000, lambda n: (_floats(n),), statistics.median),
    Case("numpy.fft", "nlogn", 256, 500_000, lambda n: (numpy.random.rand(1 << (n.bit_length() - 1)),), numpy.fft.rfft),
    Case("networkx: spanning tree", "nlogn", 20, 3_000, lambda n: (_weighted(n),), lambda v: list(networkx.minimum_spanning_edges(v, data=False))),
    Case("networkx: dijkstra", "nlogn", 20, 5_000, lambda n: (_weighted(n),), lambda v: networkx.single_source_dijkstra_path_length(v, 0)),
    Case("SortedList.add", "nlogn", 20, 20_000, lambda n: (_ints(n),), _add_sorted),
    Case("numpy.sort", "nlogn", 256, 500_000, lambda n: (numpy.random.rand(n),), numpy.sort),
)  # fmt: skip
BETWEEN = (
    Case("product of long integers", "n1.5", 2_000, 300_000, lambda n: (chance.getrandbits(n) | 1 << n, chance.getrandbits(n) | 1 << n), operator.mul),
    Case("trial division", "n1.5", 20, 20_000, lambda n: (n,), lambda n: sum(map(_is_prime, range(n)))),
)  # fmt: skip
QUADRATIC = (
    Case("bubble sort", "n2", 5, 400, lambda n: (_ints(n),), _bubble_sort),
    Case("all pairs", "n2", 5, 500, lambda n: (_ints(n),), lambda v: sum(1 for one in v for other in v if one < other)),
    Case("membership of a list", "n2", 5, 2_500, lambda n: (_ints(n),), _without_duplicates),
    Case("str + with two references", "n2", 10, 6_000, lambda n: (n,), _add_shared),
    Case("trailing spaces by re", "n2", 20, 4_000, lambda n: (" " * n + "x",), lambda v: re.sub(r"\s+$", "", v)),
    Case("networkx: all shortest paths", "n2", 10, 250, lambda n: (_graph(n),), lambda v: dict(networkx.all_pairs_shortest_path_length(v))),
    Case("levenshtein", "n2", 5, 250, lambda n: (_text(n), _text(n)), _levenshtein),
    Case("sum of lists", "n2", 10, 3_000, lambda n: ([[1, 2] for _ in range(n)],), lambda v: sum(v, [])),  # noqa: RUF017 - that is the case
    Case("tuple +=", "n2", 10, 3_000, lambda n: (n,), lambda n: functools.reduce(lambda v, at: (*v, at), range(n), ())),
    Case("pop(0) until empty", "n2", 10, 60_000, lambda n: (list(range(n)),), lambda v: [v.pop(0) for _ in range(len(v))]),
    Case("str of a long integer", "n2", 100, 20_000, lambda n: (10**n + 7,), str),
    Case("numpy.outer", "n2", 10, 1_500, lambda n: (numpy.random.rand(n),), lambda v: numpy.outer(v, v)),
    Case("closest pair", "n2", 5, 300, lambda n: (list(zip(_floats(n), _floats(n), strict=True)),), _closest),
    Case("bytes +=", "n2", 20, 4_000, lambda n: (n,), lambda n: functools.reduce(lambda v, _: v + _DIGITS.encode(), range(n), b"")),
    Case("join by scan", "n2", 5, 800, lambda n: ([{"id": at} for at in range(n)], [{"uid": at} for at in range(n)]), _join_by_scan),
    Case("insertion sort", "n2", 5, 400, lambda n: (_ints(n),), _insertion_sort),
    Case("networkx: closeness", "n2", 10, 200, lambda n: (_graph(n),), networkx.closeness_centrality),
    Case("difflib of 4 letters", "n2+", 20, 500, lambda n: (_text(n, "abcd"), _text(n, "abcd")), lambda one, other: difflib.SequenceMatcher(None, one, other, False).ratio()),
)  # fmt: skip
CUBIC = (
    Case("matrix product in Python", "n3", 3, 60, lambda n: (n, [[1.5] * n for _ in range(n)]), _multiply),
    Case("networkx: floyd_warshall", "n3", 4, 60, lambda n: (_weighted(n),), networkx.floyd_warshall),
    Case("sympy: matrix product", "n3", 3, 40, lambda n: (sympy.randMatrix(n),), lambda v: v * v),
    Case("three loops", "n3", 3, 60, lambda n: (n,), lambda n: sum(1 for a in range(n) for b in range(n) for c in range(n) if a < b < c)),
    Case("three sum", "n3", 4, 90, lambda n: (_ints(n),), _three_sum),
)  # fmt: skip
EXPONENTIAL = (
    Case("fibonacci by recursion", "exp", 3, 21, lambda n: (n,), _fibonacci),
    Case("power set", "exp", 2, 16, lambda n: (list(range(n)),), lambda v: [part for k in range(len(v) + 1) for part in itertools.combinations(v, k)]),
    Case("(a+)+$ by re", "exp", 3, 19, lambda n: ("a" * n + "b",), lambda v: re.match(r"(a+)+$", v)),
    Case("shortest tour", "exp", 2, 8, lambda n: (n,), _shortest_tour),
    Case("hanoi", "exp", 2, 16, lambda n: (n,), _hanoi),
    Case("subset sum", "exp", 2, 15, lambda n: ([chance.randrange(2, 10**6, 2) for _ in range(n)], 1), _has_subset),
)  # fmt: skip
CASES = CONSTANT + LOGARITHMIC + LINEAR + LINEARITHMIC + BETWEEN + QUADRATIC + CUBIC + EXPONENTIAL
