"""The character of every series, measured from the lake's telemetry: what routing and explanations read."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import numpy as np
import pyarrow as pa

from aiops.features.series_character import SeriesCharacter, character_rows, measure
from aiops.features.series_index import distinct_series
from aiops.types import FloatArray, IntArray
from data_contracts.series.series_name import SeriesName
from orchestration.workspace.workspace import Workspace

HISTORY: Final = timedelta(days=14)
"""Two weeks: enough days for a daily season, and weekends among them."""
TABLE: Final = "series_character"


@dataclass(frozen=True, slots=True)
class Measured:
    """What one measurement covered."""

    at: datetime
    series: int
    points: int


def measure_characters(workspace: Workspace, at: datetime | None = None) -> Measured:
    """Measure every series from the two weeks before `at` (default: the newest telemetry) and replace the table.

    Raises:
        SourceError: the lake has no telemetry.
    """
    until = at or workspace.newest_telemetry()
    rows = workspace.lake.read("telemetry", until - HISTORY, until, ["timestamp", *SeriesName._fields, "value"])
    characters: dict[SeriesName, SeriesCharacter] = {name: measure(times, values) for name, times, values in _series(rows)}
    workspace.lake.write(TABLE, character_rows(until, characters), key="all")
    return Measured(until, len(characters), rows.num_rows)


def _series(rows: pa.Table) -> Iterator[tuple[SeriesName, IntArray, FloatArray]]:
    """Yield (series, times in us ascending, values) a series."""
    if rows.num_rows == 0:
        return
    names, code = distinct_series(rows)
    time_us = rows.column("timestamp").cast(pa.int64()).to_numpy()
    order = np.lexsort((time_us, code))
    starts = np.flatnonzero(np.diff(code[order], prepend=-1))
    value = rows.column("value").to_numpy()
    for places in np.split(order, starts[1:]):
        yield names[int(code[places[0]])], time_us[places], value[places]
