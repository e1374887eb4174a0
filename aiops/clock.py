"""Event-time clock of recorded telemetry: what time it was when a piece of it arrived.

A live row is judged against the wall clock. A recorded one has no arrival time, yet a row from the future must still be
found; so recorded telemetry is cut into short pieces and each piece's own bulk of timestamps is its clock.
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Final

import numpy as np
import pyarrow as pa

PIECE_ROWS: Final = 4096
_BULK: Final = 0.95
_US: Final = 1_000_000


def pieces(table: pa.Table, rows: int = PIECE_ROWS) -> Iterator[pa.Table]:
    """Yield `table` in consecutive pieces of at most `rows` rows."""
    for start in range(0, table.num_rows, rows):
        yield table.slice(start, rows)


def event_clock(piece: pa.Table, fallback: datetime) -> datetime:
    """Return the time below which 95 % of the piece's timestamps lie, or `fallback` where none can be read.

    A few rows from the future do not move it; more than one row in twenty would.
    """
    times = piece["timestamp"]
    if not pa.types.is_timestamp(times.type):
        return fallback
    known = times.cast(pa.timestamp("us", tz="UTC")).drop_null().to_numpy().astype(np.int64)
    if not len(known):
        return fallback
    position = min(int(_BULK * len(known)), len(known) - 1)
    return datetime.fromtimestamp(int(np.partition(known, position)[position]) / _US, tz=UTC)
