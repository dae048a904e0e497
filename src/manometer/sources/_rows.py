"""The rows fetched through one call: how many, which keys were in them, whether the result was the same again."""

from __future__ import annotations

from threading import get_ident
from typing import TYPE_CHECKING, Any, Final, final

from .. import _guard
from .._calls import add_returned, add_rows
from .._fingerprint import result_key, row_values
from ._joined import add_joined, joins, judge_joined

if TYPE_CHECKING:
    from .._calls import Call

_POINT: Final = "sources.rows"
ROWS_READ: Final = 40
"""First rows of a result whose values are remembered: as many as a frame keeps arguments, and some more."""
_VALUES_READ: Final = 4 * ROWS_READ
_ROWS_KEPT: Final = 2 * ROWS_READ
"""Rows of one frame after which the values of further results are not looked at any more."""
_ROWS_HASHED: Final = 16
"""Rows of one result, spread evenly over it, that are compared with the result before."""
_FEW: Final = 8
"""Distinct arguments up to which a result is hashed before its statement is repeated."""
TIMED: Final = 64
"""Rows fetched one by one whose time is taken; of the further ones one in as many, counted so often."""


@final
class Rows:
    """What one call returned so far. Used by the thread that made the call; others are not counted."""

    __slots__ = (
        "_call",
        "_ended_ns",
        "_fetch_ns",
        "_hash",
        "_hashes",
        "_joined",
        "_keeps",
        "_seen",
        "_thread",
        "count",
    )

    def __init__(self, call: Call) -> None:
        self._call: Call | None = call
        self.count = 0
        self._seen = False
        self._fetch_ns = 0
        self._ended_ns = 0
        self._hash = 0
        self._thread = get_ident()
        self._joined: list[tuple[Any, ...]] | None = [] if joins(call) else None
        frame, use = call.frame, call.use
        read = call.branch.profile.returned.get(frame)
        self._keeps = read is None or read.rows < _ROWS_KEPT
        # Not in a loop over many keys: none of them is likely to come again.
        self._hashes = use is not None and (use.calls > 1 or frame.more().distinct <= _FEW)

    def is_timed(self) -> bool:
        """Tell whether the next row fetched by itself is worth two looks at the clock."""
        return self.count < TIMED or not self.count % TIMED

    def one(self, row: Any, started_ns: int, ended_ns: int) -> None:
        """Add one row fetched by itself, or None for the end. Never raises; 0.5 us, 5 us for the first ones.

        Args:
            row: What the driver returned, None at the end.
            started_ns: Monotonic start of the fetch in nanoseconds.
            ended_ns: Its end. Beyond the first 64 rows it is asked for every 64th only.
        """
        spent_ns = ended_ns - started_ns
        self._fetch_ns += spent_ns if self.count < TIMED else spent_ns * TIMED
        self._ended_ns = ended_ns
        self._seen = True
        if row is None:
            self.finish()
            return
        self.count += 1
        if (self._keeps or self._hashes) and self.count <= ROWS_READ:
            _guard.call(_POINT, self._look, (row,))
        if self._joined is not None:
            _guard.call(_POINT, add_joined, self._joined, (row,))

    def many(self, rows: Any, started_ns: int, ended_ns: int, last: bool) -> None:
        """Add rows fetched together. Never raises; 1 us, 60 us for the first long ones.

        Args:
            rows: What the driver returned; only an exact list or tuple is looked at.
            started_ns: Monotonic start of the fetch in nanoseconds.
            ended_ns: Its end.
            last: No more can come.
        """
        if type(rows) is not list and type(rows) is not tuple:
            self._call = None  # not countable: say nothing about this call's rows
            return
        self._fetch_ns += ended_ns - started_ns
        self._ended_ns = ended_ns
        self._seen = True
        before = self.count
        self.count += len(rows)
        if rows and before < ROWS_READ and (self._keeps or self._hashes):
            _guard.call(_POINT, self._look, rows)
        if self._joined is not None:
            _guard.call(_POINT, add_joined, self._joined, rows)
        if last or not rows:
            self.finish()

    def _look(self, rows: Any) -> None:
        call = self._call
        if call is None or call.branch.profile.sealed or get_ident() != self._thread:
            return
        if self._keeps:
            # At once, not at the end: whoever streams uses the first row before the second is fetched.
            values = row_values(rows[:ROWS_READ], _VALUES_READ)
            add_returned(call.branch.profile, call.frame, 0, values)
        if self._hashes:
            step = (len(rows) - 1) // _ROWS_HASHED + 1
            key = result_key(rows if step == 1 else rows[::step])
            self._hashes = key is not None
            self._hash = hash((self._hash, key))

    def finish(self) -> None:
        """Add up once the cursor is exhausted, closed or used again; the first call counts. Never raises."""
        call, self._call = self._call, None
        if call is not None and self._seen and get_ident() == self._thread:
            _guard.call(_POINT, self._finish, call)

    def _finish(self, call: Call) -> None:
        branch = call.branch
        if self._joined:
            judge_joined(call, self._joined)
        before_ns = branch.ended_ns
        result = hash((self._hash, self.count)) if self._hashes else None
        add_rows(call, self.count, (), result, self._fetch_ns)
        # A cursor is often closed long after its last row was fetched.
        branch.ended_ns = max(before_ns, self._ended_ns)
