"""Columns of histograms out of the tables that kernels fill; those that break a rule become faults."""

from functools import cache

import numpy as np
import numpy.typing as npt

from serving.ingest.receive.wire.column_buffers import doubles
from serving.ingest.receive.wire.decoded import FaultColumns, Float64s, HistogramColumns
from serving.ingest.receive.wire.histogram_buckets import H_BUCKETS, H_COUNT, H_RULE, H_SERIES, H_START, H_SUM, H_TIME

Table = npt.NDArray[np.int64]


def histogram_columns(table: Table, upper: Float64s, counts: Float64s) -> HistogramColumns:
    """Return the histograms of a (7, h) table that break no rule; `upper` and `counts` hold their buckets and no others."""
    kept = table[:, table[H_RULE] == 0]
    bounds = np.zeros(kept.shape[1] + 1, np.int64)
    np.cumsum(kept[H_BUCKETS], out=bounds[1:])
    return HistogramColumns(
        kept[H_SERIES].copy(),
        kept[H_TIME].copy(),
        kept[H_START].copy(),
        doubles(kept[H_COUNT]),
        doubles(kept[H_SUM]),
        bounds,
        upper[: bounds[-1]].copy(),
        counts[: bounds[-1]].copy(),
    )


@cache
def no_histograms() -> HistogramColumns:
    """Return columns without rows, always the same ones."""
    return histogram_columns(np.empty((7, 0), np.int64), np.empty(0), np.empty(0))


def with_histogram_faults(faults: FaultColumns, table: Table) -> FaultColumns:
    """Return faults and those of the histograms of a table."""
    broken = table[:, table[H_RULE] != 0]
    if not broken.shape[1]:
        return faults
    none = np.zeros(broken.shape[1], np.int64)
    return FaultColumns(
        np.concatenate([faults.rule, broken[H_RULE].astype(np.int8)]),
        np.concatenate([faults.series, broken[H_SERIES]]),
        np.concatenate([faults.points, none]),
        np.concatenate([faults.histograms, none + 1]),
    )
