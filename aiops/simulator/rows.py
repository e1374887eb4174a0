"""From values to rows: blocks become Arrow tables in order of time, service and metric; gaps leave out, dirt adds bad rows."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from aiops.simulator.effects import METRICS
from aiops.simulator.noise import BLOCK_STEPS, Grid
from aiops.simulator.simulation_config import DIRTY_KINDS, DirtyKind
from aiops.simulator.streams import Stream, generator
from aiops.types import FloatArray, IntArray
from data_contracts.schemas.metrics import CATALOGUE
from data_contracts.schemas.telemetry_schemas import NAME, TIMESTAMP

NAN, INFINITE, OUT_OF_RANGE, FUTURE, DUPLICATE, EMPTY_NAME = range(len(DIRTY_KINDS))
_FUTURE_US: Final = 36_525 * 86_400_000_000
_CODES: Final = pa.int32()
_CODED: Final = pa.dictionary(_CODES, NAME)

ROWS: Final = pa.schema(
    [
        pa.field("timestamp", TIMESTAMP, nullable=False),
        pa.field("service", _CODED, nullable=False),
        pa.field("metric", _CODED, nullable=False),
        pa.field("value", pa.float64(), nullable=False),
    ]
)
"""The required columns of `data_contracts.schemas.telemetry_schemas.TELEMETRY`, names dictionary-encoded."""

BoolArray = npt.NDArray[np.bool_]
CodeArray = npt.NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class BlockSpan:
    """Steps `first` <= step < `stop` of one block (0..BLOCK_STEPS)."""

    block: int
    first: int
    stop: int


def spans(first: int, stop: int) -> list[BlockSpan]:
    """Return the parts of all blocks that cover the steps `first` <= step < `stop` of the simulation.

    >>> spans(500, 520)
    [BlockSpan(block=0, first=500, stop=512), BlockSpan(block=1, first=0, stop=8)]
    """
    covered = []
    while first < stop:
        block, offset = divmod(first, BLOCK_STEPS)
        length = min(BLOCK_STEPS - offset, stop - first)
        covered.append(BlockSpan(block, offset, offset + length))
        first += length
    return covered


@dataclass(frozen=True, slots=True)
class RowMaker:
    """Turns blocks of values into tables; `start_us` is the time of step 0 in microseconds since the epoch."""

    services: tuple[str, ...]
    grid: Grid
    start_us: int
    gap_share: float
    dirty_share: float
    dirty_kinds: tuple[DirtyKind, ...] = DIRTY_KINDS

    def table(self, span: BlockSpan, values: FloatArray) -> pa.Table:
        """Return the rows of one span; `values` is (metrics, services, BLOCK_STEPS). Bad rows follow the row they spoil."""
        part = slice(span.first, span.stop)
        flat: FloatArray = np.ascontiguousarray(np.transpose(values[:, :, part], (2, 1, 0))).reshape(-1)
        steps, services, metrics = self._axes(span)
        picked, kinds = self._picked(span)
        if picked is not None:
            flat, steps, services, metrics = flat[picked], steps[picked], services[picked], metrics[picked]
        times: IntArray = self.start_us + (span.block * BLOCK_STEPS + steps) * (self.grid.step_s * 1_000_000)
        if kinds is not None:
            _spoil(kinds, _Columns(times, services, metrics, flat), nameless=len(self.services))
        names = pa.array([*self.services, ""] if self.dirty_share else self.services, NAME)
        columns = [
            pa.array(times, pa.int64()).cast(TIMESTAMP),
            pa.DictionaryArray.from_arrays(services, names, safe=False),
            pa.DictionaryArray.from_arrays(metrics, pa.array(METRICS, NAME), safe=False),
            pa.array(flat),
        ]
        return pa.Table.from_arrays(columns, schema=ROWS)

    def spoilt(self, span: BlockSpan) -> IntArray:
        """Return how many bad rows of each of DIRTY_KINDS the span holds, without making its values."""
        _, kinds = self._picked(span)
        if kinds is None:
            return np.zeros(len(DIRTY_KINDS), dtype=np.int64)
        return np.bincount(kinds[kinds >= 0], minlength=len(DIRTY_KINDS)).astype(np.int64)

    def _axes(self, span: BlockSpan) -> tuple[IntArray, CodeArray, CodeArray]:
        """Return step, service and metric of every possible row, in the order of emission."""
        length, services, metrics = span.stop - span.first, len(self.services), len(METRICS)
        steps = np.repeat(np.arange(span.first, span.stop, dtype=np.int64), services * metrics)
        service = np.tile(np.repeat(np.arange(services, dtype=np.int32), metrics), length)
        return steps, service, np.tile(np.arange(metrics, dtype=np.int32), length * services)

    def _picked(self, span: BlockSpan) -> tuple[IntArray | None, IntArray | None]:
        """Return the rows to emit (None = all, once) and the kind of dirt of each (-1 = good; None = all good)."""
        if self.gap_share == 0.0 and self.dirty_share == 0.0:
            return None, None
        part = slice(span.first, span.stop)
        rows = np.arange((span.stop - span.first) * len(self.services) * len(METRICS), dtype=np.int64)
        if self.gap_share > 0.0:
            present: BoolArray = np.transpose(self.grid.present(span.block, self.gap_share)[:, :, part], (2, 1, 0))
            rows = rows[present.reshape(-1)]
        if self.dirty_share == 0.0:
            return rows, None
        return self._with_dirt(span, rows)

    def _with_dirt(self, span: BlockSpan, rows: IntArray) -> tuple[IntArray, IntArray]:
        rng = generator(self.grid.seed, Stream.DIRTY, span.block)
        width = len(self.services) * len(METRICS)
        chance = rng.random(BLOCK_STEPS * width)[span.first * width : span.stop * width][rows]
        codes = np.array([DIRTY_KINDS.index(kind) for kind in self.dirty_kinds], dtype=np.int64)
        drawn = codes[rng.integers(codes.size, size=BLOCK_STEPS * width)[span.first * width : span.stop * width][rows]]
        dirty = np.flatnonzero(chance < self.dirty_share)
        order = np.insert(np.arange(rows.size), dirty + 1, dirty)
        kinds = np.insert(np.full(rows.size, -1, dtype=np.int64), dirty + 1, drawn[dirty])
        return rows[order], kinds


@dataclass(frozen=True, slots=True)
class _Columns:
    times: IntArray
    services: CodeArray
    metrics: CodeArray
    values: FloatArray


def _spoil(kinds: IntArray, rows: _Columns, nameless: int) -> None:
    """Make each row bad in the way of its kind, in place; a duplicate is left as it is."""
    values = rows.values
    values[kinds == NAN] = np.nan
    values[kinds == INFINITE] = np.inf
    out = kinds == OUT_OF_RANGE
    bounded = np.array([np.isfinite(CATALOGUE[name].high) for name in METRICS])[rows.metrics[out]]
    values[out] = np.where(bounded, 1.5, -1.0) * (1.0 + values[out])
    rows.times[kinds == FUTURE] += _FUTURE_US
    rows.services[kinds == EMPTY_NAME] = nameless
