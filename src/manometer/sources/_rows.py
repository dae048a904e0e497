"""The rows fetched through one call: how many, which keys were in them, whether the result was the same again."""

from __future__ import annotations

from threading import get_ident
from typing import TYPE_CHECKING, Any, Final, final

from .. import _guard, _limits
from .._calls import add_returned, add_rows
from .._fingerprint import result_key, row_values

if TYPE_CHECKING:
    from .._calls import Call

_POINT: Final = "sources.rows"
ROWS_READ: Final = 40
"""First rows of a result whose values are remembered: as many as a frame keeps arguments, and some more."""
_VALUES_READ: Final = 4 * ROWS_READ
_SMALL: Final = 8
"""Rows of a result that is hashed at once; a larger one only once its statement was repeated."""
_TIMED: Final = 64
"""Rows fetched one by one whose time is taken; of the further ones one in as many, counted so often."""


@final
class Rows:
    """What one call returned so far. Used by the thread that made the call; others are not counted."""

    __slots__ = ("_call", "_fetch_ns", "_hash", "_hashed", "_known", "_rows", "_seen", "_thread")

    def __init__(self, call: Call) -> None:
        self._call: Call | None = call
        self._rows = 0
        self._seen = False
        self._fetch_ns = 0
        self._hash = 0
        self._hashed = 0
        self._known = True
        self._thread = get_ident()

    def is_timed(self) -> bool:
        """Tell whether the next row fetched by itself is worth two looks at the clock."""
        return self._rows < _TIMED or not self._rows % _TIMED

    def one(self, row: Any, spent_ns: int) -> None:
        """Add one row fetched by itself, or None for the end. Never raises; 0.3 us, 3 us for the first ones.

        Args:
            row: What the driver returned, None at the end.
            spent_ns: Time it took in nanoseconds; of every 64th row only beyond the first 64.
        """
        self._seen = True
        if row is None:
            self._fetch_ns += spent_ns
            self.finish()
            return
        self._fetch_ns += spent_ns if self._rows < _TIMED else spent_ns * _TIMED
        self._rows += 1
        if self._rows <= ROWS_READ:
            _guard.call(_POINT, self._look, (row,))

    def skip(self) -> None:
        """Add one row without looking at it or at the clock; 60 ns."""
        self._rows += 1

    def many(self, rows: Any, spent_ns: int, last: bool) -> None:
        """Add rows fetched together. Never raises; 3 us, 50 us for many rows.

        Args:
            rows: What the driver returned; only an exact list or tuple is looked at.
            spent_ns: Time it took in nanoseconds.
            last: No more can come.
        """
        if type(rows) is not list and type(rows) is not tuple:
            self._call = None  # not countable: say nothing about this call's rows
            return
        self._fetch_ns += spent_ns
        self._seen = True
        before = self._rows
        self._rows += len(rows)
        if rows and before < ROWS_READ:
            _guard.call(_POINT, self._look, rows)
        if last or not rows:
            self.finish()

    def _look(self, rows: Any) -> None:
        call = self._call
        if call is None or call.branch.profile.sealed or get_ident() != self._thread:
            return
        profile, frame = call.branch.profile, call.frame
        read = profile.returned.get(frame)
        if read is None or len(read.values) < _limits.MAX_VALUES_PER_FRAME:
            # At once, not at the end: whoever streams uses the first row before the second is fetched.
            add_returned(profile, frame, 0, row_values(rows[:ROWS_READ], _VALUES_READ))
        use = call.use
        if use is None or not self._known:
            return
        key = result_key(rows) if len(rows) <= _SMALL or use.calls > 1 else None
        if key is None:
            self._known = False
        else:
            self._hash = key if not self._hashed else hash((self._hash, key))
            self._hashed += 1

    def finish(self) -> None:
        """Add up once the cursor is exhausted, closed or used again; the first call counts. Never raises."""
        call, self._call = self._call, None
        if call is None or not self._seen or get_ident() != self._thread:
            return
        result = hash((self._hash, self._rows)) if self._known else None
        _guard.call(_POINT, add_rows, call, self._rows, (), result, self._fetch_ns)
