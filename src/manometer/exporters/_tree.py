"""The picture of one report for a person at a terminal: findings, then where the time went."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, final

from .._line import NOT_KNOWN, number
from . import _event
from ._logfmt import head

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .._finding import Report
    from .._model import Frame, Profile
    from ._event import Event

_MAX_FINDINGS: Final = 5
_MAX_FRAMES: Final = 12
_MAX_DEPTH: Final = 12
_MIN_WIDTH: Final = 40
_HOT_MS: Final = 100
_HOT_SHARE: Final = 0.10

Style = str
Text = tuple[str, Style]
_CODES: Final = {"red": "31", "yellow": "33", "green": "32", "cyan": "36", "dim": "2", "bold": "1"}


@final
class Look:
    """How a picture is drawn: *width* in columns, with or without *colour* and *unicode* characters."""

    __slots__ = ("colour", "last", "pipe", "space", "tee", "unicode", "width")

    def __init__(self, width: int = 100, colour: bool = False, unicode: bool = False) -> None:
        self.width = max(_MIN_WIDTH, width)
        self.colour = colour
        self.unicode = unicode
        self.tee, self.last, self.pipe = ("├── ", "└── ", "│   ") if unicode else ("|-- ", "`-- ", "|   ")
        self.space = "    "

    def draw(self, texts: list[Text]) -> str:
        """Write one line, never wider than the terminal, with nothing in it that data could abuse."""
        left = self.width
        written = []
        for text, style in texts:
            shown = self._printable(text)
            if len(shown) > left:
                shown = shown[: max(0, left - 3)] + "..."[:left]
            left -= len(shown)
            written.append(
                f"\x1b[{_CODES[style]}m{shown}\x1b[0m" if self.colour and style and shown else shown
            )
            if left <= 0:
                break
        return "".join(written).rstrip(" ")

    def _printable(self, text: str) -> str:
        # Unprintable are controls, escapes, separators, surrogates and what turns the writing direction.
        return "".join(
            char
            if char.isprintable() and (self.unicode or char.isascii())
            else char.encode("unicode_escape", "surrogatepass").decode("ascii")
            for char in text
        )


def picture(report: Report, look: Look, slow: bool) -> str:
    """Draw one unit of work in at most some forty lines, the last one ended too.

    Args:
        report: What was recorded and found.
        look: Width, colour and characters.
        slow: Whether the unit was slow by itself.
    """
    event = _event.request(report)
    lines = [_title(event, slow)]
    findings = [_event.finding(item, False) for item in _event.by_weight(report.findings)]
    shown = findings[:_MAX_FINDINGS]
    for index, item in enumerate(shown):
        is_last = index == len(shown) - 1 and len(findings) == len(shown)
        lines += _finding(
            item, look, look.last if is_last else look.tee, look.space if is_last else look.pipe
        )
    if len(findings) > len(shown):
        lines.append([(f"{look.last}and {len(findings) - len(shown)} more", "dim")])
    lines += _time(report.profile, look)
    return "".join(f"{look.draw(line)}\n" for line in lines)


def _title(event: Event, slow: bool) -> list[Text]:
    texts = [(head(event), "red" if slow else "bold"), (f"  {number(event['dur_ms'])} ms", "bold")]
    for name in ("cpu", "wait"):
        value = event[f"{name}_ms"]
        texts.append((f"  {name} {NOT_KNOWN if value is None else number(value)}", ""))
    for name, sums in event["calls"].items():
        texts.append((f"  {name} {sums['count']} in {number(sums['ms'])} ms", ""))
    if event["expected"]:
        texts.append((f"  expected {event['expected']}", "dim"))
    return texts


def _finding(item: Event, look: Look, joint: str, below: str) -> Iterator[list[Text]]:
    hot = item["cost_ms"] >= _HOT_MS or item["share"] >= _HOT_SHARE
    calls = "" if item["calls"] is None else f"{item['calls']} x "
    yield [
        (joint, ""),
        (f"{item['rule']:<14}", "red" if hot else "yellow"),
        (f"  {calls}{item['label']}", "bold"),
        (f"  {number(item['cost_ms'])} ms  {item['share']:.0%}", ""),
        (f"  {item['id']}  {item['confidence']}", "dim"),
    ]
    details = list(_details(item))
    for index, detail in enumerate(details):
        yield [(below, ""), (look.last if index == len(details) - 1 else look.tee, ""), *detail]


def _details(item: Event) -> Iterator[list[Text]]:
    where: list[Text] = [(_site(item), "cyan")]
    for key, word in (("source", "arguments from"), ("holder", "held by")):
        if item[key]:
            where += [(f"  {word} ", ""), (_site(item[key]), "cyan"), (f"  {item[key]['label']}", "dim")]
    yield where
    if item["statement"]:
        yield [(item["statement"], "dim")]
    if item["advice"]:
        low, high = map(number, item["saving_ms"])
        saving = f"  saves {low if low == high else f'{low} to {high}'} ms" if item["saving_ms"][1] else ""
        yield [("fix ", "green"), (item["advice"], ""), (saving, "green")]
    with_it, units = item["seen"]
    if units > 1:
        yield [(f"seen in {with_it} of {units}", "dim")]


def _site(item: Event) -> str:
    place = item["at"] or "(place unknown)"
    return f"{place} in {item['in']}" if item["in"] else str(place)


def _time(profile: Profile, look: Look) -> Iterator[list[Text]]:
    """Yield the tree of the frames with the most self time, and of those above them."""
    self_ns = {frame: frame.self_ns for frame in profile.root.walk()}
    if len(self_ns) < 2:
        return
    best = sorted(self_ns, key=lambda frame: -self_ns[frame])[:_MAX_FRAMES]
    kept = {above for frame in best if self_ns[frame] for above in _up(frame)} | {profile.root}
    yield [("  total ms   self ms    calls", "dim")]
    stack: list[tuple[Frame, str, str]] = [(profile.root, "", "")]
    while stack:
        frame, joint, below = stack.pop()
        yield _frame(frame, self_ns[frame], joint, frame.callsite.name if frame.parent else profile.name)
        children = sorted(
            (child for child in frame.own_children() if child in kept), key=lambda child: child.total_ns
        )
        for index, child in enumerate(children):
            # The smallest comes off the stack last.
            tip, under = (look.last, look.space) if index == 0 else (look.tee, look.pipe)
            stack.append((child, below + tip, below + under))
    left_out = len(self_ns) - len(kept)
    if left_out:
        yield [(f"{'':30}and {left_out} more frames", "dim")]


def _up(frame: Frame) -> list[Frame]:
    """Return a frame and those above it, of which only the topmost when it lies too deep to be drawn."""
    chain: list[Frame] = []
    current: Frame | None = frame
    while current is not None:
        chain.append(current)
        current = current.parent
    return chain if len(chain) <= _MAX_DEPTH else chain[-_MAX_DEPTH:]


def _frame(frame: Frame, self_ns: int, joint: str, name: str) -> list[Text]:
    site = frame.callsite
    total, own = number(frame.total_ns / 1e6), number(self_ns / 1e6)
    return [
        (f"{total:>10}{own:>10}{frame.calls:>9}  ", ""),
        (joint, ""),
        (name[:200], "bold"),
        (f"  {_event.place(site)}" if site.file else "", "cyan"),
    ]
