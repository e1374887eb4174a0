"""What the riskiest series are expected to do until the end of the horizon, by the same choice of a model as seasonal bands."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import numpy as np
import pyarrow as pa

from aiops.features.bands import ESTABLISHED, SeriesBands, band_at
from aiops.settings.tree import Settings
from data_contracts.values.moments import microseconds_of
from models.season.seasonal_choice import FitBudget, choose_bands
from orchestration.pipeline.band_choice import all_rivals
from orchestration.pipeline.bands import season_config
from orchestration.pipeline.forecast import ExpectedCourse, SeriesForecast, series_points

SERIES: Final = 5
"""Riskiest series whose course is expected: 0.1 to 5 s each."""
_MINUTE_US: Final = 60_000_000


def with_courses(telemetry: pa.Table, forecasts: Sequence[SeriesForecast], settings: Settings) -> list[SeriesForecast]:
    """Return the forecasts, the riskiest `SERIES` of them that are not above their limit with what they are expected to do."""
    asked = {entry.series for entry in _riskiest(forecasts)}
    points = {name.text: series for name, series in series_points(telemetry) if name.text in asked}
    budget = FitBudget(settings.seasonal.rivals_s, settings.seasonal.rival_fit_s)
    plain = season_config(settings)
    completed = []
    for entry in forecasts:
        if entry.series in asked:
            config = replace(plain, horizon_s=round(entry.horizon_min * 60) + plain.slot_s)
            begin_us = microseconds_of(entry.at) + 1
            choice = choose_bands(points[entry.series], begin_us, config, all_rivals(settings), budget)
            completed.append(replace(entry, course=_course(choice.bands, entry)))
        else:
            completed.append(entry)
    return completed


def _riskiest(forecasts: Sequence[SeriesForecast]) -> list[SeriesForecast]:
    return [entry for entry in forecasts if entry.probability is not None and not entry.breached][:SERIES]


def _course(bands: SeriesBands, entry: SeriesForecast) -> ExpectedCourse:
    if bands.status != ESTABLISHED:
        return ExpectedCourse(bands.model, bands.status)
    ends_us = bands.starts_us + round(entry.horizon_min * _MINUTE_US)
    expected, lower, upper = (float(line[0]) for line in band_at(bands, np.array([ends_us])))
    if not np.isfinite(expected):
        return ExpectedCourse(bands.model, "the history holds no such hour of such a day")
    minutes = np.arange(1, int(entry.horizon_min) + 1)
    line = band_at(bands, bands.starts_us + minutes * _MINUTE_US)[0]
    above = np.flatnonzero(line > entry.limit)
    crosses = float(minutes[above[0]]) if above.size else None
    return ExpectedCourse(bands.model, bands.status, expected, lower, upper, crosses)
