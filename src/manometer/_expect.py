"""Reasons why a finding is wanted: from the configuration and from comments at its line."""

from __future__ import annotations

import linecache
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Final, final

from . import _limits

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ._finding import Finding
    from ._model import Profile

_COMMENT: Final = re.compile(r"#[ \t]*manometer:[ \t]*expected\[([^\]]{1,200})\](.{0,500})")
_MAX_LINE_READ: Final = 2_000
_MARK: Final = "manometer:"


@final
class Expectations:
    """The findings that somebody explained, and which of the explanations found nothing to explain.

    Args:
        expect: `(what, reason)` pairs of `Config.expect`: a finding id, a rule, or
            `rule@pattern`, where the pattern is matched with the name and the route of the
            profile, and `*` stands for any characters.

    Background thread only. Reads source files, through `linecache`, once a finding points at them.
    """

    def __init__(self, expect: Iterable[tuple[str, str]] = ()) -> None:
        self._entries = [_Entry(what.strip(), reason.strip()) for what, reason in expect]
        self._comments: dict[tuple[str, int], tuple[tuple[str, str], ...]] = {}

    def apply(self, finding: Finding, profile: Profile) -> Finding:
        """Return *finding*, with its reason and severity `info` when it is expected.

        A reason it already has (from `expected(...)` or `measure(expect=...)`) stays.
        """
        reason = finding.expected
        for entry in self._entries:
            if entry.matches(finding, profile):
                entry.used += 1
                reason = reason or entry.reason
        reason = reason or self._comment(finding)
        if not reason or (reason == finding.expected and finding.severity == "info"):
            return finding
        return replace(finding, expected=reason, severity="info")

    def unused(self) -> list[str]:
        """Return which entries of the configuration have not matched a finding yet."""
        return [entry.what for entry in self._entries if not entry.used]

    def _comment(self, finding: Finding) -> str:
        place = (finding.callsite.file, finding.callsite.line)
        if not place[0] or place[1] <= 0:
            return ""
        pairs = self._comments.get(place)
        if pairs is None:
            if len(self._comments) >= _limits.MAX_COMMENTS:
                self._comments.clear()  # they are read again where they are needed
            pairs = self._comments[place] = _read_comments(*place)
        return next((reason for rule, reason in pairs if rule in (finding.rule, "*")), "")


class _Entry:
    """One pair of the configuration, taken apart."""

    __slots__ = ("_route", "_subject", "reason", "used", "what")

    def __init__(self, what: str, reason: str) -> None:
        self.what = what
        self.reason = reason
        self.used = 0
        self._subject, at, pattern = what.partition("@")
        self._route = pattern.strip() if at else None

    def matches(self, finding: Finding, profile: Profile) -> bool:
        if self._route is not None and not any(
            is_like(name, self._route) for name in (profile.name, profile.route)
        ):
            return False
        return self._subject in (finding.rule, "*") or (
            self._subject.startswith("mn-") and self._subject == finding.id
        )


def is_like(text: str, pattern: str) -> bool:
    """Match the whole of *text*, where `*` stands for any characters; linear, unlike an expression."""
    first, *others = pattern.split("*")
    if not others:
        return text == pattern
    last = others.pop()
    if not text.startswith(first) or len(text) < len(first) + len(last) or not text.endswith(last):
        return False
    at, end = len(first), len(text) - len(last)
    for part in others:
        at = text.find(part, at, end)
        if at < 0:
            return False
        at += len(part)
    return True


def _read_comments(file: str, line: int) -> tuple[tuple[str, str], ...]:
    """Read `# manometer: expected[rule] reason` at a line, or alone on the line above it."""
    pairs = _parse(linecache.getline(file, line))
    above = linecache.getline(file, line - 1) if line > 1 else ""
    if above.lstrip().startswith("#"):
        pairs += _parse(above)
    return pairs


def _parse(text: str) -> tuple[tuple[str, str], ...]:
    if _MARK not in text:
        return ()
    found = _COMMENT.search(text[:_MAX_LINE_READ])
    reason = found[2].strip() if found is not None else ""
    if found is None or not reason:  # without a reason it explains nothing
        return ()
    return tuple((rule.strip(), reason) for rule in found[1].split(",") if rule.strip())
