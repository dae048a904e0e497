"""The shape, the parts and the target of what is asked of other services."""

from __future__ import annotations

import pytest

from manometer._fingerprint import values_of
from manometer.sources._http import items_of, operation_of, shape_of, split, target_in, values_in
from manometer.sources._redis import batch_of, command_of, shape_of as key_shape


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://user:secret@host:80/a/b?x=1#top", ("/a/b", "x=1")),
        ("https://host", ("/", "")),
        ("https://host?x=1", ("/", "x=1")),
        ("https://host#top", ("/", "")),
        ("/a?x=/b://c", ("/a", "x=/b://c")),
        ("", ("/", "")),
    ],
)
def test_a_url_is_its_path_and_its_query(url, expected):
    assert split(url) == expected


@pytest.mark.parametrize(
    ("path", "query", "expected"),
    [
        ("/users/42", "", "/users/{id}"),
        ("/users/42", "token=canary", "/users/{id}"),
        ("/v1/orders/9f8b2c1d-0000-4000-8000-123456789abc/lines", "", "/v1/orders/{id}/lines"),
        ("/issues", "page=1", "/issues"),
        ("/issues", "state=open&page=2", "/issues?page={}"),
        ("/payments", "page_token=t5k", "/payments?page_token={}"),
        ("/items", "page%5Bcursor%5D=x9", "/items?page[cursor]={}"),
    ],
)
def test_a_shape_keeps_no_value_and_says_that_it_is_a_page(path, query, expected):
    assert shape_of(path, query) == expected


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://host/a", "host"),
        ("http://user:secret@host:8080/a", "host:8080"),
        ("https://host:443/a", "host"),
        ("http://[::1]:9/a", "::1:9"),
    ],
)
def test_a_target_is_host_and_port(url, expected):
    assert target_in(url) == expected


def test_a_number_in_a_url_is_found_as_a_number_and_as_text():
    found = set(values_in("/users/42/a%20b", "ref=x-7"))

    assert set(values_of((42, "42", "a b", "x-7"))) <= found


@pytest.mark.parametrize(
    ("method", "path", "body", "expected"),
    [
        ("GET", "/a", None, "read"),
        ("POST", "/a", b"{}", "write"),
        ("POST", "/shop/_search", b"{}", "read"),
        ("POST", "/graphql", b'{"query": "query { a }"}', "read"),
        ("POST", "/graphql", b'{"query": "mutation { a }"}', "write"),
        ("DELETE", "/a", None, "write"),
    ],
)
def test_a_request_reads_or_writes(method, path, body, expected):
    assert operation_of(method, path, body) == expected


def test_the_items_of_a_document_are_its_longest_list():
    document = {"total": 3, "tags": ["a"], "items": [{"id": 1, "owner": {"id": 7}}, {"id": 2}, {"id": 3}]}

    assert items_of(document) == (3, [(1, 7), (2,), (3,)])


def test_a_link_in_a_document_is_known_by_its_path():
    assert items_of([{"url": "https://host/users/5"}]) == (1, [("https://host/users/5", "/users/5")])


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        (("GET", "user:42:name"), "GET user:{id}:name"),
        ((b"GET", b"user:bob@example.org"), "GET user:{id}"),
        (("hget", "cart/9f8b2c1d00004000", "x"), "HGET cart:{id}"),
        (("EVALSHA", "0a1b", 1, "k"), "EVALSHA"),
        (("PING",), "PING"),
    ],
)
def test_a_command_is_shown_with_the_shape_of_its_key(args, expected):
    assert key_shape(command_of(args), args) == expected


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        (("MGET", "a", "b", "c"), 3),
        (("SADD", "s", 1, 2), 2),
        (("HSET", "h", "a", 1, "b", 2), 2),
        (("MSET", "a", 1, "b", 2), 2),
        (("GET", "a"), 0),
    ],
)
def test_a_command_says_how_many_items_it_carries(args, expected):
    assert batch_of(args[0], args) == expected
