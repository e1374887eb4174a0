"""Normal levels of a series for the system deviation: size, centre and scales of its logarithm, fitted on fault-free history."""

from dataclasses import dataclass
from statistics import NormalDist
from typing import Final

import numpy as np
import numpy.typing as npt

from aiops.types import FloatArray
from data_contracts.schemas.metrics import is_load, spec_of
from models.detectors.minute_grid import metric_in

_QUANTILE: Final = 0.99
_UNITS: Final = NormalDist().inv_cdf(_QUANTILE)
_LOWEST_SHARE: Final = 0.01
_LOGARITHMIC_FROM: Final = 0.5
"""Share of the median from which on a value is measured by its logarithm: so losing all traffic is as far out as tripling it."""
BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class DeviationConfig:
    """What counts, and when it is an alarm; steps are those of the grid, or points in a stream of rows.

    `ignored_z`: deviations up to here are everyday; `full_z`: so much beyond it a series counts in full. A change of the
    logarithm by less than `least_scale` is never more than one unit. `standing_steps`: what was there all this time is not new.
    `recent_steps`: an alarm is a level above all of these. Alarm level: `full_series` series in full, or `headroom` times the
    highest level of fault-free history that was not fitted to it (the mean of both halves), whichever is higher.
    """

    ignored_z: float = 2.0
    full_z: float = 5.0
    least_scale: float = 0.1
    standing_steps: int = 60
    recent_steps: int = 4
    full_series: float = 2.0
    headroom: float = 1.5
    min_points: int = 30


@dataclass(frozen=True, slots=True)
class Levels:
    """What is normal, a series each (s,): size of a value, centre and scales of its logarithm, the worst lasting z in history."""

    size: FloatArray
    centre: FloatArray
    up: FloatArray
    down: FloatArray
    worst: FloatArray
    points: FloatArray


def may_rise(series: str) -> bool:
    """Return whether more is harmless: so it is with load. What more load does shows in latency, errors and saturation.

    >>> may_rise("cart|requests_per_second"), may_rise("cart|consumer_lag")
    (True, False)
    """
    return is_load(metric_in(series))


def may_fall(series: str) -> bool:
    """Return whether less is harmless: so it is with latency, errors and saturation.

    >>> may_fall("cart|requests_per_second"), may_fall("cart|latency_p50_ms")
    (False, True)
    """
    return spec_of(metric_in(series)).signal != "traffic"


def enough_points(values: FloatArray, config: DeviationConfig) -> BoolArray:
    """Return (series,) whether a column of `values` (steps, series) has enough known steps to be fitted."""
    return np.asarray(np.isfinite(values).sum(axis=0) >= config.min_points)


def level_of(values: FloatArray, series: str, config: DeviationConfig) -> tuple[float, float, float, float, float]:
    """Return size, centre, scale up, scale down and number of the known values of one series."""
    known = values[np.isfinite(values)]
    size = _LOGARITHMIC_FROM * (float(np.median(np.abs(known))) or float(np.abs(known).mean())) or _size_of_nothing(series)
    logs = signed_logarithm(known, np.full(known.size, size))
    low, centre, high = (float(number) for number in np.quantile(logs, (1.0 - _QUANTILE, 0.5, _QUANTILE)))
    up, down = max((high - centre) / _UNITS, config.least_scale), max((centre - low) / _UNITS, config.least_scale)
    return size, centre, up, down, float(known.size)


def _size_of_nothing(series: str) -> float:
    """Return the size of a value in a series that was always 0: a hundredth of the metric's range, or one unit."""
    high = spec_of(metric_in(series)).high
    return _LOWEST_SHARE * high if np.isfinite(high) else 1.0


def signed_logarithm(values: FloatArray, size: FloatArray) -> FloatArray:
    """Return sign(x) log(1 + |x| / size)."""
    with np.errstate(over="ignore"):
        logs: FloatArray = np.copysign(np.log1p(np.abs(values) / size), values)
    return logs


def values_of_logarithms(logs: FloatArray, size: FloatArray) -> FloatArray:
    """Return the values of logarithms."""
    values: FloatArray = np.copysign(np.expm1(np.abs(logs)) * size, logs)
    return values
