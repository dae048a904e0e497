"""boto3 against a real server on loopback that speaks a little DynamoDB and SQS."""

from __future__ import annotations

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError, EndpointConnectionError
from tests.profiles import rules
from tests.sources.web import serving

from manometer.testing import install_sources, raising, record

OPTIONS = {"region_name": "eu-west-1", "aws_access_key_id": "canary", "aws_secret_access_key": "canary"}


@pytest.fixture(autouse=True)
def sources():
    with raising(), install_sources("botocore", "urllib3") as installed:
        assert installed.states["botocore"] == ("active", "")
        yield


def table(url, **config):
    settings = Config(retries={"max_attempts": 2, "mode": "legacy"}, connect_timeout=2, **config)
    return boto3.client("dynamodb", endpoint_url=url, config=settings, **OPTIONS)


def calls(recorded):
    return [
        frame for frame in recorded.profile.root.walk() if frame.callsite.library in ("botocore", "urllib3")
    ]


def only(recorded):
    (frame,) = calls(recorded)
    return frame


def read(client, number):
    return client.get_item(TableName="users", Key={"id": {"S": f"u-{number}"}})


def test_an_operation_is_one_call_with_service_region_and_line():
    with serving(lambda *_: (200, {"Item": {}})) as site, record() as recorded:
        read(table(site.url), 7)

    callsite = only(recorded).callsite
    assert (callsite.name, callsite.operation, callsite.kind) == ("dynamodb.GetItem", "read", "http")
    assert (callsite.target, callsite.system) == ("dynamodb.eu-west-1", "aws.dynamodb")
    assert (callsite.file, callsite.function) == (__file__, "read")
    assert "canary" not in repr(callsite)


def test_one_operation_for_each_item_is_an_n_plus_one():
    with serving(lambda *_: (200, {"Item": {}})) as site, record() as recorded:
        client = table(site.url)
        for number in range(6):
            read(client, number)

    assert rules(recorded.findings) == ["n-plus-one"]
    assert recorded.findings[0].evidence["calls"] == 6


def test_its_own_retries_are_counted_inside_the_call():
    with serving(lambda *_: (500, {})) as site, record() as recorded, pytest.raises(ClientError):
        read(table(site.url), 7)

    frame = only(recorded)
    assert len(site.asked) == 3
    assert (frame.calls, frame.errors, frame.more().boundary.retries_inside) == (1, 1, 2)


def test_tries_that_reached_nobody_are_counted_too():
    with serving() as site:
        url = site.url
    with record() as recorded, pytest.raises(EndpointConnectionError):
        read(table(url), 7)

    assert only(recorded).more().boundary.retries_inside == 2
    assert only(recorded).more().outcomes == {"EndpointConnectionError": 1}


def test_the_time_limit_is_the_sixty_seconds_of_the_library_or_what_is_set():
    with serving(lambda *_: (200, {})) as site:
        with record() as usual:
            read(table(site.url), 7)
        with record() as short:
            read(table(site.url, read_timeout=4), 7)

    assert only(usual).more().boundary.timeout_ns == 60_000_000_000
    assert only(short).more().boundary.timeout_ns == 4_000_000_000


def test_pages_of_a_scan_are_no_n_plus_one():
    pages = iter(range(6))

    def answer(method, path):
        page = next(pages)
        return 200, {"Items": [], **({"LastEvaluatedKey": {"id": {"S": str(page)}}} if page < 5 else {})}

    with serving(answer) as site, record() as recorded:
        for _ in table(site.url).get_paginator("scan").paginate(TableName="users"):
            pass

    assert len(site.asked) == 6
    assert recorded.findings == ()


def test_messages_one_by_one_are_writes_to_a_queue():
    with (
        serving(lambda *_: (200, {"MessageId": "1", "MD5OfMessageBody": None})) as site,
        record() as recorded,
    ):
        queue = boto3.client("sqs", endpoint_url=site.url, **OPTIONS)
        if queue.meta.service_model.metadata["protocol"] != "json":
            pytest.skip("this botocore talks XML to SQS")
        for number in range(6):
            queue.send_message(QueueUrl=f"{site.url}/1/jobs", MessageBody=f"{number}")

    assert (only(recorded).callsite.kind, only(recorded).callsite.name) == ("queue", "sqs.SendMessage")
    assert rules(recorded.findings) == ["write-loop"]
