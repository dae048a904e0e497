"""The configuration: what a bad value does in the environment, and in code."""

from __future__ import annotations

import dataclasses
import os
import pathlib
import re
import subprocess
import sys

import pytest
from hypothesis import given, strategies as st

from manometer import Config
from manometer._config import VARIABLES, service_version


def read(**variables: str) -> tuple[Config, list[str]]:
    """The configuration from these variables, and what was said about them."""
    said: list[str] = []
    return Config.from_env(variables, said.append), said


def test_no_variable_gives_the_defaults():
    assert read() == (Config(), [])


def test_every_field_has_its_variable():
    assert {field.name for field in dataclasses.fields(Config)} == set(VARIABLES)
    assert VARIABLES["enabled"] == "MANOMETER"
    assert VARIABLES["slow_ms"] == "MANOMETER_SLOW_MS"


@pytest.mark.parametrize(
    ("variable", "text", "field", "value"),
    [
        ("MANOMETER", "1", "enabled", True),
        ("MANOMETER", "off", "enabled", False),
        ("MANOMETER_SAMPLE", "0.25", "sample", 0.25),
        ("MANOMETER_ROUTES", "GET /reports/*=5000, /admin/*=2000", "routes", (("GET /reports/*", 5000.0), ("/admin/*", 2000.0))),
        ("MANOMETER_EXCLUDE", "/ping,/static/*", "exclude", ("/ping", "/static/*")),
        ("MANOMETER_EXPORTERS", "log,console", "exporters", ("log", "console")),
        ("MANOMETER_DISABLE", "sqlite3,write-loop", "disable", frozenset({"sqlite3", "write-loop"})),
        ("MANOMETER_EXPECT", "mn-7f3a21=by design; n-plus-one@/admin/*=internal", "expect", (("mn-7f3a21", "by design"), ("n-plus-one@/admin/*", "internal"))),
        ("MANOMETER_LOG_FORMAT", "JSON", "log_format", "json"),
        ("MANOMETER_MAX_QUEUE", "5", "max_queue", 5),
    ],
)  # fmt: skip
def test_good_values_are_read(variable, text, field, value):
    config, said = read(**{variable: text})

    assert getattr(config, field) == value
    assert said == []


@pytest.mark.parametrize(
    ("variable", "text", "allowed"),
    [
        ("MANOMETER", "maybe", "1 or 0"),
        ("MANOMETER_SAMPLE", "2", "a number from 0 to 1"),
        ("MANOMETER_SAMPLE", "nan", "a number from 0 to 1"),
        ("MANOMETER_SLOW_MS", "1e999", "a number from 0"),
        ("MANOMETER_SLOW_MS", "fast", "a number"),
        ("MANOMETER_MAX_QUEUE", "1.5", "a whole number"),
        ("MANOMETER_LOG_FORMAT", "xml", "one of logfmt, json, tree"),
        ("MANOMETER_EXPORTERS", "log,kafka", "one or more of log, console"),
        ("MANOMETER_EXPECT", "mn-7f3a21", "the reason is mandatory"),
        ("MANOMETER_ROUTES", "/reports", "a number"),
    ],
)
def test_a_bad_value_is_one_warning_that_names_the_variable_and_what_is_allowed(variable, text, allowed):
    config, said = read(**{variable: text})

    assert config == Config()
    assert len(said) == 1
    assert variable in said[0]
    assert allowed in said[0]


def test_an_unknown_variable_is_said_with_a_near_one():
    _, said = read(MANOMETER_SLOWMS="5")

    assert said == ["MANOMETER_SLOWMS is not known (did you mean MANOMETER_SLOW_MS?); it is ignored"]


@given(
    st.dictionaries(
        st.sampled_from(sorted(VARIABLES.values())), st.text(st.characters(codec="utf-8"), max_size=40)
    )
)
def test_no_environment_makes_it_raise(variables):
    config, said = read(**variables)

    assert type(config) is Config
    assert len(said) <= len(variables)


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"sample": 1.5}, ValueError),
        ({"sample": "1"}, TypeError),
        ({"sample": True}, TypeError),
        ({"slow_ms": float("inf")}, ValueError),
        ({"exporters": ("kafka",)}, ValueError),
        ({"exporters": ["log"]}, TypeError),
        ({"log_format": "xml"}, ValueError),
        ({"routes": (("/x", -1),)}, ValueError),
        ({"expect": (("mn-7f3a21", ""),)}, ValueError),
        ({"enabled": "yes"}, TypeError),
        ({"max_frames": 1}, ValueError),
    ],
)
def test_a_bad_value_in_code_raises_at_once(fields, error):
    with pytest.raises(error, match=f"manometer.Config: {next(iter(fields))} must be"):
        Config(**fields)


def test_it_is_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Config().sample = 0.5


def test_the_version_of_the_service_is_opentelemetry_s():
    assert (
        service_version({"OTEL_RESOURCE_ATTRIBUTES": "service.name=shop,service.version=2026.11"})
        == "2026.11"
    )
    assert service_version({}) == ""


def test_a_service_starts_in_spite_of_a_bad_variable_and_says_it_once():
    environment = {**os.environ, "MANOMETER": "1", "MANOMETER_SAMPLE": "lots", "MANOMETER_HEARTBEAT_S": "0"}
    code = "import manometer\nprint('serving')"
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=30
    )

    assert (done.returncode, done.stdout) == (0, "serving\n")
    assert done.stderr.count("MANOMETER_SAMPLE") == 1
    assert "lots" not in done.stderr


def test_the_reference_page_lists_every_variable_with_its_default():
    page = (pathlib.Path(__file__).parents[1] / "docs/reference/configuration.md").read_text()
    rows = dict(re.findall(r"^\| `(MANOMETER\w*)` \| `?([^|`]*)`? \|", page, re.MULTILINE))

    assert set(rows) == set(VARIABLES.values())
    for field in dataclasses.fields(Config):
        default = getattr(Config(), field.name)
        if type(default) in (int, float):
            assert float(rows[VARIABLES[field.name]]) == default
