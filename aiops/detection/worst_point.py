"""The worst point of every service since its previous tick: what a detection will name.

Severity = |z| / alarm_z of the series; a value outside its static limits is above every z, and what the second opinion is certain
of above that; what it finds rare is flagged at least. A point belongs to the first tick at or after its time that is still open
when it arrives (the rule of `aiops.features.engine`), so the outcome does not depend on how the stream was cut.
O(points log points) a call, and memory for one point a service and open tick.
"""

from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass, field, fields, replace
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from aiops.types import FloatArray, IntArray
from data_contracts.series.series_name import SeriesName

OUTSIDE_LIMITS: Final = 1e6
"""Added to the severity of a value outside its static limits."""
CERTAIN: Final = 2e6
"""Severity of what the second opinion is certain of."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What the second opinion of tier 1 says of a point, in words; `certain`: no other tier can judge it, none is needed."""

    words: str
    certain: bool


@dataclass(frozen=True, slots=True)
class WorstPoint:
    """One point with the tier 1 view of it; `severity` >= 1 = tier 1 raised the alarm."""

    timestamp_us: int
    series_id: int
    metric: str
    labels: str
    value: float
    z: float
    alarm_z: float
    score: float
    expected: float
    lower: float
    upper: float
    severity: float
    finding: str = ""
    certain: bool = False

    @property
    def flagged(self) -> bool:
        """Return whether tier 1 raised the alarm."""
        return self.severity >= 1.0


@dataclass(frozen=True, slots=True)
class JudgedPoints:
    """Points of one batch as columns (n,): `slot` is a number in `series` where the severity is known, `service` in the names."""

    series: Sequence[SeriesName]
    slot: npt.NDArray[np.int32]
    service_names: Sequence[str]
    service: IntArray
    timestamp_us: IntArray
    value: FloatArray
    z: FloatArray
    alarm_z: FloatArray
    score: FloatArray
    expected: FloatArray
    lower: FloatArray
    upper: FloatArray
    severity: FloatArray
    findings: Mapping[int, Finding] = field(default_factory=dict)
    """By row."""


def with_findings(severity: FloatArray, findings: Mapping[int, Finding]) -> FloatArray:
    """Return (n,) severities in which every finding is a flag."""
    raised = severity.copy()
    for row, finding in findings.items():
        raised[row] = CERTAIN if finding.certain else np.fmax(severity[row], 1.0)
    return raised


def severity_of(z: FloatArray, alarm_z: FloatArray, outside: npt.NDArray[np.bool_]) -> FloatArray:
    """Return (n,) severities; NaN where the score is unknown and the value inside its limits."""
    severity = np.abs(z) / alarm_z
    return np.where(outside, np.nan_to_num(severity) + OUTSIDE_LIMITS, severity)


class WorstPoints:
    """Worst points of the ticks that are still open, by service and tick."""

    def __init__(self, step_us: int, lateness_us: int) -> None:
        self._step_us = step_us
        self._lateness_us = lateness_us
        self._watermark_us = 0
        self._closed_us = 0
        self._held: dict[str, dict[int, WorstPoint]] = {}

    def __len__(self) -> int:
        return sum(len(ticks) for ticks in self._held.values())

    def add(self, points: JudgedPoints) -> None:
        """Take in all points that the engine was given, in order; of equally severe ones the first stays."""
        ticks = self._open_ticks(points.timestamp_us)
        known = np.flatnonzero(~np.isnan(points.severity))[::-1]
        if known.size == 0:
            return
        ticks = ticks[known]
        services = points.service[known]
        order = np.lexsort((points.severity[known], ticks, services))
        ticks, services, rows = ticks[order], services[order], known[order]
        last = np.append((services[1:] != services[:-1]) | (ticks[1:] != ticks[:-1]), True)
        rows = rows[last]
        columns = [getattr(points, name)[rows].tolist() for name in _POINT_COLUMNS]
        findings = [points.findings.get(row, _NOTHING) for row in rows.tolist()]
        places = (services[last].tolist(), ticks[last].tolist(), points.slot[rows].tolist())
        worst_rows = zip(*places, findings, *columns, strict=True)
        for service, tick_us, slot, finding, time_us, *figures in worst_rows:
            held = self._held.setdefault(points.service_names[service], {})
            before = held.get(tick_us)
            if before is None or figures[-1] > before.severity:
                name = points.series[slot]
                point = WorstPoint(time_us, name.series_id, name.metric, name.labels, *figures)
                noted = finding.words != ""
                held[tick_us] = replace(point, finding=finding.words, certain=finding.certain) if noted else point

    def _open_ticks(self, timestamp_us: IntArray) -> IntArray:
        """Return for every point the first tick at or after it that is open when it arrives, us."""
        if timestamp_us.size == 0:
            return timestamp_us
        peaks = np.maximum(np.maximum.accumulate(timestamp_us), self._watermark_us)
        self._watermark_us = int(peaks[-1])
        closed = np.maximum((peaks - self._lateness_us - 1) // self._step_us, self._closed_us // self._step_us)
        own: IntArray = -(-timestamp_us // self._step_us)
        ticks: IntArray = np.maximum(own, closed + 1) * self._step_us
        return ticks

    def take(self, service: str, tick_us: int) -> WorstPoint | None:
        """Return and forget the worst point of `service` up to `tick_us`, the earliest of equally severe ones."""
        held = self._held.get(service)
        if not held:
            return None
        closed = sorted(tick for tick in held if tick <= tick_us)
        points = [held.pop(tick) for tick in closed]
        return max(points, key=lambda point: point.severity, default=None)

    def forget_through(self, tick_us: int) -> None:
        """Note that the ticks up to `tick_us` are closed; forget points of services that had no row there."""
        self._closed_us = max(self._closed_us, tick_us)
        self._held = {
            service: kept
            for service, held in self._held.items()
            if (kept := {tick: point for tick, point in held.items() if tick > tick_us})
        }

    def snapshot(self) -> dict[str, npt.NDArray[Any]]:
        """Return the state as arrays, rows sorted by service and tick."""
        rows = [
            (service, tick, *astuple(point))
            for service, held in sorted(self._held.items())
            for tick, point in sorted(held.items())
        ]
        columns = list(zip(*rows, strict=True)) if rows else [()] * len(_STATE_NAMES)
        names = _STATE_NAMES
        arrays = {name: np.array(column, dtype=_DTYPES.get(name, "f8")) for name, column in zip(names, columns, strict=True)}
        return {**arrays, "clock_us": np.array([self._watermark_us, self._closed_us])}

    @classmethod
    def restore(cls, step_us: int, lateness_us: int, state: Mapping[str, npt.NDArray[Any]]) -> "WorstPoints":
        """Return the object that `snapshot` described."""
        restored = cls(step_us, lateness_us)
        restored._watermark_us, restored._closed_us = map(int, state["clock_us"])
        state = state if "series_id" in state else _with_series(state)
        names = [name for name in _STATE_NAMES if name in state or name not in _NEWER]
        for service, tick, *point in zip(*(state[name].tolist() for name in names), strict=True):
            restored._held.setdefault(service, {})[tick] = WorstPoint(*point)
        return restored


def _with_series(state: Mapping[str, npt.NDArray[Any]]) -> Mapping[str, npt.NDArray[Any]]:
    """Return a state of version 0.1 with ids and labels, as series of the default tenant."""
    from aiops.features.series_index import series_of_texts

    series = series_of_texts(state["service"].tolist(), state["metric"].tolist())
    ids = np.array([name.series_id for name in series], np.int64)
    texts = {part: np.array([getattr(name, part) for name in series], dtype="U") for part in ("metric", "labels")}
    return {**state, **texts, "series_id": ids}


_NEWER: Final = ("finding", "certain")
"""Columns that checkpoints of earlier versions lack."""
_STATE_NAMES: Final = ("service", "tick_us", *(column.name for column in fields(WorstPoint)))
_NAMES: Final = ("series_id", "metric", "labels")
_POINT_COLUMNS: Final = tuple(column.name for column in fields(WorstPoint) if column.name not in {*_NAMES, *_NEWER})
_NOTHING: Final = Finding("", False)
_DTYPES: Final = {
    **dict.fromkeys(("service", "metric", "labels", "finding"), "U"),
    **dict.fromkeys(("tick_us", "timestamp_us", "series_id"), "i8"),
    "certain": "?",
}
