"""Keyed hashes: equal for equal values, different for different ones, and made without running a line of the user's."""

from __future__ import annotations

import datetime
import os
import sqlite3
import subprocess
import sys
import zoneinfo
from collections import OrderedDict, namedtuple
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest
from hypothesis import given, strategies as st

from manometer._fingerprint import MAX_ITEMS, key_of, result_key, row_values, values_of

if TYPE_CHECKING:
    from collections.abc import Callable

ID = UUID("8ff81d74-606d-4c75-ac5e-cee65cbbc866")

scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(max_size=40)
    | st.binary(max_size=40)
    | st.decimals(allow_nan=False)
    | st.uuids()
    | st.dates()
    | st.datetimes(timezones=st.none() | st.just(datetime.timezone.utc))
)
nested = scalars | st.lists(scalars, max_size=5) | st.dictionaries(st.text(max_size=5), scalars, max_size=5)


@given(st.lists(nested, max_size=8))
def test_equal_sets_of_arguments_have_equal_keys(values: list[object]) -> None:
    again = [dict(reversed(value.items())) if type(value) is dict else value for value in values]

    assert key_of(tuple(values)) == key_of(again) is not None


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ((1,), ("1",)),
        ((-1,), (-2,)),
        ((1,), (1.0,)),
        ((1,), (True,)),
        ((0,), (False,)),
        ((None,), ("",)),
        (("a",), (b"a",)),
        (("ab", "c"), ("a", "bc")),
        (("1:s",), ("1", "s")),
        (((1, 2), 3), ((1,), 2, 3)),
        (([],), ([[]],)),
        ((), None),
        ({"a": 1, "b": 2}, {"a": 2, "b": 1}),
        ((8_000_000_000_000_000,), (0x8000_0000_0000_0000,)),
        ((2**61 - 1,), (0,)),
        ((Decimal("1.0"),), (Decimal("1.1"),)),
        ((datetime.date(2020, 1, 1),), (datetime.datetime(2020, 1, 1),)),  # noqa: DTZ001 (naive is the case)
        (("x" * 1_500,), ("x" * 1_501,)),
        (("x" * 1_500 + "y",), ("x" * 1_500 + "z",)),
    ],
)
def test_different_arguments_have_different_keys(one: object, other: object) -> None:
    assert key_of(one) != key_of(other)
    assert None not in (key_of(one), key_of(other))


def test_a_change_in_a_sample_of_a_long_string_is_seen_and_one_between_samples_is_not() -> None:
    text = "x" * 100_000

    assert key_of(text) != key_of("y" + text[1:])
    assert key_of(text) == key_of(text[:600] + "y" + text[601:])


@pytest.mark.parametrize(
    "unknown",
    [
        object(),
        {1, 2},
        bytearray(b"x"),
        range(3),
        type,
        lambda: 0,
        [[[[1]]]],
        list(range(MAX_ITEMS + 1)),
        1 << 10_000,
    ],
    ids=lambda value: type(value).__name__,
)
def test_the_unknown_has_no_key(unknown: object) -> None:
    assert key_of(unknown) is None
    assert key_of((1, unknown)) is None
    assert key_of({"a": unknown}) is None


def test_a_zone_of_the_standard_library_is_known() -> None:
    instant = datetime.datetime(2020, 1, 1, tzinfo=zoneinfo.ZoneInfo("UTC"))

    assert key_of((instant,)) == key_of([instant]) is not None


def _zoo() -> tuple[list[Any], list[str]]:
    """Objects whose every method records that it was called, subclasses of everything that is known among them."""
    recorder: list[str] = []

    def hostile(name: str) -> Callable[..., Any]:
        def method(*_: object, **__: object) -> Any:
            recorder.append(name)
            raise AssertionError(name)

        return method

    dunders = [
        "repr",
        "str",
        "hash",
        "eq",
        "ne",
        "lt",
        "bool",
        "len",
        "iter",
        "getitem",
        "contains",
        "int",
        "index",
        "float",
        "bytes",
        "format",
        "reduce_ex",
        "getattr",
        "getattribute",
        "get",
        "call",
        "enter",
        "exit",
        "length_hint",
        "next",
        "add",
        "mod",
        "sizeof",
        "dir",
    ]
    body = {f"__{name}__": hostile(name) for name in dunders}
    metaclass = type(
        "Meta", (type,), {f"__{name}__": hostile(f"meta {name}") for name in dunders if name != "call"}
    )
    zoo: list[Any] = [type("Plain", (), body)(), type.__call__(metaclass, "Metaed", (), {})()]
    known: list[Any] = ["a", 1, 1.5, b"a", (1,), [], {}]
    for value in known:
        base: Any = type(value)
        zoo.append(base.__new__(type(f"Sub{base.__name__}", (base,), body), value))
    zoo.append(UUID.__new__(type("SubUUID", (UUID,), body)))

    class Zone(datetime.tzinfo):
        def utcoffset(self, _: datetime.datetime | None) -> datetime.timedelta | None:
            recorder.append("utcoffset")
            return None

        dst = tzname = utcoffset  # type: ignore[assignment]

    zoo.append(datetime.datetime(2020, 1, 1, tzinfo=Zone()))
    zoo.append(datetime.time(1, tzinfo=Zone()))
    return zoo, recorder


def test_no_code_of_a_hostile_object_runs() -> None:
    zoo, recorder = _zoo()
    for each in zoo:
        assert key_of(each) is None
        assert key_of((each,)) is None
        assert key_of({"a": [each]}) is None
        assert values_of(each) == ()
        assert values_of([each, {"a": each}]) == ()
        assert row_values(each) == []
        # What a row's own class holds is read with the methods of the built-in one.
        assert set(row_values([each, (each, 1)])) <= set(values_of(1))
        assert row_values([(7, each)]) == list(values_of(7))
        assert result_key([(each,)]) is None
        assert result_key(each) is None

    assert recorder == []


def test_hashes_differ_between_processes_even_with_a_fixed_seed_of_the_interpreter() -> None:
    code = "from manometer._fingerprint import key_of; print(key_of((42,)))"
    environment = {**os.environ, "PYTHONHASHSEED": "0"}

    runs = {subprocess.check_output([sys.executable, "-c", code], env=environment) for _ in range(2)}

    assert len(runs) == 2


@pytest.mark.parametrize(
    ("parameters", "count"),
    [
        ((42, "slug", ID, b"\x01"), 4),
        ({"a": 42, "b": "slug"}, 2),
        (42, 1),
        ((True, None, 1.5, "", "x" * 65, Decimal(1), datetime.date(2020, 1, 1)), 0),
        (([1, 2], {"a": [3]}), 3),
        ([[[[1]]]], 0),
        (tuple(range(100)), 16),
        (None, 0),
    ],
)
def test_keys_of_arguments(parameters: object, count: int) -> None:
    assert len(values_of(parameters)) == count


def test_a_value_hashes_the_same_as_argument_and_as_result() -> None:
    rows = [(42, "slug", ID, b"\x01", -1)]

    assert set(row_values(rows)) == set(values_of(rows[0]))
    assert row_values([(42,)]) == list(values_of((42,)))
    assert row_values([("42",)]) != list(values_of((42,)))


def test_a_uuid_and_its_text_are_the_same_value() -> None:
    assert values_of((ID,)) == values_of((str(ID),))
    assert key_of((ID,)) == key_of((str(ID),))


def test_values_of_rows_are_bounded_and_spread() -> None:
    rows = [(n, f"name {n}", n * 1_000, 1.5, None) for n in range(1_000)]

    found = row_values(rows)

    assert len(found) <= 64
    assert set(values_of((0,))) < set(found)
    assert set(values_of((999,))) < set(found)
    assert len(row_values([(n,) for n in range(1_000)])) == 64
    assert row_values(rows, limit=0) == []
    assert len(row_values(rows, limit=2)) <= 2


def test_integers_come_before_strings_when_not_all_columns_fit() -> None:
    rows = [("a", "b", "c", "d", "e", n) for n in range(100)]

    assert set(values_of((99,))) < set(row_values(rows))


def test_rows_of_every_known_kind() -> None:
    connection = sqlite3.connect(":memory:")
    connection.row_factory = sqlite3.Row
    rows = connection.execute("SELECT 7 AS a, 'x' AS b").fetchall()
    connection.close()

    expected = list(values_of((7, "x")))

    assert row_values(rows) == expected
    assert row_values([{"a": 7, "b": "x"}]) == expected
    assert row_values([[7, "x"]]) == expected
    assert row_values(((7, "x"), (8,))) == expected + list(values_of(8))
    assert result_key(rows) == result_key([(7, "x")]) is not None


def test_rows_of_classes_that_drivers_make() -> None:
    point = namedtuple("point", "a b")  # type: ignore[name-match]
    listed = type("DictRow", (list,), {})
    expected = list(values_of((7, "x")))

    assert row_values([point(7, "x")]) == expected
    assert row_values([listed([7, "x"])]) == expected
    assert row_values([OrderedDict(a=7, b="x")]) == expected
    assert row_values([7, 8]) == list(values_of((7, 8)))
    assert result_key([point(7, "x")]) == result_key([(7, "x")]) is not None


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ([], [()]),
        ([(1,)], [(2,)]),
        ([(1, 2)], [(1,), (2,)]),
        ([(1,)] * 100, [(1,)] * 101),
        ([(1,)] * 99 + [(2,)], [(1,)] * 100),
    ],
)
def test_different_results_have_different_keys(one: list[Any], other: list[Any]) -> None:
    assert result_key(one) != result_key(other)
    assert None not in (result_key(one), result_key(other))


def test_a_result_beyond_the_bounds_is_compared_in_part() -> None:
    rows = [(n,) * 20 for n in range(1_000)]
    changed = [*rows[:7], (7, *[0] * 19), *rows[8:]]

    assert result_key(rows) == result_key(changed) is not None


@given(nested | st.lists(st.lists(nested)))
def test_never_raises(values: Any) -> None:
    key_of(values)
    values_of(values)
    row_values(values)
    result_key(values)


def test_integers_of_psycopg_that_say_their_width_are_integers() -> None:
    numeric = pytest.importorskip("psycopg.types.numeric")
    wide = [numeric.Int2(7), numeric.Int4(7), numeric.Int8(7), numeric.IntNumeric(7)]

    assert [key_of((value,)) for value in wide] == [key_of((7,))] * 4
    assert values_of(wide) == values_of([7, 7, 7, 7])


def test_more_values_are_taken_from_arguments_where_a_caller_asks_for_more() -> None:
    keys = list(range(100, 300))

    assert len(values_of(keys)) == 16
    assert values_of(keys, 128)[:16] == values_of(keys)
    assert len(set(values_of(keys, 128))) == 128


def test_a_zone_alone_is_known_by_its_name_and_a_fixed_one_by_its_offset():
    tokyo = key_of((1, zoneinfo.ZoneInfo("Asia/Tokyo")))

    assert tokyo is not None
    assert key_of((1, zoneinfo.ZoneInfo.no_cache("Asia/Tokyo"))) == tokyo
    assert key_of((1, zoneinfo.ZoneInfo("Europe/Paris"))) != tokyo
    hour = datetime.timedelta(hours=1)
    assert (
        key_of(datetime.timezone(hour, "x"))
        == key_of(datetime.timezone(hour))
        != key_of(datetime.timezone.utc)
    )
