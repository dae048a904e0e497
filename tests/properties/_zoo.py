"""Hostile values: whatever is done to them is written down, raises, or takes the whole memory."""

from __future__ import annotations

from typing import Any
from unittest import mock

touched: list[str] = []
"""Every method of an animal that somebody called."""

_DUNDERS = (
    "__repr__", "__str__", "__hash__", "__eq__", "__ne__", "__len__", "__bool__", "__iter__", "__next__",
    "__bytes__", "__index__", "__int__", "__float__", "__format__", "__reduce__", "__reduce_ex__", "__getitem__",
    "__contains__", "__lt__", "__dir__", "__sizeof__", "__copy__", "__deepcopy__", "__fspath__", "__getattr__",
    "__getattribute__", "__call__", "__enter__", "__await__", "__length_hint__", "__getstate__",
)  # fmt: skip


def _noted(kind: str, name: str, behave: Any) -> Any:
    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        touched.append(f"{kind}.{name}")
        return behave()

    method.__name__ = name
    return method


class _Meta(type):
    """A metaclass that answers for its classes: their names, their instances, their equality."""

    def __instancecheck__(cls, _: Any) -> bool:
        touched.append("metaclass.__instancecheck__")
        raise RuntimeError

    def __hash__(cls) -> int:
        touched.append("metaclass.__hash__")
        return 1

    def __eq__(cls, _: object) -> bool:
        touched.append("metaclass.__eq__")
        raise RuntimeError

    @property
    def __name__(cls) -> str:  # type: ignore[override]
        touched.append("metaclass.__name__")
        raise RuntimeError


def _raises(error: type[BaseException]) -> Any:
    def behave() -> Any:
        raise error("touched")

    return behave


def _animal(kind: str, behave: Any, *bases: type, meta: type = type, leave_out: tuple[str, ...] = ()) -> type:
    body = {name: _noted(kind, name, behave) for name in _DUNDERS if name not in leave_out}
    return meta(kind, bases or (object,), body)


_NOT_FOR_BUILTINS = ("__getattribute__",)
ANIMALS: dict[str, Any] = {
    "raises": _animal("raises", _raises(ValueError))(),
    "exits": _animal("exits", _raises(SystemExit))(),
    "recurses": _animal("recurses", _raises(RecursionError))(),
    "starves": _animal("starves", _raises(MemoryError))(),
    "fills": _animal("fills", lambda: " " * 50_000_000)(),
    "class": _animal("class", _raises(ValueError), meta=_Meta)(),
    "int": _animal("int", _raises(ValueError), int, leave_out=_NOT_FOR_BUILTINS)(3),
    "str": _animal("str", _raises(ValueError), str, leave_out=_NOT_FOR_BUILTINS)("text"),
    "list": _animal("list", _raises(ValueError), list, leave_out=_NOT_FOR_BUILTINS)([1]),
    "dict": _animal("dict", _raises(ValueError), dict, leave_out=_NOT_FOR_BUILTINS)(a=1),
    "tuple": _animal("tuple", _raises(ValueError), tuple, leave_out=_NOT_FOR_BUILTINS)((1, 2)),
    "float": _animal("float", _raises(ValueError), float, leave_out=_NOT_FOR_BUILTINS)(1.5),
    "bytes": _animal("bytes", _raises(ValueError), bytes, leave_out=_NOT_FOR_BUILTINS)(b"raw"),
}


class QuerySet:
    """Evaluated by whoever looks, as Django's."""

    def __init__(self) -> None:
        self.evaluated = 0

    def _evaluate(self, *_: Any) -> Any:
        touched.append("queryset")
        self.evaluated += 1
        return iter(())

    __iter__ = __len__ = __bool__ = __repr__ = __getitem__ = __contains__ = _evaluate  # type: ignore[assignment]


class DataFrame:
    """Ambiguous in truth and equality, as pandas'."""

    def __bool__(self) -> bool:
        touched.append("frame.__bool__")
        msg = "The truth value of a DataFrame is ambiguous"
        raise ValueError(msg)

    def __eq__(self, _: object) -> Any:
        touched.append("frame.__eq__")
        return self

    __hash__ = None  # type: ignore[assignment]


class NoWeakReference:
    """Neither weakly referable nor settable."""

    __slots__ = ()


def _cyclic() -> list[Any]:
    cycle: list[Any] = []
    cycle.append({"self": cycle, "again": (cycle,)})
    return cycle


ANIMALS |= {
    "queryset": QuerySet(), "frame": DataFrame(), "slots": NoWeakReference(), "mock": mock.Mock(),
    "magic": mock.MagicMock(), "surrogate": "\ud800\udfff\x00", "long": "x" * 10_000_000, "nan": float("nan"),
    "cycle": _cyclic(), "big": 1 << 100_000, "type": _Meta("Odd", (), {}), "deep": [[[[[[[[]]]]]]]],
    "wide": list(range(100_000)), "generator": (touched.append("generator") for _ in range(3)),
}  # fmt: skip


class HostileError(Exception):
    """An exception that nobody may look at."""

    def __str__(self) -> str:
        touched.append("error.__str__")
        raise RuntimeError

    __repr__ = __str__
    __hash__ = None  # type: ignore[assignment]

    def __eq__(self, _: object) -> bool:
        touched.append("error.__eq__")
        raise RuntimeError


class _NamelessMeta(type):
    @property
    def __name__(cls) -> str:  # type: ignore[override]
        touched.append("error class.__name__")
        raise RuntimeError


NamelessError = _NamelessMeta("NamelessError", (Exception,), {})
ERRORS = (HostileError, NamelessError)
