"""Incident prediction: P(an incident of the service starts within a horizon), one calibrated XGBoost model a horizon.

Source: Chen, Guestrin, "XGBoost", KDD 2016; contributions: Lundberg, Erion, Lee, "Consistent individualized feature
attribution for tree ensembles", 2018.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Final

import numpy as np
import xgboost as xgb

from aiops.errors import ArtifactError, ModelError
from aiops.types import FloatArray, State
from data_contracts.schemas import NEIGHBOURS, SERVICE_FEATURES
from models.artifact import array_names, names_array, state_array
from models.calibration import Platt, fit_platt
from models.service_rows import CALENDAR

HORIZONS_MIN: Final = (15, 60)
LARGEST: Final = 1e30
LEFT_OUT: Final = frozenset((*CALENDAR, "traffic_level", "latency_level", "errors_mean", "errors_level", "traffic_mean"))
PREDICTIVE: Final = tuple(name for name in SERVICE_FEATURES if name not in LEFT_OUT and not name.startswith(NEIGHBOURS))
"""A history holds few incidents, so few columns: what the service's own resources and signals do. Absolute traffic and latency
tell services apart, not their risk, and the calendar tells the training incidents by their date: both are learnt by heart."""
MONOTONE: Final[Mapping[str, int]] = {"minutes_to_limit": -1, "saturation_level": 1, "saturation_slope_per_min": 1}
"""What more of a feature may do to the risk: a resource that is exhausted sooner never lowers it."""


@dataclass(frozen=True, slots=True)
class PredictorConfig:
    """Columns, horizons and boosting; `max_negatives` negative rows are drawn where there are more.

    Positive rows weigh (negatives / positives) ** `imbalance_power`: 1 = both classes weigh the same, 0 = as they are. In
    between ranks best; calibration restores the probabilities.
    """

    features: tuple[str, ...] = PREDICTIVE
    horizons_min: tuple[int, ...] = HORIZONS_MIN
    rounds: int = 100
    depth: int = 3
    learning_rate: float = 0.05
    min_child_weight: float = 10.0
    imbalance_power: float = 0.5
    max_negatives: int = 60_000
    seed: int = 7


@dataclass(frozen=True, slots=True, eq=False)
class IncidentPredictor:
    """A fitted predictor; outputs "p_15min", "p_60min" (one a horizon) in 0..1, never falling with the horizon."""

    catalog_name: ClassVar[str] = "incident-predictor"

    features: tuple[str, ...]
    outputs: tuple[str, ...]
    boosters: tuple[xgb.Booster, ...]
    calibration: tuple[Platt, ...]
    thresholds: FloatArray

    @classmethod
    def fit(cls, rows: FloatArray, labels: FloatArray, config: PredictorConfig) -> "IncidentPredictor":
        """Return boosters fitted to rows (n, features) and labels (n, horizons) in {0, 1}, not yet calibrated (thresholds 0.5).

        Deterministic by `config.seed`, one thread.

        Raises:
            ModelError: the shapes do not fit, a label is unknown, or a horizon has only one class.
        """
        if rows.shape != (len(labels), len(config.features)) or labels.shape != (len(rows), len(config.horizons_min)):
            raise ModelError(f"rows {rows.shape} and labels {labels.shape} do not fit the configured features and horizons")
        if not np.isfinite(labels).all():
            raise ModelError("labels hold NaN: leave out the rows whose label is unknown (an incident is in progress)")
        boosters = tuple(_boost(rows, labels[:, column], config) for column in range(labels.shape[1]))
        outputs = tuple(f"p_{horizon}min" for horizon in config.horizons_min)
        return cls(config.features, outputs, boosters, (Platt(1.0, 0.0),) * len(outputs), np.full(len(outputs), 0.5))

    def calibrated(self, rows: FloatArray, labels: FloatArray) -> "IncidentPredictor":
        """Return the same boosters with Platt maps fitted on a slice that the boosters have not seen; raises ModelError."""
        margins = self.margins(rows)
        maps = tuple(fit_platt(margins[:, column], labels[:, column]) for column in range(len(self.outputs)))
        return IncidentPredictor(self.features, self.outputs, self.boosters, maps, self.thresholds)

    def with_thresholds(self, thresholds: FloatArray) -> "IncidentPredictor":
        """Return the same predictor with other thresholds (len(outputs),)."""
        return IncidentPredictor(self.features, self.outputs, self.boosters, self.calibration, thresholds)

    def margins(self, rows: FloatArray) -> FloatArray:
        """Return (n, outputs) log odds before calibration."""
        finite = _finite(rows)
        columns = [booster.inplace_predict(finite, predict_type="margin") for booster in self.boosters]
        return np.stack([np.asarray(column, dtype=np.float64) for column in columns], axis=1)

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
        """Return (n, features) TreeSHAP contributions to the calibrated log odds of the last output; positive = more likely.

        They add up, with `base()`, to the log odds of the last booster. NaN for rows that score NaN. O(n trees depth**2).
        """
        if not len(rows):
            return np.empty((0, len(self.features)))
        finite = _finite(rows)
        shares = self.boosters[-1].predict(xgb.DMatrix(finite, nthread=1), pred_contribs=True)
        contributions = np.asarray(shares[:, :-1], dtype=np.float64) * self.calibration[-1].slope
        contributions[~self._known(rows)] = np.nan
        return contributions

    def base(self) -> float:
        """Return the calibrated log odds that the contributions start from."""
        blank = xgb.DMatrix(np.full((1, len(self.features)), np.nan), nthread=1)
        bias = float(self.boosters[-1].predict(blank, pred_contribs=True)[0, -1])
        return bias * self.calibration[-1].slope + self.calibration[-1].intercept

    def state(self) -> State:
        """Return boosters as UBJ bytes (`p_15min.ubj`, …), calibration (outputs, 2), thresholds and names."""
        boosters = zip(self.outputs, self.boosters, strict=True)
        return {
            **{f"{name}.ubj": np.frombuffer(bytes(booster.save_raw("ubj")), dtype=np.uint8) for name, booster in boosters},
            "calibration": np.array([[platt.slope, platt.intercept] for platt in self.calibration]),
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
        calibration, thresholds = state_array(state, "calibration"), state_array(state, "thresholds")
        if calibration.shape != (len(outputs), 2) or thresholds.shape != (len(outputs),):
            raise ArtifactError(f"calibration {calibration.shape} or thresholds {thresholds.shape} do not fit {outputs}")
        boosters = tuple(_booster(state_array(state, f"{name}.ubj").tobytes(), len(features), name) for name in outputs)
        maps = tuple(Platt(float(slope), float(intercept)) for slope, intercept in calibration)
        return cls(features, outputs, boosters, maps, thresholds)

    def _known(self, rows: FloatArray) -> "np.ndarray[tuple[int], np.dtype[np.bool_]]":
        telemetry = [index for index, name in enumerate(self.features) if name not in CALENDAR]
        return np.asarray(np.isfinite(rows[:, telemetry]).any(axis=1))


def _finite(rows: FloatArray) -> FloatArray:
    """Return the rows with infinite values unknown, and values beyond float32, which XGBoost refuses, clipped."""
    return np.clip(np.where(np.isfinite(rows), rows, np.nan), -LARGEST, LARGEST)


def _boost(rows: FloatArray, label: FloatArray, config: PredictorConfig) -> xgb.Booster:
    positive = np.flatnonzero(label > 0)
    negative = np.flatnonzero(label <= 0)
    if not positive.size or not negative.size:
        raise ModelError(f"training needs both classes; it has {positive.size} positive and {negative.size} negative rows")
    drawn = negative
    if negative.size > config.max_negatives:
        drawn = np.random.default_rng(config.seed).choice(negative, config.max_negatives, replace=False)
    chosen = np.sort(np.concatenate([positive, drawn]))
    data = xgb.QuantileDMatrix(_finite(rows[chosen]), label=label[chosen], nthread=1)
    parameters = {
        "objective": "binary:logistic",
        "max_depth": config.depth,
        "eta": config.learning_rate,
        "min_child_weight": config.min_child_weight,
        "subsample": 0.7,
        "colsample_bytree": 0.6,
        "lambda": 5.0,
        "scale_pos_weight": (drawn.size / positive.size) ** config.imbalance_power,
        "monotone_constraints": tuple(MONOTONE.get(name, 0) for name in config.features),
        "seed": config.seed,
        "nthread": 1,
        "tree_method": "hist",
    }
    booster = xgb.train(parameters, data, num_boost_round=config.rounds)
    return _booster(bytes(booster.save_raw("ubj")), len(config.features), "training")


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
        raise ArtifactError(f"booster {name!r} expects {booster.num_features()} columns, the model has {columns} features")
    return booster
