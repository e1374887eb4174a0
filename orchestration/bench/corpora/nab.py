"""`aiops bench nab`: a score for each row of every series of a checkout of the Numenta Anomaly Benchmark, at a fixed threshold.

Every series is scored alone, in the order of its file, from its first row on. Rows whose score is unknown (warm-up) are written
as 0: the referee wants a number in each row, and its probation covers them. No label is read.
"""

import csv
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa

from aiops.errors import SourceError
from aiops.types import FloatArray, SeriesBatch
from data_contracts.series.tenant import DEFAULT_TENANT
from data_contracts.telemetry.series_rows import PointColumns, points_of
from data_contracts.values.coerce import read_numbers
from models.detectors.surprise import SeriesSurprise
from models.detectors.three_sigma import three_sigma_so_far
from serving.ingest.pull.corpus import read_cells
from serving.ingest.pull.time_columns import read_epochs

_RESTORE: Final = "restore the file of the corpus"


@dataclass(frozen=True, slots=True)
class Figures:
    """What was scored: `alarms` = rows at or above the threshold; the time is CPU time of scoring alone, kernels compiled."""

    threshold: float
    points_per_second: float
    series: int
    points: int
    alarms: int
    seconds: float


def run(path: Path, out: Path, three_sigma: bool = False) -> Figures:
    """Write `file,row,score` for every series below `path`/data and return the figures.

    `three_sigma` writes the naive rule instead: the distance from the mean of all earlier rows, 3 standard deviations = 0.5.

    Raises:
        SourceError: `path` holds no data/*/*.csv, or one of them is no series.
    """
    files = series_files(path)
    batches = [batch_of(file) for file in files]
    detector = SeriesSurprise()
    detector.score(SeriesBatch(batches[0].table.slice(0, 2)))
    started = time.process_time()
    scores = [naive_score(batch) if three_sigma else detector.score(batch) for batch in batches]
    seconds = time.process_time() - started
    _write(out, [file.relative_to(path / "data").as_posix() for file in files], scores)
    threshold = float(detector.thresholds[0])
    points = sum(len(batch) for batch in batches)
    alarms = sum(int((score >= threshold).sum()) for score in scores)
    return Figures(threshold, points / max(seconds, 1e-9), len(files), points, alarms, seconds)


def series_files(path: Path) -> list[Path]:
    """Return the series of a checkout, ascending.

    Raises:
        SourceError: there are none.
    """
    files = sorted((path / "data").glob("*/*.csv"))
    if not files:
        raise SourceError(f"{path}: holds no data/<category>/<series>.csv; give a checkout of https://github.com/numenta/NAB")
    return files


def batch_of(file: Path) -> SeriesBatch:
    """Return the rows of one file, all of them, in their order; service = category, metric = name of the file.

    Raises:
        SourceError: a column is absent, or a cell is no time or no finite number.
    """
    cells = read_cells(file)
    if not {"timestamp", "value"} <= set(cells.column_names):
        raise SourceError(f"{file}: has no columns timestamp and value; {_RESTORE}")
    times = read_epochs(cells["timestamp"].combine_chunks())
    values = read_numbers(cells["value"].combine_chunks(), "value").value
    unreadable = np.flatnonzero((times == np.iinfo(np.int64).min) | ~np.isfinite(values))
    if unreadable.size:
        raise SourceError(f"{file}: row {unreadable[0]} has no readable time and finite value; {_RESTORE}")
    code = pa.array(np.zeros(cells.num_rows, np.int32), pa.int32())
    service, metric = (pa.DictionaryArray.from_arrays(code, pa.array([name])) for name in (file.parent.name, file.stem))
    return SeriesBatch(points_of(PointColumns(pa.array(times), service, metric, pa.array(values)), DEFAULT_TENANT))


def naive_score(batch: SeriesBatch) -> FloatArray:
    """Return (n,) scores of the 3-sigma rule over all earlier rows; 3 standard deviations are 0.5."""
    return three_sigma_so_far(batch.table.column("value").to_numpy(zero_copy_only=False))


def _write(out: Path, names: list[str], scores: list[FloatArray]) -> None:
    with out.open("w", newline="", encoding="utf-8") as lines:
        writer = csv.writer(lines)
        writer.writerow(("file", "row", "score"))
        for name, score in zip(names, scores, strict=True):
            known = np.where(np.isnan(score), 0.0, score).tolist()
            writer.writerows((name, row, repr(value)) for row, value in enumerate(known))
