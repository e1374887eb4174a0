"""Points with tier 1's view of them, from rows: what stage 1 hands to those who look on."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from aiops.detection.worst_point import Finding, JudgedPoints
from aiops.features.series_names import SeriesNames
from data_contracts.series.series_name import SeriesName


@dataclass(frozen=True, slots=True)
class JudgedRow:
    """One point; severity >= 1 = tier 1 raises the alarm, NaN = it has no view of it."""

    slot: int
    time_s: float
    value: float = 1.0
    severity: float = 0.1
    finding: Finding | None = None


def judged_points(series: Sequence[SeriesName], rows: Sequence[JudgedRow]) -> JudgedPoints:
    """Return points whose score is severity / 10, expected 2, bounds 1 and 3."""
    value, severity = (np.array([getattr(row, name) for row in rows]) for name in ("value", "severity"))
    level = np.ones(len(rows))
    return JudgedPoints(
        SeriesNames.of(series),
        np.array([row.slot for row in rows], dtype=np.int32),
        [name.service for name in series],
        np.array([max(row.slot, 0) for row in rows], dtype=np.int64),
        np.array([int(row.time_s * 1e6) for row in rows], dtype=np.int64),
        value,
        severity,
        level,
        severity / 10,
        2 * level,
        level,
        3 * level,
        severity,
        level,
        {place: row.finding for place, row in enumerate(rows) if row.finding is not None},
    )
