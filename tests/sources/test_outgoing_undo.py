"""What the taps on outgoing calls patch is put back by identity, and a second installation changes nothing."""

from __future__ import annotations

import asyncio
import asyncio.streams
import queue

import aiohttp
import botocore.client
import httpx
import pymemcache.client.base
import pytest
import redis
import redis.asyncio
import redis.asyncio.client
import redis.asyncio.retry
import redis.cluster
import redis.retry
import requests
import tenacity
import urllib3.connectionpool

from manometer.testing import install_sources

PATCHED = {
    "aiohttp-client": [(aiohttp.ClientSession, "_request"), (aiohttp.ClientResponse, "json")],
    "asyncio-queues": [(asyncio.Queue, "__init__")],
    "asyncio-streams": [(asyncio, "open_connection"), (asyncio.streams, "open_connection")],
    "botocore": [(botocore.client.BaseClient, "_make_api_call")],
    "httpx": [
        (httpx.HTTPTransport, "handle_request"),
        (httpx.AsyncHTTPTransport, "handle_async_request"),
        (httpx.AsyncClient, "get"),
        (httpx.Response, "json"),
    ],
    "pymemcache": [(pymemcache.client.base.Client, "get"), (pymemcache.client.base.Client, "set_many")],
    "queues": [(queue.Queue, "__init__")],
    "redis": [
        (redis.Redis, "execute_command"),
        (redis.client.Pipeline, "execute"),
        (redis.retry.Retry, "call_with_retry"),
    ],
    "redis-asyncio": [
        (redis.asyncio.Redis, "execute_command"),
        (redis.asyncio.client.Pipeline, "execute"),
        (redis.asyncio.retry.Retry, "call_with_retry"),
    ],
    "redis-cluster": [(redis.cluster.RedisCluster, "execute_command")],
    "requests": [(requests.Session, "send"), (requests.Response, "json")],
    "tenacity": [
        (tenacity.Retrying, "__call__"),
        (tenacity.AsyncRetrying, "__call__"),
        (tenacity.BaseRetrying, "iter"),
    ],
    "urllib3": [(urllib3.connectionpool.HTTPConnectionPool, "urlopen")],
}


def attributes(name):
    return [vars(owner)[attribute] for owner, attribute in PATCHED[name]]


@pytest.mark.parametrize("name", sorted(PATCHED))
def test_everything_is_put_back_by_identity(name):
    before = attributes(name)
    with install_sources(name) as installed:
        assert installed.states[name] == ("active", "")
        during = attributes(name)
        with install_sources(name):
            again = attributes(name)
    after = attributes(name)

    assert [a is not b for a, b in zip(before, during, strict=True)] == [True] * len(before)
    assert [a is b for a, b in zip(during, again, strict=True)] == [True] * len(before)
    assert [a is b for a, b in zip(before, after, strict=True)] == [True] * len(before)
