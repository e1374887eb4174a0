"""The worst point of every service since its previous tick.

A point belongs to the first tick at or after its time that is still open when it arrives (the rule of
`aiops.features.engine`), so the outcome does not depend on how the stream was cut. O(points) a call, and memory for one point a
service and open tick.
"""

from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass, fields
from typing import Any, Final, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from aiops.detection.held_points import COUNT, HELD, HeldArrays, OpenTicks, PointTable, add_points, take_points
from aiops.detection.service_levels import raise_alarms
from aiops.detection.worst_point import Finding, JudgedPoints, WorstPoint
from aiops.features.name_table import NameTable
from aiops.features.series_names import SeriesNames
from aiops.types import FloatArray, IntArray
from data_contracts.series.series_name import SeriesName


class NamesByNumber(Protocol):
    """Who knows series by number."""

    def name_of(self, number: int) -> SeriesName:
        """Return one series."""
        ...

    def columns_of(self, numbers: IntArray, known: npt.NDArray[np.bool_]) -> "list[pa.Array[Any]]":
        """Return columns series_id, metric and labels of series (n,), null where they are not `known`."""
        ...


def name_columns(names: Sequence[SeriesName | None]) -> "list[pa.Array[Any]]":
    """Return the columns that `NamesByNumber.columns_of` gives of series by name, None = null."""
    kinds = (pa.int64(), pa.string(), pa.string())
    return [
        pa.array([None if name is None else getattr(name, part) for name in names], kind)
        for part, kind in zip(_NAMES, kinds, strict=True)
    ]


@dataclass(frozen=True, slots=True)
class TakenPoints:
    """Worst points of some services, (n,) each: `held` (of dtype `held_points.HELD`) counts where `known`."""

    known: npt.NDArray[np.bool_]
    held: npt.NDArray[Any]
    names: NamesByNumber
    """Series by `held["slot"]`."""
    findings: Mapping[int, Finding]
    """By `held["finding"]`."""

    @property
    def flagged(self) -> npt.NDArray[np.bool_]:
        """Return where tier 1 raised the alarm, (n,)."""
        return np.asarray(self.known & (self.held["severity"] >= 1.0))

    def raised(self, levels: FloatArray, excess: FloatArray) -> "TakenPoints":
        """Return the points judged by the levels of their services, whose excess at the tick is given: see `raise_alarms`."""
        held = self.held.copy()
        raise_alarms(held, self.known, levels, excess)
        return TakenPoints(self.known, held, self.names, self.findings)

    def chosen(self, places: IntArray) -> "TakenPoints":
        """Return some of them."""
        return TakenPoints(self.known[places], self.held[places], self.names, self.findings)

    def series(self) -> list[SeriesName | None]:
        """Return the series of every point, None where there is none."""
        slots = zip(self.held["slot"].tolist(), self.known.tolist(), strict=True)
        return [self.names.name_of(slot) if known else None for slot, known in slots]

    def series_columns(self) -> "list[pa.Array[Any]]":
        """Return the columns series_id, metric and labels; null where there is no point."""
        return self.names.columns_of(self.held["slot"], self.known)

    def noted(self) -> list[Finding]:
        """Return the finding of every point, one without words where there is none."""
        return [self.findings.get(number, _NOTHING) for number in self.held["finding"].tolist()]

    def point(self, row: int) -> WorstPoint | None:
        """Return one of them."""
        chosen = self.chosen(np.array([row]))
        name, finding = chosen.series()[0], chosen.noted()[0]
        if name is None:
            return None
        whole: dict[str, Any] = {part: getattr(name, part) for part in _NAMES} | {
            "finding": finding.words,
            "certain": finding.certain,
        }
        whole |= {column: self.held[row][column].item() for column in ("timestamp_us", *_FIGURES)}
        return WorstPoint(**whole)


class WorstPoints:
    """Worst points of the ticks that are still open, by service and tick. Memory: 112 B each, and 8 B a service.

    The series and the services of the points are the same sequences in every call, and only grow.
    """

    def __init__(self, step_us: int, lateness_us: int) -> None:
        self._step_us = step_us
        self._lateness_us = lateness_us
        self._watermark_us = 0
        self._closed_us = 0
        self._series = SeriesNames()
        self._restored: list[SeriesName] = []
        self._services = NameTable()
        self._findings: dict[int, Finding] = {}
        self._finding_count = 0
        self._held = HeldArrays(np.zeros(64, HELD), np.full(16, -1, np.int64), np.array([0, -1, 0]))

    def __len__(self) -> int:
        return int(self._held.counters[COUNT])

    @property
    def closed_us(self) -> int:
        """Return the tick, us, up to which all are closed, as `forget_through` was told."""
        return self._closed_us

    def add(self, points: JudgedPoints) -> None:
        """Take in all points that the engine was given, in order; of equally severe ones the first stays."""
        self._series = points.series
        numbers = self._numbers(points.service_names)
        finding = np.zeros(0, np.int64)
        if points.findings:
            finding = np.full(points.severity.size, -1, np.int64)
            for row, noted in points.findings.items():
                finding[row] = self._note(noted)
        columns = {name: getattr(points, name) for name in ("slot", "timestamp_us", *_FIGURES)}
        table = PointTable(service=numbers[points.service], finding=finding, **columns)
        row, size = 0, points.severity.size
        while True:
            ticks = OpenTicks(self._step_us, self._lateness_us, self._watermark_us, self._closed_us)
            row, self._watermark_us = add_points(self._held, table, ticks, row)
            if row == size:
                break
            records = self._held.records
            larger = np.zeros(2 * records.size, HELD)
            larger[: records.size] = records
            self._held = self._held._replace(records=larger)
        if self._findings:
            self._forget_findings()

    def take(self, service: str, tick_us: int) -> WorstPoint | None:
        """Return and forget the worst point of `service` up to `tick_us`, the earliest of equally severe ones."""
        return self.take_all([service], np.zeros(1, np.int64), np.array([tick_us])).point(0)

    def take_all(self, service_names: Sequence[str], service: IntArray, tick_us: IntArray) -> TakenPoints:
        """Return and forget the worst points of services (numbers among the names) up to ticks, (n,) each, in turn."""
        numbers = self._numbers(service_names)[service]
        held = np.zeros(service.size, HELD)
        take_points(self._held, numbers, tick_us, held)
        return TakenPoints(held["next"] >= 0, held, self, self._findings)

    def forget_through(self, tick_us: int) -> None:
        """Note that the ticks up to `tick_us` are closed; forget points of services that had no row there."""
        self._closed_us = max(self._closed_us, tick_us)
        services = np.arange(len(self._services), dtype=np.int64)
        take_points(self._held, services, np.full(services.size, tick_us), np.zeros(services.size, HELD))

    def name_of(self, number: int) -> SeriesName:
        """Return a series by its number, those that were restored by a negative one."""
        return self._series[number] if number >= 0 else self._restored[-1 - number]

    def columns_of(self, numbers: IntArray, known: npt.NDArray[np.bool_]) -> "list[pa.Array[Any]]":
        """Return columns series_id, metric and labels of series (n,), null where they are not `known`."""
        if (numbers[known] < 0).any():
            return name_columns([self.name_of(number) if held else None for number, held in zip(numbers, known, strict=True)])
        places: Any = pa.array(numbers, mask=~known)
        return [self._series.column(part, places) for part in _NAMES]

    def snapshot(self) -> dict[str, npt.NDArray[Any]]:
        """Return the state as arrays, rows sorted by service and tick."""
        rows = []
        for service, number in sorted(self._services.number_of.items()):
            held = []
            place = int(self._held.heads[number])
            while place >= 0:
                held.append(self._held.records[place])
                place = int(self._held.records[place]["next"])
            for record in reversed(held):
                name = self.name_of(int(record["slot"]))
                finding = self._findings.get(int(record["finding"]), _NOTHING)
                figures = [record[column].item() for column in _FIGURES]
                times = (int(record["tick_us"]), int(record["timestamp_us"]))
                rows.append((service, *times, *(name.series_id, name.metric, name.labels), *figures, *astuple(finding)))
        columns = list(zip(*rows, strict=True)) if rows else [()] * len(_STATE_NAMES)
        names = _STATE_NAMES
        arrays = {name: np.array(column, dtype=_DTYPES.get(name, "f8")) for name, column in zip(names, columns, strict=True)}
        return {**arrays, "clock_us": np.array([self._watermark_us, self._closed_us])}

    @classmethod
    def restore(cls, step_us: int, lateness_us: int, state: Mapping[str, npt.NDArray[Any]]) -> "WorstPoints":
        """Return the object that `snapshot` described."""
        restored = cls(step_us, lateness_us)
        state = state if "series_id" in state else _with_series(state)
        services: list[str] = state["service"].tolist()
        names = [state[part].tolist() for part in ("series_id", "service", "metric", "labels")]
        restored._restored = [SeriesName(*row) for row in zip(*names, strict=True)]
        count = len(services)
        records = np.zeros(max(64, 2 * count), HELD)
        records["weight"] = 1.0
        for column in ("tick_us", "timestamp_us", *_FIGURES):
            if column in state or column != "weight":  # a state of before there were weights has none
                records[column][:count] = state[column]
        records["slot"][:count] = -1 - np.arange(count)
        records["finding"][:count] = -1
        if "finding" in state:
            for row, noted in enumerate(zip(state["finding"].tolist(), state["certain"].tolist(), strict=True)):
                records["finding"][row] = restored._note(Finding(*noted))
        numbers = restored._numbers(services)
        restored._held = HeldArrays(records, restored._held.heads, np.array([count, -1, count]))
        for row, number in enumerate(numbers.tolist()):  # ticks of a service ascend: the newest one comes first
            records["next"][row] = restored._held.heads[number]
            restored._held.heads[number] = row
        restored._watermark_us, restored._closed_us = map(int, state["clock_us"])
        return restored

    def _note(self, finding: Finding) -> int:
        """Return the number of a finding, -1 where it says nothing."""
        if not finding.words:
            return -1
        self._finding_count += 1
        self._findings[self._finding_count] = finding
        return self._finding_count

    def _numbers(self, service_names: Sequence[str]) -> IntArray:
        """Return the number of every service name; all of them have a list."""
        numbers = self._services.of(service_names)
        heads = self._held.heads
        if len(self._services) > heads.size:
            more = max(len(self._services), 2 * heads.size) - heads.size
            self._held = self._held._replace(heads=np.concatenate([heads, np.full(more, -1, np.int64)]))
        return numbers

    def _forget_findings(self) -> None:
        """Drop the findings of points that are held no more, when most are."""
        if len(self._findings) < 64 + 2 * len(self):
            return
        held: set[int] = set()
        for head in self._held.heads.tolist():
            place = head
            while place >= 0:
                held.add(int(self._held.records[place]["finding"]))
                place = int(self._held.records[place]["next"])
        self._findings = {number: finding for number, finding in self._findings.items() if number in held}


def _with_series(state: Mapping[str, npt.NDArray[Any]]) -> Mapping[str, npt.NDArray[Any]]:
    """Return a state of version 0.1 with ids and labels, as series of the default tenant."""
    from aiops.features.series_index import series_of_texts

    series = series_of_texts(state["service"].tolist(), state["metric"].tolist())
    ids = np.array([name.series_id for name in series], np.int64)
    texts = {part: np.array([getattr(name, part) for name in series], dtype="U") for part in ("metric", "labels")}
    return {**state, **texts, "series_id": ids}


_STATE_NAMES: Final = ("service", "tick_us", *(column.name for column in fields(WorstPoint)))
_NAMES: Final = ("series_id", "metric", "labels")
_FIGURES: Final = ("value", "z", "alarm_z", "score", "expected", "lower", "upper", "severity", "weight")
_NOTHING: Final = Finding("", False)
_DTYPES: Final = {
    **dict.fromkeys(("service", "metric", "labels", "finding"), "U"),
    **dict.fromkeys(("tick_us", "timestamp_us", "series_id"), "i8"),
    "certain": "?",
}
