"""Courses by statsforecast: MSTL with an ARIMA of what its seasons leave, and a seasonal ARIMA; both on medians of hours.

The only module that imports statsforecast, inside the fits: 2 to 4 s once a process. What a fit costs is bounded by the hours of
the history and by the orders tried: no fit can be interrupted, so that a budget counts between fits (`seasonal_choice`).
Sources: Bandara, Hyndman & Bergmeir 2021, MSTL, arXiv:2107.13462; Hyndman & Khandakar 2008, Automatic time series forecasting,
Journal of Statistical Software 27(3).
"""

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from aiops.types import FloatArray, IntArray
from models.season.seasonal_kernels import slot_grid
from models.season.seasonal_profile import SeriesPoints

if TYPE_CHECKING:
    from statsforecast.models import AutoARIMA

MSTL_MODEL: Final = "mstl"
ARIMA_MODEL: Final = "auto-arima"
_HOUR_US: Final = 3_600_000_000
_DAY: Final = 24
_WEEK: Final = 7 * _DAY
_LEAST_KNOWN: Final = 0.6
"""Share of hours that must have a point: the others are filled on the line between their neighbours."""
_MOST_HOURS: Final = 28 * _DAY
_TRIED: Final = 12
"""Orders that the stepwise search of a seasonal ARIMA tries at most."""


@dataclass(frozen=True, slots=True)
class MstlCourse:
    """Season of the day, of the week where there are two, and an ARIMA of at most order (2, 1, 2) for the rest."""

    name: str = MSTL_MODEL

    def predict(self, known: SeriesPoints, times: IntArray, log: bool) -> FloatArray:
        """Return expected values (n,) at times after the points, logarithms where `log`; raises ValueError for too many gaps."""
        from statsforecast.models import MSTL

        hours = _hours_of(known, log)
        seasons = [_DAY, _WEEK] if hours.value.size >= 2 * _WEEK else [_DAY]
        return hours.ahead(MSTL(seasons, trend_forecaster=_arima(season_length=1, seasonal=False)), times)


@dataclass(frozen=True, slots=True)
class ArimaCourse:
    """A seasonal ARIMA of the day, at most (2, 1, 2)(1, 1, 1), orders by stepwise search with approximate likelihoods."""

    name: str = ARIMA_MODEL

    def predict(self, known: SeriesPoints, times: IntArray, log: bool) -> FloatArray:
        """Return expected values (n,) at times after the points, logarithms where `log`; raises ValueError for too many gaps."""
        return _hours_of(known, log).ahead(_arima(season_length=_DAY, seasonal=True), times)


@dataclass(frozen=True, slots=True, eq=False)
class _Hours:
    """Medians of hours (n,) without gaps, the first from `first_us` on."""

    value: FloatArray
    first_us: int

    def ahead(self, model: Any, times: IntArray) -> FloatArray:
        """Return what the model expects at times (n,), on the line between the middles of hours."""
        end_us = self.first_us + self.value.size * _HOUR_US
        horizon = max(1, int(times[-1] - end_us) // _HOUR_US + 2)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            mean = np.asarray(model.forecast(self.value, h=horizon)["mean"], dtype=np.float64)
        line = np.concatenate((self.value[-1:], mean))
        middles = end_us - _HOUR_US // 2 + np.arange(line.size) * _HOUR_US
        expected: FloatArray = np.interp(times, middles, line)
        return expected


def _hours_of(known: SeriesPoints, log: bool) -> _Hours:
    """Return the newest hours of the points; raises ValueError where too many of them have none."""
    last = int(known.time_us[-1]) // _HOUR_US
    first = max(int(known.time_us[0]) // _HOUR_US, last - _MOST_HOURS + 1)
    medians = slot_grid(known.time_us, known.value, first * _HOUR_US, _HOUR_US, last - first + 1)
    present = np.flatnonzero(np.isfinite(medians))
    if present.size < max(2 * _DAY, _LEAST_KNOWN * medians.size):
        raise ValueError(f"{present.size} of {medians.size} hours have points, {_LEAST_KNOWN:.0%} and 48 needed")
    value = np.interp(np.arange(medians.size), present, medians[present])
    return _Hours(np.log(value) if log else value, first * _HOUR_US)


def _arima(season_length: int, seasonal: bool) -> "AutoARIMA":
    from statsforecast.models import AutoARIMA

    return AutoARIMA(
        season_length=season_length,
        seasonal=seasonal,
        max_p=2,
        max_q=2,
        max_P=1,
        max_Q=1,
        max_d=1,
        nmodels=_TRIED,
        approximation=True,
    )
