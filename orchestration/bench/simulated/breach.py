"""`aiops bench breach`: will a series exceed the 98th percentile of its first 60 % within the next 12 rows?

All is fitted on the first 60 % of the rows of each series, together over the series of the folder; the last 40 % are forecast row
by row, from rows up to each. Beside the forecast stand naive rules, each a number that ranks the same rows: the share of calm
rows that a breach followed in the series' first 60 %, the distance to the limit, and the time at which a line through the last
12 rows meets it.
"""

import csv
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from aiops.errors import SourceError
from aiops.types import FloatArray
from data_contracts.values.coerce import read_numbers
from models.breach.breach_features import WARM_UP, breach_features
from models.breach.breach_forecast import BreachForecast, ForecastConfig, SeriesHistory
from models.breach.breach_kernels import breaches_of, labels_of
from models.breach.naive_rankings import naive_rankings
from models.evaluation.measures import precision_recall, reliability
from models.training.breach_training import fitted_rows, learned_reference, train_breach_forecast
from serving.ingest.pull.corpus import read_cells
from serving.ingest.pull.time_columns import read_epochs

FITTED: Final = 0.6


@dataclass(frozen=True, slots=True)
class Ranking:
    """What a number that ranks rows is worth: area under precision and recall, best precision at recall >= .5."""

    pr_auc: float
    precision_at_half: float


@dataclass(frozen=True, slots=True)
class Figures:
    """Rows forecast (calm ones), how many a breach followed, the rankings by name, error of the reliability curve, speed."""

    series: int
    rows: int
    base_rate: float
    rankings: Mapping[str, Ranking]
    calibration_error: float
    seconds: float
    points_per_second: float


def run(path: Path, out: Path) -> Figures:
    """Fit on the first 60 % of the series under `path`, write `unit,t,score` of the rest to `out`; t = row number from 0.

    Raises:
        SourceError: there is no folder `data/real*` with series, or a file is damaged.
        TrainingImpossible: no breach follows in the first 60 % of all series.
    """
    files = sorted(path.glob("data/real*/*.csv"))
    if not files:
        raise SourceError(f"{path}: holds no series data/real*/*.csv; give a checkout of NAB")
    began, config = time.monotonic(), ForecastConfig()
    histories = [read_series(file) for file in files]
    model = train_breach_forecast(histories, FITTED, config)
    judged = [_judge(model, history, config) for history in histories]
    seconds = time.monotonic() - began
    _write(out, [(file.stem, scored) for file, scored in zip(files, judged, strict=True)])
    return _figures(judged, seconds, sum(len(history.value) for history in histories))


def read_series(file: Path) -> SeriesHistory:
    """Return one series in the order of its file; raises SourceError where a cell is no finite number or no time."""
    cells = read_cells(file)
    if not {"timestamp", "value"} <= set(cells.column_names):
        raise SourceError(f"{file}: has no columns timestamp and value; restore the file of the corpus")
    numbers = read_numbers(cells["value"].combine_chunks(), "value")
    times = read_epochs(cells["timestamp"].combine_chunks())
    if numbers.missing.any() or not np.isfinite(numbers.value).all() or (times == np.iinfo(np.int64).min).any():
        raise SourceError(f"{file}: a value is no finite number or a time cannot be read; restore the file of the corpus")
    return SeriesHistory(np.asarray(numbers.value, dtype=np.float64), times / 1e6)


@dataclass(frozen=True, slots=True, eq=False)
class _Judged:
    """One series: the first row forecast, scores from there on, and of the calm ones label and scores by ranking (m,)."""

    first: int
    score: FloatArray
    label: FloatArray
    by_name: Mapping[str, FloatArray]


def _judge(model: BreachForecast, history: SeriesHistory, config: ForecastConfig) -> _Judged:
    rows, fitted = len(history.value), fitted_rows(history, FITTED)
    reference = learned_reference(history, FITTED, config)
    features = breach_features(history.value, history.time_s, reference, config.horizon)
    score = model.score_rows(features, reference)
    calm, start = breaches_of(history.value > reference.limit, config.horizon)
    first = max(fitted, WARM_UP)
    counted = first + np.flatnonzero(calm[first : rows - config.horizon])
    by_name = {"forecast": score[counted], **naive_rankings(features[counted], reference)}
    return _Judged(first, score[first:], labels_of(start, config.horizon)[counted], by_name)


def _figures(judged: Sequence[_Judged], seconds: float, points: int) -> Figures:
    label = np.concatenate([scored.label for scored in judged])
    scores = {name: np.concatenate([scored.by_name[name] for scored in judged]) for name in judged[0].by_name}
    rankings = {name: _ranking(label, score) for name, score in scores.items()}
    bins = reliability(label, scores["forecast"])
    return Figures(len(judged), len(label), float(label.mean()), rankings, bins.error, seconds, points / seconds)


def _ranking(label: FloatArray, score: FloatArray) -> Ranking:
    curve = precision_recall(label, score)
    return Ranking(curve.area, curve.precision_at(0.5))


def _write(out: Path, judged: Sequence[tuple[str, _Judged]]) -> None:
    partial = out.with_name(f".{out.name}.part")
    with partial.open("w", newline="", encoding="utf-8") as handle:
        writer = csv.writer(handle)
        writer.writerow(("unit", "t", "score"))
        for unit, scored in judged:
            writer.writerows((unit, scored.first + row, f"{score:.9f}") for row, score in enumerate(scored.score.tolist()))
    partial.replace(out)
