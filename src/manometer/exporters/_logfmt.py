"""The logfmt form of an event: one line that a person scans and a machine takes apart."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from .. import _limits
from .._line import NOT_KNOWN, join, number, pair, word

if TYPE_CHECKING:
    from collections.abc import Callable

    from ._event import Event

_Part = tuple[str, str]
_INLINE: Final = 3
_INLINE_BYTES: Final = 420
"""Room for every part of a finding at its longest: the id, which stands last, is never cut."""
_STATEMENT: Final = 240
_TOLD: Final = ("ev_calls", "ev_count", "ev_kind", "ev_operation", "ev_total_ms")
"""Facts that the line shows elsewhere."""
_SHORT: Final = (
    "head",
    "dur_ms",
    "cpu_ms",
    "found",
    "worst",
    "calls",
    "what",
    "at",
    "in",
    "route",
    "cost_ms",
    "state",
    "units",
)
"""What a JSON line says twice: in its message, and in the event beside it."""
HARD: Final = _limits.MAX_LINE_BYTES - 96
"""Leaves room for what a formatter writes in front (level, logger, time) and the line feed."""


def line(event: Event) -> str:
    """Write an event as one line of ASCII without its line feed, at most `HARD` bytes."""
    return _WRITERS[event["event"]](event)


def head(event: Event) -> str:
    """Write what names a unit of work: `GET /orders/{id} 200`, `job import ok`."""
    unit = event["unit"]
    name: str = unit["name"]
    result = word(unit["status"] or unit["outcome"] or "ok", 80)
    if unit["kind"] == "request":
        method, _, path = name.partition(" ")
        if path and method.isascii() and method.isalpha() and method.isupper():
            return f"{method} {word(path, 240)} {result}"
        return f"{word(name, 240)} {result}"
    named = "" if name == unit["kind"] else f" {word(name, 240)}"
    return f"{unit['kind']}{named} {result}"


def short(event: Event) -> str:
    """Write what a reader of a JSON line wants to see first; the rest stands in the event beside it."""
    make = {"request": _request_parts, "finding": _finding_parts, "up": _up_parts}.get(event["event"])
    if make is None:
        return line(event)
    return " ".join(text for name, text in make(event) if name in _SHORT)


def _request(event: Event) -> str:
    parts = _request_parts(event)
    return join(parts, ("f3", "f2", "top3", "top2", "not_judged"), hard=HARD)


def _request_parts(event: Event) -> list[_Part]:
    parts: list[_Part] = [("head", head(event))]
    parts += [(key, pair(key, event[key])) for key in ("dur_ms", "cpu_ms", "wait_ms")]
    for name, value in event["waits_ms"].items():
        if value >= 1:
            parts.append((f"{name}_ms", pair(f"{name}_ms", value)))
    if event["concurrent"] > 1:
        parts.append(("concurrent", pair("concurrent", event["concurrent"])))
    for name, sums in event["calls"].items():
        parts.append((name, f"{pair(name, sums['count'])} {pair(f'{name}_ms', sums['ms'])}"))
    parts.append(("found", pair("found", event["found"])))
    if event["worst"]:
        parts.append(("worst", pair("worst", event["worst"])))
    inline = event["findings"][:_INLINE]
    for index, item in enumerate(inline, 1):
        parts.append((f"f{index}", pair(f"f{index}", _inline(item), _INLINE_BYTES)))
    for index, item in enumerate(event["top"], 1):
        parts.append((f"top{index}", pair(f"top{index}", _top(item), _INLINE_BYTES)))
    more = event["found"] - len(inline)
    if more > 0:
        parts.append(("more", pair("more", more)))
    return parts + _request_tail(event)


def _request_tail(event: Event) -> list[_Part]:
    parts = [(key, pair(key, event[key])) for key in ("expected", "suppressed", "late") if event[key]]
    if event["dropped"]:
        parts.append(("dropped", pair("dropped", _counts(event["dropped"]))))
    if event["not_judged"]:
        parts.append(("not_judged", pair("not_judged", ",".join(event["not_judged"]))))
    if event["level"] != "full":
        parts.append(("level", pair("level", event["level"])))
    if event["time_error"]:
        parts.append(("time_error", f"time_error={number(event['time_error'] * 100)}%"))
    if event["self_ms"]:
        parts.append(("self_ms", pair("self_ms", event["self_ms"])))
    if event["unit"]["trace_id"]:
        parts.append(("trace", pair("trace", event["unit"]["trace_id"])))
    return parts


def _inline(item: Event) -> str:
    """Write `n-plus-one x200 SELECT customer shop.py:32 serialize_order 369ms mn-7f3a21`."""
    calls = f"x{item['calls']}" if item["calls"] is not None else ""
    return _words(item["rule"], calls, *_where(item), f"{number(item['cost_ms'])}ms", item["id"])


def _top(item: Event) -> str:
    return _words(*_where(item), f"{number(item['self_ms'])}ms", f"x{item['calls']}")


def _where(item: Event) -> tuple[str, str, str]:
    label, name = item["label"], item["in"]
    named_already = label.rpartition(".")[2] == name.rpartition(".")[2] != ""
    return label, item["at"].rpartition("/")[2], "" if named_already else name


def _words(*texts: str) -> str:
    return " ".join(text for text in texts if text)


def _counts(counts: dict[str, int]) -> str:
    return " ".join(f"{reason}:{count}" for reason, count in counts.items())


def _finding(event: Event) -> str:
    parts = _finding_parts(event)
    facts = [name for name, _ in reversed(parts) if name.startswith("ev_")]
    return join(parts, (*facts, "version", "args_what", "holder_what", "statement"), hard=HARD)


def _finding_parts(event: Event) -> list[_Part]:
    item = event["finding"]
    parts: list[_Part] = [("head", f"{word(item['rule'])} {item['id']} {item['confidence']}")]
    _add(parts, "calls", item["calls"])
    _add(parts, "what", item["label"])
    _add(parts, "at", item["at"])
    _add(parts, "in", item["in"])
    for role, key in (("args", "source"), ("holder", "holder")):
        if item[key]:
            _add(parts, f"{role}_from" if role == "args" else role, item[key]["at"])
            _add(parts, f"{role}_in", item[key]["in"])
            _add(parts, f"{role}_what", item[key]["label"])
    parts.append(("route", pair("route", event["unit"]["name"])))
    parts.append(("cost_ms", pair("cost_ms", item["cost_ms"])))
    parts.append(("share", f"share={item['share']:.2f}"))
    parts.append(("saving_ms", f"saving_ms={_range(item['saving_ms'])}"))
    parts.append(("move", pair("move", item["move"])))
    _add(parts, "fix", item["advice"])
    if item["statement"]:
        parts.append(("statement", pair("statement", item["statement"], _STATEMENT)))
    parts += _seen(item)
    if event["held_back"]:
        parts.append(("held_back", pair("held_back", event["held_back"])))
    facts = [(_key(key), pair(_key(key), _fact(value), 120)) for key, value in item["evidence"].items()]
    parts += [fact for fact in facts if fact[0] not in _TOLD]
    _add(parts, "version", item["version"])
    _add(parts, "trace", event["unit"]["trace_id"])
    return parts


def _seen(item: Event) -> list[_Part]:
    parts = [("seen", "seen={}/{}".format(*item["seen"]))]
    if item["first_seen"] and item["seen"][0] > 1:
        parts.append(("first", pair("first", item["first_seen"])))
    return parts


def _add(parts: list[_Part], key: str, value: Any) -> None:
    if value not in (None, ""):
        parts.append((key, pair(key, value)))


def _range(saving_ms: list[float]) -> str:
    low, high = map(number, saving_ms)
    return low if low == high else f"{low}..{high}"


def _fact(value: Any) -> Any:
    # A slope of 1.98 is no duration: one decimal would lose what it says.
    return f"{value:.3g}" if isinstance(value, float) and abs(value) < 10 else value


def _key(name: str) -> str:
    return "ev_" + "".join(char if char.isascii() and char.isalnum() else "_" for char in name.lower())


def _resolved(event: Event) -> str:
    item = event["finding"]
    parts: list[_Part] = [("head", f"resolved {item['id']} {word(item['rule'])}")]
    for key, source in (("what", "label"), ("at", "at"), ("in", "in")):
        _add(parts, key, item[source])
    return join(parts + _seen(item), hard=HARD)


def _answer(event: Event) -> str:
    first = event["first"]
    parts: list[_Part] = [("head", "answer")]
    _add(parts, "question", event["question"])
    _add(parts, "found", event["found"])
    parts.append(
        ("first", pair("first", _words(first["rule"], first["label"], first["at"], first["id"]), 300))
    )
    _add(parts, "units", event["units"])
    parts.append(("saving", f"saving_ms_per_min={_range(event['saving_ms_per_min'])}"))
    return join(parts, hard=HARD)


def _summary(event: Event) -> str:
    keys = ("win_s", "units", "slow", "guilty", "found", "suppressed")
    parts: list[_Part] = [("head", "summary"), *((key, pair(key, event[key])) for key in keys)]
    for index, item in enumerate(event["findings"], 1):
        text = _words(
            item["rule"], item["id"], f"x{item['seen']}", f"{number(item['cost_ms'])}ms", item["unit"]
        )
        parts.append((f"f{index}", pair(f"f{index}", text, _INLINE_BYTES)))
    if event["found"] > len(event["findings"]):
        parts.append(("more", pair("more", event["found"] - len(event["findings"]))))
    return join(parts, ("f3", "f2"), hard=HARD)


def _up(event: Event) -> str:
    return join(_up_parts(event), ("unused_expected", "not_judged", "dropped_by"), hard=HARD)


def _up_parts(event: Event) -> list[_Part]:
    share = event["overhead"]
    first = ("state", "ver", "pid", "uptime_s", "units", "found", "new")
    parts: list[_Part] = [("head", "up"), *((key, pair(key, event[key])) for key in first)]
    parts.append(("sources", pair("sources", ",".join(event["sources"]) or "none", 480)))
    parts.append(("missing", pair("missing", _reasons(event["missing"]) or "none", 480)))
    parts.append(("overhead", f"overhead={NOT_KNOWN if share is None else number(share * 100) + '%'}"))
    parts.append(("self_ms", pair("self_ms", event["self_ms"])))
    if event["level"] != "full" or event["level_changes"]:
        parts.append(("level", pair("level", event["level"])))
        parts.append(("level_changes", pair("level_changes", event["level_changes"])))
    parts.append(("dropped", pair("dropped", sum(event["dropped"].values()))))
    parts += [(key, pair(key, event[key])) for key in ("late", "errors")]
    parts.append(("not_judged", pair("not_judged", _reasons(event["not_judged"]) or "none", 480)))
    if event["dropped"]:
        parts.append(("dropped_by", pair("dropped_by", _counts(event["dropped"]), 480)))
    if event["unused_expected"]:
        parts.append(("unused_expected", pair("unused_expected", ",".join(event["unused_expected"]), 480)))
    if event["info_hidden"]:
        parts.append(("info", "info=hidden"))
    return parts


def _reasons(reasons: dict[str, str]) -> str:
    return "; ".join(f"{name}: {reason}" if reason else name for name, reason in reasons.items())


def _warning(event: Event) -> str:
    return "warning " + pair("text", event["text"], 480)


_WRITERS: Final[dict[str, Callable[[Any], str]]] = {
    "request": _request,
    "finding": _finding,
    "answer": _answer,
    "resolved": _resolved,
    "summary": _summary,
    "up": _up,
    "warning": _warning,
}
