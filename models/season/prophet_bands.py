"""Prophet: the course of business signals (seasons, holidays, change points), and when a series reaches its limit.

The only module that imports Prophet. Its trend changes and holidays are what the seasonal profile does not know; bounds come
from its errors on held-out days (`rolling_origin`), for Prophet's own interval is that of slot medians, not of points.
Source: Taylor & Letham 2018, Forecasting at Scale, The American Statistician 72(1).
"""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from aiops.types import FloatArray, IntArray
from data_contracts.values.moments import moment_of_us
from models.season.seasonal_kernels import slot_grid
from models.season.seasonal_profile import DAY_US, SeriesPoints

if TYPE_CHECKING:
    import pandas as pd

MODEL: Final = "prophet"
_SLOT_US: Final = 1_800_000_000
_WEEKLY_DAYS: Final = 7.5
_STIFF: Final = 0.01
"""Prior of the trend's changes: a stiff trend foresees the next days better than one that bends to the last weekend."""
_CALM: Final = 1.0
"""Prior of the seasons, which few days must teach."""
_SAMPLES: Final = 200
_CHANGE_POINTS: Final = 15


@dataclass(frozen=True, slots=True)
class ProphetConfig:
    """`country`: its public holidays count as days of their own ("" = none); `seed` of intervals."""

    country: str = ""
    seed: int = 7


@dataclass(frozen=True, slots=True)
class ProphetCourse:
    """Prophet as a model of a series' course: one fit of 0.05 to 0.2 s."""

    config: ProphetConfig
    name: str = MODEL

    def predict(self, known: SeriesPoints, times: IntArray, log: bool) -> FloatArray:
        """Return expected values (n,) at times (n,) after the points, ascending; logarithms where `log`."""
        return _predict(_fit(known, log, self.config), times)


@dataclass(frozen=True, slots=True)
class CapacityForecast:
    """When a series reaches `limit`: by its expected course, and earliest and latest by the interval; None = not in time."""

    series: str
    limit: float
    level: float
    crosses_at: datetime | None
    earliest: datetime | None
    latest: datetime | None
    reason: str


def forecast_capacity(points: SeriesPoints, at_us: int, limit: float, days: float, prophet: ProphetConfig) -> CapacityForecast:
    """Return when the series reaches `limit` from below within `days` days; deterministic by the seed.

    The interval is Prophet's 90 % one: earliest = its upper line reaches the limit, latest = its lower line does.
    """
    known = points.before(at_us, 4 * 7)
    span = (known.time_us[-1] - known.time_us[0]) / DAY_US if known.time_us.size else 0.0
    level = float(known.value[-1]) if known.value.size else float("nan")
    if span < 2.0 or np.ptp(known.value) <= 0:
        reason = f"{span:.1f} days of history that moves, 2 needed"
        return CapacityForecast(points.series, limit, level, None, None, None, reason)
    times = at_us + np.arange(round(days * 24) + 1) * 3_600_000_000
    model = _fit(known, False, prophet, samples=_SAMPLES)
    with _seeded(prophet.seed):
        ahead = model.predict(_frame(times))
    crossings = [_first(ahead[column].to_numpy() >= limit, times) for column in ("yhat", "yhat_upper", "yhat_lower")]
    crosses, earliest, latest = crossings
    reason = f"reaches {limit:g} at {crosses:%Y-%m-%d %H:%M}" if crosses else f"does not reach {limit:g} within {days:g} days"
    return CapacityForecast(points.series, limit, level, crosses, earliest, latest, reason)


def _first(reached: "np.ndarray[Any, np.dtype[np.bool_]]", times: IntArray) -> datetime | None:
    places = np.flatnonzero(reached)
    return moment_of_us(int(times[places[0]])) if places.size else None


def _fit(known: SeriesPoints, log: bool, config: ProphetConfig, samples: int = 0) -> Any:
    """Return Prophet fitted to half-hourly medians (of logarithms where `log`)."""
    with _quiet():
        from prophet import Prophet

        first = int(known.time_us[0]) // _SLOT_US * _SLOT_US
        slots = (int(known.time_us[-1]) - first) // _SLOT_US + 1
        medians = slot_grid(known.time_us, known.value, first, _SLOT_US, slots)
        present = np.isfinite(medians)
        times = first + np.arange(slots)[present] * _SLOT_US + _SLOT_US // 2
        span = (known.time_us[-1] - known.time_us[0]) / DAY_US
        model = Prophet(
            daily_seasonality=True,
            weekly_seasonality=bool(span >= _WEEKLY_DAYS),
            yearly_seasonality=False,
            n_changepoints=min(_CHANGE_POINTS, int(present.sum()) // 4),
            uncertainty_samples=samples,
            interval_width=0.9,
            changepoint_prior_scale=_STIFF,
            seasonality_prior_scale=_CALM,
        )
        if config.country:
            model.add_country_holidays(config.country)
        frame = _frame(times)
        frame["y"] = np.log(medians[present]) if log else medians[present]
        model.fit(frame, seed=config.seed)
    return model


def _predict(model: Any, times: IntArray) -> FloatArray:
    """Return the expected values at times (n,), on the line between half hours."""
    first = int(times[0]) // _SLOT_US * _SLOT_US
    grid = np.arange(first, int(times[-1]) + 2 * _SLOT_US, _SLOT_US)
    with _quiet():
        line = model.predict(_frame(grid))["yhat"].to_numpy()
    expected: FloatArray = np.interp(times, grid, line)
    return expected


def _frame(times: IntArray) -> "pd.DataFrame":
    import pandas as pd

    return pd.DataFrame({"ds": pd.to_datetime(times, unit="us")})


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence what Prophet and cmdstanpy log of every fit, and what pandas warns of inside them."""
    loggers = [logging.getLogger(name) for name in ("cmdstanpy", "prophet", "prophet.plot")]
    before = [(logger.level, logger.disabled) for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
        logger.disabled = True
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, (level, disabled) in zip(loggers, before, strict=True):
            logger.setLevel(level)
            logger.disabled = disabled


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """Draw Prophet's intervals, which come from numpy's global state, from a seed; the state is put back."""
    before = np.random.get_state()  # noqa: NPY002 - Prophet draws from it
    np.random.seed(seed)  # noqa: NPY002
    try:
        with _quiet():
            yield
    finally:
        np.random.set_state(before)  # noqa: NPY002
