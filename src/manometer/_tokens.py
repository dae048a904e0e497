"""The tokens of one SQL text, folded so that no value, comment or list length survives in them.

SQL has no single grammar, and the dialect is not known here. Where two dialects disagree about where a literal ends
(``'a\\'`` is finished in PostgreSQL and open in MySQL), one reading would print the inside of the other's literal.
Such a text is read no further: the remainder counts as a literal. Less shape, never a leak.
"""

from __future__ import annotations

import re
from typing import Final

from manometer._limits import MAX_NAME

# Linear by construction: every alternative starts where the last one ended and consumes; inside an alternative the
# repeated parts begin with disjoint characters, so a failing one is walked once forward and once back; and an
# alternative that fails on an open quote or comment is followed by one that takes the rest of the text.
_HASH_OPERATOR: Final = r"\#(?:>>?|-)(?=\s*(?:[eE]?'|\?|%s|\$\d|:\w))"  # PostgreSQL; else # is a comment
_TOKEN: Final = re.compile(
    r"""\s*(?:
    (?![eEnNxXbBqQ]{1,2}')([^\W\d][\w$]*)(\(?)                        # 1 word, 2 parenthesis glued to it
    |([,();]|\.(?!\d))                                                # 3 mark
    |(                                                                # 4 value
       \?\d*|%(?:\([\w .-]*\))?[sbtdfi](?!\w)|:\w+|@@?\w[\w$]*        #   placeholders
      |(?:\d\w*(?:\.\w*)?|\.\d\w*)(?:(?<=[eE])[+-]\d+)?               #   numbers
      |[nNxXbB]?'(?!'')[^'\\]*(?:(?:''|\\[^'])[^'\\]*)*'(?![\w'])     #   a quote after a backslash is ambiguous
      |''''(?![\w'])
      |[eE]'[^'\\]*(?:(?:''|\\[\s\S])[^'\\]*)*'(?![\w'])
      |(\$(?:[^\W\d]\w*)?\$)[\s\S]*?(?:\5|\Z)                         #   5 dollar tag
      |\$\w+
      |[nN]?[qQ]'(?:\[[\s\S]*?\]'|\{[\s\S]*?\}'|\([\s\S]*?\)'|<[\s\S]*?>'|([^\s'])[\s\S]*?\6')   # 6 Oracle quote
     )
    |("(?!"")[^"\\]*(?:(?:""|\\[^"])[^"\\]*)*"(?![\w"]))              # 7 quoted: a name or a string
    |(`[^`]*(?:``[^`]*)*`(?!`)                                        # 8 name
      |\[[^\W\d][\w$\#@]*(?:[ .][^\W\d][\w$\#@]*)*\])
    |--(?=\s)[^\n\r]*(?:\r?\n|\Z)                                     #   comments: no group
    |(?:--|//)[^\n\r'"`$*]*(?:\r?\n|\Z)
    |(?!HASH_OPERATOR)\#[^\n\r'"`$*]*(?:\r?\n|\Z)
    |/\*(?!!)[^*/]*(?:(?:\*(?!/)|/(?!\*))[^*/]*)*\*/
    |/\*![^*/'"`$]*\*/
    |/\*(?!!)(?:[^*/'"`$]|\*(?!/)|/(?!\*)|/\*(?:[^*/'"`$]|\*(?!/)|/(?!\*))*\*/)*\*/
    |((?:['"`]|[nN]?[qQ]'|--|//|/\*|(?!HASH_OPERATOR)\#)[\s\S]*)     # 9 the rest: open or ambiguous
    |(::|:=|->>?|<@(?!\w)|@[>@?](?!\w)|\#>>?|\#-|%%?|[<>=!|~&^+*]+|\S)     # 10 operator
    )""".replace("HASH_OPERATOR", _HASH_OPERATOR),
    re.VERBOSE,
)
_OPERATORS: Final = frozenset("[]{}-/:@%") | {"::", ":=", "->", "->>", "<@", "@>", "@@", "@?", "#>", "#>>", "#-"}
_NOT_WORD: Final = re.compile(r"[^\w$]+")

VERBS: Final = frozenset(
    """ABORT ALTER ANALYZE ANALYSE ATTACH BEGIN CALL CHECKPOINT CLOSE CLUSTER COMMENT COMMIT COPY CREATE DEALLOCATE
    DECLARE DELETE DESC DESCRIBE DETACH DISCARD DO DROP END EXEC EXECUTE EXPLAIN FETCH FLUSH GRANT IF INSERT KILL LISTEN
    LOAD LOCK MATCH MERGE MOVE NOTIFY OPTIMIZE PRAGMA PREPARE REASSIGN REFRESH REINDEX RELEASE RENAME REPLACE RESET
    REVOKE ROLLBACK SAVEPOINT SELECT SET SHOW START TABLE TRUNCATE UNLISTEN UNLOCK UPDATE UPSERT USE VACUUM VALUES
    WITH""".split()
)
_CLAUSES: Final = frozenset("SELECT DELETE UPDATE INTO TABLE VALUES WHERE HAVING ON RETURNING LIMIT SET".split())
# The words that change how the rest is read, or that facts are read from. Other verbs count at the start only.
_WORDS: Final = _CLAUSES | frozenset(
    """ALL AND ARRAY AS AUTHORIZATION BETWEEN BY CASE COLUMN CONSTRAINT CURRENT_DATE CURRENT_TIME CURRENT_TIMESTAMP
    DEFAULT DISTINCT ELSE EXISTS FALSE FETCH FIRST FOR FROM HOLDLOCK IDENTIFIED IN INDEX INSERT IS JOIN KEY LIKE
    LOCALTIME LOCALTIMESTAMP MERGE NEXT NOT NULL OFFSET ONLY OR PARTITION PASSWORD REFERENCES REPLACE ROLE ROWNUM
    SHARE STDIN SYSDATE SYSTIMESTAMP THEN TO TOP TRUE UPDLOCK USING VIEW WHEN WITH XLOCK""".split()
)
_CONSTANTS: Final = frozenset({"NULL", "TRUE", "FALSE", "DEFAULT"})
_UNARY_AFTER: Final = _WORDS - _CONSTANTS - {"CURRENT_DATE", "CURRENT_TIME", "CURRENT_TIMESTAMP", "ROWNUM"}
# After these words of these statements come names made at run time (savepoints, cursors, tenants) or secrets.
_HIDE_REST: Final = frozenset(
    f"{verb} {word}"
    for verb, words in {
        "SAVEPOINT": "SAVEPOINT", "RELEASE": "RELEASE", "ROLLBACK": "TO", "USE": "USE", "CLOSE": "CLOSE",
        "DEALLOCATE": "DEALLOCATE", "FETCH": "FROM IN", "MOVE": "FROM IN", "COPY": "STDIN", "KILL": "KILL",
        "SET": "TO ROLE AUTHORIZATION PASSWORD IDENTIFIED", "CREATE": "IDENTIFIED", "ALTER": "IDENTIFIED",
        "GRANT": "IDENTIFIED",
    }.items()
    for word in words.split()
)  # fmt: skip
_HIDE_NAME: Final = frozenset({"DECLARE DECLARE", "PREPARE PREPARE"})
# A double-quoted token after these is a name in every dialect that could run the statement ...
_NAME_AFTER: Final = frozenset("JOIN INTO UPDATE TABLE ONLY AS".split())
# ... and after these once the text has proved that its double quotes are names: MySQL reads FROM "t" as an error.
_NAME_AFTER_PROOF: Final = frozenset(
    """SELECT DISTINCT ALL WHERE AND OR NOT ON HAVING WHEN CASE BY RETURNING SET INDEX VIEW EXISTS COLUMN CONSTRAINT KEY
    REFERENCES COPY DECLARE""".split()
)
_PROOF_AFTER: Final = frozenset("JOIN INTO UPDATE TABLE".split())
_AFTER_TABLE: Final = frozenset(
    "WHERE JOIN INNER LEFT RIGHT FULL CROSS NATURAL ORDER GROUP HAVING LIMIT FOR AS UNION".split()
)

Token = tuple[str, str, str, str, str, str, str, str, str, str]


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
        "ended", "in_list", "out", "readable", "segments", "volatile",
    )  # fmt: skip

    def __init__(self, text: str) -> None:
        self.out: list[str] = []
        self.in_list = 0
        self.readable = True
        self.ended = False  # the rest was open or ambiguous, and not read
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
        self._tokens: list[Token] = _TOKEN.findall(text.strip())
        self._run()
        while self._stack:
            self._end_level()
        while self.out and self.out[-1] == ";":
            self.out.pop()

    def _run(self) -> None:
        out = self.out
        for self._at, (word, glued, mark, value, _, _, quoted, name, rest, operator) in enumerate(self._tokens):
            if self._hidden and mark != ";":
                continue
            if word:
                self._word(word, glued)
            elif mark:
                if mark == ",":
                    if self._level.fold:
                        self._end_item(self._level)
                    out.append(",")
                    self._level.start = len(out)
                    self._before = ","
                elif mark == "(":
                    self._open(out[-1] if self._before == "word" else "")
                elif mark == ")":
                    self._close()
                elif mark == ";":
                    self._end_statement()
                else:
                    out.append(".")
                    self._before = "."
            elif value:
                if value.lower() == "'now'":
                    self.volatile = True
                self._value()
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

    def _word(self, word: str, glued: str) -> None:
        upper = word.upper()
        first = not self._segment.verb
        if first and not self._begin(upper):
            return
        if self._skip:
            self._skip = False
        elif first:
            self._keyword(word, upper)
        elif upper not in _WORDS:
            if len(word) > MAX_NAME:
                word = word[:MAX_NAME]
            self.out.append(word)
            self._before = "word"
            if glued:
                self._open(upper)
            return
        elif upper in _CONSTANTS and (self._level.fold or self._before == "operator"):
            self._value()
        else:
            self._keyword(word, upper)
        if glued and not self._hidden:
            self._open("")

    def _keyword(self, word: str, upper: str) -> None:
        self.out.append(word)
        level, before, segment = self._level, self._before, self._segment
        segment.marks.append((upper, before, len(self.out), len(self._stack)))
        self._before = upper
        trigger = f"{segment.verb} {upper}"
        if trigger in _HIDE_REST:
            self.out.append("?")
            self._hidden = True
            self.ended = upper == "STDIN"  # the data follows, and may hold semicolons
        elif trigger in _HIDE_NAME:
            self.out.append("?")
            self._before, self._skip = "value", True
        elif upper in _CLAUSES:
            level.clause = upper
            if upper in ("SELECT", "VALUES"):
                level.fold = False
                level.kind = "query" if level.kind == "call" else level.kind
        elif upper == "FROM":
            query = level.clause in ("SELECT", "DELETE", "SET", "UPDATE", "INTO") and before != "DISTINCT"
            level.clause = "FROM" if query else level.clause
            self._before = "FROM" if query else "DISTINCT FROM"
        elif upper == "JOIN":
            level.clause = "FROM"
        elif upper == "AND" and level.clause == "BETWEEN":
            level.clause, self._before = "WHERE", "BETWEEN"
        elif upper == "BETWEEN":
            level.clause = "BETWEEN"
        elif upper == "BY":
            level.clause = "BY"

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
        if self._before in ("IN", "VALUES"):
            out += ("(", "?", ")")
            self.in_list = max(self.in_list, 1)
        elif not out or out[-1] != "?":
            out.append("?")
        self._before = "value"

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
        elif operator in _OPERATORS or operator == "%%" or operator[0] in "<>=!|~&^+*":
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
        elif name or self._is_name():
            self.out.append(_plain(name or quoted))
            self._before = "name"
        else:
            self._value()

    def _is_name(self) -> bool:
        """Whether the double-quoted token here is a name. In doubt it is a string, and not shown."""
        before, level = self._before, self._level
        following = self._word_at(self._at + 1)
        if before == "." or following == ".":
            return True
        if before in _NAME_AFTER:
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
        return before in _NAME_AFTER_PROOF or (before in ("name", "word") and level.clause == "FROM")

    def _is_proven(self) -> bool:
        if self._proven is None:
            self._proven = any(token[6] and self._proves(at) for at, token in enumerate(self._tokens))
        return self._proven

    def _proves(self, at: int) -> bool:
        before, following = self._word_at(at - 1), self._word_at(at + 1)
        if before == "FROM":  # not EXTRACT(DAY FROM "x"), not IS DISTINCT FROM "x"
            plain = following in _AFTER_TABLE or following in ("", ",", ";")
            return plain and self._word_at(at - 2) != "DISTINCT"
        return before == "." or following == "." or before in _PROOF_AFTER

    def _word_at(self, at: int) -> str:
        """The word, mark or operator at an index; "?" for a value or name, "" outside the text."""
        if not 0 <= at < len(self._tokens):
            return ""
        token = self._tokens[at]
        return token[0].upper() or token[2] or token[9] or "?"

    def _open(self, called: str) -> None:
        """Open a parenthesis; ``called`` is the word before it that is no keyword."""
        out, parent, before = self.out, self._level, self._before
        if called:
            self._segment.calls.append(called.upper())
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
        item = self.out[level.start :]
        if item:
            level.items += 1
        if item == level.last:
            del self.out[level.start - 1 :]
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
    return token[-1] in "(,=<>!|~&^+*-/%[{:@" or token.upper() in _UNARY_AFTER


def _plain(quoted: str) -> str:
    """A quoted name as one that needs no quotes and reads the same when it is read again."""
    parts = []
    for part in quoted[1:-1].split("."):
        part = _NOT_WORD.sub("_", part)
        if not part or part[0].isdecimal() or part[0] == "$":
            part = "_" + part
        parts.append(part + "_" if part.upper() in _WORDS else part)
    plain = ".".join(parts)
    return plain if len(plain) <= MAX_NAME else plain.replace(".", "_")[:MAX_NAME]
