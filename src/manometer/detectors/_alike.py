"""Requests of one line that differ in a name which turned out to be data only later: one group."""

from __future__ import annotations

from typing import Any, Final

Group = Any
"""A group of `_claims`, which imports this module."""
_ID: Final = "{id}"


def put_together(groups: list[Group]) -> list[Group]:
    """Return *groups* with those of `GET /users/alice` added to that of `GET /users/{id}`, where one line made both.

    Cost: 0.5 us a group of requests.
    """
    by_line: dict[Any, list[Group]] = {}
    for group in groups:
        site = group.callsite
        if site.kind == "http" and site.file and "/" in site.template:
            key = (
                site.file,
                site.line,
                site.function,
                site.target,
                site.library,
                site.operation,
                group.expect,
            )
            by_line.setdefault(key, []).append(group)
    gone: set[int] = set()
    for alike in by_line.values():
        shapes = [group for group in alike if _ID in group.callsite.template] if len(alike) > 1 else []
        for group in alike if shapes else ():
            into = next((other for other in shapes if other is not group and _is_case_of(group, other)), None)
            if into is not None and id(into) not in gone:
                for frame in group.frames:
                    into.add(frame)
                gone.add(id(group))
    return [group for group in groups if id(group) not in gone] if gone else groups


def _is_case_of(group: Group, other: Group) -> bool:
    ours, theirs = group.callsite.template.split("/"), other.callsite.template.split("/")
    if len(ours) != len(theirs) or ours == theirs:
        return False
    return all(own == shape or shape == _ID for own, shape in zip(ours, theirs, strict=True))
