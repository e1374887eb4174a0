"""Loose columns of a file to telemetry: readable rows typed as the schema says, all others passed on as they stand.

A row whose time or value cannot be read is never dropped here: it goes on in a chunk of its own, its time and value as
text, and the contract rejects it with a reason. It counts as happening at the time of the readable row before it.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from aiops.types import IntArray
from data_contracts.schemas.telemetry_schemas import TELEMETRY, TIMESTAMP
from data_contracts.values.coerce import is_text, read_numbers
from data_contracts.values.moments import microseconds_of, moment_of_us
from serving.ingest.pull.time_columns import AUTO, UNREADABLE, TimeForm, read_column

Mask = npt.NDArray[np.bool_]
MAX_CHUNK_ROWS: Final = 250_000


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows of a source: `readable` typed as TELEMETRY, `raw` with time and value as text; `*_at` us since 1970 per row.

    `naive` of their times came without a zone; `twice` of these exist twice or never in the zone given.
    """

    readable: pa.Table
    readable_at: IntArray
    raw: pa.Table
    raw_at: IntArray
    naive: int = 0
    twice: int = 0

    def within(self, start: datetime | None, end: datetime | None) -> "Rows":
        """Return the rows with start <= time < end."""
        if start is None and end is None:
            return self
        kept, kept_raw = _in_window(self.readable_at, start, end), _in_window(self.raw_at, start, end)
        return Rows(_select(self.readable, kept), self.readable_at[kept], _select(self.raw, kept_raw), self.raw_at[kept_raw])

    def chunks(self) -> Iterator[pa.Table]:
        """Yield tables of at most MAX_CHUNK_ROWS rows, readable rows first."""
        for table in (self.readable, self.raw):
            for offset in range(0, table.num_rows, MAX_CHUNK_ROWS):
                yield table.slice(offset, MAX_CHUNK_ROWS)


def _in_window(at: IntArray, start: datetime | None, end: datetime | None) -> Mask:
    kept = np.ones(len(at), dtype=np.bool_)
    if start is not None:
        kept &= at >= microseconds_of(start)
    if end is not None:
        kept &= at < microseconds_of(end)
    return kept


def _select(table: pa.Table, kept: Mask) -> pa.Table:
    return table if kept.all() else table.filter(pa.array(kept))


def read_rows(loose: pa.Table, form: TimeForm = AUTO, before_us: int | None = None) -> Rows:
    """Type what can be typed. `loose` has the columns of TELEMETRY (labels and tenant optional), each of one chunk.

    `before_us` is the time of the row before the first one; it places unreadable rows at the head.

    Raises:
        SchemaError: a column has a type that can hold neither times nor numbers.
    """
    read = read_column(loose["timestamp"].combine_chunks(), form)
    at = read.us
    known = at != UNREADABLE
    numbers = read_numbers(loose["value"].combine_chunks(), "value")
    values = pa.array(numbers.value, pa.float64(), mask=numbers.missing.astype(np.bool_))
    as_number = not is_text(loose.schema.field("value").type)
    sound = known & (as_number | (numbers.missing == 0)) & _sound_names(loose)
    typed = _set(loose, "timestamp", pa.array(np.where(known, at, 0)).cast(TIMESTAMP))
    typed = _set(typed, "value", values)
    placed = _forward_filled(at, before_us)
    raw = _raw(loose, ~sound, at)
    return Rows(_conform(_select(typed, sound)), placed[sound], raw, placed[~sound], read.naive, read.twice)


def _sound_names(loose: pa.Table) -> Mask:
    """Return (n,) bool: service and metric are valid UTF-8 text, or null."""
    sound = np.ones(loose.num_rows, dtype=np.bool_)
    for name in ("service", "metric", "tenant"):
        if name in loose.column_names and pa.types.is_binary(loose.schema.field(name).type):
            try:
                loose[name].cast(pa.string())
            except pa.ArrowInvalid:
                sound &= np.array([_is_utf8(cell) for cell in loose[name].to_pylist()])
    return sound


def _is_utf8(cell: bytes | None) -> bool:
    try:
        (cell or b"").decode()
    except UnicodeDecodeError:
        return False
    return True


def _conform(table: pa.Table) -> pa.Table:
    kinds = [TELEMETRY.field(name) for name in TELEMETRY.names if name in table.column_names]
    return table.select([kind.name for kind in kinds]).cast(pa.schema([kind.with_nullable(True) for kind in kinds]))


def _raw(loose: pa.Table, chosen: Mask, at: IntArray) -> pa.Table:
    """Return the chosen rows with time and value as text; a readable time is written as ISO 8601."""
    rows = loose.filter(pa.array(chosen))
    known = at[chosen] != UNREADABLE
    iso = [f"{moment_of_us(int(us)):%Y-%m-%dT%H:%M:%S.%f}Z" if sure else None for us, sure in zip(at[chosen], known, strict=True)]
    stamps = pc.coalesce(pa.array(iso, pa.string()), _as_text(rows["timestamp"].combine_chunks()))
    rows = _set(rows, "timestamp", stamps)
    for name in ("service", "metric"):
        rows = _set(rows, name, _as_text_if_valid(rows[name].combine_chunks()))
    return _set(rows, "value", _as_text(rows["value"].combine_chunks()))


def _as_text(column: "pa.Array[Any]") -> "pa.Array[Any]":
    if pa.types.is_binary(column.type):
        cells = [None if cell is None else cell.decode(errors="backslashreplace") for cell in column.to_pylist()]
        return pa.array(cells, pa.string())
    return column.cast(pa.string())


def _as_text_if_valid(column: "pa.Array[Any]") -> "pa.Array[Any]":
    try:
        return column.cast(pa.string())
    except pa.ArrowInvalid:
        return column


def _set(table: pa.Table, name: str, column: "pa.Array[Any]") -> pa.Table:
    return table.set_column(table.column_names.index(name), name, column)


def _forward_filled(at: IntArray, before_us: int | None) -> IntArray:
    """Return `at` with each unreadable time replaced by the readable one before it (at the head: `before_us`, or the next)."""
    known = at != UNREADABLE
    if known.all():
        return at
    newest = np.maximum.accumulate(np.where(known, np.arange(len(at)), -1))
    first = int(at[known.argmax()]) if known.any() else 0
    head = before_us if before_us is not None else first
    return np.where(newest >= 0, at[newest], head)
