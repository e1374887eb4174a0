"""The worst point of every service at ticks that some partition has not closed yet: of several partitions the most severe."""

from bisect import bisect_right
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from aiops.detection.candidates import point_columns
from aiops.detection.held_points import HELD, ranks
from aiops.detection.service_partials import POINT_COLUMNS, rank_columns, worst_of_rows
from aiops.detection.worst_points_by_service import TakenPoints, name_columns
from aiops.features.name_table import NameTable
from aiops.types import IntArray
from data_contracts.schemas.arrow_columns import column
from data_contracts.series.series_name import SeriesName

_ROWS: Final = "points"
_SCHEMA: Final = pa.schema(
    [column("tick_us", pa.int64()), column("part", pa.int64()), column("service", pa.string()), *POINT_COLUMNS]
)


@dataclass(frozen=True, slots=True)
class _PartPoints:
    """The known points of one partition at one tick, of services given as numbers (k,)."""

    service: IntArray
    points: TakenPoints


class WorstOfParts:
    """Worst points that wait for a partition, by tick and partition. Not thread-safe.

    Memory: 112 B for each that is asked about, and what names it.
    """

    def __init__(self, names: NameTable) -> None:
        """Take the names whose numbers services are."""
        self._names = names
        self._waiting: dict[int, dict[int, _PartPoints]] = {}

    def add(self, part: int, tick_us: int, service: IntArray, points: TakenPoints) -> None:
        """Take in the points of a partition at a tick, one a service (k,)."""
        known = np.flatnonzero(points.known)
        if known.size:
            self._waiting.setdefault(tick_us, {})[part] = _PartPoints(service[known], points.chosen(known))

    def take_all(self, service: IntArray, tick_us: IntArray) -> TakenPoints:
        """Return the worst points of services at ticks, (n,) each, those of a tick together; forget all up to the last tick.

        Of equally severe ones that of the first partition counts.
        """
        made = _Merged(service.size, len(self._names))
        bounds = np.flatnonzero(np.diff(tick_us, prepend=tick_us[0] - 1, append=tick_us[-1] + 1))
        for first, end in zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True):
            for _, points in sorted(self._waiting.get(int(tick_us[first]), {}).items()):
                made.take_in(first, service[first:end], points)
        self.forget_through(int(tick_us.max()))
        return made.points()

    def forget_through(self, tick_us: int) -> None:
        """Forget the points of ticks up to this one."""
        self._waiting = {tick: parts for tick, parts in self._waiting.items() if tick > tick_us}

    def snapshot(self) -> dict[str, npt.NDArray[np.uint8]]:
        """Return the state as the bytes of one Arrow stream, the same for equal pasts."""
        batches = [
            _rows(tick_us, part, held) for tick_us, parts in sorted(self._waiting.items()) for part, held in sorted(parts.items())
        ]
        if not batches:
            return {}
        whole = pa.Table.from_batches(batches).combine_chunks()
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, whole.schema) as writer:
            writer.write(whole)
        return {_ROWS: np.frombuffer(sink.getvalue().to_pybytes(), np.uint8)}

    @classmethod
    def restore(cls, names: NameTable, state: dict[str, npt.NDArray[np.uint8]]) -> "WorstOfParts":
        """Return what `snapshot` described; Arrow raises where it is damaged."""
        made = cls(names)
        if _ROWS not in state:
            return made
        with pa.ipc.open_stream(pa.py_buffer(state[_ROWS].tobytes())) as reader:
            rows = reader.read_all()
        tick, part = rows["tick_us"].to_numpy(), rows["part"].to_numpy()
        bounds = np.flatnonzero(np.diff(tick, prepend=tick[0] - 1) | np.diff(part, prepend=part[0] - 1))
        for first, end in zip(bounds.tolist(), [*bounds[1:].tolist(), tick.size], strict=True):
            own = rows.slice(first, end - first).combine_chunks()
            service = np.array([names.number(str(name)) for name in own["service"].to_pylist()], np.int64)
            made._waiting.setdefault(int(tick[first]), {})[int(part[first])] = _PartPoints(service, worst_of_rows(own))
        return made


class _Merged:
    """Points of rows, from several sources."""

    def __init__(self, rows: int, services: int) -> None:
        self._known = np.zeros(rows, np.bool_)
        self._held = np.zeros(rows, HELD)
        self._place_of = np.full(services, -1, np.int64)
        self._sources: list[TakenPoints] = []
        self._starts: list[int] = [0]

    def take_in(self, first: int, service: IntArray, given: _PartPoints) -> None:
        """Let the points of a partition count where they are worse; row `first` is that of the first service."""
        self._place_of[service] = first + np.arange(service.size)
        rows, held = self._place_of[given.service], given.points.held
        self._place_of[service] = -1
        worse = (rows >= 0) & (~self._known[rows] | (ranks(held) > ranks(self._held[rows])))
        chosen, places = held[worse], rows[worse]
        start = self._starts[-1]
        chosen["slot"] = start + np.flatnonzero(worse)
        chosen["finding"] = np.where(chosen["finding"] < 0, -1, chosen["slot"])
        self._held[places], self._known[places] = chosen, True
        self._sources.append(given.points)
        self._starts.append(start + held.size)

    def points(self) -> TakenPoints:
        """Return the points."""
        findings = {
            start + row: source.findings[number]
            for start, source in zip(self._starts, self._sources, strict=False)
            for row, number in enumerate(source.held["finding"].tolist())
            if number >= 0
        }
        return TakenPoints(self._known, self._held, self, findings)

    def name_of(self, number: int) -> SeriesName:
        """Return the series of a point by its place among those of all sources."""
        part = bisect_right(self._starts, number) - 1
        source = self._sources[part]
        return source.names.name_of(int(source.held["slot"][number - self._starts[part]]))

    def columns_of(self, numbers: IntArray, known: npt.NDArray[np.bool_]) -> "list[pa.Array[Any]]":
        """Return columns series_id, metric and labels of points (n,), null where they are not `known`."""
        return name_columns([self.name_of(number) if held else None for number, held in zip(numbers, known, strict=True)])


def _rows(tick_us: int, part: int, held: _PartPoints) -> pa.RecordBatch:
    points = held.points
    columns = point_columns([points]) | rank_columns(points)
    series = points.series()
    columns["service"] = [name.service for name in series if name is not None]
    columns["tick_us"], columns["part"] = np.full(len(series), tick_us), np.full(len(series), part)
    return pa.RecordBatch.from_pydict(columns, schema=_SCHEMA)
