"""`aiops bench units`: one score a row of multivariate units, SET/UNIT/{train,test}.parquet, at one fixed threshold for all.

Every unit is fitted on its own training part and scored in order of time. Labels (`anomalies.csv`) are read for the figures only;
nothing depends on the name of a set, of a unit or of a metric.
"""

import csv
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet

from aiops.errors import SourceError
from aiops.types import FloatArray, IntArray, SeriesBatch
from data_contracts.series.tenant import DEFAULT_TENANT
from data_contracts.telemetry.series_rows import PointColumns, points_of
from models.detectors.unit_normal import UnitConfig
from models.detectors.unit_surprise import ALARM, UnitSurprise
from orchestration.bench.corpora.unit_baselines import largest_deviations, reconstruction_error
from orchestration.bench.corpora.unit_figures import (
    EventFigures,
    JudgedUnit,
    average_precision,
    best_figures,
    event_figures,
)
from serving.ingest.pull.corpus import read_cells
from serving.ingest.pull.time_columns import read_epochs

_TIME: Final = "time"
_LABELS: Final = "anomalies.csv"
_DAY_US: Final = 86_400_000_000
_RESTORE: Final = "restore the file of the corpus"
_BASELINES: Final[Mapping[str, Callable[[FloatArray, FloatArray], FloatArray]]] = {
    "three largest robust z": largest_deviations,
    "PCA reconstruction error": reconstruction_error,
}


@dataclass(frozen=True, slots=True, eq=False)
class UnitTable:
    """Times in us since 1970 (rows,), ascending, and values (rows, metrics)."""

    time_us: IntArray
    metrics: tuple[str, ...]
    values: FloatArray


@dataclass(frozen=True, slots=True)
class RuleFigures:
    """One rule on the units of one set: mean average precision over units, and events; a baseline's at its best threshold."""

    rule: str
    average_precision: float
    recall: float
    precision: float
    f1: float
    false_per_day: float
    delay_rows: float


@dataclass(frozen=True, slots=True)
class SetFigures:
    """One set; `base_rate` = share of rows in events, mean over units. `rules[0]` is the detector at the fixed threshold."""

    name: str
    units: int
    rows: int
    events: int
    base_rate: float
    rules: tuple[RuleFigures, ...]


@dataclass(frozen=True, slots=True)
class Figures:
    """What was scored; seconds are CPU time of fitting and scoring, kernels compiled. Sets without labels have no figures."""

    threshold: float
    units: int
    rows: int
    alarm_rows: int
    unknown_rows: int
    seconds: float
    rows_per_second: float
    sets: tuple[SetFigures, ...]


def run(path: Path, out: Path, say: Callable[[str], None]) -> Figures:
    """Write `set,unit,time,score` for each row of every unit's test part below `path` and return the figures.

    Raises:
        SourceError: `path` holds no unit, or a file of one is damaged.
    """
    folders = unit_folders(path)
    judged: dict[str, list[dict[str, JudgedUnit]]] = {}
    seconds, rows, alarms, unknown = 0.0, 0, 0, 0
    out.parent.mkdir(parents=True, exist_ok=True)
    with out.open("w", newline="", encoding="utf-8") as lines:
        writer = csv.writer(lines)
        writer.writerow(("set", "unit", "time", "score"))
        for folder in folders:
            train, test = read_unit(folder / "train.parquet"), read_unit(folder / "test.parquet")
            began = time.process_time()
            score = unit_score(train, test)
            seconds += time.process_time() - began
            say(f"{folder.parent.name}/{folder.name}: {len(score):,} rows scored")
            _write(writer, folder, test, score)
            rows, alarms, unknown = rows + len(score), alarms + int((score >= ALARM).sum()), unknown + int(np.isnan(score).sum())
            if (folder / _LABELS).is_file():
                judged.setdefault(folder.parent.name, []).append(_rules(folder, train, test, score))
    sets = tuple(_set_figures(name, units) for name, units in judged.items())
    return Figures(ALARM, len(folders), rows, alarms, unknown, round(seconds, 2), round(rows / max(seconds, 1e-9), 0), sets)


def unit_folders(path: Path) -> list[Path]:
    """Return the folders SET/UNIT below `path`, ascending.

    Raises:
        SourceError: there are none.
    """
    folders = sorted(file.parent for file in path.glob("*/*/test.parquet"))
    if not folders:
        raise SourceError(f"{path}: holds no SET/UNIT/test.parquet; give the folder of the corpus")
    return folders


def read_unit(file: Path) -> UnitTable:
    """Return one part of a unit, in order of time.

    Raises:
        SourceError: the file is absent or no Parquet, has no column `time`, no metric, or a column that is no number.
    """
    try:
        table = pyarrow.parquet.read_table(file, use_threads=False)
        metrics = tuple(name for name in table.column_names if name != _TIME)
        times = np.asarray(table[_TIME].cast(pa.timestamp("us")).cast(pa.int64()))
        values = np.column_stack([np.asarray(table[name].cast(pa.float64())) for name in metrics])
    except (OSError, KeyError, ValueError, pa.ArrowException) as error:
        raise SourceError(f"{file}: is no table of time and metrics: {error}; {_RESTORE}") from error
    order = np.argsort(times, kind="stable")
    return UnitTable(times[order], metrics, values[order])


def unit_score(train: UnitTable, test: UnitTable) -> FloatArray:
    """Return (rows,) scores of a test part by the detector fitted on the training part; NaN = unknown."""
    step_s = max(1, int(np.median(np.diff(train.time_us))) // 1_000_000)
    detector = UnitSurprise.fit(points(train), UnitConfig(step_s=step_s))
    scores = detector.score(points(test)).reshape(test.values.shape)
    return np.asarray(np.fmax.reduce(scores, axis=1))


def points(table: UnitTable) -> SeriesBatch:
    """Return the points of one unit, row by row, NaN where nothing was measured."""
    rows, metrics = table.values.shape
    code: pa.Array[Any] = pa.array(np.tile(np.arange(metrics, dtype=np.int32), rows))
    owner: pa.Array[Any] = pa.array(np.zeros(rows * metrics, np.int32))
    service = pa.DictionaryArray.from_arrays(owner, pa.array(["unit"]))
    metric = pa.DictionaryArray.from_arrays(code, pa.array(list(table.metrics)))
    times = pa.array(np.repeat(table.time_us, metrics))
    return SeriesBatch(points_of(PointColumns(times, service, metric, pa.array(table.values.ravel())), DEFAULT_TENANT))


def _write(writer: Any, folder: Path, test: UnitTable, score: FloatArray) -> None:
    texts = np.datetime_as_string(test.time_us.astype("datetime64[us]"), unit="s").tolist()
    known = ["" if np.isnan(value) else repr(value) for value in score.tolist()]
    writer.writerows((folder.parent.name, folder.name, f"{at}Z", value) for at, value in zip(texts, known, strict=True))


def _rules(folder: Path, train: UnitTable, test: UnitTable, score: FloatArray) -> dict[str, JudgedUnit]:
    events = _events(folder / _LABELS, test.time_us)
    days = float(test.time_us[-1] - test.time_us[0]) / _DAY_US
    scores = {"unit-surprise": score, **{name: rule(train.values, test.values) for name, rule in _BASELINES.items()}}
    return {name: JudgedUnit(values, events, days) for name, values in scores.items()}


def _events(file: Path, time_us: IntArray) -> IntArray:
    cells = read_cells(file)
    if not {"starts_at", "ends_at"} <= set(cells.column_names):
        raise SourceError(f"{file}: has no columns starts_at and ends_at; {_RESTORE}")
    edges = np.column_stack([read_epochs(cells[name].combine_chunks()) for name in ("starts_at", "ends_at")])
    return np.asarray(np.searchsorted(time_us, edges), dtype=np.int64)


def _set_figures(name: str, units: Sequence[Mapping[str, JudgedUnit]]) -> SetFigures:
    rules: list[RuleFigures] = []
    for rule in units[0]:
        own = [unit[rule] for unit in units]
        at = event_figures(own, ALARM) if not rules else best_figures(own)
        rules.append(_rule_figures(rule, own, at))
    own = [unit["unit-surprise"] for unit in units]
    base = float(np.mean([unit.labels().mean() for unit in own]))
    rows, events = sum(len(unit.score) for unit in own), sum(len(unit.events) for unit in own)
    return SetFigures(name, len(units), rows, events, base, tuple(rules))


def _rule_figures(rule: str, units: Sequence[JudgedUnit], at: EventFigures) -> RuleFigures:
    precision = float(np.mean([average_precision(unit.ranked(), unit.labels()) for unit in units]))
    return RuleFigures(rule, precision, at.recall, at.precision, at.f1, at.false_per_day, at.delay_rows)
