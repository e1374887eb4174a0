"""The series engine of one partition: points in; scores, rows of series and partial sums of services out.

The result is a function of the points in order of arrival; how they are cut into batches never matters.

- Ticks are the multiples of `step_s` (UTC), from the first at or after the first point.
- The watermark is the greatest event time of all points so far. Before a point that moves it is applied, every open tick T
  with T + lateness_s < (new watermark) closes, in order. Features at T use the points with timestamp <= T that arrived before.
- After a silence, ticks close for 1 h after the last point; later empty ones are skipped, having nothing to say.
- A series has a row at T where it has a point in (T - 1 h, T], and a service partial sums where a series of it has a row.
- Rows of T are available at T + lateness_s, or when the newest point before the closing was, if that is later.
- The watermark is one an engine, so two partitions in one engine would not close ticks as two engines do: use one a partition.
- `advance` moves the watermark without a point: what other partitions of the tenant have seen closes ticks here, too.

Memory: `series_state` says how much a series takes, of at most max_series. Time: O(1) a point in order and
O(window points) a series and tick.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import numpy.typing as npt

from aiops.errors import ContractError
from aiops.features import engine_snapshot
from aiops.features.arrivals import Arrivals, arrivals_of
from aiops.features.engine_config import NEVER, SECOND_US, EngineConfig
from aiops.features.engine_output import SeriesOutput, output_of, unscored
from aiops.features.feature_rows import ClosedTicks
from aiops.features.kept_points import KeptPoints, look_at, no_points
from aiops.features.partial_sums import add_series_rows, no_sums
from aiops.features.point_scores import apply_points
from aiops.features.series_arenas import empty_arrays, grown, used_bytes
from aiops.features.series_features import ROWS, Scratch, TickRows, close_series
from aiops.features.series_index import NameHashes, SeriesIndex, hashes_of
from aiops.features.series_names import SeriesNames
from aiops.features.series_points import SeriesPoints, points_of_batch
from aiops.features.series_state import (
    HOUR_US,
    NEXT_BIN,
    SERIES_COUNT,
    PointResults,
    PointRows,
    RowSpan,
    rebuild_table,
)
from aiops.types import FloatArray, IntArray, SeriesBatch, State
from data_contracts.series.series_name import SeriesName


@dataclass(frozen=True, slots=True)
class _Batch:
    """One batch on its way through: its points and what became of them."""

    names: Callable[[IntArray], Sequence[SeriesName]]
    rows: PointRows
    results: PointResults


class SeriesEngine:
    """State of the series of one tenant in one partition. Not thread-safe."""

    def __init__(self, config: EngineConfig) -> None:
        self._config = config
        self._parameters = config.parameters()
        self._arrays = empty_arrays(self._parameters, min(64, config.max_series), 1024)
        self._scratch = Scratch.of(config.window_points)
        self._hashes = NameHashes()
        self._index = SeriesIndex()
        self._clock = engine_snapshot.Clock()

    def update(self, batch: SeriesBatch, available_at: IntArray | None = None) -> SeriesOutput:
        """Apply the points of a batch: `update_arrays` of its columns."""
        return self.update_arrays(self.points_of(batch), available_at)

    def points_of(self, batch: SeriesBatch) -> SeriesPoints:
        """Return the points of a batch as `update_arrays` takes them."""
        return points_of_batch(batch, self._hashes)

    def update_arrays(self, points: SeriesPoints, available_at: IntArray | None = None) -> SeriesOutput:
        """Apply points in arrival order.

        `available_at`: us since the epoch per point, ascending; None = each point is available at its event time.

        Raises:
            ContractError: a value is not finite, or `available_at` has another length than the points.
        """
        results = unscored(len(points))
        blocks = ClosedTicks.none()
        if len(points):
            available = points.time_us if available_at is None else _checked(available_at, len(points))
            first_us = int(points.time_us[0])
            known = _finite(arrivals_of(points, available, self._clock.watermark_us if self._clock.started else first_us))
            self._start(first_us)
            rows = PointRows(points.time_us, points.series_id, points.name_hash, known.value)
            self._run(_Batch(points.names, rows, results), known, blocks)
        return output_of(results, blocks, self._index)

    def close_through(self, until: datetime) -> SeriesOutput:
        """Close all open ticks <= `until` (aware) without waiting for later points: end of a stream or of a window."""
        blocks = ClosedTicks.none()
        if self._clock.started:
            until_us = int(until.timestamp()) * SECOND_US
            self._close(until_us // self._parameters.step_us, blocks)
        return output_of(unscored(0), blocks, self._index)

    def advance(self, event_us: int, available_us: int) -> SeriesOutput:
        """Close the ticks that a point of that event time would close; it was known at `available_us`."""
        blocks = ClosedTicks.none()
        self._start(event_us)
        self._close(self._due(event_us), blocks)
        clock = self._clock
        clock.watermark_us = max(clock.watermark_us, event_us)
        clock.available_us = max(clock.available_us, available_us)
        return output_of(unscored(0), blocks, self._index)

    @property
    def closed_us(self) -> int:
        """Return the tick, us, up to which all are closed; `NEVER` before the first point."""
        return (int(self._arrays.counters[NEXT_BIN]) - 1) * self._parameters.step_us if self._clock.started else NEVER

    @property
    def series(self) -> SeriesNames:
        """Return the known series, in order of first arrival."""
        return self._index.names

    @property
    def services(self) -> Sequence[str]:
        """Return the services of the known series, in order of first arrival."""
        return self._index.services.names

    def services_of(self, slot: npt.NDArray[np.int32]) -> IntArray:
        """Return the number in `services` of series given by their number (n,); any number for those with -1."""
        return self._index.services_of(slot)

    def kept_at(self, series_id: IntArray, time_us: IntArray) -> KeptPoints:
        """Return what windows hold of series (n,) at times (n,)."""
        kept = no_points(series_id.size)
        look_at(self._arrays, series_id, time_us, kept)
        return kept

    @property
    def state_bytes(self) -> int:
        """Return the size of the state of all series."""
        return used_bytes(self._arrays)

    def snapshot(self) -> State:
        """Return the whole state as plain arrays; independent of the engine afterwards."""
        return engine_snapshot.pack(self._config_numbers(), self._arrays, self._index.names.snapshot(), self._clock)

    @classmethod
    def restore(cls, config: EngineConfig, state: State) -> "SeriesEngine":
        """Return the engine that `snapshot` described; it goes on bit for bit.

        Raises:
            StateError: the state is damaged, of another version, or of another configuration.
        """
        engine = cls(config)
        arrays, names, engine._clock = engine_snapshot.unpack(engine._config_numbers(), engine._parameters, state)
        engine._arrays = arrays
        arrays.keys[: len(names)] = names.ids
        arrays.names[: len(names)] = hashes_of(names)
        rebuild_table(arrays)
        engine._index = SeriesIndex(names)
        arrays.series["floor"][: len(names)] = engine._index.floors()
        return engine

    def _config_numbers(self) -> FloatArray:
        return np.array([float(value) for value in self._parameters])

    def _run(self, batch: "_Batch", known: Arrivals, blocks: ClosedTicks) -> None:
        clock, peaks = self._clock, known.watermark
        position = 0
        while position < peaks.size:
            closing = int(self._arrays.counters[NEXT_BIN]) * self._parameters.step_us + self._parameters.lateness_us
            end = max(position, int(peaks.searchsorted(closing, side="right")))
            if end > position:
                self._apply(batch, RowSpan(position, end))
                clock.watermark_us = int(peaks[end - 1])
                clock.available_us = max(clock.available_us, int(known.available[end - 1]))
                position = end
            if position < peaks.size:
                self._close(self._due(int(peaks[position])), blocks)

    def _due(self, watermark_us: int) -> int:
        """Return the number of the newest tick that closes at a watermark."""
        return (watermark_us - self._parameters.lateness_us - 1) // self._parameters.step_us

    def _start(self, event_us: int) -> None:
        """Begin at the first tick at or after the first event time."""
        if not self._clock.started:
            self._clock.started = True
            self._clock.watermark_us = event_us
            self._arrays.counters[NEXT_BIN] = -(-event_us // self._parameters.step_us)

    def _apply(self, batch: "_Batch", span: RowSpan) -> None:
        reached = span.first
        while True:
            begun, reached = (
                reached,
                apply_points(self._arrays, self._parameters, batch.rows, batch.results, RowSpan(reached, span.end)),
            )
            named = self._name_new(batch, RowSpan(begun, min(reached + 1, span.end)))
            if reached == span.end:
                return
            if not named:
                self._arrays = grown(self._arrays, self._parameters)

    def _name_new(self, batch: "_Batch", span: RowSpan) -> bool:
        """Take in the names of series that are new in the span, and what follows from them; return whether there are any."""
        known, count = len(self._index), int(self._arrays.counters[SERIES_COUNT])
        if count == known:
            return False
        slots = batch.results.slot[span.first : span.end]
        new = np.flatnonzero(slots >= known) + span.first
        _, first = np.unique(batch.results.slot[new], return_index=True)
        self._arrays.series["floor"][known:count] = self._index.add(batch.names(new[first]))
        return True

    def _close(self, last: int, blocks: ClosedTicks) -> None:
        """Close the open ticks up to number `last`."""
        step_us = self._parameters.step_us
        first = int(self._arrays.counters[NEXT_BIN])
        for number in range(first, min(last, (self._clock.watermark_us + HOUR_US) // step_us) + 1):
            self._close_tick(number * step_us, blocks)
        self._arrays.counters[NEXT_BIN] = max(first, last + 1)

    def _close_tick(self, tick_us: int, blocks: ClosedTicks) -> None:
        available_us = max(tick_us + self._parameters.lateness_us, self._clock.available_us)
        count = len(self._index)
        rows = TickRows(np.empty((count, ROWS)), np.empty(count, np.int32))
        row_count = close_series(self._arrays, self._parameters, tick_us, rows, self._scratch)
        if not row_count:
            return
        slots = rows.slot[:row_count]
        blocks.series.add(tick_us, available_us, rows.features[:row_count], slots)
        sums, present = no_sums(len(self._index.services))
        add_series_rows(self._index.facts, rows.features, slots, sums, present)
        numbers = np.flatnonzero(present)
        whole = sums if numbers.size == present.size else sums[numbers]
        blocks.partials.add(tick_us, available_us, whole, numbers.astype(np.int32))


def _finite(known: Arrivals) -> Arrivals:
    if known.row >= 0:
        value = known.value[known.row]
        raise ContractError(f"value={value} in row {known.row}: the engine takes finite values only; validate the batch first")
    return known


def _checked(available_at: IntArray, count: int) -> IntArray:
    if available_at.shape != (count,):
        raise ContractError(f"available_at has shape {available_at.shape}: one time a row, ({count},), is needed")
    return available_at
