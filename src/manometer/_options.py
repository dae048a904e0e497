"""The options of one `measure(...)`, checked when they are given."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, final

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from types import CodeType

    from ._model import Callsite, Kind

_KINDS: Final = ("call", "db", "http", "cache", "queue", "template", "lock")


@final
class Options:
    """The checked options of one `measure(...)`."""

    __slots__ = ("callsite", "code", "exclusive", "expect", "key", "kind", "name", "size", "slow_ns", "span")

    def __init__(
        self,
        name: str | None,
        key: Sequence[str] | str | Callable[..., object] | None,
        size: str | Callable[..., object] | None,
        slow_ms: float | None,
        kind: Kind,
        expect: str | Mapping[str, str] | None,
        span: bool = False,
        exclusive: str | None = None,
    ) -> None:
        check(name is None or (type(name) is str and name != ""), "name", "a non-empty str", name)
        check(kind in _KINDS, "kind", "one of " + ", ".join(_KINDS), kind)
        names = (key,) if isinstance(key, str) else key
        if names is not None and not callable(names):
            good = isinstance(names, (tuple, list)) and all(type(item) is str for item in names)
            check(good, "key", "parameter names or a function of the arguments", key)
            names = tuple(names)
        check(
            size is None or type(size) is str or callable(size),
            "size",
            "a parameter name or a function",
            size,
        )
        good_ms = slow_ms is None or (type(slow_ms) in (int, float) and 0 <= slow_ms <= 86_400_000)
        check(good_ms, "slow_ms", "a number of milliseconds, 0 to 86400000", slow_ms)
        self.name = name
        self.key = names
        self.size = size
        self.slow_ns = None if slow_ms is None else int(slow_ms * 1e6)
        self.kind = kind
        self.expect = _expectations(expect)
        check(type(span) is bool, "span", "True or False", span)
        self.span = span
        check(exclusive is None or type(exclusive) is str, "exclusive", "a parameter name", exclusive)
        self.exclusive = exclusive
        self.code: CodeType | None = None  # where a block of this name was entered last, and its callsite
        self.callsite: Callsite | None = None


def text_of(target: Any, attribute: str) -> str:
    """Return an attribute of the application's that should be text; empty where it is not, or fails."""
    try:
        value = getattr(target, attribute, "")
    except Exception:
        return ""
    return value if type(value) is str else ""


def check(good: bool, option: str, allowed: str, value: object) -> None:
    """Raise TypeError where an option is not what is allowed; at decoration only."""
    if not good:
        msg = f"measure: {option} must be {allowed}, not {value!r}"
        raise TypeError(msg)


def _expectations(expect: str | Mapping[str, str] | None) -> tuple[tuple[str, str], ...]:
    pairs = {"*": expect} if isinstance(expect, str) else dict(expect or {})
    for rule, reason in pairs.items():
        good = type(rule) is str and type(reason) is str and reason.strip()
        check(bool(good), "expect", "a reason, or a mapping of rule to reason", expect)
    return tuple(pairs.items())
