"""Features of every service at one tick: `schemas.SERVICE_FEATURES`, from the series features of that tick.

- `<signal>_worst`, `<signal>_mean`: abnormality over the service's series of that golden signal, where known
- `<signal>_level`: saturation: the greatest last / limit where a limit is known, else the greatest last; errors: the greatest
  last; traffic, latency: signed log1p of the mean of `mean_5m`
- `<signal>_slope_per_min`: saturation: the greatest 1 h slope; others: the 1 h slope / (|mean| + std) of greatest magnitude
- `abnormal_share`: share of series with known abnormality that have 0.5 or more
- `callers_*`, `callees_*`: the greatest, the mean and that share over all series of the direct neighbours
- `minutes_to_limit`: least (limit - last) / 1 h slope over series with a limit and a significantly rising slope (3 standard
  errors, of 5 points or more); capped, the cap where none rises, NaN where no series with a limit has a slope
- `minutes_since_incident`: since the newest incident known at the tick became known; capped, the cap where none is known
- `hour`, `weekday` (Monday = 0) of the tick, UTC
"""

from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from aiops.features.series_features import ABNORMALITY, LAST, LONG, RECENT, SHORT, SLOPE_ERROR
from aiops.features.window_statistics import MEAN, SLOPE, STD
from aiops.jit import inlined, kernel
from aiops.types import FloatArray, IntArray
from data_contracts.schemas.metrics import SIGNALS
from data_contracts.schemas.telemetry_schemas import SERVICE_FEATURES

ABNORMAL: Final = 0.5
MINUTES_TO_LIMIT_CAP: Final = 1_440.0
MINUTES_SINCE_INCIDENT_CAP: Final = 10_080.0
SIGNIFICANT_ERRORS: Final = 3.0
DAY_US: Final = 86_400_000_000
HOUR_OF_DAY_US: Final = 3_600_000_000
MINUTE_US: Final = 60_000_000
NO_INCIDENT: Final = -(2**62)

ERRORS_SIGNAL: Final = SIGNALS.index("errors")
SATURATION_SIGNAL: Final = SIGNALS.index("saturation")
SIGNAL_COUNT: Final = len(SIGNALS)
SHARE: Final = SERVICE_FEATURES.index("abnormal_share")
CALLERS: Final = SERVICE_FEATURES.index("callers_worst")
CALLEES: Final = SERVICE_FEATURES.index("callees_worst")
TO_LIMIT: Final = SERVICE_FEATURES.index("minutes_to_limit")
SINCE_INCIDENT: Final = SERVICE_FEATURES.index("minutes_since_incident")
HOUR: Final = SERVICE_FEATURES.index("hour")
WEEKDAY: Final = SERVICE_FEATURES.index("weekday")
WIDTH: Final = len(SERVICE_FEATURES)
SIGNAL_FEATURES: Final = 4
# columns of the sums of one signal of one service
_KNOWN, _SUM, _WORST, _LEVEL, _LEVELS, _LIMITED, _SLOPE = range(7)
_SUMS: Final = 7
# columns of the sums of one service
_ALL_KNOWN, _ALL_SUM, _ALL_WORST, _ALL_ABNORMAL, _TO_LIMIT, _RECENT = range(6)
_TOTALS: Final = 6


class SeriesFacts(NamedTuple):
    """What does not change about a series, by slot."""

    service: IntArray  # (S,) service number
    signal: IntArray  # (S,) index into metrics.SIGNALS
    limit: FloatArray  # (S,) where the resource is exhausted; NaN = no limit


class Neighbours(NamedTuple):
    """Callers or callees: those of service i are other[start[i]:start[i + 1]]."""

    start: IntArray  # (services + 1,)
    other: IntArray


class ServiceFacts(NamedTuple):
    """What does not change about services, and their newest known incident."""

    callers: Neighbours
    callees: Neighbours
    incident_us: IntArray  # (services,) NO_INCIDENT = none known


class SeriesRows(NamedTuple):
    """Series features of one tick."""

    features: FloatArray  # (>= n, series_features.ROWS)
    slot: npt.NDArray[np.int32]  # (n,)


@inlined
def add_level(sums: FloatArray, signal: int, column: FloatArray, limit: float) -> None:
    """Add the level of one series to its signal."""
    if signal == SATURATION_SIGNAL:
        limited = 0.0 if np.isnan(limit) else 1.0
        level = column[LAST] if np.isnan(limit) else column[LAST] / limit
        if limited > sums[_LIMITED] or sums[_LEVELS] == 0.0:
            sums[_LEVEL] = level
            sums[_LIMITED] = limited
        elif limited == sums[_LIMITED]:
            sums[_LEVEL] = max(sums[_LEVEL], level)
        sums[_LEVELS] = 1.0
    elif signal == ERRORS_SIGNAL:
        sums[_LEVEL] = column[LAST] if sums[_LEVELS] == 0.0 else max(sums[_LEVEL], column[LAST])
        sums[_LEVELS] = 1.0
    elif not np.isnan(column[SHORT + MEAN]):
        sums[_LEVEL] += column[SHORT + MEAN]
        sums[_LEVELS] += 1.0


@inlined
def add_slope(sums: FloatArray, signal: int, column: FloatArray) -> None:
    """Add the 1 h slope of one series to its signal."""
    slope = column[LONG + SLOPE]
    if np.isnan(slope):
        return
    if signal == SATURATION_SIGNAL:
        if not sums[_SLOPE] >= slope:
            sums[_SLOPE] = slope
        return
    size = abs(column[LONG + MEAN]) + column[LONG + STD]
    relative = slope / size if size > 0.0 else 0.0
    if not abs(sums[_SLOPE]) >= abs(relative):
        sums[_SLOPE] = relative


@inlined
def add_series_row(sums: FloatArray, totals: FloatArray, signal: int, column: FloatArray, limit: float) -> None:
    """Add one series to the sums of its service."""
    own = sums[signal]
    score = column[ABNORMALITY]
    if not np.isnan(score):
        own[_KNOWN] += 1.0
        own[_SUM] += score
        own[_WORST] = max(own[_WORST], score)
        totals[_ALL_KNOWN] += 1.0
        totals[_ALL_SUM] += score
        totals[_ALL_WORST] = max(totals[_ALL_WORST], score)
        totals[_ALL_ABNORMAL] += 1.0 if score >= ABNORMAL else 0.0
    add_level(own, signal, column, limit)
    add_slope(own, signal, column)
    totals[_RECENT] = max(totals[_RECENT], column[RECENT])
    slope = column[LONG + SLOPE]
    if np.isnan(limit) or np.isnan(slope):
        return
    minutes = MINUTES_TO_LIMIT_CAP
    if column[LAST] >= limit:
        minutes = 0.0
    elif slope > 0.0 and slope > SIGNIFICANT_ERRORS * column[SLOPE_ERROR]:
        minutes = min(minutes, (limit - column[LAST]) / slope)
    if not totals[_TO_LIMIT] <= minutes:
        totals[_TO_LIMIT] = minutes


@inlined
def write_signals(sums: FloatArray, out: FloatArray) -> None:
    """Write the features of all golden signals of one service."""
    for signal in range(SIGNAL_COUNT):
        own = sums[signal]
        base = signal * SIGNAL_FEATURES
        if own[_KNOWN] > 0.0:
            out[base] = own[_WORST]
            out[base + 1] = own[_SUM] / own[_KNOWN]
        if own[_LEVELS] > 0.0:
            level = own[_LEVEL]
            if signal not in (SATURATION_SIGNAL, ERRORS_SIGNAL):
                mean = level / own[_LEVELS]
                level = np.sign(mean) * np.log1p(abs(mean))
            out[base + 2] = level
        out[base + 3] = own[_SLOPE]


@inlined
def write_neighbours(neighbours: Neighbours, service: int, totals: FloatArray, out: FloatArray) -> None:
    """Write worst, mean and abnormal share over all series of the direct neighbours."""
    known = total = worst = abnormal = 0.0
    for i in range(neighbours.start[service], neighbours.start[service + 1]):
        other = totals[neighbours.other[i]]
        known += other[_ALL_KNOWN]
        total += other[_ALL_SUM]
        worst = max(worst, other[_ALL_WORST])
        abnormal += other[_ALL_ABNORMAL]
    if known > 0.0:
        out[0] = worst
        out[1] = total / known
        out[2] = abnormal / known


@inlined
def write_service(facts: ServiceFacts, service: int, tick: int, totals: FloatArray, out: FloatArray) -> None:
    """Write what concerns the whole service."""
    own = totals[service]
    if own[_ALL_KNOWN] > 0.0:
        out[SHARE] = own[_ALL_ABNORMAL] / own[_ALL_KNOWN]
    write_neighbours(facts.callers, service, totals, out[CALLERS:CALLEES])
    write_neighbours(facts.callees, service, totals, out[CALLEES:TO_LIMIT])
    out[TO_LIMIT] = own[_TO_LIMIT]
    out[SINCE_INCIDENT] = MINUTES_SINCE_INCIDENT_CAP
    if facts.incident_us[service] != NO_INCIDENT:
        out[SINCE_INCIDENT] = min(MINUTES_SINCE_INCIDENT_CAP, (tick - facts.incident_us[service]) / MINUTE_US)
    out[HOUR] = float((tick % DAY_US) // HOUR_OF_DAY_US)
    out[WEEKDAY] = float((tick // DAY_US + 3) % 7)


@kernel
def close_services(
    series: SeriesFacts, facts: ServiceFacts, rows: SeriesRows, tick: int, out: FloatArray
) -> npt.NDArray[np.int32]:
    """Write features to out (services, WIDTH) of services with a recent point; return their numbers, ascending (k,)."""
    services = facts.incident_us.size
    sums = np.zeros((services, SIGNAL_COUNT, _SUMS))
    sums[:, :, _SLOPE] = np.nan
    totals = np.zeros((services, _TOTALS))
    totals[:, _TO_LIMIT] = np.nan
    for i in range(rows.slot.size):
        slot = rows.slot[i]
        service = series.service[slot]
        add_series_row(sums[service], totals[service], series.signal[slot], rows.features[i], series.limit[slot])
    numbers = np.empty(services, np.int32)
    row_count = 0
    for service in range(services):
        if totals[service, _RECENT] == 0.0:
            continue
        column = out[row_count]
        column[:] = np.nan
        write_signals(sums[service], column)
        write_service(facts, service, tick, totals, column)
        numbers[row_count] = service
        row_count += 1
    return numbers[:row_count]
