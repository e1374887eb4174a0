"""Features of every service at one tick: `schemas.SERVICE_FEATURES`, from the sums over its series at that tick.

- `<signal>_worst`, `<signal>_mean`: abnormality over the service's series of that golden signal, where known
- `<signal>_level`: saturation: the greatest last / limit where a limit is known, else the greatest last; errors: the greatest
  last; traffic, latency: signed log1p of the mean of `mean_5m`
- `<signal>_slope_per_min`: saturation: the greatest 1 h slope; others: the 1 h slope / (|mean| + std) of greatest magnitude,
  the rising one of two that are as steep
- `abnormal_share`: share of series with known abnormality that have 0.5 or more
- `callers_*`, `callees_*`: the greatest, the mean and that share over all series of the direct neighbours
- `minutes_to_limit`: least (limit - last) / 1 h slope over series with a limit and a significantly rising slope (3 standard
  errors, of 5 points or more); capped, the cap where none rises, NaN where no series with a limit has a slope
- `minutes_since_incident`: since the newest incident known at the tick became known; capped, the cap where none is known
- `hour`, `weekday` (Monday = 0) of the tick, UTC

Three numbers more a row, for the service's alarm levels and no feature: EXCESS, the sum of `straying.weighed_excess` over the
abnormal series that can alarm, FARTHEST, the greatest of them, and JUDGED, how many of these series have a known abnormality.
"""

from typing import Final, NamedTuple

import numpy as np

from aiops.features.partial_sums import (
    ALL_ABNORMAL,
    ALL_EXCESS,
    ALL_FARTHEST,
    ALL_JUDGED,
    ALL_KNOWN,
    ALL_SUM,
    ALL_WORST,
    ANY_RECENT,
    ERRORS_SIGNAL,
    KNOWN,
    LEVEL,
    LEVELS,
    SATURATION_SIGNAL,
    SIGNAL_COUNT,
    SIGNAL_WIDTH,
    STEEPEST,
    SUM,
    TO_LIMIT,
    WORST,
)
from aiops.jit import bare
from aiops.types import FloatArray, IntArray
from data_contracts.schemas.telemetry_schemas import SERVICE_FEATURES

MINUTES_SINCE_INCIDENT_CAP: Final = 10_080.0
DAY_US: Final = 86_400_000_000
HOUR_OF_DAY_US: Final = 3_600_000_000
MINUTE_US: Final = 60_000_000
NO_INCIDENT: Final = -(2**62)

SHARE: Final = SERVICE_FEATURES.index("abnormal_share")
CALLERS: Final = SERVICE_FEATURES.index("callers_worst")
CALLEES: Final = SERVICE_FEATURES.index("callees_worst")
MINUTES_TO_LIMIT: Final = SERVICE_FEATURES.index("minutes_to_limit")
SINCE_INCIDENT: Final = SERVICE_FEATURES.index("minutes_since_incident")
HOUR: Final = SERVICE_FEATURES.index("hour")
WEEKDAY: Final = SERVICE_FEATURES.index("weekday")
WIDTH: Final = len(SERVICE_FEATURES)
EXCESS: Final = WIDTH
JUDGED: Final = WIDTH + 1
FARTHEST: Final = WIDTH + 2
ROW_WIDTH: Final = WIDTH + 3
SIGNAL_FEATURES: Final = 4


class Neighbours(NamedTuple):
    """Callers or callees: those of service i are other[start[i]:start[i + 1]]."""

    start: IntArray  # (services + 1,)
    other: IntArray


class ServiceFacts(NamedTuple):
    """What does not change about services, and their newest known incident."""

    callers: Neighbours
    callees: Neighbours
    incident_us: IntArray  # (services,) NO_INCIDENT = none known


class ServiceSums(NamedTuple):
    """Sums of the services that have any at one tick."""

    service: IntArray  # (k,) service number
    sums: FloatArray  # (k, PARTIAL_WIDTH)
    place_of: IntArray  # (services,) row of a service; -1 = it has none


@bare
def write_signals(sums: FloatArray, out: FloatArray) -> None:
    """Write the features of all golden signals of one service."""
    for signal in range(SIGNAL_COUNT):
        own, base = signal * SIGNAL_WIDTH, signal * SIGNAL_FEATURES
        if sums[own + KNOWN] > 0.0:
            out[base] = sums[own + WORST]
            out[base + 1] = sums[own + SUM] / sums[own + KNOWN]
        if sums[own + LEVELS] > 0.0:
            level = sums[own + LEVEL]
            if signal not in (SATURATION_SIGNAL, ERRORS_SIGNAL):
                mean = level / sums[own + LEVELS]
                level = np.sign(mean) * np.log1p(abs(mean))
            out[base + 2] = level
        out[base + 3] = sums[own + STEEPEST]


@bare
def write_neighbours(neighbours: Neighbours, service: int, rows: ServiceSums, out: FloatArray) -> None:
    """Write worst, mean and abnormal share over all series of the direct neighbours."""
    known = total = worst = abnormal = 0.0
    for i in range(neighbours.start[service], neighbours.start[service + 1]):
        place = rows.place_of[neighbours.other[i]]
        if place < 0:
            continue
        other = rows.sums[place]
        known += other[ALL_KNOWN]
        total += other[ALL_SUM]
        worst = max(worst, other[ALL_WORST])
        abnormal += other[ALL_ABNORMAL]
    if known > 0.0:
        out[0] = worst
        out[1] = total / known
        out[2] = abnormal / known


@bare
def write_service(facts: ServiceFacts, rows: ServiceSums, row: int, tick: int, out: FloatArray) -> None:
    """Write what concerns the whole service."""
    own, service = rows.sums[row], rows.service[row]
    if own[ALL_KNOWN] > 0.0:
        out[SHARE] = own[ALL_ABNORMAL] / own[ALL_KNOWN]
    write_neighbours(facts.callers, service, rows, out[CALLERS:CALLEES])
    write_neighbours(facts.callees, service, rows, out[CALLEES:MINUTES_TO_LIMIT])
    out[MINUTES_TO_LIMIT] = own[TO_LIMIT]
    out[SINCE_INCIDENT] = MINUTES_SINCE_INCIDENT_CAP
    if facts.incident_us[service] != NO_INCIDENT:
        out[SINCE_INCIDENT] = min(MINUTES_SINCE_INCIDENT_CAP, (tick - facts.incident_us[service]) / MINUTE_US)
    out[HOUR] = float((tick % DAY_US) // HOUR_OF_DAY_US)
    out[WEEKDAY] = float((tick // DAY_US + 3) % 7)
    out[EXCESS] = own[ALL_EXCESS]
    out[JUDGED] = own[ALL_JUDGED]
    out[FARTHEST] = own[ALL_FARTHEST]


@bare
def write_services(facts: ServiceFacts, rows: ServiceSums, tick: int, out: FloatArray, numbers: IntArray) -> int:
    """Write the features of services with a recent point to out (k, ROW_WIDTH) and their numbers (k,); return their number."""
    row_count = 0
    for row in range(rows.service.size):
        if rows.sums[row, ANY_RECENT] == 0.0:
            continue
        column = out[row_count]
        column[:] = np.nan
        write_signals(rows.sums[row], column)
        write_service(facts, rows, row, tick, column)
        numbers[row_count] = rows.service[row]
        row_count += 1
    return row_count
