"""Types that every room speaks: frozen, slotted, immutable. Arrow between modules, numpy inside kernels."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import IntEnum
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
State = Mapping[str, npt.NDArray[Any]]
"""Persisted state: named arrays, never pickled."""


class PointStatus(IntEnum):
    """What became of one accepted point in the stream; counts of all kinds add up to the points in."""

    SCORED = 0
    WARMUP = 1
    DUPLICATE = 2
    TOO_LATE = 3
    TOO_MANY_SERIES = 4
    COLLISION = 5
    """Another series has the same id."""
    REPEATED = 6
    """The series has that value at that time already."""


@dataclass(frozen=True, slots=True)
class SeriesBatch:
    """Accepted points in arrival order.

    `table` has schema `data_contracts.schemas.telemetry_schemas.SERIES`: timestamp[us, UTC], series_id, service, metric, labels
    (dictionary-encoded), value.
    """

    table: pa.RecordBatch

    def __len__(self) -> int:
        return int(self.table.num_rows)


@dataclass(frozen=True, slots=True, eq=False)
class RequestRows:
    """Log lines (`LOGS`) and spans (`SPANS`), each in order of time. A line is available at once, a span at its end."""

    logs: pa.Table
    spans: pa.Table


@dataclass(frozen=True, slots=True)
class HistorySplit:
    """What of a source is history (to fit on) and what is replayed: two half-open windows [start, end), aware UTC.

    The replay may lie before the history (a fault-free evening after a day of faults). Where series have a history each,
    the windows overlap and `history_ends` says per metric where its history ends: a row of such a metric in both windows
    is history before that time and replay from it on.
    """

    history_start: datetime
    history_end: datetime
    replay_start: datetime
    replay_end: datetime
    history_ends: Mapping[str, datetime] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Scorecard:
    """Figures of one model on one replay, each beside its trivial baseline where one exists.

    `metrics` holds plain floats by name (e.g. "pr_auc", "base_rate", "recall_at_budget", "latency_p99_ms").
    """

    model: str
    version: str
    metrics: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class GateDecision:
    """Outcome of a promotion gate: what was decided, why, on which figures."""

    promoted: bool
    reason: str
    challenger: Scorecard
    champion: Scorecard | None
    checks: Mapping[str, bool] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ModelVersion:
    """One registered version of one model with its aliases."""

    name: str
    version: str
    aliases: tuple[str, ...]
    run_id: str
    created_at: datetime
    tags: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class ReadStatistics:
    """What reads of online features met so far, by view; one count is one entity asked."""

    missing_total: Mapping[str, int]
    """Entities that the view does not hold."""
    stale_total: Mapping[str, int]
    """Entities whose row is older than the view's TTL: answered as unknown."""
    freshness_s: Mapping[str, float]
    """Age of the newest row in the last read that found any, seconds; a view never found is absent."""
