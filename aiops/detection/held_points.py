"""The worst points of open ticks as kernels: one record a service and tick, in a list a service, newest tick first."""

from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from aiops.detection.worst_point import OUTSIDE_LIMITS
from aiops.jit import bare
from aiops.types import FloatArray, IntArray

HELD: Final = np.dtype(
    [
        ("tick_us", np.int64),
        ("timestamp_us", np.int64),
        ("value", np.float64),
        ("z", np.float64),
        ("alarm_z", np.float64),
        ("score", np.float64),
        ("expected", np.float64),
        ("lower", np.float64),
        ("upper", np.float64),
        ("severity", np.float64),
        ("weight", np.float64),  # that its series is beyond its bound, see `features.straying`
        ("slot", np.int64),  # of the series in the sequence that the points came with; negative: -1 - place among restored ones
        ("finding", np.int64),  # number of the finding, -1 = none
        ("next", np.int64),  # record of the service's tick before, or the next free record; -1 = none
    ]
)
USED, FREE, COUNT = range(3)
COUNTERS: Final = 3
FULL: Final = -1


class HeldArrays(NamedTuple):
    """Records, the first one of every service (-1 = none), and counters: records used so far, first free one, records held."""

    records: npt.NDArray[Any]  # (R,) HELD
    heads: IntArray  # (services,)
    counters: IntArray  # (COUNTERS,)


class PointTable(NamedTuple):
    """Points in order of arrival, (n,) each; `service` numbers `HeldArrays.heads`, `finding` is -1 where there is none."""

    service: IntArray
    slot: npt.NDArray[np.int32]
    timestamp_us: IntArray
    value: FloatArray
    z: FloatArray
    alarm_z: FloatArray
    score: FloatArray
    expected: FloatArray
    lower: FloatArray
    upper: FloatArray
    severity: FloatArray
    weight: FloatArray
    finding: IntArray  # (n,), or (0,) where no point has one


class OpenTicks(NamedTuple):
    """Which tick a point belongs to: the first at or after it that is open when it arrives; us."""

    step_us: int
    lateness_us: int
    watermark_us: int
    closed_us: int


@bare
def rank(severity: float, weight: float) -> float:
    """Return what decides which point is the worst: severity; beyond the bound, how surprising it is that its series is there.

    What is outside its static limits, or certain, is above every surprise.
    """
    if 1.0 <= severity < OUTSIDE_LIMITS:
        return float(1.0 + weight * (1.0 + np.log2(severity)))
    return float(severity)


@bare
def rank_of(record: Any) -> float:
    """Return the `rank` of a point."""
    return rank(record.severity, record.weight)


def ranks(held: npt.NDArray[Any]) -> FloatArray:
    """Return the `rank` of points (n,) HELD."""
    out = np.empty(held.size)
    write_ranks(np.ascontiguousarray(held["severity"]), np.ascontiguousarray(held["weight"]), out)
    return out


@bare
def write_ranks(severity: FloatArray, weight: FloatArray, out: FloatArray) -> None:
    """Write the `rank` of points, (n,) each."""
    for i in range(severity.size):
        out[i] = rank(severity[i], weight[i])


@bare
def place_of_tick(held: HeldArrays, service: int, tick: int) -> int:
    """Return the record of a service's tick, a new one of severity -infinity where there is none; FULL = records must grow."""
    place = held.heads[service]
    before = -1
    while place >= 0 and held.records[place].tick_us > tick:
        before = place
        place = held.records[place].next
    if place >= 0 and held.records[place].tick_us == tick:
        return int(place)
    new = held.counters[FREE]
    if new >= 0:
        held.counters[FREE] = held.records[new].next
    elif held.counters[USED] == held.records.size:
        return FULL
    else:
        new = held.counters[USED]
        held.counters[USED] += 1
    held.counters[COUNT] += 1
    held.records[new].tick_us = tick
    held.records[new].severity = -np.inf
    held.records[new].next = place
    if before < 0:
        held.heads[service] = new
    else:
        held.records[before].next = new
    return int(new)


@bare
def add_points(held: HeldArrays, points: PointTable, ticks: OpenTicks, first: int) -> tuple[int, int]:
    """Take in points from row `first` on; return the row reached (less than n where records must grow) and the watermark."""
    step_us, peak = ticks.step_us, ticks.watermark_us
    least = max((peak - ticks.lateness_us - 1) // step_us, ticks.closed_us // step_us) + 1
    newest_tick = -(2**62)
    for i in range(first, points.service.size):
        time = points.timestamp_us[i]
        if time > peak:
            peak = time
            least = max(least, (peak - ticks.lateness_us - 1) // step_us + 1)
        severity = points.severity[i]
        if np.isnan(severity):
            continue
        if not newest_tick - step_us < time <= newest_tick:
            newest_tick = -(-time // step_us) * step_us
        tick = max(newest_tick, least * step_us)
        place = place_of_tick(held, points.service[i], tick)
        if place == FULL:
            return i, peak
        record = held.records[place]
        worse = severity > record.severity if severity < 1.0 else rank(severity, points.weight[i]) > rank_of(record)
        if worse:
            write_point(record, points, i)
    return points.service.size, peak


@bare
def write_point(record: Any, points: PointTable, row: int) -> None:
    """Write one point into a record."""
    record.timestamp_us = points.timestamp_us[row]
    record.value = points.value[row]
    record.z = points.z[row]
    record.alarm_z = points.alarm_z[row]
    record.score = points.score[row]
    record.expected = points.expected[row]
    record.lower = points.lower[row]
    record.upper = points.upper[row]
    record.severity = points.severity[row]
    record.weight = points.weight[row]
    record.slot = points.slot[row]
    record.finding = points.finding[row] if points.finding.size else -1


@bare
def take_points(held: HeldArrays, service: IntArray, tick_us: IntArray, out: npt.NDArray[Any]) -> None:
    """Write to out (n,) HELD the worst point of each service up to a tick and forget those; its `next` is -1 where there is none.

    Of equally severe ones that of the earliest tick counts. A service -1 has none.
    """
    for i in range(service.size):
        out[i].next = -1
        if service[i] < 0:
            continue
        before = -1
        place = held.heads[service[i]]
        while place >= 0 and held.records[place].tick_us > tick_us[i]:
            before = place
            place = held.records[place].next
        if before < 0:
            held.heads[service[i]] = -1
        else:
            held.records[before].next = -1
        while place >= 0:
            record = held.records[place]
            if out[i].next < 0 or not rank_of(record) < rank_of(out[i]):
                out[i] = record
                out[i].next = place
            following = record.next
            record.next = held.counters[FREE]
            held.counters[FREE] = place
            held.counters[COUNT] -= 1
            place = following
