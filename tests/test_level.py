"""The level of detail: silent at once, whatever is open, and balanced when it comes and goes half way."""

from __future__ import annotations

import asyncio
import contextlib
import random
import sqlite3
from typing import TYPE_CHECKING, Any

import pytest

from manometer import _context, _level, measure, profile
from manometer._context import HOT
from manometer.sources.sqlite import SQLiteSource

if TYPE_CHECKING:
    from collections.abc import Iterator

    from manometer._model import Profile


def calls_of(record: Profile) -> dict[str, int]:
    """Calls by the last part of the callsite's name, all frames of a unit added up."""
    found: dict[str, int] = {}
    for frame in record.root.walk():
        if frame is not record.root:
            name = frame.callsite.name.rpartition(".")[2]
            found[name] = found.get(name, 0) + frame.calls
    return found


@pytest.fixture
def done() -> Iterator[list[Profile]]:
    """Finished units of work, with manometer on and nothing behind it."""
    found: list[Profile] = []
    before = _context.sink
    _context.sink = found.append
    _level.allow(True)
    try:
        yield found
    finally:
        _level.set_level(_level.FULL)
        _level.allow(False)
        _context.sink = before


@measure
def work() -> int:
    return 1


@measure
async def task() -> int:
    return work()


@measure
def items(count: int) -> Iterator[int]:
    for _ in range(count):
        yield work()


@measure
async def stream(count: int) -> Any:
    for _ in range(count):
        yield work()


def everything() -> None:
    work()
    list(items(2))
    with measure("block"):
        pass
    with BLOCK:
        work()

    async def more() -> None:
        await task()
        async with measure("async block"):
            pass
        async for _ in stream(2):
            pass

    asyncio.run(more())


BLOCK = measure("kept")


def test_a_unit_of_work_that_begins_where_only_units_are_recorded_has_nothing_in_it(
    done: list[Profile],
) -> None:
    _level.set_level(_level.UNITS)
    with profile("unit") as record:
        everything()
        assert _context.current() is None

    assert done == [record]
    assert record is not None
    assert list(record.root.own_children()) == []
    assert record.level == _level.UNITS
    assert _context.variable.get() is None


def test_off_opens_no_unit_and_comes_back(done: list[Profile]) -> None:
    _level.set_level(_level.OFF)
    with profile("unit") as none:
        everything()
    _level.set_level(_level.FULL)
    with profile("unit") as record:
        everything()

    assert none is None
    assert done == [record]
    assert record is not None
    assert record.level == _level.FULL
    assert set(calls_of(record)) >= {"work", "items", "block", "kept", "stream"}


def test_what_the_user_switched_off_stays_off_when_the_level_comes_back(done: list[Profile]) -> None:
    _level.allow(False)
    for level in (_level.OFF, _level.FULL):
        _level.set_level(level)
        assert HOT["idle_"] is True


def test_a_unit_is_marked_with_the_highest_level_it_met(done: list[Profile]) -> None:
    with profile("unit") as record:
        _level.set_level(_level.UNITS)
        _level.set_level(_level.FULL)
    with profile("after") as after:
        pass

    assert record is not None
    assert record.level == _level.UNITS
    assert after is not None
    assert after.level == _level.FULL


def test_calls_that_are_open_when_it_falls_silent_end_as_they_began(done: list[Profile]) -> None:
    @measure
    def outer() -> None:
        _level.set_level(_level.UNITS)
        work()

    @measure
    async def outer_task() -> None:
        await asyncio.sleep(0)
        _level.set_level(_level.UNITS)
        await task()

    with profile("unit") as record:
        outer()
        _level.set_level(_level.FULL)
        with measure("block"):
            _level.set_level(_level.UNITS)
            work()
        _level.set_level(_level.FULL)
        asyncio.run(outer_task())
        _level.set_level(_level.FULL)
        work()

    assert record is not None
    assert calls_of(record) == {
        "outer": 1, "block": 1, "outer_task": 1, "work": 1,
    }  # fmt: skip


def test_a_block_inside_itself_leaves_its_own_when_it_was_entered_in_silence(done: list[Profile]) -> None:
    def enter(depth: int) -> None:
        with BLOCK:
            if depth == 2:
                _level.set_level(_level.UNITS)
            if depth:
                enter(depth - 1)
            if depth == 2:
                _level.set_level(_level.FULL)
                work()

    with profile("unit") as record:
        enter(3)

    assert record is not None
    (kept,) = record.root.own_children()
    assert kept.callsite.name == "kept"
    assert [child.callsite.function.rpartition(".")[2] for child in kept.own_children()] == ["work"]
    assert kept.active & ~3 == 0


def test_a_query_is_silent_too(done: list[Profile]) -> None:
    undo = SQLiteSource().install()
    try:
        connection = sqlite3.connect(":memory:")
        with profile("unit") as record:
            connection.execute("SELECT name FROM sqlite_master").fetchall()
            _level.set_level(_level.UNITS)
            connection.execute("SELECT sql FROM sqlite_master").fetchall()
        connection.close()
    finally:
        undo()

    assert record is not None
    assert sum(calls_of(record).values()) == 1


class BoomError(Exception):
    pass


@pytest.mark.parametrize("seed", range(60))
def test_levels_that_change_in_the_middle_of_anything_leave_every_unit_balanced(
    seed: int, done: list[Profile]
) -> None:
    chance = random.Random(seed)

    def change() -> None:
        if chance.random() < 0.3:
            _level.set_level(chance.choice((0, 0, 1, 2, 3, 3, 4)))

    @measure
    def function(depth: int) -> None:
        step(depth)

    @measure
    def generator(depth: int) -> Iterator[None]:
        for _ in range(2):
            yield step(depth)

    @measure
    async def coroutine(depth: int) -> None:
        change()
        await asyncio.sleep(0)
        step(depth)
        change()

    def block(depth: int) -> None:
        with BLOCK if chance.random() < 0.5 else measure("inline"):
            step(depth)

    def step(depth: int) -> None:
        change()
        for _ in range(chance.randint(0, 2) if depth else 0):
            kind = chance.choice((function, generator, block))
            made = kind(depth - 1)
            if kind is generator:
                for _ in made:
                    if chance.random() < 0.2:
                        break
        change()
        if chance.random() < 0.1:
            raise BoomError

    async def main() -> None:
        jobs = [coroutine(4) for _ in range(3)]
        await asyncio.gather(*jobs, return_exceptions=True)

    before = _context.variable.get()
    records = []
    for _ in range(5):
        with profile("unit") as record, contextlib.suppress(BoomError):
            step(5)
        with profile("tasks") as other:
            asyncio.run(main())
        records += [each for each in (record, other) if each is not None]
        change()

    assert _context.variable.get() is before
    assert _context.live == {}
    for record in records:
        assert record.sealed
        for frame in record.root.walk():
            assert frame.active & ~2 == 0
            assert frame.total_ns >= 0


@measure(key="n")
def keyed(n: int) -> int:
    return n


@measure(size="rows")
def sized(rows: list[int]) -> int:
    return len(rows)


def test_without_fingerprints_keys_are_left_out_and_sizes_stay(done: list[Profile]) -> None:
    _level.set_level(_level.PLAIN)
    with profile("unit") as record:
        for _ in range(20):
            keyed(3)
            sized([1, 2])

    assert record is not None
    frames = {frame.callsite.function: frame for frame in record.root.own_children()}
    assert frames["keyed"].calls == 20
    assert frames["keyed"].detail is None
    assert frames["sized"].detail.keys == {}
    assert len(frames["sized"].detail.pairs) == 20


def test_without_fingerprints_a_query_has_neither_key_nor_values(done: list[Profile]) -> None:
    undo = SQLiteSource().install()
    try:
        connection = sqlite3.connect(":memory:")
        _level.set_level(_level.PLAIN)
        with profile("unit") as record:
            for n in range(12):
                connection.execute("SELECT name FROM sqlite_master WHERE name = ?", (str(n % 2),)).fetchall()
        connection.close()
    finally:
        undo()

    assert record is not None
    (query,) = record.root.own_children()
    assert query.calls == query.detail.unkeyed == 12
    assert query.detail.keys == {}
    assert all(not read.values for read in record.returned.values())
