"""Telemetry of many series as one grid: a row a step of time, a column a series, NaN where nothing was measured.

Replicas of a service are one series (the mean of those that report), so that a restart under a new name goes on. Where callers
and callees both time a call, their difference is a series too: what the network between them costs, which neither service's own
metrics show.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import pyarrow as pa

from aiops.errors import ContractError
from aiops.features.series_index import distinct_series
from aiops.types import FloatArray, IntArray, SeriesBatch
from data_contracts.series.tenant import DEFAULT_TENANT
from data_contracts.series.text import series_of, series_text

STEP_S: Final = 60
CALLER_SIDE: Final = "call_source_"
CALLEE_SIDE: Final = "call_destination_"
BETWEEN: Final = "call_network_"
_REPLICA: Final = frozenset({"pod", "instance"})
_MAX_STEPS: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class MinuteGrid:
    """`values` (steps, len(series)); row i covers [first_us + i step, + step); `series` ("service|metric") ascending."""

    first_us: int
    step_s: int
    series: tuple[str, ...]
    values: FloatArray

    @property
    def times_us(self) -> IntArray:
        """Return (steps,) the beginning of each step, microseconds since 1970."""
        return self.first_us + np.arange(len(self.values), dtype=np.int64) * (self.step_s * 1_000_000)

    def within(self, start_us: int, end_us: int) -> "MinuteGrid":
        """Return the steps that begin in [start_us, end_us); possibly none."""
        times = self.times_us
        rows = np.flatnonzero((times >= start_us) & (times < end_us))
        first = int(times[rows[0]]) if rows.size else start_us
        return MinuteGrid(first, self.step_s, self.series, self.values[rows])


def texts_and_codes(batch: SeriesBatch) -> tuple[list[str], IntArray]:
    """Return the distinct series of a batch as people read them, and each row's number among them (n,)."""
    names, code = distinct_series(batch.table)
    return [name.text for name in names], code


def metric_in(series: str) -> str:
    """Return the metric, without labels, of a series as people read it.

    >>> metric_in('shop/cart|requests{code="500"}')
    'requests'
    """
    return series_of(series, DEFAULT_TENANT).metric


def merged_name(series: str) -> str:
    """Return a series, as people read it, without the labels that tell replicas apart.

    >>> merged_name('shop|call_source_latency_s{callee="cart",pod="shop-1"}')
    'shop|call_source_latency_s{callee="cart"}'
    >>> merged_name('shop|cpu{pod="shop-1"}')
    'shop|cpu'
    """
    if "{" not in series:
        return series
    key = series_of(series, DEFAULT_TENANT)
    return series_text(replace(key, labels=tuple(label for label in key.labels if label[0] not in _REPLICA)))


def grid_of(batches: Sequence[SeriesBatch], step_s: int = STEP_S) -> MinuteGrid:
    """Return accepted points, in any order, as a grid from the first step to the last; several in one cell give their mean.

    Raises:
        ContractError: there is no point, or the times span more than a million steps.
    """
    places: dict[str, int] = {}
    columns, steps, values = [], [], []
    for batch in batches:
        names, code = texts_and_codes(batch)
        place = np.array([places.setdefault(merged_name(name), len(places)) for name in names], dtype=np.int64)
        columns.append(place[code])
        steps.append(np.asarray(batch.table.column("timestamp").cast(pa.int64())) // (step_s * 1_000_000))
        values.append(np.asarray(batch.table.column("value"), dtype=np.float64))
    step = np.concatenate(steps) if steps else np.empty(0, dtype=np.int64)
    if not step.size:
        raise ContractError(
            "telemetry: holds no accepted point; a grid needs at least one: check the source and what it rejected"
        )
    first, count = int(step.min()), int(step.max() - step.min()) + 1
    if count > _MAX_STEPS:
        raise ContractError(f"telemetry: spans {count} steps of {step_s} s; at most {_MAX_STEPS} fit: give a shorter time range")
    cells = (step - first) * len(places) + np.concatenate(columns)
    means = _cell_means(cells, np.concatenate(values), count * len(places)).reshape(count, len(places))
    series = tuple(places)
    return _sorted(*_with_network(series, means), first * step_s * 1_000_000, step_s)


def _cell_means(cells: IntArray, values: FloatArray, size: int) -> FloatArray:
    """Return (size,) the mean of the values in each cell, NaN in empty ones; the same in any order of points."""
    order = np.lexsort((values, cells))
    occupied, first, counts = np.unique(cells[order], return_index=True, return_counts=True)
    means = np.full(size, np.nan)
    means[occupied] = np.add.reduceat(values[order], first) / counts
    return means


def _with_network(series: tuple[str, ...], values: FloatArray) -> tuple[tuple[str, ...], FloatArray]:
    """Return series and values with caller's minus callee's time of each call that both measured."""
    place = {name: column for column, name in enumerate(series)}
    pairs = [
        (name.replace(f"|{CALLER_SIDE}", f"|{BETWEEN}", 1), column, other)
        for name, column in place.items()
        if f"|{CALLER_SIDE}" in name
        and (other := place.get(name.replace(f"|{CALLER_SIDE}", f"|{CALLEE_SIDE}", 1))) is not None
        and name.replace(f"|{CALLER_SIDE}", f"|{BETWEEN}", 1) not in place
    ]
    if not pairs:
        return series, values
    between = np.column_stack([values[:, caller] - values[:, callee] for _, caller, callee in pairs])
    return (*series, *(name for name, _, _ in pairs)), np.hstack([values, between])


def _sorted(series: tuple[str, ...], values: FloatArray, first_us: int, step_s: int) -> MinuteGrid:
    order = sorted(range(len(series)), key=lambda column: series[column])
    return MinuteGrid(first_us, step_s, tuple(series[column] for column in order), np.ascontiguousarray(values[:, order]))
