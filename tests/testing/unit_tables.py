"""Made-up units of many nameless metrics that move together by the time of the day, and their points."""

import numpy as np
import pyarrow as pa

from aiops.types import FloatArray, SeriesBatch
from data_contracts.series.tenant import DEFAULT_TENANT
from data_contracts.telemetry.series_rows import PointColumns, points_of

STEP_S = 300
DAY_ROWS = 288
START_US = 1_700_006_400_000_000


def daily(days: int, metrics: int = 8, seed: int = 0) -> FloatArray:
    """Return (days * 288, metrics) values every 5 min: a wave of a day, each metric with a size, a share of it and noise."""
    rng = np.random.default_rng(seed)
    rows = days * DAY_ROWS
    wave = np.sin(2.0 * np.pi * np.arange(rows) / DAY_ROWS)
    size, share = np.geomspace(0.01, 1e6, metrics), np.linspace(0.0, 1.0, metrics)
    return np.asarray(size * (5.0 + np.outer(wave, share) + 0.1 * rng.normal(size=(rows, metrics))))


def batch_of_unit(values: FloatArray, first_row: int = 0, service: str = "unit") -> SeriesBatch:
    """Return the points of rows of a unit, row by row; NaN is left as it is."""
    rows, metrics = values.shape
    times = START_US + (first_row + np.repeat(np.arange(rows), metrics)) * STEP_S * 1_000_000
    names = pa.array([f"m{number:02}" for number in range(metrics)] * rows)
    services = pa.array([service] * (rows * metrics))
    return SeriesBatch(points_of(PointColumns(pa.array(times), services, names, pa.array(values.ravel())), DEFAULT_TENANT))
