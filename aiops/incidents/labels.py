"""Horizon labels of rows (service, time): does an incident of this service start within the next h minutes?

An incident is in progress in [starts_at, ends_at): its rows have no label, there is nothing left to foresee.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from aiops.errors import ConfigurationError
from aiops.types import FloatArray, IntArray

MINUTE_US: Final = 60_000_000
HORIZONS_MIN: Final = (5, 15, 60)
"""Horizons of the incident predictor, ascending."""


@dataclass(frozen=True, slots=True)
class HorizonLabels:
    """Labels aligned to rows."""

    labels: FloatArray
    """(n, horizons): 1 = an incident of the service starts in (t, t + horizon]; NaN while one is in progress."""
    minutes_to_start: FloatArray
    """(n,) minutes to the next start after t; inf where none follows, NaN while an incident is in progress."""


def horizon_labels(
    rows: pa.RecordBatch | pa.Table, incidents: pa.Table, horizons_min: tuple[int, ...] = HORIZONS_MIN
) -> HorizonLabels:
    """Label rows (columns service, event_timestamp) by incidents (schema `INCIDENTS`). O((rows + incidents) log incidents).

    Raises:
        ConfigurationError: a horizon is not positive.
    """
    if not horizons_min or min(horizons_min) <= 0:
        raise ConfigurationError(
            f"horizons_min={horizons_min}: one positive number of minutes or more is needed, e.g. (5, 15, 60)"
        )
    times = _times(rows, "event_timestamp")
    minutes = np.full(times.size, np.inf)
    starts, ends = _times(incidents, "starts_at"), _times(incidents, "ends_at")
    of_row, of_incident = _codes(rows, incidents)
    for code in np.unique(of_incident).tolist():
        where = np.flatnonzero(of_row == code)
        own = of_incident == code
        minutes[where] = _minutes_to_start(times[where], starts[own], ends[own])
    return of_minutes(minutes, horizons_min)


def of_minutes(minutes_to_start: FloatArray, horizons_min: tuple[int, ...]) -> HorizonLabels:
    """Return the labels that (n,) minutes to the next start mean; NaN minutes = no label.

    >>> of_minutes(np.array([10.0, np.inf, np.nan]), (5, 15)).labels.tolist()
    [[0.0, 1.0], [0.0, 0.0], [nan, nan]]
    """
    horizons = np.array(horizons_min, dtype=np.float64)
    known = (minutes_to_start[:, None] <= horizons).astype(np.float64)
    return HorizonLabels(np.where(np.isnan(minutes_to_start)[:, None], np.nan, known), minutes_to_start)


def _minutes_to_start(times: IntArray, starts: IntArray, ends: IntArray) -> FloatArray:
    order = np.argsort(starts, kind="stable")
    starts, ends = starts[order], np.maximum.accumulate(ends[order])
    begun = np.searchsorted(starts, times, side="right")
    ahead = np.append(starts.astype(np.float64), np.inf)[begun]
    running = (begun > 0) & (times < ends[np.maximum(begun - 1, 0)])
    return np.where(running, np.nan, (ahead - times) / MINUTE_US)


def _codes(rows: pa.RecordBatch | pa.Table, incidents: pa.Table) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    numbers: dict[str, int] = {}
    of_incident = [numbers.setdefault(str(name), len(numbers)) for name in incidents.column("service").to_pylist()]
    of_row = [numbers.get(str(name), -1) for name in rows.column("service").to_pylist()]
    return np.array(of_row, dtype=np.int64), np.array(of_incident, dtype=np.int64)


def _times(rows: pa.RecordBatch | pa.Table, name: str) -> IntArray:
    return np.asarray(rows.column(name).cast(pa.timestamp("us", tz="UTC")).cast(pa.int64()).to_numpy(), dtype=np.int64)
