"""redis-py against a real server: commands, pipelines, retries, sync, asyncio and cluster."""

from __future__ import annotations

import asyncio
import socket

import pytest
import redis
import redis.asyncio
from redis.backoff import NoBackoff
from redis.retry import Retry
from tests.profiles import rules

from manometer.testing import install_sources, raising, record


@pytest.fixture(autouse=True)
def sources():
    with raising(), install_sources("redis", "redis-asyncio", "redis-cluster") as installed:
        assert installed.states["redis"] == ("active", "")
        assert installed.states["redis-asyncio"] == ("active", "")
        assert installed.states["redis-cluster"] == ("active", "")
        yield


@pytest.fixture
def client(redis_server):
    with redis.Redis(host="127.0.0.1", port=redis_server, socket_timeout=5) as found:
        found.flushall()
        yield found


def calls(recorded):
    return [frame for frame in recorded.profile.root.walk() if frame.callsite.kind in ("cache", "queue")]


def only(recorded):
    (frame,) = calls(recorded)
    return frame


def names(recorded):
    return {frame.callsite.name: frame.calls for frame in calls(recorded)}


def test_a_command_is_one_call_with_the_shape_of_its_key_and_its_line(client, redis_server):
    with record() as recorded:
        assert client.get("user:42:name") is None

    callsite = only(recorded).callsite
    assert (callsite.name, callsite.kind, callsite.operation) == ("GET user:{id}:name", "cache", "read")
    assert (callsite.system, callsite.target) == ("redis", f"127.0.0.1:{redis_server}/0")
    assert callsite.file == __file__


def test_no_value_and_no_key_is_kept(client):
    with record() as recorded:
        client.set("user:canary7@example.org", "canary-value")

    assert "canary" not in repr([frame.callsite for frame in calls(recorded)])


def test_writes_settings_and_messages_are_told_apart(client):
    with record() as recorded:
        client.set("a", 1)
        client.ping()
        client.publish("news", "x")

    found = {
        frame.callsite.name: (frame.callsite.kind, frame.callsite.operation) for frame in calls(recorded)
    }
    assert found == {"SET a": ("cache", "write"), "PUBLISH news": ("queue", "write")}


def test_keys_that_an_earlier_reply_named_prove_the_n_plus_one(client):
    client.rpush("recent", *range(101, 109))
    for number in range(101, 109):
        client.set(f"article:{number}", "x")

    with record() as recorded:
        for number in client.lrange("recent", 0, -1):
            client.get(f"article:{number.decode()}")

    (finding,) = recorded.findings
    assert (finding.rule, finding.confidence) == ("n-plus-one", "confirmed")
    assert (finding.callsite.name, finding.source.name) == ("GET article:{id}", "LRANGE recent")
    assert "MGET" in finding.advice


def test_the_same_read_again_is_a_confirmed_duplicate(client):
    client.set("settings", "x")
    with record() as recorded:
        for _ in range(4):
            client.get("settings")

    (finding,) = recorded.findings
    assert (finding.rule, finding.confidence, finding.evidence["repeats"]) == (
        "duplicate-read",
        "confirmed",
        3,
    )


def test_a_read_that_changes_is_polling(client):
    client.set("state", 0)
    with record() as recorded:
        while int(client.get("state")) < 3:
            client.incr("state")

    assert rules(recorded.findings) == []


def test_one_multi_get_is_no_repetition(client):
    with record() as recorded:
        client.mget([f"article:{number}" for number in range(30)])

    assert (recorded.findings, only(recorded).more().batch_sum) == ((), 30)


def test_a_pipeline_is_one_call_of_many_commands(client):
    with record() as recorded, client.pipeline() as pipe:
        for number in range(12):
            pipe.get(f"article:{number}")
        replies = pipe.execute()

    assert replies == [None] * 12
    assert names(recorded) == {"PIPELINE GET article:{id}": 1}
    assert (only(recorded).more().batch_sum, only(recorded).callsite.operation) == (12, "read")
    assert recorded.findings == ()


def test_writes_one_by_one_are_a_write_loop_and_a_pipeline_of_them_is_none(client):
    with record() as loop:
        for number in range(12):
            client.set(f"article:{number}", "x")
    with record() as batch, client.pipeline() as pipe:
        for number in range(12):
            pipe.set(f"article:{number}", "x")
        pipe.execute()

    assert rules(loop.findings) == ["write-loop"]
    assert batch.findings == ()


@pytest.mark.parametrize(("limit", "expected"), [(None, (1, 0)), (2, (0, 2_000_000_000))])
def test_the_time_limit_of_a_read_is_noted(redis_server, limit, expected):
    with (
        redis.Redis(host="127.0.0.1", port=redis_server, socket_timeout=limit) as found,
        record() as recorded,
    ):
        found.get("a")

    boundary = only(recorded).more().boundary
    assert (boundary.without_timeout, boundary.timeout_ns) == expected


def test_tries_of_its_retry_are_counted_inside_the_one_call():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    kept = Retry(NoBackoff(), 2, supported_errors=(redis.exceptions.ConnectionError, OSError))
    client = redis.Redis(host="127.0.0.1", port=port, retry=kept, socket_timeout=2)
    with record() as recorded, pytest.raises(redis.exceptions.ConnectionError):
        client.get("a")

    frame = only(recorded)
    assert (frame.calls, frame.errors, frame.more().outcomes) == (1, 1, {"ConnectionError": 1})
    assert frame.more().boundary.retries_inside == 2


def test_a_wrong_command_is_an_error_that_passes(client):
    client.set("a", "x")
    with record() as recorded, pytest.raises(redis.exceptions.ResponseError):
        client.incr("a")

    assert only(recorded).more().outcomes == {"ResponseError": 1}


def test_awaited_commands_and_pipelines_are_calls_too(redis_server):
    async def main():
        async with (
            redis.asyncio.Redis(host="127.0.0.1", port=redis_server, socket_timeout=5) as found,
            record() as recorded,
        ):
            await found.set("user:7", "x")
            await found.get("user:7")
            async with found.pipeline() as pipe:
                await pipe.get("user:7").get("user:8").execute()
        return recorded

    recorded = asyncio.run(main())
    assert names(recorded) == {"SET user:{id}": 1, "GET user:{id}": 1, "PIPELINE GET user:{id}": 1}
    assert all(frame.more().boundary.awaited for frame in calls(recorded))


def test_gathered_commands_know_the_line_that_made_them(redis_server):
    async def main():
        async with (
            redis.asyncio.Redis(host="127.0.0.1", port=redis_server, socket_timeout=5) as found,
            record() as recorded,
        ):
            await asyncio.gather(*(found.get(f"user:{number}") for number in range(6)))
        return recorded

    recorded = asyncio.run(main())
    frame = only(recorded)
    assert (frame.calls, frame.more().peak_in_flight) == (6, 6)
    assert frame.callsite.file == __file__
    assert frame.callsite.function.endswith("main")


def test_a_cluster_is_asked_by_one_call_a_command_and_one_a_pipeline(redis_cluster_server):
    with (
        redis.RedisCluster(host="127.0.0.1", port=redis_cluster_server, socket_timeout=5) as found,
        record() as recorded,
    ):
        found.set("user:7", "x")
        found.get("user:7")
        pipe = found.pipeline()
        pipe.get("user:7")
        pipe.get("user:8")
        assert pipe.execute() == [b"x", None]

    assert names(recorded) == {"SET user:{id}": 1, "GET user:{id}": 1, "PIPELINE GET user:{id}": 1}
    assert {frame.callsite.target for frame in calls(recorded)} == {
        f"cluster 127.0.0.1:{redis_cluster_server}"
    }
    assert {frame.more().boundary.timeout_ns for frame in calls(recorded)} == {5_000_000_000}


def test_an_awaited_cluster_is_asked_by_one_call_a_command_and_one_a_pipeline(redis_cluster_server):
    async def main():
        async with (
            redis.asyncio.RedisCluster(host="127.0.0.1", port=redis_cluster_server) as found,
            record() as recorded,
        ):
            await found.set("user:7", "x")
            pipe = found.pipeline()
            pipe.get("user:7")
            pipe.get("user:8")
            await pipe.execute()
        return recorded

    assert names(asyncio.run(main())) == {"SET user:{id}": 1, "PIPELINE GET user:{id}": 1}
