"""Log lines and spans beside a replay: onto the stream of signals, and the series of their minutes among the telemetry.

In `aiops up` the process of signals makes these series, at the pace of the clock. A replay runs hours in seconds, and a point
that comes after its tick was closed is refused: so the same functions are called here, between one chunk and the next.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa

from aiops.replay.request_reader import RequestReader
from aiops.settings.signal_settings import SignalSettings
from aiops.signals.minute_series import MINUTE_SERIES
from aiops.types import IntArray, RequestRows
from data_contracts.values.moments import moment_of_us
from orchestration.pipeline.row_arrivals import arrival_times
from serving.ingest.signal_producer import SignalProducer
from serving.signal_minutes.series_makers import makers_of
from serving.signal_minutes.tenant_minutes import MINUTE_US, MinuteRules, TenantMinutes
from serving.stream import streams

_NAMES = ("service", "metric")


class ReplayedRequests:
    """Requests of one replay; chunks in order of time."""

    def __init__(self, reader: RequestReader, producer: SignalProducer, settings: SignalSettings) -> None:
        self._reader = reader
        self._producer = producer
        self._minutes = TenantMinutes(MinuteRules(settings.lateness_s * 1_000_000), makers_of(settings))
        self._sequence = 0

    def beside(self, chunk: pa.Table) -> pa.Table:
        """Publish the requests known by the end of a chunk; return it with the series of their minutes, in order of time.

        Raises:
            Unavailable: the broker does not answer, or nobody reads.
        """
        if not chunk.num_rows or not pa.types.is_timestamp(chunk["timestamp"].type):
            return chunk
        due_us = arrival_times(chunk["timestamp"])
        end_us = int(due_us[-1]) + 1
        rows = self._reader.until(end_us)
        if rows is None:
            return chunk
        self._sequence += 1
        self._producer.publish(rows, self._sequence, moment_of_us(end_us))
        series = self._series(rows, end_us)
        if not series.num_rows:
            return chunk
        at_us = np.asarray(series["timestamp"].cast(pa.int64()))
        both = pa.concat_tables([_plain(chunk), series], promote_options="default")
        order: Any = pa.array(np.argsort(np.concatenate([due_us, at_us]), kind="stable"))
        return both.take(order)

    def _series(self, rows: RequestRows, end_us: int) -> pa.Table:
        """Return the series of minutes that are over by a time, each made when the process of signals would have made it."""
        kinds = ((streams.KIND_LOGS, _Sorted.of(rows.logs)), (streams.KIND_SPANS, _Sorted.of(rows.spans)))
        begin_us = min(int(table.known_us[0]) for _, table in kinds if table.known_us.size)
        closed: list[pa.Table] = []
        for from_us, until_us in pairwise((*range(begin_us // MINUTE_US * MINUTE_US, end_us, MINUTE_US), end_us)):
            for kind, table in kinds:
                if (part := table.between(from_us, until_us)).num_rows:
                    closed += self._minutes.apply(kind, part, until_us)
            closed += self._minutes.advance(until_us)
        return pa.concat_tables([MINUTE_SERIES.empty_table(), *closed])


@dataclass(frozen=True, slots=True, eq=False)
class _Sorted:
    """Rows in the order in which they became known, (n,) us."""

    rows: pa.Table
    known_us: IntArray

    @classmethod
    def of(cls, rows: pa.Table) -> "_Sorted":
        return cls(rows, np.asarray(rows["available_at"].cast(pa.int64())))

    def between(self, begin_us: int, end_us: int) -> pa.Table:
        first, last = np.searchsorted(self.known_us, [begin_us, end_us]).tolist()
        return self.rows.slice(first, last - first)


def _plain(chunk: pa.Table) -> pa.Table:
    """Return a chunk with its names as text."""
    for name in _NAMES:
        chunk = chunk.set_column(chunk.schema.get_field_index(name), name, chunk[name].cast(pa.string()))
    return chunk
