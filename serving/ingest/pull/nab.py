"""Numenta Anomaly Benchmark: single series with labelled windows; service = category, metric = name of the file.

Rows keep the order of their file, also where times repeat or step back: the stream deals with late points and duplicates.
The first 15 % of a series (at most 750 rows) are its history: the benchmark's probation. Source: https://github.com/numenta/NAB
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa

from aiops.errors import SourceError
from aiops.types import HistorySplit
from data_contracts.schemas.telemetry_schemas import EDGES, INCIDENTS
from data_contracts.series.text import text_of
from data_contracts.values.moments import moment_of_us
from serving.ingest.pull.corpus import CorpusSeries, arranged, melted, read_cells
from serving.ingest.pull.source_options import SourceOptions
from serving.ingest.pull.source_rows import Rows
from serving.ingest.pull.time_columns import read_epochs

PROBATION_SHARE: Final = 0.15
PROBATION_ROWS: Final = 750


@dataclass(frozen=True, slots=True)
class NabSource:
    """TelemetrySource over series files `data/<category>/<name>.csv` of a checkout; `root` holds data/ and labels/."""

    root: Path
    files: tuple[Path, ...]

    @property
    def name(self) -> str:
        """Return "nab"."""
        return "nab"

    def batches(self, start: datetime | None = None, end: datetime | None = None) -> Iterator[pa.Table]:
        """Yield all series merged in order of arrival.

        Raises:
            SourceError: a file of the corpus is damaged.
        """
        yield from arranged([_rows(path) for path in self.files]).within(start, end).chunks()

    def edges(self) -> pa.Table:
        """Return no edges: the series are independent."""
        return EDGES.empty_table()

    def incidents(self) -> pa.Table:
        """Return the labelled windows of the series that are here; `incident_id` is category/name#number."""
        path = self.root / "labels" / "combined_windows.json"
        try:
            windows = json.loads(path.read_text(encoding="utf-8"))
            rows = [
                _incident(file, number, window)
                for file in self.files
                for number, window in enumerate(windows.get(_key(file), ()))
            ]
        except (OSError, ValueError, TypeError, AttributeError) as error:
            raise SourceError(f"{path}: cannot be read as labelled windows: {error!r}; restore the file of the corpus") from error
        return pa.Table.from_pylist(sorted(rows, key=lambda row: row["starts_at"]), schema=INCIDENTS)

    def labelled_series(self) -> dict[str, str]:
        """Return the series, as people read it, of every labelled window: a window says nothing about other files."""
        series = {_key(file): text_of(file.parent.name, file.stem, "") for file in self.files}
        numbers = [str(number) for number in self.incidents()["incident_id"].to_pylist()]
        return {number: series[number.rpartition("#")[0]] for number in numbers}

    def split(self) -> HistorySplit:
        """Return one window for both parts; `history_ends` says for each series (metric) where its probation ends."""
        ends: dict[str, datetime] = {}
        first, last = [], []
        for path in self.files:
            at = _rows(path).readable_at
            if not len(at):
                raise SourceError(f"{path}: no row has a readable time; restore the file of the corpus")
            probation = min(int(len(at) * PROBATION_SHARE), PROBATION_ROWS)
            ends[path.stem] = moment_of_us(int(np.maximum.accumulate(at)[probation]))
            first.append(int(at.min()))
            last.append(int(at.max()))
        start, end = moment_of_us(min(first)), moment_of_us(max(last)) + timedelta(microseconds=1)
        return HistorySplit(start, end, start, end, ends)


def _key(file: Path) -> str:
    return f"{file.parent.name}/{file.name}"


def _rows(path: Path) -> Rows:
    block = read_cells(path)
    if not {"timestamp", "value"} <= set(block.column_names):
        raise SourceError(f"{path}: has no columns timestamp and value; restore the file of the corpus")
    return melted(block, "timestamp", [CorpusSeries("value", path.parent.name, path.stem)])


def _incident(file: Path, number: int, window: Sequence[str]) -> dict[str, Any]:
    starts_at, ends_at = (moment_of_us(int(us)) for us in read_epochs(pa.array(list(window), pa.string())))
    return {
        "incident_id": f"{_key(file)}#{number}",
        "service": file.parent.name,
        "kind": "labelled_window",
        "onset_at": starts_at,
        "starts_at": starts_at,
        "ends_at": ends_at,
        "known_at": ends_at,
    }


def open_nab(options: SourceOptions) -> NabSource:
    """Return the source over a checkout, or over one category or one series file in it.

    Raises:
        SourceError: there is no series below the path, or it lies in no checkout.
    """
    path = options.existing("nab").resolve()
    root = next((folder for folder in (path, *path.parents) if (folder / "data").is_dir() and (folder / "labels").is_dir()), None)
    if root is None:
        raise SourceError(f"{path}: lies in no folder with data/ and labels/; give a checkout of NAB or something below it")
    below = root / "data" if path in {root, root / "data"} else path
    files = (below,) if below.is_file() else tuple(sorted(below.rglob("*.csv")))
    if not files:
        raise SourceError(f"{below}: holds no series (*.csv); give a checkout of NAB, a category or a series")
    return NabSource(root, files)
