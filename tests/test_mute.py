"""What manometer does itself is never measured."""

from __future__ import annotations

import requests
from tests.sources.web import serving

from manometer import Config, profile, start, stop
from manometer._mute import muted
from manometer.testing import install_sources, raising, record


def calls(recorded):
    return sum(frame.calls for frame in recorded.profile.root.walk() if frame.callsite.kind == "http")


def test_nothing_is_recorded_while_muted_and_everything_afterwards():
    with raising(), install_sources("requests", "urllib3"), serving() as site, record() as recorded:
        requests.get(site.url, timeout=3)
        with muted():
            requests.get(site.url, timeout=3)
        requests.get(site.url, timeout=3)

    assert len(site.asked) == 3
    assert calls(recorded) == 2


class Sender:
    """An exporter that sends every report over HTTP."""

    def __init__(self, url):
        self.url = url
        self.seen = []

    def export(self, report):
        requests.get(f"{self.url}/v1/traces", timeout=3)
        self.seen.append(report.profile)

    def shutdown(self):
        requests.get(f"{self.url}/v1/shutdown", timeout=3)


def test_the_calls_of_an_exporter_are_sent_and_not_measured():
    with serving() as site:
        sender = Sender(site.url)
        start(Config(exporters=(), heartbeat_s=0), exporters=[sender])
        with profile("work"):
            requests.get(f"{site.url}/mine", timeout=3)
        stop()

    names = [frame.callsite.name for seen in sender.seen for frame in seen.root.walk()]
    assert "GET /v1/traces" in site.asked
    assert "GET /v1/shutdown" in site.asked
    assert [name for name in names if name.startswith("GET")] == ["GET /mine"]
