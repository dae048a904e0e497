from __future__ import annotations

import sys

import pytest

from manometer import Config, _context
from manometer._template import is_wrapper
from manometer.sources._by_name import measure_names
from manometer.testing import record

SOURCE = """
import json
from json import dumps

def total(items):
    return sum(items)

def hidden(items):
    return items

class Order:
    def price(self):
        return total([1, 2])

    @staticmethod
    def tax():
        return 3

    @property
    def label(self):
        return "order"

    def __repr__(self):
        return "Order"
"""


@pytest.fixture
def shop(tmp_path, monkeypatch):
    """Write a module that can be imported, under a name no other test used: import hooks are for good."""
    name = f"shop_{tmp_path.name.replace('-', '_')}"
    (tmp_path / f"{name}.py").write_text(SOURCE)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield name
    sys.modules.pop(name, None)


@pytest.fixture
def told():
    return []


@pytest.fixture
def by_name(told):
    undos = []

    def start(*entries):
        undos.append(measure_names(entries, lambda module, reason: told.append((module, reason))))
        return undos[-1]

    yield start
    for undo in undos:
        undo()


def measured(module):
    found = {name for name, value in vars(module).items() if is_wrapper(value)}
    for name, value in vars(module.Order).items():
        inner = getattr(value, "__func__", None) or getattr(value, "fget", None) or value
        if is_wrapper(inner):
            found.add(f"Order.{name}")
    return found


def test_functions_and_methods_are_measured_when_their_module_is_imported(shop, by_name, told):
    by_name(f"{shop}:*")
    module = __import__(shop)

    assert measured(module) == {"total", "hidden", "Order.price", "Order.tax", "Order.label"}
    with record() as recorded:
        assert module.Order().price() == 3
    names = [frame.callsite.name for frame in recorded.profile.root.walk()]
    assert names[1:] == [f"{shop}.Order.price", f"{shop}.total"]
    assert told == []


def test_a_module_that_is_there_already_is_measured_at_once(shop, by_name):
    module = __import__(shop)
    by_name(f"{shop}:total", f"{shop}:Order.p*")

    assert measured(module) == {"total", "Order.price"}


def test_what_the_module_only_imports_stays_as_it_is(shop, by_name):
    import json

    by_name(f"{shop}:*")

    assert __import__(shop).dumps is json.dumps


def test_undo_puts_every_original_back_by_identity(shop, by_name):
    module = __import__(shop)
    before = (*vars(module).items(), *vars(module.Order).items())
    undo = by_name(f"{shop}:*")
    undo()

    assert all(
        a[1] is b[1]
        for a, b in zip(before, (*vars(module).items(), *vars(module.Order).items()), strict=True)
    )


def test_what_somebody_else_replaced_since_is_left_to_them(shop, by_name):
    module = __import__(shop)
    undo = by_name(f"{shop}:total")
    theirs = module.total = lambda items: 0
    undo()

    assert module.total is theirs


def test_after_undo_an_import_wakes_nothing(shop, by_name):
    by_name(f"{shop}:*")()

    assert measured(__import__(shop)) == set()


def test_a_pattern_that_fits_nothing_is_said(shop, by_name, told):
    by_name(f"{shop}:totl")
    __import__(shop)

    assert told == [(shop, "no function matches totl")]


def test_the_bound_is_kept_and_said(shop, by_name, told, monkeypatch):
    monkeypatch.setattr("manometer._limits.MAX_MEASURED_BY_NAME", 2)
    by_name(f"{shop}:*")
    module = __import__(shop)

    assert len(measured(module)) == 2
    assert told == [(shop, "more than 2 functions are named; the rest is left out")]


def test_start_measures_and_stop_restores(shop):
    import manometer

    module = __import__(shop)
    original = module.total
    manometer.start(Config(measure=(f"{shop}:*",), exporters=(), heartbeat_s=0))
    assert is_wrapper(module.total)
    manometer.stop()

    assert module.total is original
    assert _context.HOT["idle_"]


@pytest.mark.parametrize("entry", ["shop", ":x", "shop:", ""])
def test_an_entry_without_module_or_pattern_is_refused(entry):
    with pytest.raises(ValueError, match="module:pattern"):
        Config(measure=(entry,))
