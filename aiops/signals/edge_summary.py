"""Calls of steps, summed up: counts, errors and quantiles of each caller, callee and operation."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from aiops.signals.span_rows import Mask, Names, SpanNames
from aiops.types import FloatArray, IntArray
from data_contracts.schemas.arrow_columns import column, table
from data_contracts.schemas.telemetry_schemas import TIMESTAMP

MEASURES: Final = ("client", "server", "gap")
QUANTILES: Final = (0.5, 0.99)
SPAN_EDGES: Final = table(
    "span_edges",
    1,
    column("timestamp", TIMESTAMP, meaning="start of the step"),
    column("caller", pa.string()),
    column("callee", pa.string()),
    column("operation", pa.string(), meaning="of the callee"),
    column("calls", pa.float64(), meaning="adjusted for sampling"),
    column("errors", pa.float64(), meaning="of those, at either end; adjusted for sampling"),
    column("sampled", pa.int64(), meaning="spans that were there"),
    column("timed", pa.int64(), meaning="of those, with both ends measured"),
    *(
        column(f"{measure}_p{round(100 * quantile)}_s", pa.float64(), nullable=True, unit="s", meaning="null = no such end")
        for measure in MEASURES
        for quantile in QUANTILES
    ),
)
"""Calls between services as spans show them; gap = client less server latency of one call."""


@dataclass(frozen=True, slots=True, eq=False)
class EdgeSamples:
    """Calls (n,): number of the step, codes, adjusted count, whether it failed; client length -1 = not measured, µs."""

    step: IntArray
    caller: npt.NDArray[np.int32]
    callee: npt.NDArray[np.int32]
    operation: npt.NDArray[np.int32]
    count: FloatArray
    failed: Mask
    client_us: IntArray
    server_us: IntArray

    @classmethod
    def of(cls, parts: Sequence[Self]) -> "EdgeSamples":
        """Return all calls of the parts."""
        kinds = (np.int64, np.int32, np.int32, np.int32, np.float64, np.bool_, np.int64, np.int64)
        none = tuple(np.zeros(0, kind) for kind in kinds)
        columns = (np.concatenate(column) for column in zip(none, *(part.columns() for part in parts), strict=True))
        return EdgeSamples(*columns)

    def where(self, kept: Mask) -> "EdgeSamples":
        """Return those calls that are kept."""
        return EdgeSamples(*(column[kept] for column in self.columns()))

    def columns(self) -> tuple[Any, ...]:
        """Return the columns in order."""
        return (
            self.step,
            self.caller,
            self.callee,
            self.operation,
            self.count,
            self.failed,
            self.client_us,
            self.server_us,
        )


def summary_of(samples: EdgeSamples, step_s: int, names: SpanNames) -> pa.Table:
    """Return rows of `SPAN_EDGES`, in order of step and names. O(calls x log calls), however many names are known."""
    if not len(samples.step):
        return SPAN_EDGES.empty_table()
    ends, operations = np.concatenate([samples.caller, samples.callee]), named(samples.operation, names.operations)
    services = named(ends, names.services)
    caller, callee = services.rank[: len(samples.step)], services.rank[len(samples.step) :]
    order = np.lexsort((operations.rank, callee, caller, samples.step))
    ordered = EdgeSamples(*(column[order] for column in samples.columns()))
    keys = np.stack([ordered.step, ordered.caller, ordered.callee, ordered.operation])
    begins = np.flatnonzero(np.any(np.diff(keys, axis=1, prepend=-1) != 0, axis=0))
    group = np.zeros(keys.shape[1], np.int64)
    group[begins[1:]] = 1
    group = np.cumsum(group)
    measured = ordered.client_us >= 0
    ends_us = {
        "client": np.where(measured, ordered.client_us, -1),
        "server": ordered.server_us,
        "gap": np.where(measured, ordered.client_us - ordered.server_us, -1),
    }
    columns: dict[str, Any] = {
        "timestamp": pa.array(ordered.step[begins] * step_s * 1_000_000).cast(TIMESTAMP),
        "caller": services.of(caller[order][begins]),
        "callee": services.of(callee[order][begins]),
        "operation": operations.of(operations.rank[order][begins]),
        "calls": np.bincount(group, ordered.count, len(begins)),
        "errors": np.bincount(group, ordered.count * ordered.failed, len(begins)),
        "sampled": np.bincount(group, minlength=len(begins)),
        "timed": np.bincount(group[measured], minlength=len(begins)),
    }
    for measure, length_us in ends_us.items():
        lengths = quantiles(group, length_us, ordered.count, len(begins))
        for quantile, values in zip(QUANTILES, lengths, strict=True):
            columns[f"{measure}_p{round(100 * quantile)}_s"] = pa.array(values / 1e6, mask=np.isnan(values))
    return pa.table(columns, schema=SPAN_EDGES)


@dataclass(frozen=True, slots=True, eq=False)
class RankedNames:
    """Names that occur, ascending, and of each of some codes (n,) the place of its name among them."""

    texts: "pa.Array[Any]"
    rank: IntArray

    def of(self, places: IntArray) -> "pa.Array[Any]":
        """Return the names (n,) at places among them."""
        at: Any = pa.array(places)
        return self.texts.take(at)


def named(codes: npt.NDArray[np.int32], names: Names) -> RankedNames:
    """Return the names of codes (n,). O(n log n); names that do not occur cost nothing."""
    distinct, place = np.unique(codes, return_inverse=True)
    texts = [names.texts[code] for code in distinct.tolist()]
    order = sorted(range(len(texts)), key=texts.__getitem__)
    rank = np.empty(len(texts), np.int64)
    rank[order] = np.arange(len(texts))
    return RankedNames(pa.array([texts[number] for number in order], pa.string()), rank[place])


def quantiles(group: IntArray, length_us: IntArray, count: FloatArray, groups: int) -> list[FloatArray]:
    """Return the weighted quantiles (groups,) of lengths from 0 on: the least value with at least that share of the weight."""
    known = np.flatnonzero(length_us >= 0)
    order = known[np.lexsort((length_us[known], group[known]))]
    weight = np.cumsum(count[order])
    total = np.bincount(group[order], count[order], groups)
    ends = np.cumsum(np.bincount(group[order], minlength=groups))
    before = np.concatenate([[0.0], weight])[np.concatenate([[0], ends[:-1]])] if groups else total
    values = []
    for quantile in QUANTILES:
        place = np.searchsorted(weight, before + quantile * total - 1e-9 * np.maximum(total, 1.0))
        value = np.full(groups, np.nan)
        some = total > 0
        value[some] = length_us[order][np.minimum(place[some], ends[some] - 1)]
        values.append(value)
    return values
