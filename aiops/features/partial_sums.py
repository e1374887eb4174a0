"""Partial sums: what the series of one service in one partition add to the features of the service at one tick.

`PARTIAL_WIDTH` numbers a service: for each golden signal (in the order of `metrics.SIGNALS`) how many series have a known
abnormality, its sum and its greatest, the level, how much is in it, whether a limit is known, and the slope; then for the whole
service how many series have a known abnormality, its sum, its greatest, how many are abnormal, the least minutes to a limit,
whether a point is recent; and of those that can alarm (`internals` cannot) how many have a known abnormality, and how far the
abnormal ones are beyond their bounds (`straying.weighed_excess`): the sum and the greatest. Partial sums of one
service add up (`merge`) in the order of their partitions; `service_features` makes features of them.
"""

from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from aiops.features.series_features import ABNORMALITY, ALONE, EXCESS, LAST, LONG, RECENT, SHORT, SLOPE_ERROR
from aiops.features.window_statistics import MEAN, SLOPE, STD
from aiops.jit import bare
from aiops.types import FloatArray, IntArray
from data_contracts.schemas.metrics import SIGNALS

ABNORMAL: Final = 0.5
MINUTES_TO_LIMIT_CAP: Final = 1_440.0
SIGNIFICANT_ERRORS: Final = 3.0
ERRORS_SIGNAL: Final = SIGNALS.index("errors")
SATURATION_SIGNAL: Final = SIGNALS.index("saturation")
SIGNAL_COUNT: Final = len(SIGNALS)
# columns of one signal
KNOWN, SUM, WORST, LEVEL, LEVELS, LIMITED, STEEPEST = range(7)
SIGNAL_WIDTH: Final = 7
# columns of the whole service
ALL_KNOWN, ALL_SUM, ALL_WORST, ALL_ABNORMAL, TO_LIMIT, ANY_RECENT, ALL_JUDGED, ALL_EXCESS, ALL_FARTHEST = range(
    SIGNAL_COUNT * SIGNAL_WIDTH, SIGNAL_COUNT * SIGNAL_WIDTH + 9
)
PARTIAL_WIDTH: Final = SIGNAL_COUNT * SIGNAL_WIDTH + 9
BEFORE_FARTHEST: Final = PARTIAL_WIDTH - 1
"""The width before the last number; rows of it are completed by `whole_sums`."""


class SeriesFacts(NamedTuple):
    """What does not change about series: by slot (S,) whose they are, and what follows from the metric by its number (M,)."""

    service: npt.NDArray[np.int32]  # (S,) service number
    metric: npt.NDArray[np.int32]  # (S,) metric number
    signal: IntArray  # (M,) index into metrics.SIGNALS
    limit: FloatArray  # (M,) where the resource is exhausted; NaN = no limit
    alarms: npt.NDArray[np.bool_]  # (M,) whether it can alarm


class PartialSums(NamedTuple):
    """Sums by service number, and which services have any: only those count."""

    sums: FloatArray  # (services, PARTIAL_WIDTH)
    present: npt.NDArray[np.bool_]  # (services,)


def no_sums(services: int) -> PartialSums:
    """Return the sums of no series."""
    return PartialSums(np.empty((services, PARTIAL_WIDTH)), np.zeros(services, np.bool_))


def whole_sums(sums: FloatArray) -> FloatArray:
    """Return rows of sums as they are, those of before there was ALL_FARTHEST with none beyond its bound."""
    if sums.shape[1] == BEFORE_FARTHEST:
        return np.concatenate([sums, np.zeros((len(sums), 1))], axis=1)
    return sums


@bare
def clear(sums: FloatArray) -> None:
    """Make a row of sums that of no series."""
    sums[:] = 0.0
    sums[TO_LIMIT] = np.nan
    for signal in range(SIGNAL_COUNT):
        sums[signal * SIGNAL_WIDTH + STEEPEST] = np.nan


@bare
def add_level(sums: FloatArray, signal: int, column: FloatArray, limit: float) -> None:
    """Add the level of one series to its signal."""
    base = signal * SIGNAL_WIDTH
    if signal == SATURATION_SIGNAL:
        limited = 0.0 if np.isnan(limit) else 1.0
        level = column[LAST] if np.isnan(limit) else column[LAST] / limit
        if limited > sums[base + LIMITED] or sums[base + LEVELS] == 0.0:
            sums[base + LEVEL] = level
            sums[base + LIMITED] = limited
        elif limited == sums[base + LIMITED]:
            sums[base + LEVEL] = max(sums[base + LEVEL], level)
        sums[base + LEVELS] = 1.0
    elif signal == ERRORS_SIGNAL:
        sums[base + LEVEL] = column[LAST] if sums[base + LEVELS] == 0.0 else max(sums[base + LEVEL], column[LAST])
        sums[base + LEVELS] = 1.0
    elif not np.isnan(column[SHORT + MEAN]):
        sums[base + LEVEL] += column[SHORT + MEAN]
        sums[base + LEVELS] += 1.0


@bare
def is_steeper(slope: float, steepest: float) -> bool:
    """Return whether a slope takes the place of the steepest so far (NaN = none): of two as steep the rising one."""
    size, most = abs(slope), abs(steepest)
    return not most >= size or (size == most and slope > steepest)


@bare
def add_slope(sums: FloatArray, signal: int, column: FloatArray) -> None:
    """Add the 1 h slope of one series to its signal."""
    slope, place = column[LONG + SLOPE], signal * SIGNAL_WIDTH + STEEPEST
    if np.isnan(slope):
        return
    if signal == SATURATION_SIGNAL:
        if not sums[place] >= slope:
            sums[place] = slope
        return
    size = abs(column[LONG + MEAN]) + column[LONG + STD]
    relative = slope / size if size > 0.0 else 0.0
    if is_steeper(relative, sums[place]):
        sums[place] = relative


@bare
def add_series(sums: FloatArray, signal: int, column: FloatArray, limit: float) -> None:
    """Add one series to the sums of its service."""
    base = signal * SIGNAL_WIDTH
    score = column[ABNORMALITY]
    if not np.isnan(score):
        sums[base + KNOWN] += 1.0
        sums[base + SUM] += score
        sums[base + WORST] = max(sums[base + WORST], score)
        sums[ALL_KNOWN] += 1.0
        sums[ALL_SUM] += score
        sums[ALL_WORST] = max(sums[ALL_WORST], score)
        sums[ALL_ABNORMAL] += 1.0 if score >= ABNORMAL else 0.0
    add_level(sums, signal, column, limit)
    add_slope(sums, signal, column)
    sums[ANY_RECENT] = max(sums[ANY_RECENT], column[RECENT])
    slope = column[LONG + SLOPE]
    if np.isnan(limit) or np.isnan(slope):
        return
    minutes = MINUTES_TO_LIMIT_CAP
    if column[LAST] >= limit:
        minutes = 0.0
    elif slope > 0.0 and slope > SIGNIFICANT_ERRORS * column[SLOPE_ERROR]:
        minutes = min(minutes, (limit - column[LAST]) / slope)
    if not sums[TO_LIMIT] <= minutes:
        sums[TO_LIMIT] = minutes


@bare
def add_series_rows(
    facts: SeriesFacts, features: FloatArray, slot: npt.NDArray[np.int32], sums: FloatArray, present: npt.NDArray[np.bool_]
) -> None:
    """Add the series of one tick, features (>= n, series_features.ROWS) of slots (n,), to the sums of their services."""
    of, metrics, signals, limits = facts.service, facts.metric, facts.signal, facts.limit
    for row in range(slot.size):
        service, metric = of[slot[row]], metrics[slot[row]]
        if not present[service]:
            present[service] = True
            clear(sums[service])
        add_series(sums[service], signals[metric], features[row], limits[metric])
        score = features[row, ABNORMALITY]
        if facts.alarms[metric] and not np.isnan(score):
            sums[service, ALL_JUDGED] += 1.0
            sums[service, ALL_EXCESS] += features[row, EXCESS]
            sums[service, ALL_FARTHEST] = max(sums[service, ALL_FARTHEST], features[row, ALONE])


@bare
def merge(sums: FloatArray, more: FloatArray) -> None:
    """Add the sums `more` of a service in another partition to its `sums`."""
    for signal in range(SIGNAL_COUNT):
        base = signal * SIGNAL_WIDTH
        merge_level(sums, more, signal)
        for column in (KNOWN, SUM):
            sums[base + column] += more[base + column]
        sums[base + WORST] = max(sums[base + WORST], more[base + WORST])
        mine, theirs = sums[base + STEEPEST], more[base + STEEPEST]
        if np.isnan(theirs):
            continue
        if (not mine >= theirs) if signal == SATURATION_SIGNAL else is_steeper(theirs, mine):
            sums[base + STEEPEST] = theirs
    for column in (ALL_KNOWN, ALL_SUM, ALL_ABNORMAL, ALL_JUDGED, ALL_EXCESS):
        sums[column] += more[column]
    sums[ALL_WORST] = max(sums[ALL_WORST], more[ALL_WORST])
    sums[ALL_FARTHEST] = max(sums[ALL_FARTHEST], more[ALL_FARTHEST])
    sums[ANY_RECENT] = max(sums[ANY_RECENT], more[ANY_RECENT])
    if not np.isnan(more[TO_LIMIT]) and not sums[TO_LIMIT] <= more[TO_LIMIT]:
        sums[TO_LIMIT] = more[TO_LIMIT]


@bare
def merge_level(sums: FloatArray, more: FloatArray, signal: int) -> None:
    """Add the level of a signal in another partition."""
    base = signal * SIGNAL_WIDTH
    if more[base + LEVELS] == 0.0:
        return
    if signal not in (SATURATION_SIGNAL, ERRORS_SIGNAL):
        sums[base + LEVEL] += more[base + LEVEL]
        sums[base + LEVELS] += more[base + LEVELS]
        return
    if sums[base + LEVELS] == 0.0 or more[base + LIMITED] > sums[base + LIMITED]:
        sums[base + LEVEL] = more[base + LEVEL]
        sums[base + LIMITED] = more[base + LIMITED]
    elif more[base + LIMITED] == sums[base + LIMITED]:
        sums[base + LEVEL] = max(sums[base + LEVEL], more[base + LEVEL])
    sums[base + LEVELS] = 1.0


@bare
def merge_rows(sums: FloatArray, begun: npt.NDArray[np.bool_], more: FloatArray, place: IntArray) -> None:
    """Add rows (k, PARTIAL_WIDTH) of a partition to the sums at `place` (k,), which begin with the first that comes."""
    for row in range(place.size):
        at = place[row]
        if begun[at]:
            merge(sums[at], more[row])
        else:
            begun[at] = True
            for column in range(PARTIAL_WIDTH):
                sums[at, column] = more[row, column]
