"""What the shape of a statement costs, that the cost is linear, and how far two parsers agree with it.

Run it with ``python benchmarks/statement.py``; it prints one table each. sqlglot and sqlparse are compared when they are
installed. Every figure is the best of several rounds; ratios have their baseline in the same run.
"""

from __future__ import annotations

import itertools
import json
import re
import sys
import timeit
from pathlib import Path
from typing import TYPE_CHECKING

from manometer import _statement
from manometer._fingerprint import key_of, result_key, row_values
from manometer._statement import statement
from manometer._tokens import TOKEN

if TYPE_CHECKING:
    from collections.abc import Callable

DATA = Path(__file__).parents[1] / "tests" / "data"
TYPICAL = (
    "SELECT u.id, u.name, u.email, o.total FROM users u JOIN orders o ON o.user_id = u.id WHERE u.status = 'active' "
    "AND o.total > 100.50 AND o.region IN (1, 2, 3, 4, 5) ORDER BY o.created_at DESC LIMIT 50"
)
ADVERSARIAL = {
    "parentheses": "(", "brackets": "[a", "lists": "IN (", "rows": "VALUES (1),", "doubled quotes": "''", "quote": "'",
    "backslashes": "'\\\\", "double quotes": '"a".', "comments": "/*", "nested": "/*/**/", "dollars": "$$", "tags": "$a",
    "oracle": "q'[", "points": "a.", "minus": "- ", "digits": "1", "exponents": "1e", "spaces": " ", "bracket words": "[a ",
    "hash": "#>", "colons": ":", "percent": "%(", "names": 'FROM "a" ', "semicolons": "a;", "commas": ",", "word": "a",
}  # fmt: skip
PARAMETERS = re.compile(r"%\(\w+\)s|%s|\?\d*|\$\d+|:\w+")
LITERALS = re.compile(r"'[^']*'|\b\d+(?:\.\d+)?\b|%s")
LISTS = re.compile(r"\((?:\?\s*,\s*)*\?\)(?:\s*,\s*\((?:\?\s*,\s*)*\?\))*")


def best_us(call: Callable[[], object], number: int = 1_000, rounds: int = 7) -> float:
    """The shortest time of one call, in microseconds."""
    return min(timeit.repeat(call, number=number, repeat=rounds)) / number * 1e6


def fresh(text: str) -> _statement.Statement:
    """The statement of a text, without the cache."""
    return _statement._read(text[:8_192], len(text))


def with_sqlglot(text: str) -> str:
    """The normal form of a text by sqlglot's tree: values and lists folded, written again."""
    import sqlglot
    from sqlglot import exp

    mark = exp.Placeholder()
    forms = []
    for tree in sqlglot.parse(PARAMETERS.sub("?", text)):
        if tree is None:
            continue
        for node in list(tree.find_all(exp.Literal, exp.Parameter)):
            node.replace(mark.copy())
        for node in list(tree.find_all(exp.In)):
            if node.expressions:
                node.set("expressions", node.expressions[:1])
        for node in list(tree.find_all(exp.Values)):
            node.set("expressions", [exp.Tuple(expressions=[mark.copy()])])
        forms.append(tree.sql(comments=False, identify=False).replace('"', ""))
    return "; ".join(forms)


def with_sqlparse(text: str) -> str:
    """The normal form of a text by sqlparse's lexer: values replaced, comments and spaces dropped, lists folded."""
    import sqlparse
    from sqlparse import tokens

    words = []
    for token in itertools.chain.from_iterable(each.flatten() for each in sqlparse.parse(text)):  # type: ignore[no-untyped-call]
        if token.is_whitespace or token.ttype in tokens.Comment:
            continue
        value = token.ttype in tokens.Literal or token.ttype in tokens.Name.Placeholder
        words.append(
            "?" if value and token.ttype is not tokens.Literal.String.Symbol else token.value.strip('"`')
        )
    return LISTS.sub("(?)", " ".join(words).replace("( ", "(").replace(" )", ")").rstrip("; "))


def print_costs() -> None:
    """New texts against what a parser and the smallest possible rewriting cost; texts seen before; arguments."""
    base = best_us(lambda: LISTS.sub("(?)", LITERALS.sub("?", TYPICAL)))
    statement(TYPICAL)
    seen, copy = TYPICAL, (TYPICAL + " ")[:-1]
    rows: list[tuple[str, float]] = [
        (f"two regular expressions, {len(TYPICAL)} characters", base),
        ("our tokens alone", best_us(lambda: TOKEN.findall(TYPICAL))),
        ("statement(), a new text", best_us(lambda: fresh(TYPICAL))),
        ("statement(), a text seen before", best_us(lambda: statement(seen), 100_000)),
        ("statement(), an equal text, not hashed yet", best_us(lambda: statement(copy + ""), 100_000)),
        ("hash of a new string of that length", best_us(lambda: hash(TYPICAL[:-1]), 100_000)),
        (
            "IN list of 1,000 placeholders",
            best_us(lambda: fresh(f"SELECT a FROM t WHERE b IN ({'%s, ' * 999}%s)"), 50),
        ),
        ("key_of((42, 'abc'))", best_us(lambda: key_of((42, "abc")), 20_000)),
    ]
    found = [(number, f"name {number}", number * 7, None, 2.5) for number in range(100)]
    rows.append(("row_values of 100 rows of 5", best_us(lambda: row_values(found))))
    rows.append(("result_key of 100 rows of 5", best_us(lambda: result_key(found))))
    for name, call in (
        ("sqlglot, parse and write", with_sqlglot),
        ("sqlparse, parse and flatten", with_sqlparse),
    ):
        if call.__name__.removeprefix("with_") in sys.modules:
            rows.append((name, best_us(lambda call=call: call(TYPICAL), 20)))  # type: ignore[misc]
    for name, cost in rows:
        print(f"{name:48}{cost:10.2f} us{cost / base:9.2f}")


def print_growth() -> None:
    """The cost at 8,192 characters and its ratio to the half, for texts that make a reader walk back."""
    worst = 0.0
    for name, unit in ADVERSARIAL.items():
        whole, half = (("SELECT " + unit * 8_192)[:size] for size in (8_192, 4_096))
        long_us, short_us = (best_us(lambda text=text: fresh(text), 3, 5) for text in (whole, half))  # type: ignore[misc]
        worst = max(worst, long_us / short_us)
        print(f"{name:20}{long_us:10.0f} us   time(2n)/time(n) {long_us / short_us:5.2f}")
    print(f"worst ratio {worst:.2f}")


def print_agreement(texts: list[str]) -> None:
    """Of all pairs of texts: is it one class for both, or two for both?"""
    ours = [statement(text).shape for text in texts]
    for name, call in (("sqlglot", with_sqlglot), ("sqlparse", with_sqlparse)):
        theirs: list[str | None] = []
        for text in texts:
            try:
                theirs.append(call(text))
            except ImportError:
                print(f"{name}: not installed")
                break
            except Exception:
                theirs.append(None)
        else:
            known = [at for at, form in enumerate(theirs) if form is not None]
            pairs = list(itertools.combinations(known, 2))
            differing = [(a, b) for a, b in pairs if (ours[a] == ours[b]) != (theirs[a] == theirs[b])]
            share = 1 - len(differing) / max(len(pairs), 1)
            print(
                f"{name}: {len(texts) - len(known)} of {len(texts)} texts not read; {len(pairs)} pairs, "
                f"{share:.2%} agree; classes {len({theirs[at] for at in known})}, ours {len({ours[at] for at in known})}"
            )
            for a, b in differing[:12]:
                joined = "one class here" if ours[a] == ours[b] else "two classes here"
                print(f"    {joined}: {texts[a][-70:]!r} | {texts[b][-70:]!r}")


def print_signatures() -> None:
    """The share of elastic's signatures that equal our summary, word for word but for FROM and INTO."""
    pairs = json.loads((DATA / "normalise" / "elastic_sql_signature.json").read_text())
    equal = 0
    for pair in pairs:
        expected = pair["output"].replace(" FROM ", " ").replace(" INTO ", " ")
        equal += statement(pair["input"]).summary == expected
        if statement(pair["input"]).summary != expected:
            print(f"    {pair['input']!r}: {expected!r}, ours {statement(pair['input']).summary!r}")
    print(f"{equal} of {len(pairs)} signatures equal")


def main() -> None:
    """Print all tables."""
    real = json.loads((DATA / "statements.json").read_text())
    signatures = [
        p["input"] for p in json.loads((DATA / "normalise" / "elastic_sql_signature.json").read_text())
    ]
    print("# agreement, statements of mappers")
    print_agreement(real)
    print("# agreement, elastic's texts (broken ones among them)")
    print_agreement(signatures)
    print("# signatures")
    print_signatures()
    print("# cost, and ratio to two regular expressions")
    print_costs()
    print("# growth")
    print_growth()


if __name__ == "__main__":
    main()
