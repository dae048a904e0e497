"""What a user's type checker must accept, and what it must infer; checked by `test_typing.py`, never run."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Generic, TypeVar, overload

from typing_extensions import assert_type

from manometer import Config, Finding, Profile, current_profile, expected, measure, profile, start, stop
from manometer.testing import FakeClock, record

T = TypeVar("T")


@measure
def plain(a: int, *, b: str = "") -> list[int]:
    return [a]


@measure("named", key=("a",), size="a", slow_ms=5)
def named(a: int) -> str:
    return str(a)


@measure(key=lambda a: a, expect={"n-plus-one": "by design"})
async def coroutine(a: int) -> bytes:
    return bytes(a)


@measure
def generator(n: int) -> Iterator[int]:
    yield n


@measure
async def async_generator(n: int) -> AsyncIterator[int]:
    yield n


@measure
def generic(value: T) -> T:
    return value


@overload
def either(value: int) -> int: ...
@overload
def either(value: str) -> str: ...
@measure
def either(value: int | str) -> int | str:
    return value


class Shop(Generic[T]):
    @measure
    def method(self, value: T) -> T:
        return value

    @classmethod
    @measure
    def made(cls) -> Shop[T]:
        return cls()

    @measure
    @staticmethod
    def static(n: int) -> int:
        return n

    @property
    @measure
    def value(self) -> float:
        return 1.0


def use() -> None:
    assert_type(plain(1, b="x"), list[int])
    assert_type(named(1), str)
    assert_type(generator(1), Iterator[int])
    assert_type(generic("x"), str)
    assert_type(either(1), int)
    assert_type(Shop[int]().method(1), int)
    assert_type(Shop[int].static(1), int)
    assert_type(Shop[int]().value, float)
    task: Callable[[int], Awaitable[bytes]] = coroutine
    assert_type(task(1), Awaitable[bytes])
    with measure("block"), expected("because"):
        pass
    with profile("job", kind="job") as unit:
        assert_type(unit, Profile | None)
    assert_type(current_profile(), Profile | None)
    with record() as recorded, FakeClock() as clock:
        clock.advance(ms=1)
    assert_type(recorded.findings, tuple[Finding, ...])
    undo = start(Config(sample=0.5))
    undo()
    stop()


async def use_async() -> None:
    assert_type(await coroutine(1), bytes)
    async with measure("block"):
        pass
    async for n in async_generator(1):
        assert_type(n, int)


@profile("nightly", kind="job")
def job(n: int) -> int:
    return n


def wrong() -> None:
    plain("x")  # type: ignore[arg-type]
    named()  # type: ignore[call-arg]
    measure(key=3)  # type: ignore[call-overload]
    profile("x", kind="cron")  # type: ignore[arg-type]
    Config(sample="x")  # type: ignore[arg-type]
    assert_type(job(1), int)
