"""Feature backfill: telemetry of the lake → the stream's own engine → feature tables of the lake.

The engine's state at the end of a window is kept beside the lake, so that the next window goes on exactly where the last
one ended: days built one by one equal days built at once.
"""

import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from aiops.features.engine import FeatureEngine
from aiops.features.engine_output import EngineOutput
from aiops.types import SeriesBatch
from data_contracts.schemas.telemetry_schemas import SERIES
from data_contracts.values.moments import microseconds_of
from orchestration.workspace.workspace import Workspace
from serving.host.atomic_file import write_atomically

CHUNK = timedelta(hours=6)
INSTANT = timedelta(microseconds=1)
"""A tick at the end of a window belongs to the window that begins there."""
BACKFILLS = ("backfill-", "day-", "batch-")
"""What the keys of rows begin with that a backfill wrote, in version 0.1 and since, or that came from a home of 0.1."""


log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Built:
    """What one backfill did."""

    points: int
    series_rows: int
    service_rows: int
    resumed: bool
    seconds: float


@dataclass(frozen=True, slots=True)
class Window:
    """Telemetry with start <= timestamp < end; `resume` goes on from the state that a former window left at `start`.

    Ticks are closed through `through` where it is given: telemetry that ends within the window is no silence, and the stream
    that goes on from there closes the later ones.
    """

    start: datetime
    end: datetime
    resume: bool = True
    through: datetime | None = None

    @property
    def days(self) -> tuple[date, ...]:
        """Return the UTC days that the window touches."""
        count = ((self.end - INSTANT).date() - self.start.date()).days + 1
        return tuple(self.start.date() + timedelta(days=number) for number in range(count))

    @property
    def last(self) -> datetime:
        """Return the time through which ticks are closed."""
        return min(self.end - INSTANT, self.through or self.end)


def build_features(workspace: Workspace, window: Window, say: Callable[[str], None]) -> Built:
    """Compute both feature tables of the window and put them in the place of all that the lake holds of it.

    Each day changes at once, whoever wrote it and in whatever windows. Service rows are held in memory until the end.
    """
    began = time.monotonic()
    if streamed := streamed_rows(workspace, window):
        say(f"features: the stream wrote {streamed:,} service rows of this window already; nothing to compute")
        return Built(0, 0, streamed, True, time.monotonic() - began)
    backfill = Backfill(workspace, replace(window, through=workspace.lake.newest("telemetry")))
    services: list[pa.Table] = []

    def series() -> Iterator[pa.Table]:
        for index, (points, output) in enumerate(backfill.outputs()):
            services.append(pa.Table.from_batches([output.service_features]))
            backfill.count(points, output)
            if index % 8 == 0:
                say(f"features: {backfill.points:,} points, {backfill.service_rows:,} service rows")
            yield pa.Table.from_batches([output.series_features])

    lake, days = workspace.lake, window.days
    lake.replace("series_features", days, chain(_around(workspace, "series_features", window), series()))
    lake.replace("service_features", days, chain(_around(workspace, "service_features", window), services))
    backfill.keep_state()
    return Built(backfill.points, backfill.series_rows, backfill.service_rows, backfill.resumed, time.monotonic() - began)


def _around(workspace: Workspace, table: str, window: Window) -> Iterator[pa.Table]:
    """Yield what the window's first and last day hold outside of the window: it stays."""
    first, last = (datetime.combine(day, datetime.min.time(), UTC) for day in (window.days[0], window.days[-1]))
    for start, end in ((first, window.start), (window.end, last + timedelta(days=1))):
        if start < end:
            yield workspace.lake.read(table, start, end)


def streamed_rows(workspace: Workspace, window: Window) -> int:
    """Return how many service rows of the window the stream has written; it ran the same engine, so they need no backfill."""
    days = {day for day in workspace.lake.days("service_features") if window.start.date() <= day < window.end.date()}
    if all(key.startswith(BACKFILLS) for day in days for key in workspace.lake.keys("service_features", day)):
        return 0
    return int(workspace.lake.read("service_features", window.start, window.end, ["service"]).num_rows)


class Backfill:
    """One pass of a tenant's engine over the telemetry of a window, in order of availability.

    A tenant's ticks close together, over however many partitions its series lie in the stream (ADR 0042).
    """

    def __init__(self, workspace: Workspace, window: Window) -> None:
        self._workspace = workspace
        self._window = window
        self._graph = workspace.graph()
        self.points = self.series_rows = self.service_rows = 0
        state = self._stored_state() if window.resume else None
        self.resumed = state is not None
        self._engine = self._begun(state)

    def outputs(self) -> Iterator[tuple[int, EngineOutput]]:
        """Yield (points, output) a chunk; the window's last ticks are closed at its end."""
        self._note_incidents()
        for table in self._chunks():
            available = table["available_at"].cast(pa.int64()).to_numpy()
            batch = SeriesBatch(table.select(SERIES.names).cast(SERIES).combine_chunks().to_batches()[0])
            yield len(batch), self._engine.update(batch, available)
        yield 0, self._engine.close_through(self._window.last)

    def count(self, points: int, output: EngineOutput) -> None:
        """Add one output to the totals."""
        self.points += points
        self.series_rows += output.series_features.num_rows
        self.service_rows += output.service_features.num_rows

    def keep_state(self) -> None:
        """Save the engine's state at the end of the window, for the window that begins there."""
        path, state = self._state_path(self._window.end), self._engine.snapshot()
        write_atomically(path.parent / ".staging", path, lambda handle: np.savez(handle, **state))  # type: ignore[arg-type]

    def _begun(self, state: Path | None) -> FeatureEngine:
        config = self._workspace.engine_config
        if state is None:
            return FeatureEngine(config, self._graph)
        with np.load(state, allow_pickle=False) as stored:
            return FeatureEngine.restore(config, self._graph, {name: stored[name] for name in stored.files})

    def _stored_state(self) -> Path | None:
        """Return the file of the state at the window's start, None where there is none that holds all series.

        Releases before ADR 0042 kept a file for each partition, `partition=<p>/`: that of the only one is the whole state.
        """
        path = self._state_path(self._window.start)
        if path.exists():
            return path
        parts = sorted(path.parent.glob(f"partition=*/{path.name}"))
        if len(parts) > 1:
            kept = f"is kept by {len(parts)} partitions apart, as releases before this one did"
            log.warning("features: the state at %s %s: the window warms up anew", self._window.start, kept)
            return None
        return parts[0] if parts else None

    def _state_path(self, at: datetime) -> Path:
        return self._workspace.folder("engine") / f"{at:%Y%m%dT%H%M%S}.npz"

    def _note_incidents(self) -> None:
        known = self._workspace.announced(self._window.end).to_pylist()
        for incident in sorted(known, key=lambda row: row["known_at"]):
            self._engine.note_incident(incident["service"], microseconds_of(incident["known_at"]))

    def _chunks(self) -> Iterator[pa.Table]:
        start = self._window.start
        while start < self._window.end:
            end = min(start + CHUNK, self._window.end)
            table = self._workspace.lake.read("telemetry", start, end)
            if table.num_rows:
                yield table.take(_arrival_order(table))
            start = end


def _arrival_order(table: pa.Table) -> "pa.Array[Any]":
    """Return row numbers in order of availability; of rows available at once the earlier event first, then the lake's order.

    The lake holds what came together partition by partition: in that order one partition's points would make another's late.
    """
    available, event = (np.asarray(pc.cast(table[name], pa.int64()).to_numpy()) for name in ("available_at", "timestamp"))
    return pa.array(np.lexsort((event, available)))
