"""What the lake holds around an incident: telemetry of the services near it on one grid.

Everything is bounded: services by their distance in the graph, the calm time by the cells of its grid.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import numpy as np

from aiops.incidents.root_cause_question import Interval
from aiops.topology.graph import ServiceGraph
from data_contracts.values.moments import microseconds_of, moment_of_us
from models.rca.grid import SeriesGrid
from models.rca.ranking import LEAST_SAMPLES
from serving.lake.port import Lake

PIECE_S: Final = 3600
"""Seconds of telemetry that are read first; the pieces before it are as long as `PIECE_CELLS` allow."""
PIECE_CELLS: Final = 1_200_000
"""Cells read at a time: bounds memory while a grid is made."""
SERIES_A_SERVICE: Final = 8
"""Assumed where a piece holds no telemetry."""
CALM_EVERY_S: Final = 900
"""Calm times end on the quarter of an hour, so that incidents near each other share one."""
CALM_STEPS: Final = 60
"""Steps that a calm time has at least, however short its hours."""


@dataclass(frozen=True, slots=True)
class TelemetryConfig:
    """How far to look. Steps of `step_s`; `most_cells` of the calm grid (8 B each) make its hours fewer."""

    step_s: int = 60
    calm_h: float = 6.0
    most_services: int = 5000
    most_cells: int = 4_000_000


class IncidentTelemetry:
    """Reads the lake; nothing is kept. Any thread."""

    def __init__(self, lake: Lake, config: TelemetryConfig) -> None:
        self._lake = lake
        self._config = config

    def between(self, start: datetime, end: datetime, services: Sequence[str]) -> SeriesGrid:
        """Return telemetry with start <= timestamp <= end."""
        rows = self._lake.read_telemetry(start, end + timedelta(microseconds=1), services)
        return SeriesGrid.of(rows, self._config.step_s)

    def calm(self, end: datetime, services: Sequence[str]) -> SeriesGrid:
        """Return the hours before `end`, the newest of them where the bound on cells allows no more."""
        config = self._config
        step_us = config.step_s * 1_000_000
        until = microseconds_of(end) // step_us * step_us
        first = until - self._calm_steps * step_us
        steps, cells = max(1, PIECE_S // config.step_s), 0
        grids: list[SeriesGrid] = []
        while until > first and steps >= 1:
            begin = max(first, until - steps * step_us)
            rows = self._lake.read_telemetry(moment_of_us(begin), moment_of_us(until), services)
            grids.insert(0, SeriesGrid.of(rows, config.step_s))
            cells += grids[0].values.size
            width = len(grids[0].series) or SERIES_A_SERVICE * len(services)
            steps, until = min(PIECE_CELLS, config.most_cells - cells) // max(1, width), begin
        return joined(grids)

    def masks_before(self, end: datetime, masked: Sequence[Interval]) -> tuple[Interval, ...]:
        """Return the parts of intervals that lie in the calm time before `end`: the same, however long they last after it."""
        start = end - timedelta(seconds=self._calm_steps * self._config.step_s)
        return tuple(sorted({(begin, min(until, end)) for begin, until in masked if begin < end and until > start}))

    @property
    def _calm_steps(self) -> int:
        return max(CALM_STEPS, int(self._config.calm_h * 3600) // self._config.step_s)


def near(graph: ServiceGraph, services: Sequence[str], most: int) -> tuple[str, ...]:
    """Return the services and those connected with them, the nearest first, at most `most`; unknown ones stand alone."""
    seen = dict.fromkeys(services)
    waiting = deque(services)
    while waiting and len(seen) < most:
        service = waiting.popleft()
        for neighbour in (*graph.callees(service), *graph.callers(service)):
            if neighbour not in seen:
                seen[neighbour] = None
                waiting.append(neighbour)
    return tuple(seen)[:most]


def without(calm: SeriesGrid, masked: Sequence[Interval]) -> SeriesGrid:
    """Return the grid without the steps inside other incidents, the longest first, as far as enough is left to compare with.

    Where small alarms cover nearly all of it, those stay in it: a baseline that holds them is wider than one without, but one
    that holds the great incidents calls nothing unusual.
    """
    kept = np.ones(calm.time_us.size, dtype=np.bool_)
    for start, end in sorted(masked, key=lambda span: (span[0] - span[1], span[0])):
        left = kept & ((calm.time_us < microseconds_of(start)) | (calm.time_us > microseconds_of(end)))
        if left.sum() >= LEAST_SAMPLES:
            kept = left
    if kept.all():
        return calm
    return SeriesGrid(calm.time_us[kept], calm.series, calm.values[kept])


def shared_end(before: datetime) -> datetime:
    """Return the end of the calm time before a moment that incidents near each other share."""
    us = microseconds_of(before)
    return moment_of_us(us - us % (CALM_EVERY_S * 1_000_000))


def joined(grids: Sequence[SeriesGrid]) -> SeriesGrid:
    """Return grids of consecutive times as one; a series that a grid lacks is NaN there."""
    series = tuple(sorted({name for grid in grids for name in grid.series}))
    place = {name: number for number, name in enumerate(series)}
    values = np.full((sum(grid.time_us.size for grid in grids), len(series)), np.nan)
    first = 0
    for grid in grids:
        values[first : first + grid.time_us.size, [place[name] for name in grid.series]] = grid.values
        first += grid.time_us.size
    return SeriesGrid(np.concatenate([grid.time_us for grid in grids]), series, values)
