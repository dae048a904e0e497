"""Messages sent one by one are an N+1; a group of them is one call."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import pytest

from manometer._model import PRODUCTION
from manometer.sources import _installed
from manometer.testing import install_sources, raising, record

if TYPE_CHECKING:
    from collections.abc import Iterator

    from manometer._model import Frame


def sends(recorded: record) -> list[Frame]:
    return [frame for frame in recorded.profile.root.walk() if frame.callsite.kind == "queue"]


@functools.cache
def mail() -> Any:
    celery = pytest.importorskip("celery")
    pytest.importorskip("celery.canvas")
    app = celery.Celery("shop", broker="memory://", backend="cache+memory://", set_as_current=False)

    @app.task(name="shop.mail")
    def mail(number: int) -> int:
        return number

    return mail


@pytest.fixture
def task() -> Iterator[Any]:
    found = mail()
    with raising(), install_sources("celery-send", "redis"):
        yield found


def test_delay_in_a_loop_is_an_n_plus_one_of_the_task(task: Any) -> None:
    with record(policy=PRODUCTION) as recorded:
        for number in range(30):
            task.delay(number)

    (finding,) = recorded.findings
    assert (finding.rule, finding.callsite.name, finding.evidence["calls"]) == (
        "n-plus-one",
        "send shop.mail",
        30,
    )
    assert "group" in finding.advice
    assert "30" not in str(finding.callsite.template)


def test_a_group_is_one_call_with_as_many_messages(task: Any) -> None:
    import celery

    with record(policy=PRODUCTION) as recorded:
        celery.group([task.s(number) for number in range(30)]).apply_async()

    (frame,) = sends(recorded)
    assert (frame.callsite.name, frame.calls, frame.more().batch_sum) == ("send group of shop.mail", 1, 30)
    assert recorded.findings == ()


def test_a_group_made_of_a_generator_is_one_call_and_the_generator_is_not_touched(task: Any) -> None:
    import celery

    with record(policy=PRODUCTION) as recorded:
        sent = celery.group(task.s(number) for number in range(30)).apply_async()

    assert len(sent) == 30
    assert [frame.calls for frame in sends(recorded)] == [1]
    assert recorded.findings == ()


def test_chunks_are_one_call(task: Any) -> None:
    with record(policy=PRODUCTION) as recorded:
        task.chunks([(number,) for number in range(30)], 10).group().apply_async()

    assert [frame.calls for frame in sends(recorded)] == [1]
    assert recorded.findings == ()


def test_one_message_for_each_of_a_few_lines_is_no_finding(task: Any) -> None:
    with record(policy=PRODUCTION) as recorded:
        task.delay(1)
        task.delay(2)
        task.apply_async((3,), countdown=1)

    assert sum(frame.calls for frame in sends(recorded)) == 3
    assert recorded.findings == ()


def test_what_a_send_returns_and_raises_is_the_hosts(task: Any) -> None:
    with record() as recorded:
        result = task.apply_async((1,), task_id="mine")
        with pytest.raises(TypeError):
            task.apply_async(1)

    assert result.id == "mine"
    assert sum(frame.calls for frame in sends(recorded)) == 1


def test_undoing_gives_the_very_same_functions_back(task: Any) -> None:
    from celery.app.base import Celery
    from celery.canvas import group

    originals = [vars(Celery)["send_task"].__wrapped__, vars(group)["apply_async"].__wrapped__]
    for each in list(_installed):
        each.undo()

    assert [vars(Celery)["send_task"], vars(group)["apply_async"]] == originals


def work(number: int) -> int:
    return number


@pytest.fixture
def queue() -> Iterator[Any]:
    rq = pytest.importorskip("rq")
    fakeredis = pytest.importorskip("fakeredis")
    with raising(), install_sources("rq-send", "redis"):
        yield rq.Queue(connection=fakeredis.FakeStrictRedis())


def test_jobs_put_into_a_queue_one_by_one_are_an_n_plus_one(queue: Any) -> None:
    with record(policy=PRODUCTION) as recorded:
        for number in range(30):
            queue.enqueue(work, number)

    (finding,) = recorded.findings
    assert (finding.rule, finding.evidence["calls"]) == ("n-plus-one", 30)
    assert finding.callsite.name == f"send {__name__}.work"
    assert "enqueue_many" in finding.advice


def test_many_jobs_at_once_are_one_call(queue: Any) -> None:
    with record(policy=PRODUCTION) as recorded:
        queue.enqueue_many([type(queue).prepare_data(work, (number,)) for number in range(30)])

    assert [(frame.calls, frame.more().batch_sum) for frame in sends(recorded)] == [(1, 30)]
    assert recorded.findings == ()


@pytest.fixture
def actor() -> Iterator[Any]:
    dramatiq = pytest.importorskip("dramatiq")
    from dramatiq.brokers.stub import StubBroker

    dramatiq.set_broker(StubBroker())
    with raising(), install_sources("dramatiq"):
        yield dramatiq.actor(work)


def test_messages_of_an_actor_one_by_one_are_an_n_plus_one_and_a_group_is_not(actor: Any) -> None:
    import dramatiq

    with record(policy=PRODUCTION) as alone:
        for number in range(30):
            actor.send(number)
    with record(policy=PRODUCTION) as together:
        dramatiq.group([actor.message(number) for number in range(30)]).run()

    assert [(item.rule, item.callsite.name) for item in alone.findings] == [("n-plus-one", "send work")]
    assert [frame.calls for frame in sends(together)] == [1]
    assert together.findings == ()
