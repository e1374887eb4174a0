"""The seasonal bands that covered a range, from the lake: at each time the one made last before it."""

from datetime import datetime, timedelta
from typing import Final

import numpy as np

from aiops.features.bands import ESTABLISHED, NO_BAND, UNSEEN, SeriesBands, band_at, status_at
from aiops.types import IntArray
from data_contracts.values.moments import moment_of_us
from serving.explore.point_buckets import seconds
from serving.explore.series_views import BandColumns
from serving.lake.port import Lake
from serving.online.seasonal_bands import bands_of

LONGEST: Final = timedelta(days=7)
"""No band is good for longer: how far before a range one is looked for."""
_COLUMNS: Final = ("series", "starts_us", "slot_s", "expected", "lower", "upper", "tail", "strength", "model", "status")


def band_columns(lake: Lake, series_id: int, grid_us: IntArray) -> BandColumns:
    """Return what was expected of a series at times (n,), ascending, in microseconds; O(bands + n)."""
    start, end = moment_of_us(int(grid_us[0])) - LONGEST, moment_of_us(int(grid_us[-1]) + 1)
    bands = _bands(lake, series_id, start, end)
    if not bands:
        return BandColumns("", NO_BAND, [], [], [], [])
    begins = np.array([band.starts_us for band in bands])
    lines = np.full((3, grid_us.size), np.nan)
    bounds = [*np.searchsorted(grid_us, begins).tolist(), grid_us.size]
    for number, band in enumerate(bands):
        chosen = slice(bounds[number], bounds[number + 1])
        lines[:, chosen] = band_at(band, grid_us[chosen])
    known = bool(np.isfinite(lines[0]).any())
    expected, lower, upper = (line.tolist() if known else [] for line in lines)
    newest = bands[-1]
    times = seconds(grid_us) if known else []
    return BandColumns(newest.model, _status(newest, known, int(grid_us[-1])), times, expected, lower, upper)


def _bands(lake: Lake, series_id: int, start: datetime, end: datetime) -> list[SeriesBands]:
    """Return the bands made for [start, end), the oldest first."""
    rows = lake.read("seasonal_bands", start, end, _COLUMNS, {"series_id": [series_id]})
    batches = rows.sort_by("starts_us").combine_chunks().to_batches()
    return [band for batch in batches for band in bands_of(batch) if band is not None]


def _status(newest: SeriesBands, known: bool, at_us: int) -> str:
    if known:
        return ESTABLISHED
    status = status_at(newest, at_us)
    return UNSEEN if status == ESTABLISHED else status
