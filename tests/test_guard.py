"""The error boundary."""

from __future__ import annotations

import logging

import pytest

from manometer import _guard, _limits
from manometer.testing import raising


@pytest.fixture(autouse=True)
def clean():
    _guard.clear()
    yield
    _guard.clear()


def fails():
    raise ZeroDivisionError("secret value")


def test_a_failure_is_counted_and_answered_with_none():
    assert _guard.call("here", fails) is None
    assert _guard.counts == {"here": 1}
    assert _guard.total() == 1


def test_what_succeeds_is_handed_through():
    assert _guard.call("here", max, 1, 2) == 2
    assert _guard.counts == {}


def test_what_is_no_exception_of_ours_passes():
    def interrupt():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        _guard.call("here", interrupt)


def test_a_point_that_fails_again_and_again_is_off():
    for _ in range(_limits.MAX_FAILURES):
        assert not _guard.is_off("here")
        _guard.call("here", fails)

    assert _guard.is_off("here")
    assert not _guard.is_off("elsewhere")


def test_failures_are_reported_once_a_minute_without_any_value(caplog):
    with caplog.at_level(logging.ERROR, "manometer"):
        for _ in range(5):
            _guard.call("here", fails)
            _guard.report()

    assert len(caplog.records) == 1
    message = caplog.records[0].getMessage()
    assert "at=here type=ZeroDivisionError" in message
    assert "the service is not affected" in message
    assert "secret" not in message


def test_strict_tests_see_the_failure_where_it_happens():
    with raising(), pytest.raises(ZeroDivisionError):
        _guard.call("here", fails)
