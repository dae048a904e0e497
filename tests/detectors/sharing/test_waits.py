from __future__ import annotations

import pytest
from tests.profiles import MS, Unit, rules

from manometer._model import JOB, PRODUCTION, STRICT
from manometer._wait import Hold, Resource
from manometer._waiting import ended, waited

VIEW = ("/app/shop/views.py", 12, "quote")
SLOW = ("/app/shop/shipping.py", 40, "quote_shipping")
OTHER = ("/app/shop/export.py", 7, "export")


def pool(sort="pool", **more):
    return Resource(sort, "shop", limit=3, **more)


def wait(unit, resource, ms, *, place=VIEW, blamed=((VIEW, SLOW, 0),), error=""):
    waited(resource, unit.branch, place, unit.now_ns, unit.now_ns + int(ms * MS), list(blamed), error)
    unit.work(ms)


def held(resource, ms, used_ms=0.0, place=VIEW):
    hold = Hold(place, 0, None, None)
    hold.used_ns = int(used_ms * MS)
    ended(resource, hold, int(ms * MS))


class TestGuilty:
    def test_a_wait_is_told_with_its_holder_and_what_that_did(self):
        resource, unit = pool(target="shop@db", system="postgresql"), Unit()
        held(resource, 50, used_ms=1)
        wait(unit, resource, 50)
        unit.work(5)
        (item,) = unit.judge()

        assert (item.rule, item.question, item.severity) == ("pool-wait", "sharing", "warning")
        assert item.holder.function == "quote_shipping"
        assert item.evidence["taken_at"] == "quote (views.py:12)"
        assert item.evidence["held_mean_ns"] == 50 * MS
        assert item.evidence["used_mean_ns"] == 1 * MS
        assert (item.evidence["limit"], item.evidence["target"]) == (3, "shop@db")
        assert "before quote_shipping" in item.advice

    @pytest.mark.parametrize(
        ("sort", "rule"),
        [
            ("pool", "pool-wait"),
            ("lock", "lock-wait"),
            ("semaphore", "lock-wait"),
            ("queue", "lock-wait"),
            ("executor", "executor-wait"),
        ],
    )
    def test_each_sort_of_resource_has_its_rule(self, sort, rule):
        resource, unit = pool(sort), Unit()
        wait(unit, resource, 20)

        assert rules(unit.judge()) == [rule]

    def test_two_places_that_wait_for_one_pool_are_one_finding(self):
        resource, unit = pool(), Unit()
        wait(unit, resource, 20)
        wait(unit, resource, 40, place=OTHER)
        (item,) = unit.judge()

        assert (item.evidence["waits"], item.evidence["total_ns"]) == (2, 60 * MS)
        assert item.callsite.function == "export"

    def test_the_holder_who_made_wait_longest_is_named(self):
        resource, unit = pool(), Unit()
        wait(unit, resource, 10, blamed=[(VIEW, None, 0)])
        wait(unit, resource, 40, blamed=[(OTHER, None, 0)])
        (item,) = unit.judge()

        assert item.holder.function == "export"

    def test_three_waits_confirm_it(self):
        resource = pool()
        found = []
        for _ in range(3):
            unit = Unit()
            wait(unit, resource, 20)
            found += unit.judge()

        assert [item.confidence for item in found] == ["likely", "likely", "confirmed"]

    def test_the_saving_is_what_holders_did_not_need(self):
        resource, unit = pool(), Unit()
        held(resource, 50, used_ms=5)
        wait(unit, resource, 100)
        (item,) = unit.judge()

        assert item.saving_ns == (72 * MS, 100 * MS)

    def test_a_timeout_is_counted(self):
        resource, unit = pool(), Unit()
        wait(unit, resource, 30, error="TimeoutError")
        (item,) = unit.judge()

        assert item.evidence["failed"] == 1

    def test_an_unknown_holder_is_not_invented(self):
        resource, unit = pool(), Unit()
        wait(unit, resource, 30, blamed=[])
        (item,) = unit.judge()

        assert item.holder is None
        assert "taken_at" not in item.evidence


class TestInnocent:
    def test_a_short_wait(self):
        resource, unit = pool(), Unit()
        wait(unit, resource, 0.9)

        assert unit.judge() == ()

    def test_a_small_share_of_the_unit(self):
        resource, unit = pool(), Unit(STRICT)
        wait(unit, resource, 4)
        unit.work(100)

        assert unit.judge() == ()

    @pytest.mark.parametrize(
        ("policy", "severity"), [(PRODUCTION, "info"), (JOB, "info"), (STRICT, "warning")]
    )
    def test_little_to_save_is_no_warning(self, policy, severity):
        resource, unit = pool(), Unit(policy)
        wait(unit, resource, 5)

        assert [item.severity for item in unit.judge()] == [severity]


def test_what_is_expected_says_so():
    resource, unit = pool(), Unit()
    unit.profile.expected["pool-wait"] = "one at a time is what the licence allows"
    wait(unit, resource, 50)
    (item,) = unit.judge()

    assert (item.severity, item.expected) == ("info", "one at a time is what the licence allows")


def test_the_records_are_bounded():
    resource, unit = pool(), Unit()
    for number in range(100):
        place = ("/app/a.py", number, "f")
        held(resource, 1, place=place)
        wait(unit, resource, 1, blamed=[(place, None, 0)])
    (frame,) = unit.profile.root.own_children()

    assert len(resource.holders) == 16
    assert len(frame.detail.waits.blamed) == 16
