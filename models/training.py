"""Training of each model: history in, fitted model and its run out. Knows no registry, no clock and no environment."""

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Protocol

import numpy as np
import pyarrow as pa

from aiops.errors import TrainingImpossible
from aiops.feature_engine import EngineConfig
from aiops.settings import ModelSettings
from aiops.types import FloatArray
from models.artifact import Example
from models.detectors.isolation_forest import ForestConfig, IsolationForest
from models.detectors.robust_stream import LevelConfig, RobustStream
from models.evaluation import alarm_figures, precision_recall, reliability, trend_to_limit, worst_signal
from models.figures import precision_recall_figure, reliability_figure, timeline_figure
from models.history_points import points_of
from models.incident_predictor import IncidentPredictor, PredictorConfig
from models.page_budget import PageBudget, PageCounter, threshold_for_budget
from models.performance import detector_metrics, predictor_metrics
from models.scorecard import Replay
from models.service_rows import US_PER_MIN, BoolArray, ServiceRows, at, rows_of
from models.temporal_split import SplitConfig, TemporalSplit, temporal_split
from models.training_run import Trained, TrainingRun, dataset_facts
from models.truth import Truth, detection_truth, prediction_truth

if TYPE_CHECKING:
    import pandas as pd

EXAMPLE_ROWS = 16
LEAST_ROWS = 200
"""Rows of normal time below which an isolation forest is not trained."""


class Labels(Protocol):
    """Horizon labels aligned to a frame's rows, as `aiops.labels` makes them."""

    @property
    def labels(self) -> FloatArray:
        """Return (n, horizons) in {0, 1}; NaN while an incident of the service is in progress."""
        ...

    @property
    def minutes_to_start(self) -> FloatArray:
        """Return (n,) minutes until the next incident of the service starts; inf or NaN where none follows."""
        ...


@dataclass(frozen=True, slots=True)
class TrainingContext:
    """What a training is given beside its rows: where they come from, what pages may cost, and the seed."""

    dataset: str
    feature_service: str = ""
    git_commit: str = ""
    budget: PageBudget = field(default_factory=PageBudget)
    embargo_min: float = 120.0
    seed: int = 7
    holdout_share: float = 0.2

    @classmethod
    def of(cls, settings: ModelSettings, dataset: str, feature_service: str = "", git_commit: str = "") -> "TrainingContext":
        """Return the context of the settings."""
        budget = PageBudget(settings.page_budget_per_day)
        return cls(dataset, feature_service, git_commit, budget, float(settings.embargo_min), settings.seed)


def train_robust_stream(
    history: pa.Table,
    incidents: pa.Table | None,
    context: TrainingContext,
    engine: EngineConfig,
    config: LevelConfig | None = None,
) -> Trained[RobustStream]:
    """Fit alarm levels to the points outside incidents; the z scores are those of the engine over the whole history.

    `history` has timestamp, service, metric and value (`schemas.LAKE_TELEMETRY` or `SERIES`), in order of arrival. Where
    incidents leave under a fifth of the points, those of other services than the root are used too. Memory: 40 B a point.

    Raises:
        TrainingImpossible: there is no point.
    """
    if not history.num_rows:
        raise TrainingImpossible("the history has 0 points; ingest telemetry first")
    chosen = config or LevelConfig()
    sample, rows = points_of(history, engine)
    truth = detection_truth(rows, incidents) if incidents is not None else _without_incidents(rows)
    normal = _normal(rows, truth, np.ones(len(rows), dtype=np.bool_))
    model = RobustStream.fit(sample.take(normal), chosen, engine)
    levels = np.stack(model.alarm_for(sample.series))[:, sample.code]
    alarm = (np.abs(sample.z) >= levels[0]) | (sample.value < levels[1]) | (sample.value > levels[2])
    figures = alarm_figures(rows, truth, alarm, context.budget)
    metrics = {
        "series": float(len(model.series)),
        "points": float(len(rows)),
        "scored_points": float(np.isfinite(sample.z).sum()),
        "median_alarm_z": float(np.median(model.alarm_z)),
        "alarm_share": float(alarm.mean()),
        "incidents": float(figures.incidents),
        "incident_recall_in_sample": figures.recall,
    }
    run = _run((rows, context), asdict(chosen), metrics, None)
    return Trained(model, run, rows.span()[1])


def train_isolation_forest(
    frame: "pa.Table | pd.DataFrame",
    incidents: pa.Table | None,
    context: TrainingContext,
    exclude: BoolArray | None = None,
    config: ForestConfig | None = None,
) -> Trained[IsolationForest]:
    """Fit the forest and its threshold to the older rows outside incidents; measure it on the newest `holdout_share`.

    `exclude` (n,) marks rows that are known to be of another regime (drift); `config` None = defaults with the context's seed.

    Raises:
        TrainingImpossible: fewer than 200 rows of normal time are left.
    """
    rows = rows_of(frame)
    truth = detection_truth(rows, incidents) if incidents is not None else _without_incidents(rows)
    chosen = config or ForestConfig(seed=context.seed)
    holdout_us = int(np.quantile(rows.time_us, 1.0 - context.holdout_share)) if len(rows) else 0
    older = rows.time_us < holdout_us
    normal = older & _normal(rows, truth, older) & ~(exclude if exclude is not None else np.zeros(len(rows), np.bool_))
    if int(normal.sum()) < LEAST_ROWS:
        raise TrainingImpossible(
            f"{int(normal.sum())} of {len(rows)} rows are older than the holdout and outside incidents; "
            f"an isolation forest needs {LEAST_ROWS}: give a longer history"
        )
    quiet = rows.take(normal)
    forest = IsolationForest.fit(quiet.matrix(chosen.features), chosen)
    score = forest.score(rows.matrix(chosen.features))[:, 0]
    counter = PageCounter.over(quiet, np.ones(len(quiet), dtype=np.bool_), context.budget)
    forest = forest.with_thresholds(np.array([threshold_for_budget(score[normal], counter, context.budget)]))
    newer = Replay(rows.take(~older), truth.take(~older), worst_signal(rows.take(~older)))
    metrics = {"train_rows": float(len(quiet)), **detector_metrics(newer, score[~older], forest.thresholds[0], context.budget)}
    params = {key: value for key, value in asdict(chosen).items() if key != "features"}
    run = _run((rows, context), params, metrics, _example(forest, quiet))
    timeline = timeline_figure(newer.rows, score[~older], newer.truth, float(forest.thresholds[0]))
    figures = {"score_over_time.svg": timeline, **_curve_figures(newer, score[~older])}
    return Trained(forest, _with_figures(run, figures), at(holdout_us))


def train_incident_predictor(
    frame: "pa.Table | pd.DataFrame",
    labels: Labels,
    context: TrainingContext,
    config: PredictorConfig | None = None,
) -> Trained[IncidentPredictor]:
    """Fit, calibrate and set thresholds on successive parts of the history; measure on the newest part.

    Rows while an incident of their service is in progress take no part, nor do those of the last horizon, of which nobody
    knows yet what follows. Thresholds: the longest horizon may spend the page
    budget on the calibration part, shorter ones what it leaves.

    Raises:
        TrainingImpossible: no labelled incident, or too few for a temporal split.
    """
    rows = rows_of(frame)
    chosen = config or PredictorConfig(seed=context.seed)
    split = _split(rows, labels.labels[:, -1], chosen.horizons_min[-1], context)
    matrix = rows.matrix(chosen.features)
    predictor = IncidentPredictor.fit(matrix[split.train], labels.labels[split.train], chosen)
    predictor = predictor.calibrated(matrix[split.calibration], labels.labels[split.calibration])
    in_progress = np.isnan(labels.labels[:, -1])
    truth = prediction_truth(rows, labels.minutes_to_start, in_progress, chosen.horizons_min[-1])
    score = predictor.score(matrix)
    predictor = predictor.with_thresholds(_thresholds(rows, truth, score, split, context.budget))
    newest = Replay(rows.take(split.test), truth.take(split.test), trend_to_limit(rows.take(split.test)))
    metrics = {
        "train_rows": float(split.train.sum()),
        "train_positives": float((labels.labels[split.train, -1] > 0).sum()),
        "calibration_rows": float(split.calibration.sum()),
        **predictor_metrics(newest, predictor, (score[split.test], labels.labels[split.test]), context.budget),
    }
    params = {key: value for key, value in asdict(chosen).items() if key not in {"features", "horizons_min"}}
    params |= {"horizons_min": str(chosen.horizons_min), "embargo_min": context.embargo_min}
    run = _run((rows, context), params, metrics, _example(predictor, rows.take(split.train)))
    last = score[split.test, -1]
    bins = reliability(labels.labels[split.test, -1], last)
    timeline = timeline_figure(newest.rows, last, newest.truth, float(predictor.thresholds[-1]))
    figures = {"reliability.svg": reliability_figure(bins), "score_over_time.svg": timeline, **_curve_figures(newest, last)}
    return Trained(predictor, _with_figures(run, figures), at(split.test_start_us))


def detection_replay(frame: "pa.Table | pd.DataFrame", incidents: pa.Table | None, start_us: int) -> Replay:
    """Return the gate's replay for detectors: rows from `start_us` on, with the worst signal as trivial baseline."""
    rows = rows_of(frame)
    truth = detection_truth(rows, incidents) if incidents is not None else _without_incidents(rows)
    newer = rows.time_us >= start_us
    return Replay(rows.take(newer), truth.take(newer), worst_signal(rows.take(newer)))


def prediction_replay(frame: "pa.Table | pd.DataFrame", labels: Labels, start_us: int, horizon_min: float = 60.0) -> Replay:
    """Return the gate's replay for predictors: rows from `start_us` on, with the trend to a limit as trivial baseline."""
    rows = rows_of(frame)
    truth = prediction_truth(rows, labels.minutes_to_start, np.isnan(labels.labels[:, -1]), horizon_min)
    newer = rows.time_us >= start_us
    return Replay(rows.take(newer), truth.take(newer), trend_to_limit(rows.take(newer)))


def _without_incidents(rows: ServiceRows) -> Truth:
    nothing = np.full(len(rows), -1, dtype=np.int64)
    return Truth(nothing, np.ones(len(rows), dtype=np.bool_), np.empty(0, dtype=np.int64))


def _normal(rows: ServiceRows, truth: Truth, older: BoolArray) -> BoolArray:
    """Return rows of normal time: no incident anywhere; where that leaves under a fifth, none of the row's own service."""
    if truth.false[older].sum() >= 0.2 * older.sum():
        return truth.false
    return ~truth.positive


def _split(rows: ServiceRows, label: FloatArray, horizon_min: int, context: TrainingContext) -> TemporalSplit:
    """Return the temporal split of the rows whose label is known: those of the last horizon are still open."""
    closed = rows.time_us <= rows.time_us.max(initial=0) - horizon_min * US_PER_MIN
    return temporal_split(rows.time_us, np.where(closed, label, np.nan), SplitConfig(embargo_min=context.embargo_min))


def _thresholds(rows: ServiceRows, truth: Truth, score: FloatArray, split: TemporalSplit, budget: PageBudget) -> FloatArray:
    part = split.calibration
    counter = PageCounter.over(rows.take(part), truth.take(part).false, budget)
    thresholds = np.ones(score.shape[1])
    raised = np.zeros(int(part.sum()), dtype=np.bool_)
    for column in range(score.shape[1] - 1, -1, -1):
        thresholds[column] = threshold_for_budget(score[part, column], counter, budget, raised)
        raised |= score[part, column] >= thresholds[column]
    return thresholds


def _example(model: IsolationForest | IncidentPredictor, rows: ServiceRows) -> Example:
    """Return evenly spaced rows with their scores."""
    picked = np.unique(np.linspace(0, len(rows) - 1, EXAMPLE_ROWS).astype(np.int64))
    matrix = rows.take(picked).matrix(model.features)
    return Example(matrix, model.score(matrix))


def _curve_figures(replay: Replay, score: FloatArray) -> dict[str, bytes]:
    counted = replay.truth.counted
    label = replay.truth.positive[counted].astype(np.float64)
    if not label.any():
        return {}
    curves = (precision_recall(label, score[counted]), precision_recall(label, replay.baseline[counted]))
    return {"precision_recall.svg": precision_recall_figure(*curves, float(label.mean()))}


def _run(
    given: tuple[ServiceRows, TrainingContext],
    params: dict[str, str | int | float],
    metrics: dict[str, float],
    example: Example | None,
) -> TrainingRun:
    rows, context = given
    costs = {"page_budget_per_day": context.budget.per_day, "quiet_min": context.budget.quiet_min}
    facts = dataset_facts(context.dataset, rows)
    return TrainingRun({**params, **costs}, metrics, facts, example, {}, context.feature_service, context.git_commit)


def _with_figures(run: TrainingRun, figures: dict[str, bytes]) -> TrainingRun:
    return TrainingRun(run.params, run.metrics, run.dataset, run.example, figures, run.feature_service, run.git_commit, run.tags)
