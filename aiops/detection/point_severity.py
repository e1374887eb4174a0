"""How severe points are, and their bounds, by the alarm levels of their series: one pass over the points, as a kernel.

Severity = |z| / alarm_z; that of a value outside its static limits is above every z. NaN where the score is unknown and the value
inside its limits, and where the engine did not take the point. Points of an excursion that has not lasted yet have an alarm z
that they do not reach; their bounds are those of the series. Those of series that never alarm are the default's.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from aiops.detection.levels import DEFAULT_ALARM_Z, NO_ALARM_Z
from aiops.detection.worst_point import BRIEF, OUTSIDE_LIMITS
from aiops.features.series_state import SCORED, WARMUP
from aiops.jit import bare
from aiops.types import FloatArray


class ScoredPoints(NamedTuple):
    """Points as the engine scored them, (n,) each: aiops.types.PointStatus, slot of the series (-1 = none), value and score."""

    status: npt.NDArray[np.int8]
    slot: npt.NDArray[np.int32]
    value: FloatArray
    z: FloatArray
    expected: FloatArray
    scale: FloatArray
    brief: npt.NDArray[np.bool_]  # of an excursion that has not lasted yet


class Severities(NamedTuple):
    """Of the same points, (n,) each: |z| that raises the alarm, bounds, severity."""

    alarm_z: FloatArray
    lower: FloatArray
    upper: FloatArray
    severity: FloatArray


def severities_of(points: ScoredPoints, levels: FloatArray) -> Severities:
    """Return how severe points are; `levels` (3, series): alarm |z|, lowest and highest normal value by slot. O(n)."""
    made = Severities(*(np.empty(points.value.size) for _ in Severities._fields))
    write_severities(points, levels, made)
    return made


@bare
def write_severities(points: ScoredPoints, levels: FloatArray, out: Severities) -> None:
    """Do as `severities_of`; a point without a series has any levels."""
    last = levels.shape[1] - 1
    for i in range(points.value.size):
        slot = np.uint64(points.slot[i] if points.slot[i] >= 0 else last)
        alarm_z, low, high = levels[0, slot], levels[1, slot], levels[2, slot]
        value, expected = points.value[i], points.expected[i]
        reach = (alarm_z if alarm_z < NO_ALARM_Z else DEFAULT_ALARM_Z) * points.scale[i]
        out.lower[i] = np.fmax(expected - reach, low)
        out.upper[i] = np.fmin(expected + reach, high)
        if points.brief[i]:
            alarm_z = np.fmax(alarm_z, abs(points.z[i]) / BRIEF)
        out.alarm_z[i] = alarm_z
        severity = np.divide(abs(points.z[i]), alarm_z)
        if points.status[i] != SCORED and points.status[i] != WARMUP:
            severity = np.nan
        elif value < low or value > high:
            severity = (severity if severity >= 0.0 else 0.0) + OUTSIDE_LIMITS
        out.severity[i] = severity
