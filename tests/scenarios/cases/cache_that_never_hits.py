"""a cache that stores under one key and looks up under another never hits.

Link: pallets-eco/croniter#180 (same class: chibisov/drf-extensions#145, eve-val/evelink#168).  timestamp_to_datetime
built its lookup key and its store key differently, so every call missed, computed the value again and
stored it again; the fix uses one key.

Unit of work: request() (preview the next runs of n schedules).  Size n: schedules (20 distinct arguments).
Expected finding: cache never hits: CACHE.get in timestamp_to_datetime misses n out of n times although only 20
distinct arguments occur; the body is recomputed n - 20 times with arguments already seen (repeated
computation; result identical).
"""

from datetime import datetime, timedelta, timezone, tzinfo
from zoneinfo import ZoneInfo

SIZES = (400, 2000)
CACHE: dict[tuple, datetime] = {}
EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


def local_calendar(moment: datetime) -> datetime:
    """Find the wall time and check that it really exists in the zone (no gap, no fold)."""
    for minutes in range(-60, 61, 5):
        probe = (moment + timedelta(minutes=minutes)).astimezone(timezone.utc).astimezone(moment.tzinfo)
        if probe.utcoffset() != moment.utcoffset():
            return probe.replace(fold=1)
    return moment


def timestamp_to_datetime(timestamp: float, zone: tzinfo | None = None) -> datetime:
    cached = CACHE.get((timestamp, repr(zone)))
    if cached is not None:
        return cached
    moment = EPOCH + timedelta(seconds=timestamp)
    if zone is not None:
        moment = local_calendar(moment.astimezone(zone))
    CACHE[(timestamp, str(zone))] = moment
    return moment


def next_run(now: float, every: int, zone: tzinfo) -> datetime:
    return timestamp_to_datetime((now // every + 1) * every, zone)


def request(schedules: list[tuple[int, tzinfo]], now: float) -> list[str]:
    return [next_run(now, every, zone).isoformat() for every, zone in schedules]


def main(n: int) -> int:
    zones = [
        ZoneInfo(name) for name in ("Europe/Paris", "America/New_York", "Asia/Tokyo", "Australia/Sydney")
    ]
    schedules = [((i % 10 + 1) * 3600, zones[i // 10 % 4]) for i in range(n)]
    return len(set(request(schedules, 1_700_000_000.0)))


if __name__ == "__main__":
    for n in SIZES:
        print(n, main(n))
