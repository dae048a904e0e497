from __future__ import annotations

import random

import pytest
from tests.profiles import MS, Unit, site

from manometer._history import History
from manometer._loads import COMPUTING
from manometer._wait import Resource
from manometer._waiting import waited
from manometer.detectors import judge

READ = site("SELECT id FROM posts", 38)
CALL = site("GET /rates", 40, kind="http", library="requests", system="")
VIEW = ("/app/shop/views.py", 12, "quote")


def serve(unit_of, units=120, levels=(1, 8)):
    """Serve units at few and at many at once; return what the last busy one shows."""
    history, chance, found = History(), random.Random(1), ()
    for number in range(units):
        level = levels[number % len(levels)]
        unit = Unit()
        cpu_ms = unit_of(unit, level, chance)
        profile = unit.close()
        profile.concurrency, profile.cpu_ns = level, int(cpu_ms * MS) if cpu_ms is not None else -1
        history.add(profile)
        found = judge(profile, history)
    return [item for item in found if item.rule == "slower-under-load"]


def wait(unit, resource, ms):
    waited(resource, unit.branch, VIEW, unit.now_ns, unit.now_ns + int(ms * MS), [])
    unit.work(ms)


class TestGuilty:
    def test_a_wait_that_grows_is_named(self):
        resource = Resource("pool", "shop pool", limit=2)

        def unit_of(unit, level, chance):
            unit.call(READ, ms=5 * chance.uniform(0.8, 1.2))
            if level > 1:
                wait(unit, resource, 4 * level)
            return 1

        (item,) = serve(unit_of)

        assert (item.confidence, item.question, item.severity) == ("likely", "sharing", "info")
        assert item.evidence["wait"] == "shop pool"
        assert (item.evidence["at_once_few"], item.evidence["at_once_many"]) == (1, 8)

    def test_threads_that_compute_take_turns(self):
        def unit_of(unit, level, chance):
            unit.work(10 * level * chance.uniform(0.8, 1.2))
            return 10

        (item,) = serve(unit_of)

        assert item.evidence["wait"] == COMPUTING
        assert item.severity == "warning"
        assert item.callsite.name == "GET /posts"


class TestInnocent:
    def test_a_service_that_is_slow_now_and_then(self):
        """More are at once because they are slow: Little's law, and nothing is shared."""

        def unit_of(unit, level, chance):
            unit.call(CALL, 1, ms=(80 if level > 1 else 10) * chance.uniform(0.8, 1.2))
            return 1

        assert serve(unit_of) == []

    def test_waiting_that_nobody_measured(self):
        def unit_of(unit, level, _chance):
            unit.work(80 if level > 1 else 10)
            return 1

        assert serve(unit_of) == []

    def test_units_that_do_more_are_no_slower(self):
        def unit_of(unit, level, _chance):
            for number in range(10 * level):
                unit.call(READ, number, ms=1)
            return

        assert serve(unit_of) == []

    def test_the_same_time_at_any_load(self):
        def unit_of(unit, _level, chance):
            unit.work(10 * chance.uniform(0.5, 1.5))
            return 10

        assert serve(unit_of) == []

    @pytest.mark.parametrize("units", [20, 38])
    def test_few_units(self, units):
        def unit_of(unit, level, _chance):
            unit.work(10 * level)
            return 10

        assert serve(unit_of, units) == []

    def test_load_that_does_not_vary(self):
        def unit_of(unit, _level, chance):
            unit.work(chance.choice((10, 80)))
            return 10

        assert serve(unit_of, levels=(8, 8)) == []
