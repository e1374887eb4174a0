"""Event-time clock of recorded telemetry: what time it was when a piece of it arrived.

A live row is judged against the wall clock. A recorded one has no arrival time, yet a row from the future must still be
found; so recorded telemetry is cut into short pieces and each piece's own timestamps are its clock: time has come as far as
neighbouring rows agree that it has.
"""

from collections.abc import Iterator
from datetime import datetime
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from aiops.types import IntArray
from data_contracts.values.moments import microseconds_of, moment_of_us

PIECE_ROWS: Final = 4096
_FOLLOWERS: Final = 8
_STEPS: Final = 3
_US: Final = 1_000_000
_LEAST_REACH_US: Final = 300 * _US


def pieces(table: pa.Table, rows: int = PIECE_ROWS) -> Iterator[pa.Table]:
    """Yield `table` in consecutive pieces of at most `rows` rows."""
    for start in range(0, table.num_rows, rows):
        yield table.slice(start, rows)


def event_clock(piece: pa.Table, fallback: datetime, following: pa.Table | None = None) -> datetime:
    """Return the newest timestamp that most of the rows after it do not fall behind, or `fallback` where none can be read.

    `following` = the piece after it, where that is known: its rows confirm the last ones of this piece.

    Rows come in order of time, at any step. A row from the future is followed by rows that fall behind it, so it does not move
    the clock; half of any eight neighbours would. The last two rows, which nothing confirms, count where they are near.
    """
    known = _times(piece)
    if not len(known):
        return fallback
    after = known[:0] if following is None else _times(following)[:_FOLLOWERS]
    confirmed = known[_confirmed(np.concatenate([known, after]), 1 if after.size else 2)[: known.size]]
    clock = int(confirmed.max()) if confirmed.size else int(known.max())
    reach = max(_LEAST_REACH_US, _STEPS * _median_step(known))
    for last in sorted(known[-2:].tolist()):
        clock = last if clock < last <= clock + reach else clock
    return moment_of_us(clock)


def _times(piece: pa.Table) -> IntArray:
    times = piece["timestamp"]
    if not pa.types.is_timestamp(times.type):
        return np.empty(0, np.int64)
    return np.asarray(times.cast(pa.timestamp("us", tz="UTC")).drop_null().to_numpy().astype(np.int64))


def newest_until(piece: pa.Table, until: datetime, fallback: datetime) -> datetime:
    """Return the newest timestamp that is not after `until`, or `fallback` where there is none: of a recording that ends here."""
    known = _times(piece)
    known = known[known <= microseconds_of(until)]
    return moment_of_us(int(known.max())) if known.size else fallback


def _confirmed(times: IntArray, least: int) -> npt.NDArray[np.bool_]:
    """Return which rows are followed by `least` or more, up to eight, of which more than half are not earlier."""
    seen, agreeing = np.zeros(times.size, np.int64), np.zeros(times.size, np.int64)
    for distance in range(1, min(_FOLLOWERS, times.size - 1) + 1):
        seen[:-distance] += 1
        agreeing[:-distance] += times[distance:] >= times[:-distance]
    return (seen >= least) & (2 * agreeing > seen)


def _median_step(times: IntArray) -> int:
    gaps = np.diff(np.unique(times))
    return int(np.median(gaps)) if gaps.size else 0
