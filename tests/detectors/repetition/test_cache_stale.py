"""The rule cache-stale: promises kept and broken."""

from __future__ import annotations

import pytest
from tests.profiles import Unit

from manometer._cache_facts import CacheFacts, Counts
from manometer._history import History
from manometer._model import PRODUCTION, STRICT, Callsite
from manometer.detectors.repetition.cache_stale import cache_stale

SITE = Callsite(name="GET rate:{id}", library="redis", kind="cache", file="/app/rates.py", line=3)


def said(policy, **known):
    history = History()
    known = {"refreshes": 100, "changed": 40, **known}
    history.caches.facts = [CacheFacts(callsite=SITE, counts=Counts(hits=900, misses=100), **known)]
    return list(cache_stale(Unit(policy=policy).close(), history))


def test_a_promise_that_is_broken_is_a_warning():
    (finding,) = said(PRODUCTION, stale_share=0.2, stale_ok=0.05)

    assert (finding.severity, finding.confidence) == ("warning", "confirmed")
    assert finding.evidence["promise"] == "broken"
    assert "EX" in finding.advice


def test_a_promise_that_may_be_kept_for_all_the_estimate_can_tell_is_likely_broken():
    (finding,) = said(PRODUCTION, stale_share=0.06, stale_ok=0.05)

    assert finding.confidence == "likely"


@pytest.mark.parametrize("policy", [STRICT, PRODUCTION], ids=["strict", "production"])
@pytest.mark.parametrize(
    "known",
    [
        {"stale_share": 0.3, "stale_ok": 0.3},
        {"stale_share": 0.1},
        {"stale_share": 0.5, "refreshes": 29},
        {"stale_share": 0.5, "changed": 4},
        {"stale_share": -1.0, "stale_ok": 0.0},
    ],
    ids=["kept", "nobody promised", "few refreshes", "few changes", "unknown"],
)
def test_what_is_kept_or_cannot_be_told_is_silent(policy, known):
    assert said(policy, **known) == []


def test_without_a_promise_it_is_told_and_no_warning():
    (finding,) = said(PRODUCTION, stale_share=0.3)

    assert (finding.severity, finding.confidence) == ("info", "possible")
