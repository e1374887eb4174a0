"""Training of the service ensemble: members on the older rows, evidence and confidence on later ones, figures on the newest."""

from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from aiops.errors import TrainingImpossible
from aiops.types import FloatArray
from data_contracts.schemas.telemetry_schemas import SEQUENCE_FEATURES
from data_contracts.values.moments import moment_of_us
from models.artifacts.training_run import Trained
from models.detectors.evidence import Combination, EmpiricalTail, fit_combination, label_free
from models.detectors.isolation_forest import ForestConfig, IsolationForest
from models.detectors.labelled_trees import LabelledConfig, LabelledTrees
from models.detectors.lstm_autoencoder import LEAST_SEQUENCES, AutoencoderConfig, fit_autoencoder
from models.detectors.sequence_autoencoder import SequenceAutoencoder
from models.detectors.service_ensemble import Member, RankedModel, ServiceEnsemble
from models.evaluation.measures import average_precision, brier, reliability, worst_signal
from models.evaluation.performance import detector_metrics
from models.evaluation.scorecard import Replay
from models.training.detector_training import LEAST_ROWS, normal_rows, truth_of
from models.training.training_context import TrainingContext, example_of, run_of, scored_figures, with_figures
from models.vectors.page_budget import PageCounter, threshold_for_budget
from models.vectors.service_rows import US_PER_MIN, BoolArray, ServiceRows, rows_of
from models.vectors.truth import Truth, judged_normal

if TYPE_CHECKING:
    import pandas as pd

HOUR_US = 60 * US_PER_MIN
INTERLEAVED = 4
"""After a drift every fourth hour is calibration, so that both parts see both regimes."""
JUDGED_WEIGHT = 5.0
"""Rows that one row counts as where people called an alarm a false one."""


@dataclass(frozen=True, slots=True)
class EnsembleConfig:
    """Members' configurations; share of the older rows kept for calibration; incidents that labels must show to be used."""

    forest: ForestConfig = field(default_factory=ForestConfig)
    labelled: LabelledConfig = field(default_factory=LabelledConfig)
    sequence: AutoencoderConfig = field(default_factory=AutoencoderConfig)
    calibration_share: float = 0.25
    least_incidents: int = 5
    least_calibration_incidents: int = 3

    @classmethod
    def seeded(cls, seed: int) -> "EnsembleConfig":
        """Return the defaults with one seed for all members."""
        return cls(ForestConfig(seed=seed), LabelledConfig(seed=seed), AutoencoderConfig(seed=seed))


@dataclass(frozen=True, slots=True)
class Parts:
    """Rows with their truth and who may see them: (n,) masks. `normal` = of the regime now, outside incidents.

    `judged` = people called an alarm there a false one.
    """

    rows: ServiceRows
    truth: Truth
    fit: BoolArray
    calibration: BoolArray
    newest: BoolArray
    normal: BoolArray
    judged: BoolArray
    holdout_us: int

    def incidents(self, part: BoolArray) -> int:
        """Return how many incidents have a row in a part."""
        caught = self.truth.caught[part]
        return int(np.unique(caught[caught >= 0]).size)


def train_service_ensemble(
    frame: "pa.Table | pd.DataFrame",
    incidents: pa.Table | None,
    context: TrainingContext,
    config: EnsembleConfig | None = None,
    false_alarms: pa.Table | None = None,
) -> Trained[ServiceEnsemble]:
    """Fit members, tails, combination and threshold to rows older than the holdout; measure on the newest.

    Members see the first part; the calibration part is later (after a drift: every fourth hour) and out of their sight. Members
    that know no labels, tails and threshold take rows of normal time since `context.normal_from`; labels count for good.
    Rows at `false_alarms` (service, timestamp) are normal where no incident of the service is labelled, and weigh five times
    for the labelled member: they are what it must tell apart.

    Raises:
        TrainingImpossible: too few rows of normal time for a member, or for its tail.
    """
    rows = rows_of(frame)
    chosen = config or EnsembleConfig.seeded(context.seed)
    truth = truth_of(rows, incidents)
    false = np.zeros(len(rows), np.bool_) if false_alarms is None else judged_normal(rows, false_alarms) & ~truth.positive
    parts = replace(_parts(rows, replace(truth, false=truth.false | false), context, chosen), judged=false)
    members, notes = _members(parts, chosen)
    blank = ServiceEnsemble.of(members, Combination(np.full(len(members), 1.0 / len(members)), 0.0, fitted=False))
    evidence = blank.evidence(rows.matrix(blank.features))
    combination, notes["combination"] = _combination(parts, evidence, context, chosen)
    ensemble = ServiceEnsemble.of(members, combination)
    score = combination.confidence(evidence)
    ensemble = ensemble.with_thresholds(np.array([_threshold(parts, score, context)]))
    return _trained(_Fitted(ensemble, parts, score, evidence, notes), chosen, context)


def _parts(rows: ServiceRows, truth: Truth, context: TrainingContext, config: EnsembleConfig) -> Parts:
    if not len(rows):
        raise TrainingImpossible("the history has 0 rows; ingest telemetry first")
    holdout_us = context.holdout_us(rows)
    older = rows.time_us < holdout_us
    if not older.any():
        raise TrainingImpossible(
            f"no row is older than the holdout at {moment_of_us(holdout_us):%Y-%m-%d %H:%M}; give a longer history"
        )
    current = rows.time_us >= context.normal_from_us
    if context.normal_from is None:
        calibration = older & (rows.time_us >= np.quantile(rows.time_us[older], 1.0 - config.calibration_share))
    else:
        calibration = older & (rows.time_us // HOUR_US % INTERLEAVED == INTERLEAVED - 1)
    normal = current & normal_rows(rows, truth, older & current)
    return Parts(rows, truth, older & ~calibration, calibration, ~older, normal, np.zeros(len(rows), np.bool_), holdout_us)


def _members(parts: Parts, config: EnsembleConfig) -> tuple[list[Member], dict[str, str]]:
    quiet, check = parts.fit & parts.normal, parts.calibration & parts.normal
    for count, what in ((int(quiet.sum()), "fit"), (int(check.sum()) * 4, "calibrate")):
        if count < LEAST_ROWS:
            raise TrainingImpossible(
                f"{count} of {len(parts.rows)} rows are older than the holdout, outside incidents and there to {what}; "
                f"the ensemble needs {LEAST_ROWS} (to calibrate a quarter of it): give a longer history"
            )
    models: list[RankedModel] = [IsolationForest.fit(parts.rows.matrix(config.forest.features)[quiet], config.forest)]
    sequence, of_sequence = _sequence(parts, config)
    labelled, of_labels = _labelled(parts, config)
    models += [model for model in (sequence, labelled) if model is not None]
    sample = parts.rows.take(check)
    tails = [EmpiricalTail.fit(model.raw_score(sample.matrix(model.features))) for model in models]
    return [Member(model, tail) for model, tail in zip(models, tails, strict=True)], {
        "sequence": of_sequence,
        "labelled": of_labels,
    }


def _sequence(parts: Parts, config: EnsembleConfig) -> tuple[SequenceAutoencoder | None, str]:
    order = np.argsort(parts.rows.time_us, kind="stable")
    rows = parts.rows.take(order[(parts.fit & parts.normal)[order]]).matrix(SEQUENCE_FEATURES)
    check = parts.rows.take(parts.calibration & parts.normal).matrix(SEQUENCE_FEATURES)
    known, checked = (int(np.isfinite(part).any(axis=1).sum()) for part in (rows, check))
    if known < LEAST_SEQUENCES or 4 * checked < LEAST_SEQUENCES:
        return None, f"left out: {known} sequences to fit and {checked} to calibrate, {LEAST_SEQUENCES} and a quarter are needed"
    return fit_autoencoder(rows, config.sequence), f"fitted to {known} sequences"


def _labelled(parts: Parts, config: EnsembleConfig) -> tuple[LabelledTrees | None, str]:
    shown = parts.fit & parts.truth.counted
    incident_count = parts.incidents(parts.fit)
    label = parts.truth.positive[shown].astype(np.float64)
    if incident_count < config.least_incidents or not 0 < label.sum() < label.size:
        return None, f"left out: {incident_count} labelled incidents, {config.least_incidents} are needed"
    matrix = parts.rows.matrix(config.labelled.features)[shown]
    judged = parts.judged[shown]
    false_alarm_note = f" and {int(judged.sum())} rows of false alarms" if judged.any() else ""
    weight = np.where(judged, JUDGED_WEIGHT, 1.0) if false_alarm_note else None
    return LabelledTrees.fit(
        matrix, label, config.labelled, weight
    ), f"fitted to {incident_count} labelled incidents{false_alarm_note}"


def _combination(parts: Parts, evidence: FloatArray, context: TrainingContext, config: EnsembleConfig) -> tuple[Combination, str]:
    incident_count = parts.incidents(parts.calibration)
    shown = parts.calibration & parts.truth.counted
    label = parts.truth.positive[shown].astype(np.float64)
    if incident_count >= config.least_calibration_incidents and 0 < label.sum() < label.size:
        return fit_combination(evidence[shown], label), f"fitted to {incident_count} labelled incidents: 0.9 is meant as a share"
    quiet = parts.calibration & parts.normal
    share = min(0.5, context.budget.per_day * parts.rows.take(quiet).service_days() / max(1, int(quiet.sum())))
    why = f"{incident_count} labelled incidents in the calibration part, {config.least_calibration_incidents} are needed"
    return label_free(evidence[quiet], share), f"label-free: {why}; 0.5 is the page budget"


def _threshold(parts: Parts, score: FloatArray, context: TrainingContext) -> float:
    quiet = parts.calibration & parts.normal
    sample = parts.rows.take(quiet)
    counter = PageCounter.over(sample, np.ones(len(sample), dtype=np.bool_), context.budget)
    return threshold_for_budget(score[quiet], counter, context.budget)


@dataclass(frozen=True, slots=True, eq=False)
class _Fitted:
    """A fitted ensemble, the rows with their parts, confidence (n,) and evidence (n, members) of each, and notes by member."""

    ensemble: ServiceEnsemble
    parts: Parts
    score: FloatArray
    evidence: FloatArray
    notes: dict[str, str]


def _trained(fitted: _Fitted, config: EnsembleConfig, context: TrainingContext) -> Trained[ServiceEnsemble]:
    ensemble, parts, score, evidence = fitted.ensemble, fitted.parts, fitted.score, fitted.evidence
    newest, threshold = parts.newest, float(ensemble.thresholds[0])
    sample = parts.rows.take(newest)
    replay = Replay(sample, parts.truth.take(newest), worst_signal(sample))
    metrics = {"train_rows": float((parts.fit & parts.normal).sum()), "calibration_rows": float(parts.calibration.sum())}
    metrics |= detector_metrics(replay, score[newest], threshold, context.budget)
    metrics |= calibration_metrics(replay, score[newest])
    metrics |= _member_metrics(ensemble, replay, evidence[newest])
    numbers = {key: value for key, value in asdict(config).items() if isinstance(value, int | float)}
    run = run_of(parts.rows, context, {**numbers, **fitted.notes}, metrics, example_of(ensemble, parts.rows.take(parts.fit)))
    figures = scored_figures(replay, score[newest], threshold)
    return Trained(ensemble, with_figures(run, figures), moment_of_us(parts.holdout_us))


def _member_metrics(ensemble: ServiceEnsemble, replay: Replay, evidence: FloatArray) -> dict[str, float]:
    """Return each member's weight, and how well it ranks alone."""
    counted = replay.truth.counted
    label = replay.truth.positive[counted].astype(np.float64)
    metrics = {}
    for number, name in enumerate(ensemble.member_names):
        metrics[f"{name}_weight"] = float(ensemble.combination.weights[number])
        metrics[f"{name}_pr_auc"] = average_precision(label, evidence[counted, number])
    return metrics


def calibration_metrics(replay: Replay, confidence: FloatArray) -> dict[str, float]:
    """Return what a confidence (n,) means on rows that were not trained on: Brier score, calibration error, share at 0.9."""
    counted = replay.truth.counted & np.isfinite(confidence)
    label = replay.truth.positive[counted].astype(np.float64)
    rate = float(label.mean()) if label.size else float("nan")
    sure = label[confidence[counted] >= 0.9]
    return {
        "brier": brier(label, confidence[counted]),
        "brier_base_rate": rate * (1.0 - rate),
        "calibration_error": reliability(label, confidence[counted]).error,
        "rows_at_90": float(sure.size),
        "observed_share_at_90": float(sure.mean()) if sure.size else float("nan"),
    }
