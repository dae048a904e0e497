"""requests over real servers: one call each, whatever retries and redirects it takes."""

from __future__ import annotations

import pickle
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests
from tests.profiles import rules
from tests.sources.web import serving
from urllib3 import Retry

from manometer.testing import install_sources, raising, record


@pytest.fixture(autouse=True)
def sources():
    with raising(), install_sources("requests", "urllib3") as installed:
        assert installed.states["requests"] == ("active", "")
        assert installed.states["urllib3"] == ("active", "")
        yield


def calls(recorded):
    return [frame for frame in recorded.profile.root.walk() if frame.callsite.kind == "http"]


def only(recorded):
    (frame,) = calls(recorded)
    return frame


def retrying(total, **options):
    session = requests.Session()
    retry = Retry(total=total, status_forcelist=[503], backoff_factor=0, raise_on_status=False, **options)
    session.mount("http://", requests.adapters.HTTPAdapter(max_retries=retry))
    return session


def test_a_request_is_one_call_with_its_shape_host_and_line():
    with serving() as site, record() as recorded:
        answer = requests.get(f"{site.url}/users/42/orders?limit=5#top", timeout=3)

    frame = only(recorded)
    callsite = frame.callsite
    assert answer.status_code == 200
    assert site.asked == ["GET /users/42/orders?limit=5"]
    assert (frame.calls, frame.errors, frame.children) == (1, 0, {})
    assert callsite.template == "GET /users/{id}/orders"
    assert (callsite.target, callsite.library, callsite.operation) == (site.target, "requests", "read")
    assert callsite.file == __file__
    assert callsite.function.endswith("test_a_request_is_one_call_with_its_shape_host_and_line")
    assert frame.more().bytes_sum == len(answer.content)


def test_neither_user_nor_password_nor_query_is_kept():
    with serving() as site, record() as recorded:
        requests.get(f"http://canary:secret@{site.target}/a?token=canary", timeout=3)

    shown = repr([(frame.callsite, frame.more().outcomes) for frame in calls(recorded)])
    assert "canary" not in shown
    assert "secret" not in shown


def test_retries_of_urllib3_are_counted_inside_the_one_call():
    with serving(lambda *_: (503, {})) as site, record() as recorded:
        retrying(2).get(f"{site.url}/stock", timeout=3)

    frame = only(recorded)
    assert len(site.asked) == 3
    assert (frame.calls, frame.errors, frame.more().boundary.retries_inside) == (1, 1, 2)
    assert frame.more().outcomes == {"503": 1}


def test_a_redirect_is_no_retry():
    def answer(method, path):
        return (302, "/new") if path == "/old" else (200, {})

    with serving(answer) as site, record() as recorded:
        requests.get(f"{site.url}/old", timeout=3)

    assert site.asked == ["GET /old", "GET /new"]
    assert (only(recorded).calls, only(recorded).more().boundary.retries_inside) == (1, 0)


@pytest.mark.parametrize(
    ("timeout", "expected"),
    [
        (None, (1, 0)),
        (3, (0, 3_000_000_000)),
        ((1, 2.5), (0, 2_500_000_000)),
        ((1, None), (1, 0)),
    ],
)
def test_the_time_limit_of_a_read_is_noted(timeout, expected):
    with serving() as site, record() as recorded:
        requests.get(site.url, timeout=timeout)

    boundary = only(recorded).more().boundary
    assert (boundary.without_timeout, boundary.timeout_ns) == expected


def test_the_time_limit_that_an_adapter_sets_counts():
    class Patient(requests.adapters.HTTPAdapter):
        def send(self, request, **options):
            return super().send(request, **{**options, "timeout": options.get("timeout") or 7})

    session = requests.Session()
    session.mount("http://", Patient())
    with serving() as site, record() as recorded:
        session.get(site.url)

    assert (only(recorded).more().boundary.without_timeout, only(recorded).more().boundary.timeout_ns) == (
        0,
        7_000_000_000,
    )


def test_a_time_limit_that_ends_the_call_is_an_error_that_passes():
    with serving() as site, record() as recorded, pytest.raises(requests.exceptions.ReadTimeout):
        requests.get(f"{site.url}/held", timeout=0.05)

    assert only(recorded).more().outcomes == {"ReadTimeout": 1}


def test_nobody_listening_is_an_error_that_passes():
    with serving() as site:
        url = site.url
    with record() as recorded, pytest.raises(requests.exceptions.ConnectionError):
        requests.get(url, timeout=3)

    assert only(recorded).more().outcomes == {"ConnectionError": 1}


def test_a_missing_page_is_an_answer_and_no_error():
    with serving(lambda *_: (404, {})) as site, record() as recorded:
        requests.get(f"{site.url}/a", timeout=3)

    assert only(recorded).errors == 0


def test_ids_that_json_returned_prove_the_n_plus_one():
    def answer(method, path):
        return 200, ([{"number": 700 + at} for at in range(8)] if path == "/issues" else {"ok": True})

    with serving(answer) as site, record() as recorded:
        for issue in requests.get(f"{site.url}/issues", timeout=3).json():
            requests.get(f"{site.url}/issues/{issue['number']}", timeout=3)

    (finding,) = recorded.findings
    assert (finding.rule, finding.confidence) == ("n-plus-one", "confirmed")
    assert (finding.callsite.name, finding.source.name) == ("GET /issues/{id}", "GET /issues")
    assert finding.evidence["source_rows"] == 8


def test_the_same_answer_again_is_a_confirmed_duplicate():
    with serving() as site, record() as recorded:
        for _ in range(3):
            requests.get(f"{site.url}/settings", timeout=3)

    (finding,) = recorded.findings
    assert (finding.rule, finding.confidence, finding.evidence["repeats"]) == (
        "duplicate-read",
        "confirmed",
        2,
    )


def test_polling_until_the_answer_changes_is_no_duplicate():
    states = iter([(202, {}), (202, {}), (200, {})])
    with serving(lambda *_: next(states)) as site, record() as recorded:
        while requests.get(f"{site.url}/job", timeout=3).status_code != 200:
            pass

    assert recorded.findings == ()


def test_pages_that_follow_one_another_are_no_n_plus_one():
    def answer(method, path):
        page = int(path.rpartition("=")[2])
        return 200, {
            "items": [{"id": page * 10 + at} for at in range(3)],
            "next": page + 1 if page < 6 else None,
        }

    with serving(answer) as site, record() as recorded:
        page = 1
        while page:
            page = requests.get(f"{site.url}/items", params={"page": page}, timeout=3).json()["next"]

    assert recorded.findings == ()


def test_one_shard_after_the_other_is_no_repetition():
    with serving() as one, serving() as two, serving() as three, record() as recorded:
        for site in (one, two, three):
            requests.get(f"{site.url}/counts", timeout=3)

    assert recorded.findings == ()
    assert len(calls(recorded)) == 3


def test_posts_in_a_loop_are_a_write_loop():
    with serving() as site, record() as recorded:
        for at in range(6):
            requests.post(f"{site.url}/events", json={"at": at}, timeout=3)

    assert rules(recorded.findings) == ["write-loop"]


def test_a_search_by_post_reads():
    with serving() as site, record() as recorded:
        requests.post(f"{site.url}/shop/_search", json={"q": 1}, timeout=3)

    assert only(recorded).callsite.operation == "read"


def test_the_same_request_after_a_failure_is_a_retry_and_no_duplicate():
    answers = iter([(503, {}), (503, {}), (200, {})])
    with serving(lambda *_: next(answers)) as site, record() as recorded:
        while requests.get(f"{site.url}/a", timeout=3).status_code != 200:
            pass

    (use,) = only(recorded).more().keys.values()
    assert (use.retries, use.repeats, use.calls) == (2, 0, 1)
    assert rules(recorded.findings) == []


def test_a_response_can_still_be_pickled():
    with serving() as site, record():
        answer = requests.get(site.url, timeout=3)

    assert pickle.loads(pickle.dumps(answer)).json() == {"method": "GET", "ok": True}


def test_calls_on_worker_threads_are_counted_exactly():
    from contextvars import copy_context

    with serving() as site, record() as recorded, ThreadPoolExecutor(4) as pool:
        jobs = [
            pool.submit(copy_context().run, requests.get, f"{site.url}/a/{at}", timeout=5) for at in range(12)
        ]
        for job in jobs:
            job.result()

    assert sum(frame.calls for frame in calls(recorded)) == 12


def test_outside_a_unit_of_work_nothing_is_recorded_while_dormant():
    with serving() as site:
        assert requests.get(site.url, timeout=3).status_code == 200


@pytest.mark.parametrize("header", ["Authorization", "X-Api-Key", "Range", "X-Tenant-Id", "Cookie"])
def test_the_same_url_for_somebody_else_is_another_request(header):
    with serving() as site, record() as recorded:
        for number in range(4):
            requests.get(f"{site.url}/me", headers={header: f"bytes={number}"}, timeout=3)

    assert "duplicate-read" not in rules(recorded.findings)
    assert "bytes=" not in repr([frame.callsite for frame in calls(recorded)])


def test_a_header_that_only_traces_makes_no_difference():
    with serving() as site, record() as recorded:
        for number in range(4):
            requests.get(
                f"{site.url}/me",
                headers={"traceparent": f"00-{number}", "X-Request-Id": f"{number}"},
                timeout=3,
            )

    assert rules(recorded.findings) == ["duplicate-read"]


@pytest.mark.parametrize(
    ("headers", "expected"), [({}, ["retry-amplification"]), ({"Idempotency-Key": "a"}, [])]
)
def test_a_post_after_a_timeout_is_a_risk_unless_it_has_an_idempotency_key(headers, expected):
    with serving() as site, record() as recorded:
        for path, limit in (("/held", 0.1), ("/held", 5)):
            try:
                requests.post(f"{site.url}{path}", data=b"x", headers=headers, timeout=limit)
            except requests.ReadTimeout:
                site.held.set()

    assert rules(recorded.findings) == expected
