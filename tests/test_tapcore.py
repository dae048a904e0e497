"""The compiled part of what taps do: the same sums, the same equalities, the same frame as in Python."""

from __future__ import annotations

import datetime
import decimal
import importlib.util
import sys
import uuid
from typing import Any

import pytest
from hypothesis import given, strategies as st

from manometer import _calls, _fingerprint, _limits, _native, _site
from manometer._boundary import NO_BACK_OFF_NS
from manometer._context import HOT, close_profile, open_profile, restore
from manometer._course import FIRST
from manometer._detail import FrameDetail, KeyUse
from manometer._model import Callsite
from manometer.sources import _query

pytestmark = pytest.mark.skipif(
    _native.core is None, reason="the compiled core is not built, or not asked for"
)


def in_python(module: Any) -> Any:
    """The same module as it is without the compiled core, beside the one that has it."""
    spec = importlib.util.spec_from_file_location(f"{module.__name__}_in_python", module.__file__)
    made = importlib.util.module_from_spec(spec)
    core, _native.core = _native.core, None
    try:
        spec.loader.exec_module(made)
    finally:
        _native.core = core
    return made


CALLS, FINGERPRINT, SITE, QUERY = map(in_python, (_calls, _fingerprint, _site, _query))

plain = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(-(2**70), 2**70)
    | st.integers(-2, 2)
    | st.floats()
    | st.text(max_size=70)
    | st.sampled_from(["", "1", "a" * 64, "a" * 65, "a" * 1_025, "\ud800", "\x00", "é"])
    | st.binary(max_size=70)
    | st.uuids()
    | st.decimals()
    | st.datetimes()
    | st.timedeltas()
    | st.just(object())
    | st.just(2**9_000)
)
values = st.recursive(
    plain,
    lambda inner: (
        st.lists(inner, max_size=5)
        | st.lists(inner, max_size=5).map(tuple)
        | st.dictionaries(st.text(max_size=3) | st.integers(-2, 2), inner, max_size=4)
    ),
    max_leaves=12,
)


class TestKeyedHashes:
    @given(values, values)
    def test_what_one_takes_for_equal_the_other_does_too(self, first, second):
        expected = [FINGERPRINT.key_of(each) for each in (first, second)]

        found = [_fingerprint.key_of(each) for each in (first, second)]

        assert [each is None for each in found] == [each is None for each in expected]
        assert (found[0] == found[1]) == (expected[0] == expected[1])

    @given(values)
    def test_a_value_is_equal_to_its_copy(self, value):
        copy = (
            eval(repr(value), {"UUID": uuid.UUID, "Decimal": decimal.Decimal, "datetime": datetime, "nan": 1})
            if (_is_literal(value))
            else value
        )

        assert _fingerprint.key_of(copy) == _fingerprint.key_of(value)

    @pytest.mark.parametrize(
        ("first", "second"),
        [
            (1, True), (1, 1.0), (1, "1"), (0, None), (-1, -2), (0, 2**61 - 1), (0.0, -0.0), ("", b""), ("a", ["a"]),
            ([1, 2], [[1], 2]), ([1, 2], [2, 1]), (["ab", "c"], ["a", "bc"]), ({1: 2}, {2: 1}), ({}, []), (b"a\0", b"a"),
            ("a" * 1_025, "a" * 1_026), ("a" * 2_000, "a" * 1_999 + "b"), (2**64, -(2**64)), (2**63, -(2**63)),
            ((1, 2), (1, 2, 3)), ({"a": {"b": 1}}, {"b": {"a": 1}}), ("i", "I"), ((), None),
        ],
    )  # fmt: skip
    def test_values_that_differ_have_hashes_that_differ(self, first, second):
        assert _fingerprint.key_of(first) != _fingerprint.key_of(second)

    @pytest.mark.parametrize(
        ("first", "second"),
        [
            ((1, 2), [1, 2]), ({"a": 1, "b": 2}, {"b": 2, "a": 1}), (uuid.UUID(int=5), str(uuid.UUID(int=5))),
            (float("nan"), -float("nan")), ("é", "\u00e9"),
        ],
    )  # fmt: skip
    def test_values_that_are_one_have_one_hash(self, first, second):
        assert _fingerprint.key_of(first) == _fingerprint.key_of(second)

    @pytest.mark.parametrize(
        "value", [2**9_000, [[[[1]]]], list(range(65)), object(), [object()], {1: {2: {3: {}}}}]
    )
    def test_what_is_unknown_or_too_large_has_none(self, value):
        assert _fingerprint.key_of(value) is None
        assert FINGERPRINT.key_of(value) is None

    @given(values, st.integers(0, 20))
    def test_the_same_values_are_like_keys(self, value, limit):
        expected = FINGERPRINT.values_of(value, limit)

        found = _fingerprint.values_of(value, limit)

        assert len(found) == len(expected)
        assert _pattern(found) == _pattern(expected)

    @given(st.lists(values | st.lists(plain, max_size=18).map(tuple), max_size=70), st.integers(-1, 200))
    def test_the_same_cells_of_rows_are_like_keys(self, rows, limit):
        expected = FINGERPRINT.row_values(rows, limit)

        found = _fingerprint.row_values(rows, limit)

        assert _pattern(found) == _pattern(expected)

    @given(st.lists(values, max_size=70), st.lists(values, max_size=3))
    def test_results_are_equal_to_both_or_to_none(self, rows, others):
        expected = [FINGERPRINT.result_key(each) for each in (rows, others, tuple(rows))]

        found = [_fingerprint.result_key(each) for each in (rows, others, tuple(rows))]

        assert [each is None for each in found] == [each is None for each in expected]
        assert _pattern(found) == _pattern(expected)

    def test_a_number_above_four_billion_rows_apart_is_another_result(self):
        assert _fingerprint.result_key([(1,), (2,)]) != _fingerprint.result_key([(2,), (1,)])

    def test_the_level_without_fingerprints_has_none(self, monkeypatch):
        monkeypatch.setitem(HOT, "plain_", True)

        found = (
            _fingerprint.key_of(1), _fingerprint.values_of(1), _fingerprint.row_values([1]), _fingerprint.result_key([1])
        )  # fmt: skip

        assert found == (None, (), [], None)
        assert _fingerprint.keyed(1) is not None


class TestQueries:
    @given(
        # A list and a tuple of parameters are equal to one core and not to the other where both are empty.
        st.lists(
            st.tuples(
                st.sampled_from(["SELECT 1", "SELECT 2", b"SELECT 1", None]),
                values.map(lambda value: tuple(value) if type(value) is list else value),
            ),
            max_size=6,
        )
    )
    def test_the_same_statements_with_the_same_parameters_are_equal(self, asked):
        expected = [QUERY._key(*each) for each in asked]

        found = [_query._key(*each) for each in asked]

        assert [each is None for each in found] == [each is None for each in expected]
        assert _pattern(found) == _pattern([repr(each) for each in expected])

    @pytest.mark.parametrize(
        "text", ["SELECT a FROM t WHERE b = ?", "UPDATE t SET a = ?", "BEGIN", "SELECT 1"]
    )
    def test_a_line_is_the_same_callsite_the_second_time(self, text):
        opened = open_profile("unit", to=lambda _: None)
        origin = _query.Origin("sqlite", "shop", "sqlite3", "3")
        found = []
        for _ in range(3):
            query = _query.begin_query(opened.branch, text, origin, 1)
            found.append(
                query and (query.call.callsite, query.callers[:1], query.statement, query.text, query.many)
            )
        restore(opened)
        close_profile(opened)

        assert found == [found[0]] * 3
        assert (found[0] is None) == (text in ("BEGIN", "SELECT 1"))
        assert found[0] is None or found[0][0].function.endswith(
            "test_a_line_is_the_same_callsite_the_second_time"
        )

    def test_two_lines_are_two_callsites(self):
        opened = open_profile("unit", to=lambda _: None)
        origin = _query.Origin("sqlite", "shop", "sqlite3", "3")
        sites = set()
        for _ in range(2):
            sites.add(_query.begin_query(opened.branch, "SELECT a FROM t", origin, 1).call.callsite.line)
            sites.add(_query.begin_query(opened.branch, "SELECT a FROM t", origin, 1).call.callsite.line)
        restore(opened)
        close_profile(opened)

        assert len(sites) == 2

    def test_callers_are_looked_at_for_the_first_calls_only(self):
        opened = open_profile("unit", to=lambda _: None)
        origin, told = _query.Origin("sqlite", "shop", "sqlite3", "3"), []
        for _ in range(_query._CHAINS + 4):
            query = _query.begin_query(opened.branch, "SELECT a FROM u", origin, 1)
            told.append(query.callers != ())
            _query.end_query(query, (), False, HOT["clock_"]())
        restore(opened)
        close_profile(opened)

        assert told[_query._CHAINS :] == [False] * 4


def _is_literal(value: Any) -> bool:
    return type(value) in (int, str, bytes, bool) and len(repr(value)) < 4_000


def _pattern(found: Any) -> list[int]:
    """Which of some values are equal to an earlier one."""
    seen = list(found)
    return [seen.index(each) for each in seen]


operations = st.lists(
    st.fixed_dictionaries(
        {
            "site": st.integers(0, 2),
            "key": st.none() | st.integers(0, 40),
            "values": st.lists(st.integers(0, 6), max_size=3).map(tuple),
            "arguments": st.none() | st.lists(st.integers(0, 3), max_size=2),
            "batch": st.integers(0, 3),
            "error": st.sampled_from(["", "", "", "KeyError", "TimeoutError", "CancelledError"]),
            "callers": st.sampled_from([(), (("a.py", 1, "f"),), (("a.py", 2, "g"), ("b.py", 3, "h"))]),
            "took_ns": st.sampled_from([0, 5, 40, 20_000_000, 200_000_000]),
            "after_ns": st.sampled_from([0, 3, NO_BACK_OFF_NS, _calls.RUN_GAP_NS + 1]),
            "rows": st.none() | st.tuples(st.integers(0, 3), st.lists(st.integers(0, 6), max_size=3), st.none() | st.integers(0, 1)),
            "inside": st.booleans(),
        }
    ),
    max_size=24,
)  # fmt: skip
SITES = [
    Callsite(name="read", kind="db", operation="read"),
    Callsite(name="write", kind="db", operation="write"),
    Callsite(name="other", kind="http"),
]


class TestCalls:
    @given(operations)
    def test_the_same_calls_add_up_to_the_same(self, performed):
        assert _added_up(_calls, performed) == _added_up(CALLS, performed)

    def test_a_call_that_ends_after_its_unit_is_late(self):
        opened = open_profile("unit", to=lambda _: None)
        call = _calls.begin(opened.branch, SITES[0])
        close_profile(opened)
        restore(opened)

        _calls.end(call, key=1)
        _calls.add_rows(call, 3)

        assert (call.frame.calls, call.frame.detail) == (0, None)

    @pytest.mark.parametrize(
        ("name", "args"),
        [
            ("begin_call", (None, None)), ("begin_call", (1, 2, 3)), ("end_call", (None,)), ("add_rows", (None, 1)),
            ("add_rows", (1, 2, 3, 4, 5)), ("count_result", (1, 2, 3)), ("add_returned", (1, 2, 3, 4)), ("outwards", (1, {})),
            ("outwards", (None, None)), ("row_values", ([], 1, 2)), ("values_of", (1, None)),
        ],
    )  # fmt: skip
    def test_wrong_arguments_raise_and_end_nothing(self, name, args):
        with pytest.raises((TypeError, AttributeError)):
            getattr(_native.core, name)(*args)

    def test_fields_that_were_deleted_raise_and_end_nothing(self):
        opened = open_profile("unit", to=lambda _: None)
        call = _calls.begin(opened.branch, SITES[0])
        detail = call.frame.more()
        for name in ("keys", "callers", "flow", "again", "outcomes", "course"):
            delattr(detail, name)

        with pytest.raises(TypeError):
            _calls.end(call, key=1, callers=(("a", 1, "b"),))

        restore(opened)
        close_profile(opened)


def _added_up(calls: Any, performed: list[dict[str, Any]]) -> Any:
    """Everything that is known after some calls, made by the functions of a module."""
    opened = open_profile("unit", to=lambda _: None)
    branch, profile, now_ns, pending = opened.branch, opened.profile, 1_000, []
    try:
        for each in performed:
            now_ns += each["after_ns"]
            call = calls.begin(branch, SITES[each["site"]], now_ns)
            if each["inside"]:
                pending.append(call)
                continue
            now_ns += each["took_ns"]
            calls.end(
                call, key=each["key"], values=each["values"], arguments=each["arguments"], batch=each["batch"], error=each["error"],
                cancelled=each["error"] == "CancelledError", callers=each["callers"], ended_ns=now_ns,
            )  # fmt: skip
            if each["rows"] is not None:
                rows, found, result = each["rows"]
                calls.add_rows(call, rows, found, result, rows and 7)
                branch.ended_ns = now_ns
        for call in pending:
            calls.end(call, ended_ns=now_ns + 1)
        return [_frame(frame) for frame in profile.root.own_children()], _profile(profile)
    finally:
        close_profile(opened)
        restore(opened)


def _frame(frame: Any) -> Any:
    detail = frame.detail
    known = {name: getattr(detail, name) for name in FrameDetail.__slots__} if detail is not None else {}
    known["keys"] = {key: {n: getattr(use, n) for n in KeyUse.__slots__} for key, use in detail.keys.items()}
    known["course"] = detail.course and (detail.course.least_ns, detail.course.total_ns, detail.course.rows)
    known["flow"] = {source.callsite.name: count for source, count in detail.flow.items()}
    sums = (
        frame.callsite.name,
        frame.calls,
        frame.errors,
        frame.active,
        frame.total_ns,
        frame.union_ns,
        frame.since_ns,
    )
    return sums, known


def _profile(profile: Any) -> Any:
    reads = {frame.callsite.name: (read.values, read.rows) for frame, read in profile.returned.items()}
    return profile.keys, profile.write_epoch, list(reads), reads


class TestBounds:
    def test_they_are_those_of_python(self):
        found = _native.core.bounds()

        assert found == {
            "MAX_KEYS_PER_FRAME": _limits.MAX_KEYS_PER_FRAME,
            "MAX_KEYS_PER_PROFILE": _limits.MAX_KEYS_PER_PROFILE,
            "MAX_READS": _limits.MAX_READS,
            "MAX_VALUES_PER_FRAME": _limits.MAX_VALUES_PER_FRAME,
            "MAX_CALLERS_PER_FRAME": _limits.MAX_CALLERS_PER_FRAME,
            "MAX_STACK_WALK": _limits.MAX_STACK_WALK,
            "RUN_GAP_NS": _calls.RUN_GAP_NS,
            "NO_BACK_OFF_NS": NO_BACK_OFF_NS,
            "FIRST_OF_COURSE": FIRST,
            "MAX_ITEMS": _fingerprint.MAX_ITEMS,
            "MAX_DEPTH": _fingerprint.MAX_DEPTH,
            "MAX_KEY_CHARS": _fingerprint.MAX_KEY_CHARS,
            "MAX_COLUMNS": _fingerprint.MAX_COLUMNS,
            "MAX_ROWS_HASHED": _fingerprint.MAX_ROWS_HASHED,
            "CHAINS": _query._CHAINS,
        }


class TestWalk:
    @pytest.mark.parametrize("depth", [0, 3, 62, 63, 64, 65, 100])
    def test_both_stop_at_the_same_frame(self, depth):
        known = {__file__: False}

        found = _deep(depth, known)

        assert found[0] is found[1]

    def test_a_known_file_is_forgotten_with_the_rest(self):
        frame = sys._getframe()
        assert _native.core.outwards(frame, {__file__: False}) is not frame

        _native.core.forget_codes()

        assert _native.core.outwards(frame, {__file__: True}) is frame


def _deep(depth: int, known: dict[str, bool]) -> Any:
    if depth:
        return _deep(depth - 1, known)
    frame = sys._getframe()
    _native.core.forget_codes()
    return _native.core.outwards(frame, known), SITE._outwards(frame, known)
