"""Log lines and spans of a recording in the order in which they became available, as far as a clock has come."""

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from aiops.types import RequestRows


class RequestReader:
    """Reads tables of requests ahead of a clock; each row comes out once. Memory: what is read and not available yet."""

    def __init__(self, tables: Iterator[RequestRows]) -> None:
        self._tables = tables
        self._logs: list[pa.Table] = []
        self._spans: list[pa.Table] = []
        self._begun_us = -(1 << 62)
        """When the newest table begins: what comes after it begins no earlier."""
        self._ended = False

    def until(self, moment_us: int) -> RequestRows | None:
        """Return the rows available before a time (us since 1970), each kind in that order; None where there are none."""
        while not self._ended and self._begun_us < moment_us:
            self._read()
        logs, self._logs = _cut(self._logs, moment_us)
        spans, self._spans = _cut(self._spans, moment_us)
        if logs is None or spans is None or not logs.num_rows + spans.num_rows:
            return None
        return RequestRows(logs, spans)

    def _read(self) -> None:
        rows = next(self._tables, None)
        if rows is None:
            self._ended = True
            return
        self._logs.append(rows.logs)
        self._spans.append(rows.spans)
        begins = [int(pc.min(table["timestamp"].cast(pa.int64())).as_py()) for table in (rows.logs, rows.spans) if table.num_rows]
        self._begun_us = max(self._begun_us, min(begins, default=self._begun_us))


def _cut(parts: list[pa.Table], moment_us: int) -> tuple[pa.Table | None, list[pa.Table]]:
    """Return the rows available before a time, in order, and those that are not."""
    if not parts:
        return None, []
    rows = pa.concat_tables(parts)
    rows = rows.take(pc.sort_indices(rows["available_at"]))
    known = int(np.searchsorted(rows["available_at"].cast(pa.int64()).to_numpy(), moment_us))
    return rows.slice(0, known), [rows.slice(known)]
