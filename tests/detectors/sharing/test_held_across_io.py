from __future__ import annotations

import pytest
from tests.profiles import MS, Unit, site

from manometer._model import PRODUCTION
from manometer._wait import Hold, Resource
from manometer._waiting import crossed, ended, taken

VIEW = ("/app/shop/views.py", 12, "quote")
CALL = site("GET /rates", 20, kind="http", library="requests", system="")
LOOKUP = site("GET price:?", 21, kind="cache", library="redis", system="redis")


def hold(unit, calls, *, resource=None, before_ms=1.0, after_ms=0.0):
    """Take, make the calls, give back; `calls` are callsites with their milliseconds."""
    resource = resource or Resource("pool", "shop", limit=5, library="sqlalchemy")
    mine = taken(resource, 1, unit.branch, VIEW)
    mine.since_ns = unit.now_ns
    unit.work(before_ms)
    for callsite, ms in calls:
        started_ns = unit.now_ns
        unit.call(callsite, 1, ms=ms)
        crossed(unit.profile, callsite, started_ns, unit.now_ns)
    unit.work(after_ms)
    resource.open.pop(1)
    ended(resource, mine, unit.now_ns)


def found(unit):
    return [item for item in unit.judge() if item.rule == "held-across-io"]


class TestGuilty:
    def test_a_call_while_a_connection_is_held(self):
        unit = Unit()
        hold(unit, [(CALL, 30)])
        (item,) = found(unit)

        assert (item.confidence, item.severity, item.question) == ("confirmed", "warning", "sharing")
        assert (item.callsite, item.holder.function) == (CALL, "quote")
        assert (item.evidence["calls"], item.evidence["total_ns"]) == (1, 30 * MS)
        assert item.saving_ns == (0, 0)
        assert "connection" in item.advice

    @pytest.mark.parametrize(("sort", "word"), [("transaction", "transaction"), ("lock", "lock")])
    def test_a_transaction_and_a_lock_too(self, sort, word):
        unit = Unit()
        hold(unit, [(CALL, 30)], resource=Resource(sort, "shop", library="django"))
        (item,) = found(unit)

        assert f"the {word} is taken" in item.advice

    def test_many_holds_at_one_place_are_one_finding(self):
        unit = Unit()
        resource = Resource("pool", "shop", limit=5, library="sqlalchemy")
        for _ in range(3):
            hold(unit, [(CALL, 30)], resource=resource)
        (item,) = found(unit)

        assert (item.evidence["holds"], item.evidence["calls"]) == (3, 3)

    def test_a_slow_lookup(self):
        unit = Unit()
        hold(unit, [(LOOKUP, 8)])

        assert len(found(unit)) == 1


class TestInnocent:
    def test_quick_lookups_in_a_cache(self):
        unit = Unit()
        hold(unit, [(LOOKUP, 0.5)] * 3)

        assert found(unit) == []

    def test_a_call_that_takes_little_of_the_hold(self):
        unit = Unit()
        hold(unit, [(CALL, 5)], before_ms=60)

        assert found(unit) == []

    def test_a_connection_to_the_service_itself(self):
        unit = Unit()
        hold(unit, [(CALL, 30)], resource=Resource("pool", "urllib3", limit=1, library="urllib3"))

        assert found(unit) == []

    def test_a_call_before_it_was_taken(self):
        unit = Unit()
        unit.call(CALL, 1, ms=30)
        hold(unit, [])

        assert found(unit) == []

    def test_a_call_of_another_thread(self):
        unit = Unit()
        resource = Resource("pool", "shop", limit=5, library="sqlalchemy")
        mine = taken(resource, 1, unit.branch, VIEW)
        mine.owner = (0, None)
        crossed(unit.profile, CALL, mine.since_ns + 1, mine.since_ns + 30 * MS)

        assert mine.crossed == {}

    def test_a_short_call_is_told_and_no_warning(self):
        unit = Unit(PRODUCTION)
        hold(unit, [(CALL, 5)])

        assert [item.severity for item in found(unit)] == ["info"]


def test_holds_of_one_unit_are_bounded():
    unit = Unit()
    resource = Resource("pool", "shop")
    for _ in range(70):
        ended(resource, Hold(VIEW, 0, None, unit.profile), MS)

    assert len(unit.profile.holds) == 64
    assert unit.profile.dropped == {"holds": 6}
