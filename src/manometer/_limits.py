"""Every bound of the product, in one place; whoever reaches one drops the newest and counts it."""

from __future__ import annotations

from typing import Final

# One unit of work.
MAX_FRAMES: Final = 2_000
"""Frames in one profile; calls beyond it are folded into one "(other)" frame per kind, sums stay exact."""
IO_FRAME_WEIGHT: Final = 4
"""Plain frames for which one of a tapped call counts: with its detail it is 1.5 kB, and not 0.4."""
MAX_KEYS_PER_FRAME: Final = 32
"""Distinct argument fingerprints kept on one frame."""
MAX_KEYS_PER_PROFILE: Final = 1_024
MAX_READS: Final = 8
"""Frames whose returned values are remembered, for the proof by data flow."""
MAX_VALUES_PER_READ: Final = 64
"""Hashed values remembered of one fetched result."""
MAX_VALUES_PER_FRAME: Final = 512
"""Hashed values remembered of all results of one reading frame."""
MAX_ASKED: Final = 128
"""Hashed keys remembered of one read that asks for many."""
MAX_CALLERS_PER_FRAME: Final = 8
"""Distinct chains of application callers kept on one frame."""
MAX_OUTCOMES: Final = 8
"""Distinct error types counted on one frame."""
MAX_EXEMPLARS: Final = 3
MAX_FORKS: Final = 256
"""Foreign owners (threads, greenlets) that may write to one branch."""
MAX_FINDINGS_PER_PROFILE: Final = 64
MAX_EXPORTED_FRAMES: Final = 200
"""Frames of one profile that are exported as spans where it is exported whole."""
MAX_PROMOTED_PARENTS: Final = 32
"""Calls of one profile that become spans because a span was started inside them."""
MAX_PROMOTED_SLOW: Final = 16
"""Slow or failed calls that become spans, apart, so that a loop of quick ones does not use them up."""
MAX_STACK_WALK: Final = 64
"""Python frames looked at to find the application's call site."""
MAX_RECURSION_WALK: Final = 64
"""Open frames looked at to find the one a recursive call folds into."""
PART_S: Final = 60.0
"""Age at which what a request that lasts (WebSocket, stream) has recorded is sealed and handed on."""

# The process.
MAX_CALLSITES: Final = 2_000
"""Distinct callsites of taps; names beyond it become "(other)"."""
MAX_HELD: Final = 10_000
"""Open cursors, and connections, of drivers that something is remembered about."""
MAX_LIVE_PROFILES: Final = 10_000
MAX_ROUTES: Final = 2_000
MAX_QUEUE: Final = 1_024
"""Profiles waiting for the background thread."""
MAX_FINDINGS: Final = 500
"""Findings whose sightings are counted; least recently seen goes first."""
MAX_HISTORY_POINTS: Final = 512
MAX_COMMENTS: Final = 2_000
"""Source lines whose comment about an expected finding is remembered."""
MAX_HISTORY_SITES: Final = 4_000
"""Callsites of all routes together that the history knows; 0.7 kB each."""
MAX_HISTORY_SITES_PER_ROUTE: Final = 400
MAX_SIZES: Final = 64
"""Sizes, about, that are told apart for one callsite (`_growth`)."""
MAX_OBSERVATIONS_PER_SIZE: Final = 64
"""Latest costs kept for each of them: 8 bytes each."""
MAX_MEASURED_BY_NAME: Final = 1_000
"""Functions that `Config.measure` may name in all."""
MAX_RESOURCES: Final = 512
"""Places that held something, as findings name them."""
MAX_WATCHED_LOCKS: Final = 256
"""Locks that are asked, at each call that leaves the process, whether the caller holds them."""
MAX_JOINED_ROWS: Final = 400
"""Rows of one result of joined tables that are compared with one another."""
MAX_JOINED_READS: Final = 4
"""Results of one query that are looked at in one unit of work."""
MAX_LOADS: Final = 128
"""Routes whose units of work are compared by how many ran at once."""
MAX_LOAD_UNITS: Final = 256
"""Latest units of work of each of them."""
MAX_INSIDE: Final = 10_000
"""Objects that somebody is inside of, of calls marked exclusive."""
MAX_HOLDERS: Final = 16
"""Places that took one resource, and pairs of such a place with what its holder was doing, that are told apart."""
MAX_HOLDS_ADDED: Final = 10_000
"""Holds after which the older half weighs half."""
MAX_HELD_AT_ONCE: Final = 256
"""Holders of one resource that are known at the same time."""
MAX_HOLDS_PER_PROFILE: Final = 64
"""Holds that one unit of work remembers."""
MAX_TRENDS: Final = 2_000
"""Callsites that cross a boundary whose trend is followed; 0.4 kB each."""
MAX_CONTAINERS: Final = 64
"""Containers of the application whose length is followed, the longest ones."""
MAX_SAMPLES: Final = 128
"""Lengths kept of each; then every second one goes."""
CONTAINERS_S: Final = 60.0
"""Time between two looks at the containers of the application."""
MAX_FRAMES_LOOKED_AT: Final = 2_000
"""Frames of units in progress that are counted for own cost in a second; 2 ms of the background thread."""
MAX_SAMPLED: Final = 256
"""Functions called so often that not each of their calls is timed."""
MAX_GROWTHS: Final = 256
"""Callsites whose growth is followed; 12 kB each, 34 kB at most."""
MAX_PAIRS_PER_FRAME: Final = 64
"""Latest calls of one frame whose size and cost are handed on."""
MAX_ROLLING_THREADS: Final = 1_024
"""Threads that may own a rolling profile."""
MAX_METRIC_SERIES: Final = 2_000
"""Attribute sets of one metric; further ones are one, marked as overflow."""
MAX_OPEN_SPANS: Final = 10_000
"""Spans of OpenTelemetry that began and did not end yet; the oldest is forgotten first."""
ROLLING_S: Final = 60.0
"""Age at which the rolling profile of a thread is sealed."""
FLUSH_S: Final = 2.0
"""Longest wait for the background thread at exit."""

# Text.
MAX_NAME: Final = 256
MAX_STATEMENT_READ: Final = 8_192
MAX_STATEMENT_SHAPE: Final = 1_024
MAX_STATEMENTS_CACHED: Final = 2_000
MAX_FILE_BYTES: Final = 50_000_000
"""Size at which the file of reports is rotated."""
MAX_RECORD_BYTES: Final = 65_536
"""One report in it."""
MAX_LINE_BYTES: Final = 4_096
"""A longer line interleaves with other writers of the same pipe (66 of 800 broken at 5,000 bytes)."""
SOFT_LINE_BYTES: Final = 1_000
"""Length that the log exporter aims at."""
MAX_KEY_SHAPES: Final = 2_000
"""Keys of redis and memcached whose shape is remembered."""
MAX_QUEUES: Final = 256
"""Queues without a bound whose length is followed."""
MAX_REQUEST_SHAPES: Final = 2_000
"""Paths of outgoing requests whose template is remembered."""

# Caches.
MAX_CACHES: Final = 256
"""Caches, told apart by library, place and shape of their keys, that something is remembered about."""
MAX_CACHE_EVENTS: Final = 8_192
"""Uses of caches that wait for the background thread; further ones are left out, and counted."""
MAX_REUSE_KEYS: Final = 256
"""Keys of one cache, or arguments of one function, that are followed: a sample, chosen by hash."""
MAX_COMPUTING: Final = 1_024
"""Keys of one cache, with those who compute a value for them, that are followed at the same time."""
MAX_STAMPEDES: Final = 64
"""Stampedes of one cache that are remembered until they are told."""
MAX_MEMOIZABLE: Final = 64
"""Functions whose arguments are followed from one unit of work to the next; 20 kB each."""

# Speaking.
MAX_FINDING_LINES_PER_MIN: Final = 20
MAX_SUMMARY_LINES_PER_MIN: Final = 60
HEARTBEAT_S: Final = 600.0
RESOLVED_AFTER_S: Final = 3_600.0
MAX_FAILURES: Final = 3
"""Failures after which an extension is switched off."""

MAX_TREE_NODES: Final = 20_000
"""Nodes of the merged trees of a recording that a command reads."""
MAX_LOOPS: Final = 64
"""Event loops that are watched at once."""
MAX_STALLS_PER_PROFILE: Final = 64
"""Moments in which a unit of work had to wait for its event loop."""
MAX_READINGS: Final = 600
"""Readings of the process that are kept: ten minutes of one a second."""
