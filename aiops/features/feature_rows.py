"""From the numbers of closed ticks to Arrow rows, columns at a time."""

from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from aiops.features.series_index import SeriesIndex
from aiops.types import FloatArray
from data_contracts.schemas.telemetry_schemas import (
    SERIES_FEATURES,
    SERIES_FEATURES_TABLE,
    SERVICE_FEATURES,
    SERVICE_FEATURES_TABLE,
    TIMESTAMP,
)


@dataclass(slots=True)
class TickBlocks:
    """Numbers of the ticks closed so far: one entry a tick in every list."""

    tick_us: list[int] = field(default_factory=list)
    available_us: list[int] = field(default_factory=list)
    features: list[FloatArray] = field(default_factory=list)
    numbers: list[npt.NDArray[np.int32]] = field(default_factory=list)

    def add(self, tick_us: int, available_us: int, features: FloatArray, numbers: npt.NDArray[np.int32]) -> None:
        """Add one tick: features (columns, n), numbers of series or services (n,)."""
        self.tick_us.append(tick_us)
        self.available_us.append(available_us)
        self.features.append(features)
        self.numbers.append(numbers)

    def times(self) -> "list[pa.Array[Any]]":
        """Return the columns event_timestamp and available_at."""
        sizes = [numbers.size for numbers in self.numbers]
        return [_timestamps(self.tick_us, sizes), _timestamps(self.available_us, sizes)]

    def indices(self) -> "pa.Array[Any]":
        """Return the numbers of all rows."""
        return pa.array(np.concatenate(self.numbers) if self.numbers else np.zeros(0, np.int32), pa.int32())

    def values(self, count: int) -> "list[pa.Array[Any]]":
        """Return the first `count` feature columns; NaN stays NaN."""
        if not self.features:
            return [pa.array([], pa.float64())] * count
        block = (
            self.features[0][:count] if len(self.features) == 1 else np.concatenate([f[:count] for f in self.features], axis=1)
        )
        return [pa.array(row) for row in block]


class ClosedTicks(NamedTuple):
    """What the ticks closed so far hold of series and of services."""

    series: TickBlocks
    services: TickBlocks

    @classmethod
    def none(cls) -> "ClosedTicks":
        """Return the blocks of no tick."""
        return cls(TickBlocks(), TickBlocks())


def series_rows(blocks: TickBlocks, index: SeriesIndex) -> pa.RecordBatch:
    """Return rows of schema `SERIES_FEATURES_TABLE`, by tick, then by first arrival of the series."""
    slots = blocks.indices()
    names = [column.take(slots) for column in index.columns()]
    columns = [*blocks.times(), *names, *blocks.values(len(SERIES_FEATURES))]
    return pa.RecordBatch.from_arrays(columns, schema=SERIES_FEATURES_TABLE)


def service_rows(blocks: TickBlocks, index: SeriesIndex) -> pa.RecordBatch:
    """Return rows of schema `SERVICE_FEATURES_TABLE`, by tick, then by first arrival of the service."""
    names = pa.array(index.services.names, pa.string()).take(blocks.indices())
    columns = [*blocks.times(), names, *blocks.values(len(SERVICE_FEATURES))]
    return pa.RecordBatch.from_arrays(columns, schema=SERVICE_FEATURES_TABLE)


def _timestamps(values_us: list[int], sizes: list[int]) -> "pa.Array[Any]":
    return pa.array(np.repeat(np.array(values_us, dtype=np.int64), np.array(sizes, dtype=np.int64)), pa.int64()).cast(TIMESTAMP)
