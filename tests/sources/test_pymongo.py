"""pymongo, synchronous and asynchronous, on a real server that speaks MongoDB's wire protocol (it is not MongoDB)."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pymongo
import pytest
from bson import SON, ObjectId
from pymongo import monitoring
from tests.sources.collect import counts, queries, recorded, strict_guard

from manometer import _guard
from manometer._fingerprint import key_of
from manometer.sources import pymongo as module
from manometer.sources._mongo import read_command
from manometer.sources._patch import Unsupported
from manometer.sources.pymongo import PymongoSource
from manometer.testing import record

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.servers import Database

KEYS = [ObjectId() for _ in range(20)]


@pytest.fixture(autouse=True)
def tap() -> Iterator[Callable[[], None]]:
    undo = PymongoSource().install()
    with strict_guard():
        yield undo
    undo()
    _guard.clear()


@pytest.fixture
def users(tap: object, mongodb: Database) -> Iterator[Any]:
    client: Any = pymongo.MongoClient(mongodb.host, mongodb.port)
    client[mongodb.name].users.insert_many(
        [{"_id": key, "name": f"user {n}", "age": n} for n, key in enumerate(KEYS)]
    )
    yield client[mongodb.name].users
    client.close()


# What one call says.


def test_loop_is_found_with_its_line_and_the_line_that_fed_it(users: Any, mongodb: Database) -> None:
    with record() as recorded_:
        rows = list(users.find({"age": {"$gte": 0}}))
        for row in rows:
            users.find_one({"_id": row["_id"]})

    (finding,) = recorded_.findings
    site = finding.callsite
    assert (finding.rule, finding.confidence) == ("n-plus-one", "confirmed")
    assert finding.source is not None
    assert (site.file, site.line) == (__file__, finding.source.line + 2)
    assert (site.name, site.operation, site.system) == ("find users", "read", "mongodb")
    assert (site.library, site.version) == ("pymongo", pymongo.version)
    assert site.target == f"{mongodb.name}.users@{mongodb.host}:{mongodb.port}"
    assert site.template == "find users filter: {_id: ?} limit: ?"
    assert '"$in"' in finding.advice
    parent, child = queries(recorded_.profile)
    assert (parent.more().rows_sum, child.calls, child.more().rows_sum) == (20, 20, 20)


def test_one_read_for_all_and_one_write_for_all_are_innocent(users: Any) -> None:
    with record() as recorded_:
        keys = [row["_id"] for row in users.find()]
        list(users.find({"_id": {"$in": keys}}))
        users.insert_many([{"n": n} for n in range(7)])
        users.update_many({"age": {"$gt": 5}}, {"$set": {"old": True}})

    assert recorded_.findings == ()
    assert [frame.more().batch_max for frame in queries(recorded_.profile)] == [0, 20, 7, 0]
    assert recorded_.profile.write_epoch == 2


def test_writing_in_a_loop_is_found(users: Any) -> None:
    with record() as recorded_:
        for n in range(7):
            users.insert_one({"n": n})

    (finding,) = recorded_.findings
    assert (finding.rule, "insert_many" in finding.advice) == ("write-loop", True)


def test_equal_reads_are_found(users: Any) -> None:
    with record() as recorded_:
        for _ in range(3):
            users.find_one({"_id": KEYS[0]})

    (finding,) = recorded_.findings
    assert (finding.rule, finding.confidence) == ("duplicate-read", "confirmed")


def test_further_batches_are_rows_of_the_same_call(users: Any) -> None:
    with recorded() as profiles:
        found = [row["age"] for row in users.find({}, batch_size=6)]

    (frame,) = queries(profiles[0])
    assert (found, frame.calls) == (list(range(20)), 1)
    assert (frame.more().rows_calls, frame.more().rows_sum) == (1, 20)


def test_aggregations_and_counts_are_reads(users: Any) -> None:
    with recorded() as profiles:
        rows = list(
            users.aggregate(
                [{"$match": {"age": {"$gt": 10}}}, {"$group": {"_id": "$name", "n": {"$sum": 1}}}]
            )
        )
        users.distinct("name")

    read, distinct = queries(profiles[0])
    assert (read.callsite.operation, read.more().rows_sum, len(rows)) == ("read", 9, 9)
    assert read.callsite.template == (
        "aggregate users pipeline: [{$match: {age: {$gt: ?}}}, {$group: {_id: ?, n: {$sum: ?}}}]"
    )
    assert (distinct.callsite.template, distinct.more().rows_sum) == ("distinct users key: ?", 20)


def test_errors_are_counted_and_pass_untouched(users: Any) -> None:
    with recorded() as profiles:
        with pytest.raises(pymongo.errors.DuplicateKeyError):
            users.insert_one({"_id": KEYS[0]})
        with pytest.raises(pymongo.errors.OperationFailure):
            list(users.aggregate([{"$nonsense": 1}]))

    assert [sum(frame.more().outcomes.values()) for frame in queries(profiles[0])] == [1, 1]
    assert [frame.errors for frame in queries(profiles[0])] == [1, 1]


def test_pings_and_sessions_are_no_queries(users: Any) -> None:
    with recorded() as profiles:
        users.database.client.admin.command("ping")
        with users.database.client.start_session():
            pass
        users.count_documents({})

    assert counts(profiles[0]) == {"aggregate users": 1}


def test_async_loop_is_found_with_its_line(users: Any, mongodb: Database) -> None:
    async def main() -> record:
        client: Any = pymongo.AsyncMongoClient(mongodb.host, mongodb.port)
        found = client[mongodb.name].users
        async with record() as recorded_:
            async for row in found.find():
                await found.find_one({"_id": row["_id"]})
        await client.close()
        return recorded_

    recorded_ = asyncio.run(main())

    (finding,) = recorded_.findings
    assert (finding.rule, finding.confidence) == ("n-plus-one", "confirmed")
    assert finding.source is not None
    assert (finding.callsite.file, finding.callsite.line) == (__file__, finding.source.line + 1)


# The shape.


@pytest.mark.parametrize(
    ("command", "shape", "values"),
    [
        (
            {"find": "users", "filter": {"age": {"$gte": 3}}, "lsid": {}},
            "find users filter: {age: {$gte: ?}}",
            (3,),
        ),
        (SON([("find", "users"), ("filter", SON(a="x"))]), "find users filter: {a: ?}", ("x",)),
        ({"find": "users", "filter": {"$or": [{"a": 1}, {"b": 2}]}}, "find users filter: {$or: [{a: ?}, {b: ?}]}", (1, 2)),
        ({"find": "users", "filter": {"_id": {"$in": [1, 2]}}}, "find users filter: {_id: {$in: [?]}}", (1, 2)),
        ({"find": "users", "filter": {"bob@example.com": 1}}, "find users filter: {?: ?}", (1,)),
        ({"find": "users", "filter": {"items.12.a": 1}}, "find users filter: {items.?.a: ?}", (1,)),
        ({"find": "users", "filter": {"a": []}}, "find users filter: {a: []}", ()),
        ({"insert": "users", "documents": [{"secret": 1}]}, "insert users", ()),
        (
            {"update": "users", "updates": [{"q": {"a": 1}, "u": {"$set": {"b": 2}}}]},
            "update users {q: {a: ?}, u: {$set: {b: ?}}}",
            (1, 2),
        ),
        ({"delete": "users", "deletes": [{"q": {"a": 1}, "limit": 1}]}, "delete users {q: {a: ?}, limit: ?}", (1, 1)),
    ],
)  # fmt: skip
def test_shape_has_the_keys_and_none_of_the_values(
    command: dict[str, Any], shape: str, values: tuple[Any, ...]
) -> None:
    found = read_command(next(iter(command)), command)

    assert found is not None
    assert (found.statement.shape, found.values) == (shape, values)


def test_shape_of_anything_is_bounded() -> None:
    deep: Any = {"a": 1}
    for _ in range(50):
        deep = {"a": deep}
    wide = {f"key{n}": n for n in range(10_000)}

    for document in (deep, wide, {"$or": [wide] * 100}):
        found = read_command("find", {"find": "users", "filter": document})

        assert found is not None
        assert len(found.statement.shape) <= 1_024
        assert len(found.values) <= 300
        assert key_of(found.values) is None


def test_storing_an_aggregation_is_a_write() -> None:
    kinds = [
        read_command("aggregate", {"aggregate": "a", "pipeline": pipeline}).statement.operation  # type: ignore[union-attr]
        for pipeline in ([{"$match": {}}], [{"$match": {}}, {"$out": "b"}], [])
    ]

    assert kinds == ["read", "write", "read"]


def test_what_is_no_query_is_not_read() -> None:
    for name in ("hello", "ping", "endSessions", "killCursors", "commitTransaction", "saslStart"):
        assert read_command(name, {name: 1}) is None


# Installing.


def test_undone_tap_is_taken_out_and_hears_nothing(users: Any, tap: Callable[[], None]) -> None:
    listeners = monitoring._LISTENERS.command_listeners
    before = len(listeners)

    tap()
    with recorded() as profiles:
        users.find_one()

    assert len(listeners) == before - 1
    assert counts(profiles[0]) == {}


@pytest.mark.parametrize("version", ["3.13.0", "5.0.0"])
def test_another_version_is_refused(version: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pymongo, "version", version)

    with pytest.raises(Unsupported, match="is not supported"):
        PymongoSource().install()


def test_what_is_in_flight_is_bounded(users: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MAX_RUNNING", 2)

    with recorded() as profiles:
        cursors = [users.find({}, batch_size=6) for _ in range(4)]
        rows = [next(cursor) for cursor in cursors]
        for cursor in cursors:
            cursor.close()

    assert len(rows) == 4
    assert counts(profiles[0]) == {"find users": 4}


def test_failure_inside_the_tap_never_reaches_the_application(
    users: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_guard, "strict", False)
    monkeypatch.setattr(module, "begin_query", lambda *_, **__: 1 / 0)

    with recorded() as profiles:
        found = [users.find_one({"_id": KEYS[0]})["age"] for _ in range(5)]

    assert (found, counts(profiles[0])) == ([0] * 5, {})
    assert _guard.counts == {"sources.pymongo": 3}
