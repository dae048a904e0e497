r"""The lexicon of SQL: what is one token of a text, and which words say how the rest is to be read.

SQL has no single grammar, and the dialect is not known here. Where two dialects disagree about where a literal ends
(``'a\'`` is finished in PostgreSQL and open in MySQL), one reading would print the inside of the other's literal.
Such a text is read no further: the remainder counts as a literal. Less shape, never a leak.
"""

from __future__ import annotations

import functools
import itertools
import re
from typing import Final

from ._limits import MAX_NAME

# Linear by construction: every alternative starts where the last one ended and consumes; inside an alternative the
# repeated parts begin with disjoint characters, so a failing one is walked once forward and once back; and an
# alternative that fails on an open quote or comment is followed by one that takes the rest of the text.
_HASH_OPERATOR: Final = (
    r"\#(?:>>?|-)(?=\s*(?:[eE]?'|\?|%s(?!\w)|\$\d|:\w))"  # PostgreSQL; else # is a comment
)
TOKEN: Final = re.compile(
    r"""\s*(?:
    (?![eEnNxXbBqQ]{1,2}')([^\W\d][\w$]*(?:\.[^\W\d][\w$]*)*)(\(?)    # 1 word, 2 parenthesis glued to it
    |([,();]|\.(?!\d))                                                # 3 mark
    |("(?!"")[^"\\]*(?:(?:""|\\[^"])[^"\\]*)*"(?![\w"])               # 4 quoted: a name or a string
      (?:\."(?!"")[^"\\]*(?:(?:""|\\[^"])[^"\\]*)*"(?![\w"]))*)
    |(`[^`]*(?:``[^`]*)*`(?!`)                                        # 5 name
      |\[[^\W\d][\w$\#@]*(?:[ .][^\W\d][\w$\#@]*)*\])
    |(                                                                # 6 value
       (?:%s|\?|[$:]\w+|\d+)(?![\w.:$])(?:,\s?(?:%s|\?|[$:]\w+|\d+)(?![\w.:$]))+   #   a list of simple ones
      |\?\d*|%(?:\([\w .-]*\))?[sbtdfi](?!\w)|:\w+|@@?\w[\w$]*        #   placeholders
      |(?:\d\w*(?:\.\w*)?|\.\d\w*)(?:(?<=[eE])[+-]\d+)?               #   numbers
      |[nNxXbB]?'(?!'')[^'\\]*(?:(?:''|\\[^'])[^'\\]*)*'(?![\w'])     #   a quote after a backslash is ambiguous
      |''''(?![\w'])
      |(?<=\b[eE][sS][cC][aA][pP][eE]\ )'\\'(?![\w'])                 #   ESCAPE takes one character everywhere
      |[eE]'[^'\\]*(?:(?:''|\\[\s\S])[^'\\]*)*'(?![\w'])
      |(\$(?:[^\W\d]\w*)?\$)[\s\S]*?(?:\7|\Z)                         #   5 dollar tag
      |\$\w+
      |[nN]?[qQ]'(?:\[[\s\S]*?\]'|\{[\s\S]*?\}'|\([\s\S]*?\)'|<[\s\S]*?>'|([^\s'])[\s\S]*?\8')   # 8 Oracle quote
     )
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
OPERATORS: Final = frozenset("[]{}-/:@%") | {
    "::",
    ":=",
    "->",
    "->>",
    "<@",
    "@>",
    "@@",
    "@?",
    "#>",
    "#>>",
    "#-",
}
_NOT_WORD: Final = re.compile(r"[^\w$]+")

VERBS: Final = frozenset(
    [
        "ABORT",
        "ALTER",
        "ANALYZE",
        "ANALYSE",
        "ATTACH",
        "BEGIN",
        "CALL",
        "CHECKPOINT",
        "CLOSE",
        "CLUSTER",
        "COMMENT",
        "COMMIT",
        "COPY",
        "CREATE",
        "DEALLOCATE",
        "DECLARE",
        "DELETE",
        "DESC",
        "DESCRIBE",
        "DETACH",
        "DISCARD",
        "DO",
        "DROP",
        "END",
        "EXEC",
        "EXECUTE",
        "EXPLAIN",
        "FETCH",
        "FLUSH",
        "GRANT",
        "IF",
        "INSERT",
        "KILL",
        "LISTEN",
        "LOAD",
        "LOCK",
        "MATCH",
        "MERGE",
        "MOVE",
        "NOTIFY",
        "OPTIMIZE",
        "PRAGMA",
        "PREPARE",
        "REASSIGN",
        "REFRESH",
        "REINDEX",
        "RELEASE",
        "RENAME",
        "REPLACE",
        "RESET",
        "REVOKE",
        "ROLLBACK",
        "SAVEPOINT",
        "SELECT",
        "SET",
        "SHOW",
        "START",
        "TABLE",
        "TRUNCATE",
        "UNLISTEN",
        "UNLOCK",
        "UPDATE",
        "UPSERT",
        "USE",
        "VACUUM",
        "VALUES",
        "WITH",
    ]
)
CLAUSES: Final = {
    word: word
    for word in [
        "SELECT",
        "DELETE",
        "UPDATE",
        "INTO",
        "TABLE",
        "VALUES",
        "WHERE",
        "HAVING",
        "ON",
        "RETURNING",
        "LIMIT",
        "SET",
        "BETWEEN",
        "BY",
    ]
} | {"JOIN": "FROM"}
QUERY_CLAUSES: Final = frozenset(["SELECT", "DELETE", "SET", "UPDATE", "INTO"])
# The words that change how the rest is read, or that facts are read from. Other verbs count at the start only.
WORDS: Final = CLAUSES.keys() | frozenset(
    [
        "ALL",
        "AND",
        "ARRAY",
        "AS",
        "AUTHORIZATION",
        "BETWEEN",
        "BY",
        "CASE",
        "COLUMN",
        "CONSTRAINT",
        "CURRENT_DATE",
        "CURRENT_TIME",
        "CURRENT_TIMESTAMP",
        "DEFAULT",
        "DISTINCT",
        "ELSE",
        "EXISTS",
        "FALSE",
        "FETCH",
        "FIRST",
        "FOR",
        "FROM",
        "HOLDLOCK",
        "IDENTIFIED",
        "IN",
        "INDEX",
        "INSERT",
        "IS",
        "JOIN",
        "KEY",
        "LIKE",
        "LOCALTIME",
        "LOCALTIMESTAMP",
        "MERGE",
        "NEXT",
        "NOT",
        "NULL",
        "OFFSET",
        "ONLY",
        "OR",
        "PARTITION",
        "PASSWORD",
        "REFERENCES",
        "REPLACE",
        "ROLE",
        "ROWNUM",
        "SHARE",
        "STDIN",
        "SYSDATE",
        "SYSTIMESTAMP",
        "THEN",
        "TO",
        "TOP",
        "TRUE",
        "UPDLOCK",
        "USING",
        "VIEW",
        "WHEN",
        "WITH",
        "XLOCK",
    ]
)
CONSTANTS: Final = frozenset({"NULL", "TRUE", "FALSE", "DEFAULT"})
UNARY_AFTER: Final = WORDS - CONSTANTS - {"CURRENT_DATE", "CURRENT_TIME", "CURRENT_TIMESTAMP", "ROWNUM"}
# After these words of these statements come names made at run time (savepoints, cursors, tenants) or secrets.
HIDING: Final = {
    "SAVEPOINT": ("SAVEPOINT",), "RELEASE": ("RELEASE",), "ROLLBACK": ("TO",), "USE": ("USE",), "CLOSE": ("CLOSE",),
    "DEALLOCATE": ("DEALLOCATE",), "KILL": ("KILL",), "FETCH": ("FROM", "IN"), "MOVE": ("FROM", "IN"),
    "COPY": ("STDIN",), "SET": ("TO", "ROLE", "AUTHORIZATION", "PASSWORD", "IDENTIFIED"), "CREATE": ("IDENTIFIED",),
    "ALTER": ("IDENTIFIED",), "GRANT": ("IDENTIFIED",), "DECLARE": (), "PREPARE": (),
}  # fmt: skip
HIDE_NAME: Final = frozenset({"DECLARE", "PREPARE"})
# A double-quoted token after these is a name in every dialect that could run the statement ...
NAME_AFTER: Final = frozenset(["JOIN", "INTO", "UPDATE", "TABLE", "ONLY", "AS"])
# ... and after these once the text has proved that its double quotes are names: MySQL reads FROM "t" as an error.
NAME_AFTER_PROOF: Final = frozenset(
    [
        "SELECT",
        "DISTINCT",
        "ALL",
        "WHERE",
        "AND",
        "OR",
        "NOT",
        "ON",
        "HAVING",
        "WHEN",
        "CASE",
        "BY",
        "RETURNING",
        "SET",
        "INDEX",
        "VIEW",
        "EXISTS",
        "COLUMN",
        "CONSTRAINT",
        "KEY",
        "REFERENCES",
        "COPY",
        "DECLARE",
    ]
)
PROOF_AFTER: Final = frozenset(["JOIN", "INTO", "UPDATE", "TABLE"])
AFTER_TABLE: Final = frozenset(
    [
        "WHERE",
        "JOIN",
        "INNER",
        "LEFT",
        "RIGHT",
        "FULL",
        "CROSS",
        "NATURAL",
        "ORDER",
        "GROUP",
        "HAVING",
        "LIMIT",
        "FOR",
        "AS",
        "UNION",
    ]
)

MAX_TOKENS: Final = 2_048
"""Tokens read of one text: what is all punctuation has as many as it has characters."""

Token = tuple[str, str, str, str, str, str, str, str, str, str]


@functools.lru_cache(maxsize=1_024)
def plain(quoted: str) -> str:
    """A quoted name as one that needs no quotes and reads the same when it is read again."""
    parts = []
    for part in quoted[1:-1].replace('"."', ".").split("."):
        part = _NOT_WORD.sub("_", part)
        if not part or part[0].isdecimal() or part[0] == "$":
            part = "_" + part
        parts.append(part + "_" if part.upper() in WORDS else part[:MAX_NAME])
    return ".".join(parts)


def tokens_of(text: str) -> list[Token]:
    """The tokens of a text without spaces at its end: the first 2,048, and one more when there are more."""
    if len(text) <= MAX_TOKENS:
        return TOKEN.findall(text)
    matches = itertools.islice(TOKEN.finditer(text), MAX_TOKENS + 1)  # slower a token, and stops
    return [match.groups("") for match in matches]  # type: ignore[misc]
