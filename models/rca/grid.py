"""Telemetry of many series on one time grid: what evidence is computed over."""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from aiops.errors import ContractError
from aiops.types import FloatArray, IntArray
from data_contracts.series.metric_texts import with_metric_texts


@dataclass(frozen=True, slots=True, eq=False)
class SeriesGrid:
    """Values (times, series), NaN = no sample; `time_us` (times,) ascending, one a step.

    `series` = (service, metric with its labels as people read them).
    """

    time_us: IntArray
    series: tuple[tuple[str, str], ...]
    values: FloatArray

    @classmethod
    def of(cls, table: pa.Table, step_s: int) -> Self:
        """Return the grid of rows (timestamp, service, metric, value, and labels where there are any).

        A row belongs to the step that its time falls into. Several rows of a series in one step become their mean.
        Memory: 8 B x steps that have a row x series.

        Raises:
            ContractError: step_s is below 1.
        """
        if step_s < 1:
            raise ContractError(f"step_s={step_s}: a grid needs steps of at least 1 s; give the sampling step of the telemetry")
        table = with_metric_texts(table)
        services, service_code = _codes(table, "service")
        metrics, metric_code = _codes(table, "metric")
        step_us = step_s * 1_000_000
        at = table["timestamp"].cast(pa.timestamp("us", tz="UTC")).cast(pa.int64()).to_numpy() // step_us
        times, row = _numbered(at)
        pairs, column = _numbered(service_code * max(1, len(metrics)) + metric_code)
        shape = (times.size, pairs.size)
        cell = row * max(1, pairs.size) + column
        count = np.bincount(cell, minlength=times.size * pairs.size)
        total = np.bincount(cell, table["value"].to_numpy(), minlength=times.size * pairs.size)
        values = np.divide(total, count, out=np.full(count.size, np.nan), where=count > 0).reshape(shape)
        names = tuple((services[pair // len(metrics)], metrics[pair % len(metrics)]) for pair in pairs.tolist())
        return cls(times * step_us, names, values)

    def between(self, start_us: int, end_us: int) -> "SeriesGrid":
        """Return the steps with start_us <= time < end_us."""
        first, last = np.searchsorted(self.time_us, (start_us, end_us)).tolist()
        return SeriesGrid(self.time_us[first:last], self.series, self.values[first:last])


def _numbered(codes: IntArray) -> tuple[IntArray, IntArray]:
    """Return the distinct codes, ascending, and each row's number among them; without sorting where they lie close together."""
    first, last = (int(codes.min()), int(codes.max())) if codes.size else (0, 0)
    if last - first > 4 * codes.size + 1024:
        distinct, number = np.unique(codes, return_inverse=True)
        return distinct.astype(np.int64), number.astype(np.int64)
    present = np.zeros(last - first + 1, dtype=np.bool_)
    present[codes - first] = True
    return np.flatnonzero(present) + first, (np.cumsum(present) - 1)[codes - first]


def _codes(table: pa.Table, column: str) -> tuple[list[str], npt.NDArray[np.int64]]:
    """Return the distinct names, ascending, and each row's number among them."""
    labels: Any = table[column].combine_chunks()
    coded = labels if pa.types.is_dictionary(labels.type) else labels.cast(pa.string()).dictionary_encode()
    names = [str(name) for name in coded.dictionary.to_pylist()]
    order = sorted(range(len(names)), key=lambda number: names[number])
    place = np.empty(len(names), dtype=np.int64)
    place[order] = np.arange(len(names))
    codes = coded.indices.to_numpy(zero_copy_only=False).astype(np.int64)
    return [names[number] for number in order], place[codes] if names else codes
