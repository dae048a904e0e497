"""The reading of one SQL text: its tokens, folded so that no value, comment or list length survives in them."""

from __future__ import annotations

from typing import Final

from ._limits import MAX_NAME
from ._tokens import (
    AFTER_TABLE,
    CLAUSES,
    CONSTANTS,
    HIDE_NAME,
    HIDING,
    MAX_TOKENS,
    NAME_AFTER,
    NAME_AFTER_PROOF,
    OPERATORS,
    PROOF_AFTER,
    QUERY_CLAUSES,
    UNARY_AFTER,
    VERBS,
    WORDS,
    Token,
    plain,
    tokens_of,
)

_MAX_ITEM: Final = 64
"""Tokens of one list item that is compared with its neighbour."""


class Segment:
    """One statement of a text: its verb and where its keywords stand, for `_statement` to read facts from.

    ``marks`` holds (keyword, what stood before it, index of the token after it, parenthesis depth).
    """

    __slots__ = ("calls", "depth", "marks", "verb")

    def __init__(self) -> None:
        self.verb = ""
        self.depth = 0
        self.marks: list[tuple[str, str, int, int]] = []
        self.calls: list[str] = []


class _Level:
    """One open parenthesis or bracket. ``fold``: equal neighbouring items become one."""

    __slots__ = ("clause", "fold", "items", "kind", "last", "row_end", "rows", "start")

    def __init__(self, kind: str, fold: bool, start: int) -> None:
        self.kind = kind
        self.fold = fold
        self.start = start
        self.clause = ""
        self.items = 0
        self.last: list[str] | None = None
        self.rows = 0
        self.row_end = -1


class Folded:
    """One text, read. Build it with the text; it is finished when the constructor returns.

    Args:
        text: at most ``MAX_STATEMENT_READ`` characters; the caller cuts.

    Cost: linear in the text, about 0.3 us a token. Never raises for a ``str``. No lock, no state outside itself.
    """

    __slots__ = (
        "_at", "_before", "_hidden", "_level", "_proven", "_segment", "_skip", "_stack", "_tokens",
        "complete",
        "ended", "in_list", "out", "readable", "segments", "volatile",
    )  # fmt: skip

    def __init__(self, text: str) -> None:
        self.out: list[str] = []
        self.in_list = 0
        self.readable = True
        self.ended = False  # the rest was open or ambiguous, and not shown
        self.volatile = False
        self._segment = Segment()
        self.segments = [self._segment]
        self._level = _Level("", False, 0)
        self._stack: list[_Level] = []
        self._before = ""
        self._hidden = self._skip = False
        self._proven: bool | None = None
        self._at = 0
        # Stripped, so that the leading \s* of a token always finds a character after it and never walks back.
        self._tokens: list[Token] = tokens_of(text.strip())
        self.complete = len(self._tokens) <= MAX_TOKENS
        self._run()
        while self._stack:
            self._end_level()
        while self.out and self.out[-1] == ";":
            self.out.pop()

    def _run(self) -> None:
        # The two commonest kinds of token, names and points, are done here; the rest in a method each.
        out = self.out
        for at, (word, glued, mark, quoted, name, value, _, _, rest, operator) in enumerate(self._tokens):
            self._at = at
            if self._hidden and mark != ";":
                continue
            if word:
                upper = word.upper()
                if upper in WORDS or glued or self._skip or not self._segment.verb or len(word) > MAX_NAME:
                    self._word(word, upper, glued)
                else:
                    out.append(word)
                    self._before = "word"
            elif mark == ".":
                out.append(".")
                self._before = "."
            elif mark:
                self._mark(mark)
            elif value:
                self.volatile = self.volatile or value == "'now'"  # an argument of SQLite's date functions
                self._value()
                if value[-1] not in "'$" and "," in value:
                    self._values(value.count(","))
            elif quoted or name:
                self._quoted(quoted, name)
            elif operator:
                self._operator(operator)
            elif rest:
                self.ended = True
                if rest[0] not in "-/#":
                    self._value()
            if self.ended:
                break

    def _mark(self, mark: str) -> None:
        if mark == ",":
            if self._level.fold:
                self._end_item(self._level)
            self.out.append(",")
            self._level.start = len(self.out)
            self._before = ","
        elif mark == "(":
            self._open(self.out[-1] if self._before == "word" else "")
        elif mark == ")":
            self._close()
        else:
            self._end_statement()

    def _word(self, word: str, upper: str, glued: str) -> None:
        first = not self._segment.verb
        if first and not self._begin(upper.partition(".")[0]):
            return
        if self._skip:
            self._skip = False
        elif first and not self._is_part(word):
            self._keyword(word, upper)
        elif upper not in WORDS or self._is_part(word):
            if len(word) > MAX_NAME:
                word = ".".join([part[:MAX_NAME] for part in word.split(".")])
            self.out.append(word)
            self._before = "word"
            if glued:
                self._open(upper)
            return
        elif upper in CONSTANTS and (self._level.fold or self._before == "operator"):
            self._value()
        else:
            self._keyword(word, upper)
        if glued and not self._hidden:
            self._open("")

    def _is_part(self, word: str) -> bool:
        """Whether the word is, or is part of, a dotted name: ``t.values`` is no VALUES, however it is spaced."""
        return self._before == "." or "." in word or self._word_at(self._at + 1) == "."

    def _keyword(self, word: str, upper: str) -> None:
        self.out.append(word)
        level, before, segment = self._level, self._before, self._segment
        segment.marks.append((upper, before, len(self.out), len(self._stack)))
        self._before = upper
        if upper == "FROM":
            query = level.clause in QUERY_CLAUSES and before != "DISTINCT"
            level.clause = "FROM" if query else level.clause
            self._before = "FROM" if query else "DISTINCT FROM"
        elif upper in CLAUSES:
            level.clause = CLAUSES[upper]
            if upper in ("SELECT", "VALUES"):
                level.fold = False
                level.kind = "query" if level.kind == "call" else level.kind
        elif upper == "AND" and level.clause == "BETWEEN":
            level.clause, self._before = "WHERE", "BETWEEN"
        if segment.verb in HIDING:
            self._hide(upper, segment.verb)

    def _hide(self, upper: str, verb: str) -> None:
        if upper == verb and verb in HIDE_NAME:
            self.out.append("?")
            self._before, self._skip = "value", True
        elif upper in HIDING[verb]:
            self.out.append("?")
            self._hidden = True
            self.ended = upper == "STDIN"  # the data follows, and may hold semicolons

    def _begin(self, upper: str) -> bool:
        """Take the first word of a statement. What does not begin like SQL is not shown at all."""
        if upper in VERBS:
            self._segment.verb = upper
            self._segment.depth = len(self._stack)
            return True
        if len(self.segments) == 1:
            self.readable = False
            self.ended = True
        self._segment.verb = "?"
        self._value()
        self._hidden = True
        return False

    def _value(self) -> None:
        out = self.out
        self._skip = False
        if out and out[-1] in ("-", "+"):
            while out and out[-1] in ("-", "+") and (len(out) == 1 or _unary_after(out[-2])):
                out.pop()
            self._before = out[-1].upper() if out else ""
        if self._before in ("IN", "VALUES"):
            out += ("(", "?", ")")
            if self._before == "VALUES":
                self._level.rows, self._level.row_end = 1, len(out)
            self.in_list = max(self.in_list, 1)
        elif not out or out[-1] != "?":
            out.append("?")
        self._before = "value"

    def _values(self, more: int) -> None:
        """Take the rest of a list of simple values, of which only the ends can differ in what surrounds them."""
        skipped = max(more - 3, 0) if self._level.fold else 0
        for _ in range(more - skipped):
            self._mark(",")
            self._value()
        self._level.items += skipped

    def _operator(self, operator: str) -> None:
        if operator == "[":
            array = self._before == "ARRAY"
            self.out.append("[")
            self._push(_Level("array" if array else "index", True, len(self.out)))
            self._before = "operator"
        elif operator == "]":
            if self._stack and self._level.kind in ("array", "index"):
                self._end_level()
            self.out.append("]")
            self._before = ")"
        elif operator in OPERATORS or operator == "%%" or operator[0] in "<>=!|~&^+*":
            self.out.append("%" if operator == "%%" else operator)
            self._before = "operator"
            if operator in ("=", ":=") and self._segment.verb in ("SET", "PRAGMA"):
                self.out.append("?")
                self._hidden = True

    def _quoted(self, quoted: str, name: str) -> None:
        if not self._segment.verb and not self._begin(""):
            return
        if self._skip:
            self._skip = False
        elif name or self._is_name(quoted):
            self.out.append(plain(name or quoted))
            self._before = "name"
        else:
            self._value()

    def _is_name(self, quoted: str) -> bool:
        """Whether the double-quoted token here is a name. In doubt it is a string, and not shown."""
        before, level = self._before, self._level
        if before == "." or '"."' in quoted[1:-1].replace('""', ""):
            return True
        following = self._word_at(self._at + 1)
        if following == ".":
            return True
        if before in NAME_AFTER:
            return before != "AS" or self._segment.verb not in ("CREATE", "PREPARE") or self._is_proven()
        if before == "FROM":
            return level.clause == "FROM"
        if level.kind == "columns" and before in ("(", ","):
            return True
        if not self._is_proven():
            return False
        if before == ",":
            return not level.fold and level.kind != "call" and (level.clause != "SET" or following == "=")
        if before == "(":
            return not level.fold
        return before in NAME_AFTER_PROOF or (before in ("name", "word") and level.clause == "FROM")

    def _is_proven(self) -> bool:
        if self._proven is None:
            self._proven = any(
                token[3] and self._proves(at, token[3]) for at, token in enumerate(self._tokens)
            )
        return self._proven

    def _proves(self, at: int, quoted: str) -> bool:
        if '"."' in quoted[1:-1].replace('""', ""):
            return True
        before, following = self._word_at(at - 1), self._word_at(at + 1)
        if before == "FROM":  # not EXTRACT(DAY FROM "x"), not IS DISTINCT FROM "x"
            plain = following in AFTER_TABLE or following in ("", ",", ";")
            return plain and self._word_at(at - 2) != "DISTINCT"
        return before == "." or following == "." or before in PROOF_AFTER

    def _word_at(self, at: int) -> str:
        """The word, mark or operator at an index; "?" for a value or name, "" outside the text."""
        if not 0 <= at < len(self._tokens):
            return ""
        token = self._tokens[at]
        return token[2] or token[0].upper() or token[9] or "?"

    def _open(self, called: str) -> None:
        """Open a parenthesis; ``called`` is the word before it that is no keyword."""
        out, parent, before = self.out, self._level, self._before
        if called:
            self._segment.calls.append(called.upper().rpartition(".")[2])
        if called and self._tokens[self._at][1]:
            out[-1] += "("
        else:
            out.append("(")
        start = len(out)
        if before == "IN":
            level = _Level("list", True, start)
        elif before == "VALUES":
            parent.rows = 0
            level = _Level("row", True, start)
        elif before == "," and parent.rows and parent.row_end == start - 2:
            level = _Level("row", True, start)
        elif parent.clause == "INTO" or (parent.clause == "TABLE" and self._segment.verb == "CREATE"):
            level = _Level("columns", False, start)
            parent.clause = ""
        else:
            level = _Level("call" if called else "", parent.fold, start)
        self._push(level)
        self._before = "("

    def _push(self, level: _Level) -> None:
        self._stack.append(self._level)
        self._level = level

    def _close(self) -> None:
        while self._stack and self._level.kind in ("array", "index"):
            self._end_level()
        if self._stack:
            self._end_level(")")
        else:
            self.out.append(")")
        self._before = ")"

    def _end_level(self, closing: str = "") -> None:
        level, out = self._level, self.out
        if level.fold:
            self._end_item(level)
        if closing:
            out.append(closing)
        self._level = parent = self._stack.pop()
        if level.kind in ("list", "array") and level.fold:
            self.in_list = max(self.in_list, level.items)
        elif level.kind == "row":
            parent.rows += 1
            self.in_list = max(self.in_list, parent.rows)
            if parent.rows == 1:
                parent.row_end = len(out)
            else:
                del out[parent.row_end :]

    def _end_item(self, level: _Level) -> None:
        out, start = self.out, level.start
        if len(out) > start:
            level.items += 1
        if len(out) - start > _MAX_ITEM:  # else a hundred open brackets would each compare all that follows
            level.last = None
            return
        item = out[start:]
        if item == level.last:
            del out[start - 1 :]
        else:
            level.last = item

    def _end_statement(self) -> None:
        while self._stack:
            self._end_level()
        self._level = _Level("", False, 0)
        self._hidden = self._skip = False
        self._before = ""
        if self.out and self.out[-1] != ";":
            self.out.append(";")
            self._segment = Segment()
            self.segments.append(self._segment)


def _unary_after(token: str) -> bool:
    return token[-1] in "(,=<>!|~&^+*-/%[{:@" or token.upper() in UNARY_AFTER
