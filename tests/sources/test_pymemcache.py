"""pymemcache against a real server."""

from __future__ import annotations

import pytest
from pymemcache.client.base import Client, PooledClient
from tests.profiles import rules

from manometer.testing import install_sources, raising, record


@pytest.fixture(autouse=True)
def sources():
    with raising(), install_sources("pymemcache") as installed:
        assert installed.states["pymemcache"] == ("active", "")
        yield


@pytest.fixture
def client(memcached_server):
    found = Client(("127.0.0.1", memcached_server), timeout=5)
    found.flush_all()
    yield found
    found.close()


def names(recorded):
    return {
        frame.callsite.name: (frame.calls, frame.callsite.operation)
        for frame in recorded.profile.root.walk()
        if frame.callsite.kind == "cache"
    }


def test_each_method_is_one_call_with_the_shape_of_its_key(client, memcached_server):
    with record() as recorded:
        client.set("user:7", "x")
        assert client.get("user:7") == b"x"
        client.get_many([f"user:{number}" for number in range(9)])

    assert names(recorded) == {
        "SET user:{id}": (1, "write"),
        "GET user:{id}": (1, "read"),
        "GET_MANY user:{id}": (1, "read"),
    }
    (found,) = [frame for frame in recorded.profile.root.walk() if frame.callsite.name == "GET user:{id}"]
    assert (found.callsite.target, found.callsite.file) == (f"127.0.0.1:{memcached_server}", __file__)
    assert found.more().boundary.timeout_ns == 5_000_000_000


def test_one_read_for_each_key_is_an_n_plus_one_and_one_for_all_is_none(client):
    with record() as loop:
        for number in range(6):
            client.get(f"user:{number}")
    with record() as batch:
        client.get_many([f"user:{number}" for number in range(6)])

    assert rules(loop.findings) == ["n-plus-one"]
    assert batch.findings == ()


def test_a_pooled_client_makes_the_same_calls_without_a_limit(memcached_server):
    pooled = PooledClient(("127.0.0.1", memcached_server))
    with record() as recorded:
        pooled.get("settings")
    pooled.close()

    assert names(recorded) == {"GET settings": (1, "read")}
    assert rules(recorded.findings) == ["no-timeout"]
