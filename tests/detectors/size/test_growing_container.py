from __future__ import annotations

import random
import sys
import types
from collections import OrderedDict, deque
from functools import cache

import pytest
from tests.profiles import Unit

from manometer import _limits, _site
from manometer._containers import SAMPLES, Containers
from manometer._history import History
from manometer._model import PRODUCTION
from manometer.detectors import judge

UNITS = 1_000
"""Units of work between two samples."""


@pytest.fixture
def app(tmp_path, monkeypatch):
    """A module of the application, as `sys.modules` holds it."""
    module = types.ModuleType("shop_sessions")
    module.__file__ = str(tmp_path / "shop_sessions.py")
    monkeypatch.setitem(sys.modules, "shop_sessions", module)
    monkeypatch.setattr(_site, "application", (str(tmp_path),))
    _site.forget()
    yield module
    _site.forget()


def watch(app, lengths, container=None):
    """Let the module's container have each length in turn, a sample each; return what is said in the end."""
    history = History()
    app.SEEN = [] if container is None else container
    for number, length in enumerate(lengths):
        while len(app.SEEN) > length:
            app.SEEN.pop()
        app.SEEN.extend(range(length - len(app.SEEN)))
        history.containers.sample(UNITS * number)
    return history


def named(history):
    return [each.name for each in history.growing_containers()]


class TestGuilty:
    def test_a_list_that_every_request_adds_to(self, app):
        history = watch(app, range(500, 500 + 1000 * 26, 1000))
        profile = Unit(kind="process").close()
        (item,) = judge(profile, history)

        assert (item.rule, item.question, item.confidence) == ("growing-container", "size", "confirmed")
        assert (item.callsite.name, item.severity) == ("shop_sessions.SEEN", "warning")
        assert (item.evidence["per_unit"], item.evidence["added"]) == (1.0, 25_000)
        assert item.move == "bound"

    @pytest.mark.parametrize("share", [0.02, 0.3, 1.0])
    def test_nine_of_ten_named_ones_are_found_whatever_share_of_requests_adds(self, app, share):
        found = 0
        for seed in range(30):
            chance = random.Random(seed)
            length, lengths = 0, []
            for _ in range(40):
                length += max(0, round(chance.gauss(share * UNITS, (share * UNITS) ** 0.5)))
                lengths.append(length)
            found += named(watch(app, lengths)) == ["shop_sessions.SEEN"]

        assert found >= 27

    def test_an_unbounded_cache_of_functools_and_the_attribute_of_a_class(self, app):
        @cache
        def lookup(key):
            return key

        app.lookup = lookup
        app.Registry = type("Registry", (), {"known": OrderedDict(), "__module__": "shop_sessions"})
        containers = Containers()
        for number in range(SAMPLES + 1):
            for key in range(200 * number, 200 * number + 200):
                lookup(key)
                app.Registry.known[key] = 1
            containers.sample(UNITS * number)

        assert {each.name for each in containers.growing()} == {
            "shop_sessions.lookup",
            "shop_sessions.Registry.known",
        }


HEALTHY = {
    "flat": lambda at, chance: 5_000 + chance.randrange(3),
    "warm-up": lambda at, chance: round(20_000 * (1 - 2.718 ** (-at / 12))),
    "load swing": lambda at, chance: round(5_000 + 3_000 * (1 + __import__("math").sin(at / 8))),
    "steps": lambda at, chance: 2_000 * (1 + at // 10),
    "all together": lambda at, chance: round(
        9_000 * (1 - 2.718 ** (-at / 15)) + 500 * (at // 12) + 300 * chance.random()
    ),
}


class TestInnocent:
    @pytest.mark.parametrize("pattern", HEALTHY)
    def test_healthy_patterns_are_never_accused(self, app, pattern):
        for seed in range(5):
            chance = random.Random(seed)
            history, lengths = History(), []
            app.SEEN = []
            for at in range(60):
                lengths.append(HEALTHY[pattern](at, chance))
                while len(app.SEEN) > lengths[-1]:
                    app.SEEN.pop()
                app.SEEN.extend(range(lengths[-1] - len(app.SEEN)))
                history.containers.sample(UNITS * at)
                assert named(history) == [], (pattern, at)

    def test_it_is_too_early(self, app):
        assert named(watch(app, range(0, 1000 * (SAMPLES - 1), 1000))) == []

    def test_it_grows_without_any_unit_of_work(self, app):
        history = History()
        app.SEEN = []
        for _ in range(60):
            app.SEEN.extend(range(100))
            history.containers.sample(7)

        assert named(history) == []

    def test_it_shrank_once(self, app):
        assert named(watch(app, [*range(0, 20_000, 1000), 3_000, *range(4_000, 35_000, 1000)])) == []

    def test_a_bounded_queue_is_not_looked_at(self, app):
        history = watch(app, range(0, 40_000, 1000), deque(maxlen=50_000))

        assert named(history) == []

    def test_modules_of_libraries_are_not_looked_at(self, app, monkeypatch):
        monkeypatch.setattr(_site, "application", ())
        app.__file__ = __import__("json").__file__
        _site.forget()

        assert named(watch(app, range(0, 40_000, 1000))) == []

    def test_a_type_with_a_length_of_its_own_is_never_asked(self, app):
        class Lazy(list):
            def __len__(self):
                raise AssertionError("asked")

        app.rows = Lazy()
        Containers().sample(1)

    def test_a_request_is_not_blamed_for_it(self, app):
        history = watch(app, range(0, 40_000, 1000))

        assert judge(Unit(policy=PRODUCTION).close(), history) == ()


class TestBounds:
    def test_only_the_longest_are_followed(self, app):
        for number in range(_limits.MAX_CONTAINERS + 10):
            setattr(app, f"c{number}", [0] * number)
        containers = Containers()
        containers.sample(1)

        assert len(containers._series) == _limits.MAX_CONTAINERS
        assert "shop_sessions.c0" not in containers._series

    def test_the_samples_of_a_day_are_thinned_out(self, app):
        history = watch(app, range(0, 100 * 2 * _limits.MAX_SAMPLES, 100))
        (series,) = (s for name, s in history.containers._series.items() if name == "shop_sessions.SEEN")

        assert len(series.points) <= _limits.MAX_SAMPLES
        assert named(history) == ["shop_sessions.SEEN"]
