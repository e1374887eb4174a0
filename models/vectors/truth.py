"""Truth of a replay: which incident an alarm in a row would catch, and in which rows an alarm would be a false one."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from aiops.types import FloatArray, IntArray
from models.vectors.service_rows import US_PER_MIN, BoolArray, ServiceRows, times_of


@dataclass(frozen=True, slots=True)
class Truth:
    """Truth aligned to rows: `caught[i]` = number of the incident an alarm in row i catches (-1 = none), `false[i]` = it is a
    false alarm; rows that are neither do not count. `starts_us[k]` = start of incident k. `positive` marks caught rows.
    """

    caught: IntArray
    false: BoolArray
    starts_us: IntArray

    @property
    def positive(self) -> BoolArray:
        """Return the rows in which an alarm is right."""
        return np.asarray(self.caught >= 0)

    @property
    def counted(self) -> BoolArray:
        """Return the rows that are right or false."""
        return np.asarray((self.caught >= 0) | self.false)

    def take(self, where: BoolArray) -> "Truth":
        """Return the truth of the rows chosen; incidents without a row left are dropped."""
        caught = self.caught[where]
        kept, renumbered = np.unique(caught[caught >= 0], return_inverse=True)
        numbers = np.full(caught.size, -1, dtype=np.int64)
        numbers[caught >= 0] = renumbered
        return Truth(numbers, self.false[where], self.starts_us[kept])


@dataclass(frozen=True, slots=True)
class Outcome:
    """What alarms did: incidents caught of all, and minutes from the first right alarm to the start (negative = after it)."""

    caught: int
    incidents: int
    lead_min: FloatArray

    @property
    def recall(self) -> float:
        """Return the share of incidents caught; NaN without incidents."""
        return self.caught / self.incidents if self.incidents else float("nan")

    @property
    def mean_lead_min(self) -> float:
        """Return the mean lead of the caught incidents in minutes; NaN where none was caught."""
        return float(self.lead_min.mean()) if self.lead_min.size else float("nan")


def prediction_truth(rows: ServiceRows, minutes_to_start: FloatArray, in_progress: BoolArray, horizon_min: float) -> Truth:
    """Return the truth for foreseeing: right = an incident of the service starts within (0, horizon]; in progress = not counted.

    `minutes_to_start` is (n,), inf or NaN where no incident of the service follows.
    """
    ahead = np.isfinite(minutes_to_start) & (minutes_to_start > 0) & (minutes_to_start <= horizon_min) & ~in_progress
    starts = np.zeros(len(rows), dtype=np.int64)
    starts[ahead] = rows.time_us[ahead] + np.round(minutes_to_start[ahead] * US_PER_MIN).astype(np.int64)
    keys = np.stack([rows.code[ahead], starts[ahead]], axis=1)
    distinct, number = np.unique(keys, axis=0, return_inverse=True)
    caught = np.full(len(rows), -1, dtype=np.int64)
    caught[ahead] = number.reshape(-1)
    return Truth(caught, ~ahead & ~in_progress, np.ascontiguousarray(distinct[:, 1]) if distinct.size else np.empty(0, np.int64))


def detection_truth(rows: ServiceRows, incidents: pa.Table, grace_min: float = 30.0) -> Truth:
    """Return the truth for noticing: right = the root service from the incident's onset to its end.

    Other services during an incident, and all services until `grace_min` after it, do not count: an alarm there may be the
    incident spreading. `incidents` has `schemas.INCIDENTS`.
    """
    names = {name: number for number, name in enumerate(rows.services)}
    onset, start, end = (times_of(incidents, name) for name in ("onset_at", "starts_at", "ends_at"))
    service = [names.get(str(name), -1) for name in incidents.column("service").to_pylist()]
    caught = np.full(len(rows), -1, dtype=np.int64)
    quiet = np.ones(len(rows), dtype=np.bool_)
    grace_us = int(grace_min * US_PER_MIN)
    for number, code in enumerate(service):
        begin = min(onset[number], start[number])
        inside = (rows.time_us >= begin) & (rows.time_us <= end[number])
        quiet &= ~((rows.time_us >= begin) & (rows.time_us <= end[number] + grace_us))
        caught[inside & (rows.code == code)] = number
    return Truth(caught, quiet, start).take(np.ones(len(rows), dtype=np.bool_))


def judged_normal(rows: ServiceRows, false_alarms: pa.Table) -> BoolArray:
    """Return the rows (n,) at detections that people called false alarms (columns service, timestamp): within half a step."""
    names = {name: number for number, name in enumerate(rows.services)}
    codes = np.array([names.get(str(name), -1) for name in false_alarms.column("service").to_pylist()], dtype=np.int64)
    times = times_of(false_alarms, "timestamp")
    normal = np.zeros(len(rows), dtype=np.bool_)
    for code in np.unique(codes[codes >= 0]).tolist():
        own = np.flatnonzero(rows.code == code)
        ticks, false_alarm_times = rows.time_us[own], np.sort(times[codes == code])
        gaps = np.diff(np.unique(ticks))
        half_us = (int(np.median(gaps)) if gaps.size else US_PER_MIN) // 2
        after = np.searchsorted(false_alarm_times, ticks - half_us, side="left")
        normal[own] = (after < false_alarm_times.size) & (
            false_alarm_times[np.minimum(after, false_alarm_times.size - 1)] <= ticks + half_us
        )
    return normal


def outcome(truth: Truth, time_us: IntArray, alarm: BoolArray) -> Outcome:
    """Return what the alarms caught; the lead is counted from the first right alarm of each incident."""
    right = alarm & truth.positive
    first = np.full(truth.starts_us.size, np.iinfo(np.int64).max, dtype=np.int64)
    np.minimum.at(first, truth.caught[right], time_us[right])
    caught = first < np.iinfo(np.int64).max
    lead = (truth.starts_us[caught] - first[caught]) / US_PER_MIN
    return Outcome(int(caught.sum()), int(truth.starts_us.size), lead)
