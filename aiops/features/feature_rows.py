"""From the numbers of closed ticks to Arrow rows, columns at a time."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from aiops.features.name_table import NameTable
from aiops.features.series_index import SeriesIndex
from aiops.jit import bare
from aiops.types import FloatArray, IntArray
from data_contracts.schemas.telemetry_schemas import (
    SERIES_FEATURES_TABLE,
    SERVICE_FEATURES_TABLE,
    TIMESTAMP,
)

Blocks = tuple[list[int], list[int], list[FloatArray], "list[npt.NDArray[np.int32]]"]


@dataclass(slots=True)
class TickBlocks:
    """Numbers of the ticks closed so far: one entry a tick in every list."""

    tick_us: list[int] = field(default_factory=list)
    available_us: list[int] = field(default_factory=list)
    features: list[FloatArray] = field(default_factory=list)
    numbers: list[npt.NDArray[np.int32]] = field(default_factory=list)

    def add(self, tick_us: int, available_us: int, features: FloatArray, numbers: npt.NDArray[np.int32]) -> None:
        """Add one tick: features (n, columns), numbers of series or services (n,)."""
        self.tick_us.append(tick_us)
        self.available_us.append(available_us)
        self.features.append(features)
        self.numbers.append(numbers)

    def ticks(self) -> "Blocks":
        """Return tick, time of availability, features and numbers of every tick."""
        return self.tick_us, self.available_us, self.features, self.numbers

    def times(self) -> "list[pa.Array[Any]]":
        """Return the columns event_timestamp and available_at."""
        sizes = self.sizes()
        return [_timestamps(self.tick_us, sizes), _timestamps(self.available_us, sizes)]

    @property
    def num_rows(self) -> int:
        """Return the rows of all ticks."""
        return sum(numbers.size for numbers in self.numbers)

    def sizes(self) -> list[int]:
        """Return the rows of every tick."""
        return [numbers.size for numbers in self.numbers]

    def taken(self, places: IntArray) -> "TickBlocks":
        """Return some rows (ascending) as blocks, these blocks themselves where that is all of them."""
        if places.size == self.num_rows:
            return self
        cuts = np.searchsorted(places, np.cumsum([0, *self.sizes()]))
        chosen = TickBlocks()
        begin = 0
        for tick, (first, end) in enumerate(pairwise(cuts.tolist())):
            if end > first:
                rows = _place_in(places[first:end] - begin)
                chosen.add(self.tick_us[tick], self.available_us[tick], self.features[tick][rows], self.numbers[tick][rows])
            begin += self.numbers[tick].size
        return chosen

    @classmethod
    def joined(cls, parts: "Sequence[TickBlocks]") -> "TickBlocks":
        """Return the ticks of all parts, in their order."""
        whole = cls()
        for part in parts:
            for rows in zip(*part.ticks(), strict=True):
                whole.add(*rows)
        return whole

    def all_numbers(self) -> npt.NDArray[np.int32]:
        """Return the numbers of all rows."""
        return np.concatenate(self.numbers) if self.numbers else np.zeros(0, np.int32)

    def values(self, count: int) -> "list[pa.Array[Any]]":
        """Return the first `count` feature columns; NaN stays NaN."""
        if not self.features:
            return [pa.array([], pa.float64())] * count
        columns = np.empty((count, self.num_rows))
        begin = 0
        for block in self.features:
            columns[:, begin : begin + len(block)] = block[:, :count].T
            begin += len(block)
        whole = pa.array(columns.reshape(-1))
        return [whole.slice(number * begin, begin) for number in range(count)]


class ClosedTicks(NamedTuple):
    """What the ticks closed so far hold of series, and the sums over the series of a service."""

    series: TickBlocks
    partials: TickBlocks

    @classmethod
    def none(cls) -> "ClosedTicks":
        """Return the blocks of no tick."""
        return cls(TickBlocks(), TickBlocks())


class DeferredRows:
    """Rows of closed ticks, by tick, then by first arrival of what they are of: a batch when it is asked for.

    Many are never asked for: only the newest of a series are written to the online store.
    """

    def __init__(
        self, blocks: TickBlocks, schema: pa.Schema, index: object, names: "Callable[[pa.Array[Any]], list[pa.Array[Any]]]"
    ) -> None:
        """`names`: the columns between times and features, by number in `index`; `schema`: of the batch."""
        self._blocks = blocks
        self._schema = schema
        self._index = index
        self._names = names
        self._batch: pa.RecordBatch | None = None

    @property
    def num_rows(self) -> int:
        """Return how many there are."""
        return self._blocks.num_rows

    @property
    def batch(self) -> pa.RecordBatch:
        """Return the rows; the same object in every call."""
        if self._batch is None:
            self._batch = self._built(self._blocks)
        return self._batch

    def take(self, places: IntArray) -> pa.RecordBatch:
        """Return some rows, ascending."""
        return self._built(self._blocks.taken(places))

    def chosen(self, places: IntArray) -> "DeferredRows":
        """Return some rows, ascending, that are deferred, too."""
        return DeferredRows(self._blocks.taken(places), self._schema, self._index, self._names)

    @property
    def source(self) -> object:
        """Return what holds the names: rows of one source can be put together."""
        return self._index

    @classmethod
    def joined(cls, parts: "Sequence[DeferredRows]") -> "DeferredRows":
        """Return the rows of all parts, one at least, of the same schema and source, in their order."""
        first = parts[0]
        return cls(TickBlocks.joined([part._blocks for part in parts]), first._schema, first._index, first._names)

    def columns(self) -> "dict[str, pa.Array[Any]]":
        """Return the columns by name."""
        return dict(zip(self._schema.names, self._columns(self._blocks), strict=True))

    def newest(self) -> "DeferredRows":
        """Return the last row of everything that they are of, in order of their places; these rows themselves where it is all."""
        if len(self._blocks.numbers) <= 1:
            return self
        numbers = self._blocks.all_numbers()
        last = np.full(1 + int(numbers.max(initial=-1)), -1, np.int64)
        last[numbers] = np.arange(numbers.size)  # of one that occurs again the last place is kept
        return self.chosen(np.sort(last[last >= 0]))

    def covers(self, earlier: "DeferredRows") -> bool:
        """Return whether each row of `earlier` has a later one here, of the same series or service of the same engine."""
        if self._index is not earlier._index or self._schema is not earlier._schema:
            return False
        mine, theirs = self._blocks.all_numbers(), earlier._blocks.all_numbers()
        if not theirs.size:
            return True
        known = np.zeros(1 + int(max(mine.max(initial=0), theirs.max())), np.bool_)
        known[mine] = True
        return bool(known[theirs].all())

    def ticks_us(self) -> IntArray:
        """Return the tick of every row, us."""
        return np.repeat(np.array(self._blocks.tick_us, dtype=np.int64), self._blocks.sizes())

    def numbers(self) -> IntArray:
        """Return the number of what every row is of."""
        return self._blocks.all_numbers().astype(np.int64)

    def features(self, columns: Sequence[int]) -> FloatArray:
        """Return some features of every row, (n, len(columns)); there is one row at least."""
        chosen, out = np.array(columns, np.int64), np.empty((self.num_rows, len(columns)))
        begin = 0
        for block in self._blocks.features:
            take_columns(block, chosen, out[begin : begin + len(block)])
            begin += len(block)
        return out

    def _built(self, blocks: TickBlocks) -> pa.RecordBatch:
        return pa.RecordBatch.from_arrays(self._columns(blocks), schema=self._schema)

    def _columns(self, blocks: TickBlocks) -> "list[pa.Array[Any]]":
        names = self._names(pa.array(blocks.all_numbers(), pa.int32()))
        return [*blocks.times(), *names, *blocks.values(len(self._schema) - 2 - len(names))]


def _place_in(rows: IntArray) -> IntArray | slice:
    """Return rows, ascending, as a range where none between is missing: taken so, arrays are views."""
    first, last = int(rows[0]), int(rows[-1])
    return slice(first, last + 1) if last - first == rows.size - 1 else rows


@bare
def take_columns(block: FloatArray, columns: IntArray, out: FloatArray) -> None:
    """Copy some columns of a block (n, m) to out (n, k)."""
    for row in range(len(block)):
        for number in range(columns.size):
            out[row, number] = block[row, columns[number]]


def series_rows(blocks: TickBlocks, index: SeriesIndex) -> DeferredRows:
    """Return rows of schema `SERIES_FEATURES_TABLE`."""
    return DeferredRows(blocks, SERIES_FEATURES_TABLE, index, index.columns_of)


def service_rows(blocks: TickBlocks, services: NameTable) -> DeferredRows:
    """Return rows of schema `SERVICE_FEATURES_TABLE`."""
    return DeferredRows(blocks, SERVICE_FEATURES_TABLE, services, lambda numbers: [services.column().take(numbers)])


def _timestamps(values_us: list[int], sizes: list[int]) -> "pa.Array[Any]":
    return pa.array(np.repeat(np.array(values_us, dtype=np.int64), np.array(sizes, dtype=np.int64))).view(TIMESTAMP)
