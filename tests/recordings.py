"""Recorded scenarios, replayed through what live traffic goes through: statement, call, rows, profile."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from manometer import _site
from manometer._calls import begin
from manometer._context import close_profile, open_profile, restore
from manometer._history import History
from manometer._model import STRICT, Policy, Profile
from manometer._statement import statement
from manometer.detectors import judge
from manometer.sources._query import Query, end_query
from manometer.sources._rows import Rows

if TYPE_CHECKING:
    from collections.abc import Callable

    from manometer._detail import Place
    from manometer._finding import Finding

DATA = Path(__file__).parent / "data"
NAME = re.compile(r"(?<![%\w])[a-z_][a-z0-9_]*")


@dataclass(frozen=True)
class Case:
    id: str
    label: str
    orm: str
    spans: list[dict[str, Any]] = field(repr=False)


def load() -> list[Case]:
    return [
        Case(case["id"], case["label"], case["orm"], case["spans"])
        for name in ("django_zeal_cases.json", "sqlalchemy_queryspy_cases.json")
        for case in json.loads((DATA / "orm" / name).read_text(encoding="utf-8"))
    ]


def renamed(text: str) -> str:
    """Give every table and column another name; keywords are upper case in the recordings."""
    return NAME.sub(lambda match: "n" + hashlib.md5(match[0].encode()).hexdigest()[:7], text)


def _place(frame: str) -> Place:
    file, line, function = frame.split(":", 2)
    return f"/app/{file}", int(line), function


def replay(
    case: Case,
    *,
    policy: Policy = STRICT,
    scale: float = 1.0,
    rename: Callable[[str], str] = str,
) -> tuple[Profile, tuple[Finding, ...]]:
    """Feed one recording; durations are multiplied by *scale*."""
    done: list[Profile] = []
    opened = open_profile(case.id, "request", cpu=False, policy=policy, to=done.append)
    restore(opened)
    assert opened.branch
    began_ns = opened.branch.profile.started_ns
    last_ns = began_ns
    for span in case.spans:
        if span["parent"] is None:
            continue
        attributes = span["attributes"]
        known = statement(text := rename(attributes["db.query.text"]))
        places = [_place(frame) for frame in attributes["code.stacktrace"]]
        started_ns = began_ns + int(span["start"] * scale * 1e9)
        last_ns = began_ns + int(span["end"] * scale * 1e9)
        callsite = _site.callsite(
            "db", known.summary, known.shape, places[0], operation=known.operation,  # type: ignore[arg-type]
            system="sqlite", target=case.id, library=case.orm,
        )  # fmt: skip
        query = Query(begin(opened.branch, callsite, started_ns), known, tuple(places[1:3]), text)
        sets = int(re.sub(r"\D", "", str(attributes.get("db.operation.batch.size", "0"))))  # "<many 2>"
        end_query(query, None if sets else attributes["db.query.parameters"], bool(sets), last_ns, sets)
        if (rows := attributes.get("x.rows")) is not None:
            Rows(query.call).many([tuple(row) for row in rows], last_ns, last_ns, True)
    close_profile(opened)
    (profile,) = done
    profile.duration_ns = last_ns - began_ns
    history = History()
    history.add(profile)
    return profile, judge(profile, history)


def round_trip_ms(case: Case) -> float:
    """Return the shortest call of a recording."""
    return min((span["end"] - span["start"]) * 1e3 for span in case.spans if span["parent"] is not None)
