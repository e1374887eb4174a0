"""Incident prediction: P(an incident of the service starts within a horizon), one calibrated XGBoost model a horizon.

The trees start from what is known beforehand: log odds that rise as the time to exhaustion of a resource shrinks, a logistic
regression on one number. They learn what speaks for or against it, so few incidents suffice to do no worse than that rule.
They read the service's vector and its outlook: forecasts of band and limit, and what led here, made of its last hour.

Source: Chen, Guestrin, "XGBoost", KDD 2016; contributions: Lundberg, Erion, Lee, "Consistent individualized feature
attribution for tree ensembles", 2018.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar, Final

import numpy as np
import xgboost as xgb

from aiops.errors import ArtifactError, ModelError, TrainingImpossible
from aiops.incidents.labels import HORIZONS_MIN
from aiops.types import FloatArray, State
from data_contracts.schemas.telemetry_schemas import NEIGHBOURS, SERVICE_FEATURES
from models.artifacts.artifact import array_names, names_array, state_array
from models.prediction.outlook import OUTLOOK_MONOTONE, PAST
from models.prediction.predictor_terms import Terms, terms_of
from models.vectors.calibration import Platt, fit_floored, fit_platt
from models.vectors.service_rows import CALENDAR

TREND: Final = "minutes_to_limit"
FAR_MIN: Final = 1_440.0
FAR: Final = -float(np.log1p(FAR_MIN))
"""The trend of a resource with no end in sight."""
LEFT_OUT: Final = frozenset((*CALENDAR, "traffic_level", "latency_level", "errors_mean", "errors_level", "traffic_mean"))
PREDICTIVE: Final = tuple(name for name in SERVICE_FEATURES if name not in LEFT_OUT and not name.startswith(NEIGHBOURS))
"""A history holds few incidents, so few columns: what the service's own resources and signals do. Absolute traffic and latency
tell services apart, not their risk, and the calendar tells the training incidents by their date: both are learnt by heart.
Neighbours' columns, in any form tried, add nothing on seeds that were not fitted to."""
MONOTONE: Final[Mapping[str, int]] = {
    "minutes_to_limit": -1,
    "saturation_level": 1,
    "saturation_slope_per_min": 1,
    **OUTLOOK_MONOTONE,
}
"""What more of a feature may do to the risk: a resource that is exhausted sooner never lowers it."""


@dataclass(frozen=True, slots=True)
class PredictorConfig:
    """Columns, horizons and boosting (`rounds` of the longest horizon); at most `max_negatives` negative rows are drawn.

    Positive rows weigh (negatives / positives) ** `imbalance_power`: 1 = both classes weigh the same, 0 = as they are, which
    ranks best here, as the trend's log odds hold the base rate already. Calibration restores the probabilities.
    A `blank_share` of the rows is learnt from without an outlook: rows that come without one (from the online store) are then
    scored no worse than by a model that knows none.
    """

    features: tuple[str, ...] = (*PREDICTIVE, *PAST)
    horizons_min: tuple[int, ...] = HORIZONS_MIN
    rounds: int = 150
    depth: int = 3
    learning_rate: float = 0.05
    min_child_weight: float = 10.0
    imbalance_power: float = 0.0
    max_negatives: int = 60_000
    blank_share: float = 0.15
    seed: int = 7


@dataclass(frozen=True, slots=True, eq=False)
class IncidentPredictor:
    """A fitted predictor; outputs "p_5min", "p_15min", "p_60min" (one a horizon) in 0..1, never falling with the horizon."""

    catalog_name: ClassVar[str] = "incident-predictor"

    features: tuple[str, ...]
    outputs: tuple[str, ...]
    boosters: tuple[xgb.Booster, ...]
    trends: tuple[Platt, ...]
    calibration: tuple[Platt, ...]
    thresholds: FloatArray

    @classmethod
    def fit(cls, rows: FloatArray, labels: FloatArray, config: PredictorConfig) -> "IncidentPredictor":
        """Return boosters fitted to rows (n, features) and labels (n, horizons) in {0, 1}, not yet calibrated (thresholds 0.5).

        Deterministic by `config.seed`, one thread.

        Raises:
            ModelError: the shapes do not fit, or a label is unknown.
            TrainingImpossible: a horizon has only one class.
        """
        if rows.shape != (len(labels), len(config.features)) or labels.shape != (len(rows), len(config.horizons_min)):
            raise ModelError(f"rows {rows.shape} and labels {labels.shape} do not fit the configured features and horizons")
        if not np.isfinite(labels).all():
            raise ModelError("labels hold NaN: leave out the rows whose label is unknown (an incident is in progress)")
        fitted = [_boost(rows, labels[:, column], _for_horizon(config, column)) for column in range(labels.shape[1])]
        boosters, trends = tuple(booster for booster, _ in fitted), tuple(trend for _, trend in fitted)
        outputs = tuple(f"p_{horizon}min" for horizon in config.horizons_min)
        identity = (Platt(1.0, 0.0),) * len(outputs)
        return cls(config.features, outputs, boosters, trends, identity, np.full(len(outputs), 0.5))

    def calibrated(self, rows: FloatArray, labels: FloatArray) -> "IncidentPredictor":
        """Return the same boosters with calibration fitted on an unseen slice; raises TrainingImpossible."""
        margins = self.margins(rows)
        maps = tuple(fit_floored(margins[:, column], labels[:, column]) for column in range(len(self.outputs)))
        return replace(self, calibration=maps)

    def with_thresholds(self, thresholds: FloatArray) -> "IncidentPredictor":
        """Return the same predictor with other thresholds (len(outputs),)."""
        return replace(self, thresholds=thresholds)

    def margins(self, rows: FloatArray) -> FloatArray:
        """Return (n, outputs) log odds before calibration."""
        read, trend = self._terms().values(rows), _trend(rows, self.features)
        columns = [booster.inplace_predict(read, predict_type="margin") for booster in self.boosters]
        starts = [start.slope * trend + start.intercept for start in self.trends]
        return np.stack([start + column.astype(np.float64) for start, column in zip(starts, columns, strict=True)], axis=1)

    def score(self, rows: FloatArray) -> FloatArray:
        """Return (n, outputs); NaN or infinite inputs = unknown; NaN for a row in which no telemetry feature is known.

        A longer horizon includes the shorter one, so its probability is raised to the shorter one's where it fell below.
        """
        if not len(rows):
            return np.empty((0, len(self.outputs)))
        margins = self.margins(rows)
        scores = np.stack([platt(margins[:, column]) for column, platt in enumerate(self.calibration)], axis=1)
        scores = np.maximum.accumulate(scores, axis=1)
        scores[~self._known(rows)] = np.nan
        return scores

    def explain(self, rows: FloatArray) -> FloatArray:
        """Return (n, features) contributions to the calibrated log odds of the last output; positive = more likely.

        Those of `reasons`, an outlook's counted for the newest span of its signal. They add up, with `base()`, to the log odds of
        the last booster, above the calibration's floor. NaN for rows that score NaN. O(n trees depth**2).
        """
        return self._terms().by_feature(self.reasons(rows)[2], len(self.features))

    def reasons(self, rows: FloatArray) -> tuple[tuple[str, ...], FloatArray, FloatArray]:
        """Return the terms that the trees read, their values (n, terms) and their contributions (n, terms).

        TreeSHAP of the trees, and to minutes_to_limit what its trend adds beyond that of "no end in sight".
        """
        terms = self._terms()
        read = terms.values(rows)
        if not len(rows):
            return terms.names, read, np.empty((0, len(terms.names)))
        shares = self.boosters[-1].predict(xgb.DMatrix(read, nthread=1), pred_contribs=True)
        contributions = shares[:, :-1].astype(np.float64)
        if TREND in terms.names:
            contributions[:, terms.names.index(TREND)] += self.trends[-1].slope * (_trend(rows, self.features) - FAR)
        contributions *= self.calibration[-1].slope
        contributions[~self._known(rows)] = np.nan
        return terms.names, read, contributions

    def base(self) -> float:
        """Return the calibrated log odds that the contributions start from."""
        blank = xgb.DMatrix(np.full((1, len(self._terms().names)), np.nan), nthread=1)
        bias = float(self.boosters[-1].predict(blank, pred_contribs=True)[0, -1])
        start = self.trends[-1].slope * FAR + self.trends[-1].intercept
        return (bias + start) * self.calibration[-1].slope + self.calibration[-1].intercept

    def state(self) -> State:
        """Return boosters as UBJ bytes (`p_5min.ubj`, …), calibration (outputs, 3), thresholds and names."""
        boosters = zip(self.outputs, self.boosters, strict=True)
        return {
            **{f"{name}.ubj": np.frombuffer(bytes(booster.save_raw("ubj")), dtype=np.uint8) for name, booster in boosters},
            "trends": np.array([[platt.slope, platt.intercept] for platt in self.trends]),
            "calibration": np.array([[platt.slope, platt.intercept, platt.floor] for platt in self.calibration]),
            "thresholds": self.thresholds,
            "features": names_array(self.features),
            "outputs": names_array(self.outputs),
        }

    @classmethod
    def from_state(cls, state: State) -> "IncidentPredictor":
        """Return the predictor of a state.

        Raises:
            ArtifactError: an array is missing, has the wrong shape, or a booster cannot be read or expects other columns.
        """
        features, outputs = array_names(state_array(state, "features")), array_names(state_array(state, "outputs"))
        trends, calibration = state_array(state, "trends"), state_array(state, "calibration")
        thresholds = state_array(state, "thresholds")
        count = len(outputs)
        fitting = trends.shape == (count, 2) and calibration.shape in {(count, 2), (count, 3)}
        if not fitting or thresholds.shape != (count,):
            shapes = f"trends {trends.shape}, calibration {calibration.shape} or thresholds {thresholds.shape}"
            raise ArtifactError(f"{shapes} do not fit the outputs {outputs}; save the model again")
        columns = len(terms_of(features).names)
        boosters = tuple(_booster(state_array(state, f"{name}.ubj").tobytes(), columns, name) for name in outputs)
        starts, maps = (tuple(Platt(*map(float, numbers)) for numbers in rows) for rows in (trends, calibration))
        return cls(features, outputs, boosters, starts, maps, thresholds)

    def _terms(self) -> Terms:
        return terms_of(self.features)

    def _known(self, rows: FloatArray) -> "np.ndarray[tuple[int], np.dtype[np.bool_]]":
        telemetry = [index for index, name in enumerate(self.features) if name not in CALENDAR]
        return np.asarray(np.isfinite(rows[:, telemetry]).any(axis=1))


def _trend(rows: FloatArray, features: tuple[str, ...]) -> FloatArray:
    """Return (n,) -log(1 + minutes to exhaustion), higher = sooner; unknown counts as no end in sight."""
    if TREND not in features:
        return np.full(len(rows), FAR)
    minutes = rows[:, features.index(TREND)]
    return np.asarray(-np.log1p(np.clip(np.where(np.isfinite(minutes), minutes, FAR_MIN), 0.0, FAR_MIN)))


def _start(trend: FloatArray, label: FloatArray, weight: FloatArray) -> Platt:
    """Return the log odds by trend that the trees start from; the base rate's alone where no trend was seen."""
    if trend.max() > trend.min():
        return fit_platt(trend, label, weight)
    rate = float(np.average(label, weights=weight))
    return Platt(0.0, float(np.log(rate / (1.0 - rate))))


def _for_horizon(config: PredictorConfig, column: int) -> PredictorConfig:
    """Return the boosting of one horizon: a shorter one has fewer positive rows, so it may learn less."""
    share = np.sqrt(config.horizons_min[column] / max(config.horizons_min))
    return replace(config, rounds=max(1, round(config.rounds * float(share))))


def _boost(rows: FloatArray, label: FloatArray, config: PredictorConfig) -> tuple[xgb.Booster, Platt]:
    terms = terms_of(config.features)
    positive = np.flatnonzero(label > 0)
    negative = np.flatnonzero(label <= 0)
    if not positive.size or not negative.size:
        raise TrainingImpossible(
            f"training needs both classes; it has {positive.size} positive and {negative.size} negative rows"
        )
    drawn = negative
    if negative.size > config.max_negatives:
        drawn = np.random.default_rng(config.seed).choice(negative, config.max_negatives, replace=False)
    chosen = np.sort(np.concatenate([positive, drawn]))
    weight = (drawn.size / positive.size) ** config.imbalance_power
    trend = _trend(rows[chosen], config.features)
    start = _start(trend, label[chosen], np.where(label[chosen] > 0, weight, 1.0))
    margin = start.slope * trend + start.intercept
    data = xgb.QuantileDMatrix(_blanked(rows[chosen], config), label=label[chosen], base_margin=margin, nthread=1)
    parameters = {
        "objective": "binary:logistic",
        "max_depth": config.depth,
        "eta": config.learning_rate,
        "min_child_weight": config.min_child_weight,
        "subsample": 0.7,
        "colsample_bytree": 0.6,
        "lambda": 5.0,
        "scale_pos_weight": weight,
        "base_score": 0.5,
        "monotone_constraints": tuple(MONOTONE.get(name, 0) for name in terms.names),
        "seed": config.seed,
        "nthread": 1,
        "tree_method": "hist",
    }
    booster = xgb.train(parameters, data, num_boost_round=config.rounds)
    return _booster(bytes(booster.save_raw("ubj")), len(terms.names), "training"), start


def _blanked(rows: FloatArray, config: PredictorConfig) -> FloatArray:
    """Return what the trees learn from: the terms of the rows, a share of them without an outlook."""
    terms = terms_of(config.features)
    values = terms.values(rows)
    if terms.past:
        blank = np.random.default_rng(config.seed).random(len(values)) < config.blank_share
        values[blank, len(terms.plain) :] = np.nan
    return values


def _booster(payload: bytes, columns: int, name: str) -> xgb.Booster:
    """Return a booster from UBJ bytes, one thread: so a fitted and a loaded one are the same.

    XGBoost's reader runs past the end of bytes that were cut off: the artifact's hash is checked before, the last brace here.
    """
    if payload[:1] != b"{" or payload[-1:] != b"}":
        raise ArtifactError(f"booster {name!r} is no complete UBJ object; save the model again")
    booster = xgb.Booster(params={"nthread": 1})
    try:
        booster.load_model(bytearray(payload))
    except xgb.core.XGBoostError as error:
        raise ArtifactError(f"booster {name!r} is no readable UBJ model; save the model again") from error
    booster.set_param({"nthread": 1})
    if booster.num_features() != columns:
        raise ArtifactError(f"booster {name!r} expects {booster.num_features()} columns, the model has {columns} terms")
    return booster
