"""Profiles made by hand, call by call, on a clock of their own."""

from __future__ import annotations

from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any

from manometer._calls import add_asked, add_rows, begin, end
from manometer._context import close_profile, new_frame, open_profile, restore
from manometer._fingerprint import key_of, result_key, values_of
from manometer._history import History
from manometer._limits import MAX_ASKED
from manometer._model import STRICT, Callsite, Policy, Profile, ProfileKind
from manometer._plan import NOTHING, count
from manometer.detectors import judge

if TYPE_CHECKING:
    from collections.abc import Iterator

    from manometer._detail import Place
    from manometer._finding import Finding
    from manometer._model import Kind, Operation

MS = 1_000_000


@cache  # callsites are compared by identity
def site(
    template: str = "SELECT id, name FROM users WHERE id = ?",
    line: int = 41,
    *,
    kind: Kind = "db",
    operation: Operation = "read",
    file: str = "/app/shop/views.py",
    function: str = "list_posts",
    library: str = "sqlalchemy",
    system: str = "sqlite",
    **more: Any,
) -> Callsite:
    return Callsite(
        name=template.partition(" WHERE")[0],
        template=template,
        line=line,
        kind=kind,
        operation=operation,
        file=file,
        function=function,
        library=library,
        system=system,
        **more,
    )


@cache
def function(name: str = "quote", **more: Any) -> Callsite:
    return Callsite(
        name=f"shop.{name}", function=name, kind="call", file="/app/shop/prices.py", line=7, **more
    )


class Unit:
    """One unit of work in the making; calls follow one another unless told otherwise."""

    def __init__(
        self, policy: Policy = STRICT, kind: ProfileKind = "request", name: str = "GET /posts"
    ) -> None:
        self._done: list[Profile] = []
        self._opened = open_profile(name, kind, cpu=False, policy=policy, to=self._done.append)
        restore(self._opened)
        assert self._opened.branch
        self.branch = self._opened.branch
        self.now_ns = self.began_ns = self.branch.profile.started_ns

    @property
    def profile(self) -> Profile:
        return self.branch.profile

    def call(
        self,
        callsite: Callsite,
        *arguments: object,
        ms: float = 1.0,
        rows: list[tuple[object, ...]] | int | None = None,
        result: object = None,
        error: str = "",
        batch: int = 0,
        callers: tuple[Place, ...] = (),
        keyed: bool = True,
        started_ns: int = 0,
    ) -> None:
        started_ns = started_ns or self.now_ns
        ended_ns = started_ns + int(ms * MS)
        call = begin(self.branch, callsite, started_ns)
        end(
            call,
            key=key_of(arguments) if keyed else None,
            values=values_of(arguments) if keyed else (),
            batch=batch,
            error=error,
            callers=callers,
            ended_ns=ended_ns,
        )
        if batch > 1 and keyed and callsite.operation == "read":
            add_asked(call, values_of(arguments, MAX_ASKED))
        if isinstance(rows, list):
            add_rows(call, len(rows), [value for row in rows for value in values_of(row)], result_key(rows))
        elif rows is not None:
            add_rows(call, rows, (), None)
        elif result is not None:
            add_rows(call, 0, (), key_of(result))
        self.now_ns = max(self.now_ns, ended_ns)

    @contextmanager
    def within(
        self, callsite: Callsite, *arguments: object, result: object = None, watched: bool = False
    ) -> Iterator[None]:
        """Be inside a measured function; *watched* has its arguments looked at. It fails with the result NOTHING."""
        branch, parent, began_ns = self.branch, self.branch.frame, self.now_ns
        frame = parent.children.get(callsite) or new_frame(branch, parent, callsite)
        branch.frame = frame
        yield
        branch.frame = parent
        frame.calls += 1
        frame.errors += result is NOTHING
        frame.total_ns += self.now_ns - began_ns
        if watched:
            count(branch, frame, key_of(arguments), began_ns, self.now_ns - began_ns, result)

    def work(self, ms: float) -> None:
        self.now_ns += int(ms * MS)

    def compute(self, callsite: Callsite, *arguments: object, ms: float = 1.0, result: object = 1) -> None:
        with self.within(callsite, *arguments, result=result, watched=True):
            self.work(ms)

    def close(self, *, duration_ms: float | None = None) -> Profile:
        close_profile(self._opened)
        profile = self._done[0]
        profile.duration_ns = self.now_ns - self.began_ns if duration_ms is None else int(duration_ms * MS)
        profile.root.total_ns = profile.root.union_ns = profile.duration_ns
        return profile

    def judge(self, history: History | None = None, **options: Any) -> tuple[Finding, ...]:
        profile = self.close()
        history = history or History()
        history.add(profile)
        return judge(profile, history, **options)


def rules(findings: tuple[Finding, ...]) -> list[str]:
    return [finding.rule for finding in findings]


def n_plus_one(
    unit: Unit, n: int = 10, *, ms: float = 1.0, proven: bool = True, child: Callsite | None = None
) -> None:
    """Read n posts and then, one by one, their authors."""
    posts = site("SELECT id, author FROM posts", 38)
    unit.call(posts, rows=[(1000 + at, 5000 + at) for at in range(n)] if proven else None, ms=ms)
    child = child or site()
    for at in range(n):
        unit.call(child, 5000 + at, rows=[(5000 + at, f"name {at}")], ms=ms)
